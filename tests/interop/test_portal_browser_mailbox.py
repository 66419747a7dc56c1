"""The portal in a browser where Dovecot keeps the primary password: proved there, changed there."""

import pytest

from support import imap
from support.axe import Accessible
from support.chromium import DESKTOP, PHONE, chromium, profile
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.people import change_password, with_portal
from support.portal_walk import Walk
from support.serving import running_gate
from support.waiting import until

ALICE, BOB = "alice@example.org", "bob@example.org"
FIRST, SECOND = "correct horse battery", "another horse battery"


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(passwords={ALICE: FIRST, BOB: FIRST})) as server:
        yield server


@pytest.fixture(scope="module")
def built(tmp_path_factory, dovecot):
    """A gate that lets whoever has a mailbox come in, and has one account."""
    folder = tmp_path_factory.mktemp("built")
    there = upstream(
        f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, signing_in(folder, dovecot.secret)
    )
    house = with_portal(
        make_mail_gate(folder / "gate", there, 'address = "embedded"'),
        'kind = "imap"\ncreate = "first-sign-in"',
    )
    house.ask("account", "add", ALICE)
    return house


@pytest.fixture(scope="module")
def browser(built):  # which is built before: Playwright has a loop of its own in this thread
    with chromium() as running:
        yield running


@pytest.fixture
def house(built, tmp_path):
    return built.copy(tmp_path / "gate")


def fits(held) -> None:
    assert held.spills == [], held.page.url


def prove(person: Walk, primary: str, email: str = ALICE) -> None:
    person.type("Email address", email)
    person.type("Primary password", primary)
    person.press("Continue")


@pytest.mark.parametrize("look", [Accessible(), fits], ids=["axe", "phone"])
def test_an_invitation_proves_the_mailbox_and_a_changed_password_is_told(house, dovecot, browser, look):
    size = PHONE if look is fits else DESKTOP
    with running_gate(house) as gate, profile(browser, size=size) as held:
        (invited,) = gate.ask("account", "invite", ALICE, "--print")["invited"]
        person = Walk(held, look)
        person.go(invited["link"])
        person.type("Password of your mailbox", SECOND)
        person.press("Continue")
        assert "not the password of the mailbox" in person.text
        person.type("Password of your mailbox", FIRST)
        person.press("Continue")
        person.enrol()
        password = person.generate("Phone", "mail")
        client = imap.connect(gate.facts)
        try:
            client.login(ALICE, password)
            person.press(f"{ALICE}: Done")
            change_password(dovecot, ALICE, SECOND)
            prove(person, SECOND)
            person.answer()
            assert person.path == "/app-passwords", person.text
            imap.seconds_to_end(client)
        finally:
            client.shutdown()
            change_password(dovecot, ALICE, FIRST)
        assert "None is active. The last one was Phone, which ended when the primary password" in person.text
        with imap.connect(gate.facts) as phone:
            imap.refusal(phone, ALICE, password)
        person.follow("View History")
        assert "The primary password was changed on" in person.text
        person.follow("Activity")
        until(lambda: person.page.reload() and "Phone, which ended when the primary password" in person.text)


def test_who_has_a_mailbox_comes_without_an_invitation(house, browser):
    with running_gate(house) as gate, profile(browser, scripts=False) as held:
        person = Walk(held, fits)
        person.go(gate.facts.get("portal_url") or f"https://localhost:{gate.facts['portal_port']}/")
        prove(person, FIRST, BOB)
        assert person.path == "/second-factor", person.text
        person.enrol()
        with imap.connect(gate.facts) as client:
            client.login(BOB, person.generate("Phone", "mail"))
            assert client.select()[0] == "OK"
