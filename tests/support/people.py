"""People who come to a gate's portal by an invitation, and the mailboxes that know their passwords."""

import asyncio
import imaplib
import re
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import pyotp

from support.daemons import free_ports
from support.dovecot import Dovecot
from support.house import House
from support.visitor import Page, Visitor
from support.waiting import until

_KEPT_HERE = '[primary]\nkind = "local"\n'
_ANY_PORT = re.compile(r'^portal = \["(.*):0"\]', re.MULTILINE)


def with_portal(house: House, primary: str = 'kind = "local"', more: str = "") -> House:
    """Let the portal of a configuration have a port that is known before it serves, and these lines in it."""
    text = house.file.read_text("utf-8")
    assert text.count(_KEPT_HERE) == 1, "the first configuration reads otherwise by now"
    text = text.replace(_KEPT_HERE, f"[primary]\n{primary}\n")
    (port,) = free_ports(1)
    text, found = _ANY_PORT.subn(rf'portal = ["\1:{port}"]', text)
    assert found == 1, "the first configuration reads otherwise by now"
    house.file.write_text(text + more, "utf-8")
    return house


class Guest:
    """A person with a browser, for a test without a loop: `visitor.Visitor`, one step at a time."""

    def __init__(self, house: House, link: str) -> None:
        """`link` leads to the portal of the house, whose authority is trusted."""
        url = f"https://localhost:{urlsplit(link).port}/"
        self._visitor = Visitor(url, str(house.file.parent / "tls" / "ca.pem"))
        self._link = link

    def get(self, path: str) -> Page:
        """Open a page."""
        return asyncio.run(self._visitor.get(path))

    def submit(self, page: Page, **fields: str) -> Page:
        """Fill in its form and send it."""
        return asyncio.run(self._visitor.submit(page, **fields))

    def invitation(self) -> Page:
        """Open the link."""
        return self.get(urlsplit(self._link).path)

    def come_in(self, password: str) -> str:
        """Accept the invitation with the password of the mailbox, and enrol; give the authenticator's key."""
        return self.enrol(self.submit(self.invitation(), password=password))

    def enrol(self, page: Page) -> str:
        """Set up the second factor on its page; give the authenticator's key."""
        assert page.path == "/second-factor", page.text
        found = re.search(r'<code class="key" id="key">([A-Z2-7 ]+)</code>', page.html)
        assert found, page.html
        key = found[1].replace(" ", "")
        page = self.submit(page, code=pyotp.TOTP(key).now())
        assert "recovery codes" in page.text.lower(), page.text
        return key

    def sign_in(self, email: str, password: str, key: str = "") -> Page:
        """Sign in with a code of the next step, which is good already; give the page behind."""
        page = self.submit(self.get("/sign-in"), email=email, password=password)
        if page.path != "/sign-in/code" or not key:
            return page
        return self.submit(page, code=pyotp.TOTP(key).at(int(time.time()) + 30))


def change_password(dovecot: Dovecot, email: str, password: str) -> None:
    """Change a password at Dovecot, and wait until it takes the new one."""
    users = Path(dovecot.folder / "users")
    others = [line for line in users.read_text().splitlines() if not line.startswith(f"{email}:")]
    users.write_text("".join(f"{line}\n" for line in (*others, f"{email}:{{PLAIN}}{password}")))
    until(lambda: takes(dovecot, email, password))


def takes(dovecot: Dovecot, email: str, password: str) -> bool:
    """Whether Dovecot takes a password."""
    context = ssl.create_default_context(cafile=dovecot.ca_file)
    with imaplib.IMAP4_SSL("localhost", dovecot.imaps, ssl_context=context, timeout=20) as client:
        try:
            client.login(email, password)
        except imaplib.IMAP4.error:
            return False
    return True
