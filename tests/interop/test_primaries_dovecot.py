"""Primary passwords that Dovecot keeps: proved there, changed there, and what an outage is taken for."""

import imaplib
import re
from contextlib import contextmanager

import pytest

from support import imap
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.house import House
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.people import Guest, change_password, with_portal
from support.serving import running_gate

ALICE, BOB = "alice@example.org", "bob@example.org"
FIRST, SECOND = "correct horse battery", "another horse battery"
BUILT_IN = 'address = "embedded"'


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(passwords={ALICE: FIRST, BOB: FIRST})) as server:
        yield server


def make_house(tmp_path, dovecot, create: str) -> House:
    login = signing_in(tmp_path, dovecot.secret)
    there = upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, login)
    house = make_mail_gate(tmp_path / "gate", there, BUILT_IN)
    return with_portal(house, f'kind = "imap"\ncreate = "{create}"')


def moved_away(house: House) -> None:
    """Let the server behind be where nobody answers."""
    text, found = re.subn(r"imaps://localhost:\d+", "imaps://localhost:1", house.file.read_text("utf-8"))
    assert found == 1
    house.file.write_text(text, "utf-8")


@contextmanager
def idling(gate, password):
    """Wait for mail, as a phone does all day."""
    client = imap.connect(gate.facts)
    try:
        client.login(ALICE, password)
        client.select("INBOX")
        imap.start_idle(client)
        yield client
    finally:
        client.shutdown()


def test_from_the_invitation_to_the_change_that_ends_every_app_password(tmp_path, dovecot):
    house = make_house(tmp_path, dovecot, "invited")
    assert house.ask("account", "add", ALICE)["second_factor"] is False
    link = house.ask("account", "invite", ALICE)["invited"][0]["link"]
    with running_gate(house) as gate:
        guest = Guest(house, link)
        page = guest.invitation()
        assert "Password of your mailbox" in page.text
        page = guest.submit(page, password=SECOND)
        assert "this is not the password of the mailbox" in page.text.lower()
        key = guest.come_in(FIRST)
        assert guest.get("/app-passwords").status == 200
        assert "the password of your mailbox, which is kept at localhost" in guest.get("/account").text
        assert guest.get("/account/password").path == "/account"
        phone = gate.mint(ALICE)
        with idling(gate, phone) as client:
            change_password(dovecot, ALICE, SECOND)
            try:
                page = Guest(house, link).sign_in(ALICE, SECOND, key)
                assert page.path == "/app-passwords", page.text
                assert imap.seconds_to_end(client) < 5
                history = house.ask("password", "history", ALICE)
                assert [each["ended_why"] for each in history] == ["primary password changed"]
                with imap.connect(gate.facts) as again:
                    assert "was revoked" in imap.refusal(again, ALICE, phone)
            finally:
                change_password(dovecot, ALICE, FIRST)
        for secret in (FIRST, SECOND, link.rpartition("/")[2]):
            assert secret not in gate.log.text


def test_an_outage_is_never_a_change(tmp_path, dovecot):
    house = make_house(tmp_path, dovecot, "invited")
    house.ask("account", "add", ALICE)
    link = house.ask("account", "invite", ALICE)["invited"][0]["link"]
    with running_gate(house) as gate:
        key = Guest(house, link).come_in(FIRST)
        gate.mint(ALICE)
    moved_away(house)
    with running_gate(house) as gate:
        for password in (FIRST, SECOND):
            page = Guest(house, link).sign_in(ALICE, password, key)
            assert (page.status, "mail server" in page.text) == (503, True)
        assert [each["label"] for each in house.ask("password", "list", ALICE)] == ["phone"]
        assert f"the primary password of {ALICE} cannot be tried" in gate.log.text
        (line, *_) = reversed(house.ask("audit", ALICE))
        assert line["deed"] == "app password created"


def test_a_hook_at_the_mail_server_cuts_what_is_open(tmp_path, dovecot):
    house = make_house(tmp_path, dovecot, "invited")
    house.ask("account", "add", ALICE)
    link = house.ask("account", "invite", ALICE)["invited"][0]["link"]
    with running_gate(house) as gate:
        guest = Guest(house, link)
        guest.come_in(FIRST)
        phone = gate.mint(ALICE)
        with idling(gate, phone) as client:
            answer = gate.ask("account", "primary-changed", ALICE)
            assert (len(answer["revoked"]), answer["sessions_cut"], answer["silent_workers"]) == (1, 1, 0)
            assert imap.seconds_to_end(client) < 5
        page = guest.get("/app-passwords")
        assert page.path == "/sign-in", "who is signed in has to prove it anew"


def test_where_a_first_sign_in_is_enough_a_mailbox_is_all_it_takes(tmp_path, dovecot):
    house = make_house(tmp_path, dovecot, "first-sign-in")
    with running_gate(house) as gate:
        guest = Guest(house, f"https://localhost:{gate.facts['portal_port']}/")
        page = guest.sign_in(BOB, SECOND)
        assert page.path == "/sign-in/code", "as for everybody whose password is wrong"
        assert house.ask("account", "list") == []
        guest.enrol(guest.sign_in(BOB, FIRST))
        assert [each["email"] for each in house.ask("account", "list")] == [BOB]
        with imap.connect(gate.facts) as client:
            assert client.login(BOB, gate.mint(BOB))[0] == "OK"
        with pytest.raises(imaplib.IMAP4.error), imap.connect(gate.facts) as client:
            client.login(BOB, FIRST)
