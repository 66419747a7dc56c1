"""From the address that the demo prints to programs at work, with nothing but what pages showed."""

import imaplib
import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from support.chromium import chromium, profile
from support.dav_house import event
from support.dav_programs import caldav
from support.imap import PATIENCE_S, subjects, trusting
from support.portal_walk import Walk, code_of
from support.running import Demo, running_demo
from support.waiting import until


@dataclass(frozen=True)
class Printed:
    """What the demo's page of settings says of the portal and of one person."""

    portal: str
    email: str
    primary: str
    key: str
    ca_file: str

    @classmethod
    def read(cls, page: str, email: str) -> "Printed":
        person = page.partition(f"\n{email}\n")[2]
        return cls(
            _found(r"portal, .*?: (https://\S+)", page), email, _found(r"primary password +(\S+)", person),
            _found(r"second factor +(\S+)", person), _found(r"trust it:\n +(\S+)", page),
        )  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What the page of an app password says that one types into "any other app"."""

    secret: str
    dialogs: dict[str, dict[str, str]]
    ca_file: str

    @classmethod
    def read(cls, person: Walk, ca_file: str) -> "Told":
        app = person.page.locator("details.app", has=person.page.get_by_text("Any other app"))
        dialogs = {
            dialog.locator("h3").inner_text(): {
                line.locator("dt").inner_text(): line.locator("dd").inner_text()
                for line in dialog.locator("dl > div").all()
            }
            for dialog in app.locator("section").all()
        }
        return cls(person.page.locator("#password").inner_text(), dialogs, ca_file)

    def server(self, dialog: str) -> tuple[str, int]:
        told = self.dialogs[dialog]
        assert told["Security"] == "SSL/TLS"
        return told["Server"], int(told["Port"])

    @contextmanager
    def imap(self) -> Iterator[imaplib.IMAP4_SSL]:
        """Read mail."""
        there = self.server("Incoming mail (IMAP)")
        client = imaplib.IMAP4_SSL(*there, ssl_context=trusting(self.ca_file), timeout=PATIENCE_S)
        try:
            client.login(self.dialogs["Incoming mail (IMAP)"]["User name"], self.secret)
            yield client
        finally:
            with suppress(OSError):  # the gate may have closed it
                client.shutdown()

    @contextmanager
    def smtp(self) -> Iterator[smtplib.SMTP_SSL]:
        """Send mail."""
        there = self.server("Outgoing mail (SMTP)")
        with smtplib.SMTP_SSL(*there, context=trusting(self.ca_file), timeout=PATIENCE_S) as client:
            client.login(self.dialogs["Outgoing mail (SMTP)"]["User name"], self.secret)
            yield client

    # what python-caldav asks of a person

    @property
    def email(self) -> str:
        return self.dialogs["Calendars (CalDAV)"]["User name"]

    @property
    def facts(self) -> dict[str, str]:
        return {"dav_url": self.dialogs["Calendars (CalDAV)"]["Address"], "ca_file": self.ca_file}

    def password(self, opens: str) -> str:
        return self.secret


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with running_demo(tmp_path / "data", tmp_path / "ready.json") as running:
        yield running


def come_in(person: Walk, printed: Printed) -> None:
    """Sign in with a password and a code of the authenticator."""
    person.go(printed.portal)
    person.type("Email address", printed.email)
    person.type("Primary password", printed.primary)
    person.press("Continue")
    person.type("Code", code_of(printed.key))
    person.press("Sign in")
    assert person.path == "/app-passwords"


def test_programs_work_with_what_the_pages_show_until_the_pages_end_it(demo: Demo) -> None:
    printed = Printed.read(demo.page, "alice@example.org")
    assert printed.portal == demo.facts["portal_url"]
    with chromium() as browser, profile(browser) as held:
        person = Walk(held)
        come_in(person, printed)
        person.generate("A new laptop", "mail", "contacts", "events")
        told = Told.read(person, printed.ca_file)
        with told.imap() as mailbox:
            send(told, printed.email)
            until(lambda: "From the laptop" in subjects(mailbox))
            done = caldav(told, "events", "whole", event("walk", "Walk").decode())
            assert (done["saved"], done["changed"]) == (["Walk walk"], ["changed"])

            person.back_to_list()
            card = person.page.locator("li.card", has_text="A new laptop")
            used = card.locator("dl > div", has_text="Last used")
            until(lambda: person.page.reload() and "never" not in used.inner_text().lower())
            person.press_link("Revoke A new laptop…")
            assert "IMAP" in person.text
            person.press("Revoke A new laptop")
            with pytest.raises((imaplib.IMAP4.error, OSError)):
                mailbox.noop()
        with pytest.raises(imaplib.IMAP4.error), told.imap():
            pass
        with pytest.raises(smtplib.SMTPAuthenticationError), told.smtp():
            pass
        assert caldav(told, "events", "calendars")[0] == "AuthorizationError"


def send(told: Told, to: str) -> None:
    """Send a message to oneself."""
    message = EmailMessage()
    message["From"] = message["To"] = to
    message["Subject"] = "From the laptop"
    message.set_content("With what the page told.\n")
    with told.smtp() as client:
        assert client.send_message(message) == {}
