"""The portal in a browser where Dovecot keeps the primary password: proved there, changed there."""

from functools import partial

import pytest

from proxy.portal import rendering
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
    """A gate that lets whoever has a mailbox come in and have two app passwords; it has one account."""
    folder = tmp_path_factory.mktemp("built")
    there = upstream(
        f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, signing_in(folder, dovecot.secret)
    )
    house = with_portal(
        make_mail_gate(folder / "gate", there, 'address = "embedded"'),
        'kind = "imap"\ncreate = "first-sign-in"',
    )
    text = house.file.read_text("utf-8")
    assert text.count("app_passwords = 25") == 1, "the first configuration reads otherwise by now"
    house.file.write_text(text.replace("app_passwords = 25", "app_passwords = 2"), "utf-8")
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


@pytest.mark.parametrize("look", [Accessible(), fits], ids=["axe", "phone without scripts"])
def test_who_has_a_mailbox_comes_without_an_invitation_until_the_house_is_full(house, browser, look):
    on_a_phone = look is fits
    with (
        running_gate(house) as gate,
        profile(browser, size=PHONE if on_a_phone else DESKTOP, scripts=not on_a_phone) as held,
    ):
        person = Walk(held, look)
        person.go(f"https://localhost:{gate.facts['portal_port']}/")
        prove(person, FIRST, BOB)
        assert person.path == "/second-factor", person.text
        person.enrol()
        made = ["password", "create", BOB, "--label", "Tablet", "--scope", "mail", "--operator"]
        gate.ask(*made, "--expires", "5d")
        with imap.connect(gate.facts) as client:
            client.login(BOB, person.generate("Phone", "mail"))
            assert client.select()[0] == "OK"
        person.back_to_list()
        assert "Tablet expires in 5 days" in person.text
        person.follow("Generate Password…")
        assert person.title == "No more app passwords"


AWAY = rendering.html("away.html", {"what": "mail server", "host": "mail.example.org"}, status=503)
FAULT = rendering.html("fault.html", {"number": "0a1b2c3d", "host": "mail.example.org"}, status=500)


@pytest.mark.parametrize("look", [Accessible(), fits], ids=["axe", "phone"])
def test_what_is_said_when_something_is_out_can_be_read(house, browser, look):
    with running_gate(house) as gate, profile(browser, size=PHONE if look is fits else DESKTOP) as held:
        for answer in (AWAY, FAULT):
            url = f"https://localhost:{gate.facts['portal_port']}/{answer.status}"
            held.page.route(url, partial(fulfilled, answer))
            held.page.goto(url)
            look(held)


def fulfilled(answer, route) -> None:
    """Let the portal have said this; what the page loads is the portal's own."""
    route.fulfill(status=200, body=answer.text, content_type="text/html; charset=utf-8")
