"""Sign-in kind `stored` before Dovecot and Postfix: tried when it is set, and an outage when it is stale."""

import imaplib
import re
import smtplib
import ssl

import pytest

from support import imap
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import running_postfix
from support.serving import running_gate
from support.smtp import connect
from support.waiting import until

ALICE, BOB = "alice@example.org", "bob@example.org"
THERE = "liddell@icloud.example"
OWN = "abcd-efgh-ijkl-mnop"
UNAVAILABLE = b"sign-in is not possible at the moment, try again later"


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(passwords={THERE: OWN})) as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot) as server:
        yield server


@pytest.fixture
def house(tmp_path, dovecot, postfix):
    stored = 'sign_in = { kind = "stored" }'
    made = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, stored),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, stored),
    )
    made.add(ALICE)
    return made


def set_upstream(house, *more: str, secret: str = OWN):
    return house.run("account", "set-upstream", ALICE, "--secret-file", "-", *more, stdin=secret + "\n")


def change_password(dovecot, password: str) -> None:
    """Change it there, and wait until Dovecot goes by it: it looks at its file now and then."""
    (dovecot.folder / "users").write_text(f"{THERE}:{{PLAIN}}{password}\n")
    until(lambda: takes(dovecot, password))


def takes(dovecot, password: str) -> bool:
    """Whether Dovecot itself lets the account in with it."""
    context = ssl.create_default_context(cafile=dovecot.ca_file)
    client = imaplib.IMAP4_SSL("localhost", dovecot.imaps, ssl_context=context)
    try:
        return client.login(THERE, password)[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        client.shutdown()


def test_an_account_signs_in_as_itself_under_another_name(house, dovecot, postfix):
    done = set_upstream(house, "--login", THERE)
    assert done.exit_code == 0, done.stderr
    assert f"imap as {THERE} (stored), submission as {THERE} (stored)" in done.stdout
    with running_gate(house) as gate:
        password = gate.mint(ALICE)
        with imap.connect(gate.facts) as client:
            client.login(ALICE, password)
            assert client.select()[0] == "OK"
        with connect(gate.facts) as client:
            client.login(ALICE, password)
            assert client.noop()[0] == 250
        assert f"user=<{THERE}>" in dovecot.log
        shown = gate.house.ask("account", "show", ALICE)["upstream"]
        assert [(each["service"], each["kind"], each["login"]) for each in shown] == [
            ("imap", "stored", THERE),
            ("submission", "stored", THERE),
        ]
        assert OWN not in gate.log.text
    assert OWN.encode() not in (house.file.parent / "data" / "gate.db").read_bytes()


def test_a_secret_that_does_not_work_is_not_stored(house):
    done = set_upstream(house, "--login", THERE, secret="not-the-secret")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"the imap server behind refuses {THERE}" in done.stderr
    assert "nothing was stored" in done.stderr
    assert "not-the-secret" not in done.stderr
    assert house.ask("account", "show", ALICE)["upstream"] == []


def test_an_authority_that_cannot_be_read_is_a_mistake_in_the_config(house):
    text = house.file.read_text("utf-8")
    house.file.write_text(re.sub(r'ca_file = "[^"]*"', 'ca_file = "none.pem"', text), "utf-8")
    done = set_upstream(house, "--login", THERE)
    assert done.exit_code == 2
    assert "none.pem" in done.stderr
    assert "wicketgate" in done.stderr


def test_what_cannot_be_tried_is_stored_only_when_told_so(house, tmp_path):
    text = house.file.read_text("utf-8")
    house.file.write_text(_moved(text), "utf-8")
    done = set_upstream(house, "--login", THERE, "--service", "imap")
    assert done.exit_code == 1
    assert "cannot be tried" in done.stderr
    assert "see that the server runs and listens on that port" in done.stderr
    assert "--no-try" in done.stderr
    untried = set_upstream(house, "--login", THERE, "--service", "imap", "--no-try")
    assert "stored untried" in untried.stdout
    cleared = house.ask("account", "set-upstream", ALICE, "--clear")
    assert cleared == {"email": ALICE, "upstream": []}


def _moved(text: str) -> str:
    """The same config with an IMAP server that is not there."""
    return re.sub(r"imaps://localhost:\d+", "imaps://localhost:1", text)


def test_a_stale_secret_is_an_outage_and_a_line_in_the_history(house, dovecot):
    assert set_upstream(house, "--login", THERE).exit_code == 0
    with running_gate(house) as gate:
        password = gate.mint(ALICE)
        change_password(dovecot, "another-one")
        try:
            client = imap.connect(gate.facts)
            with pytest.raises(imaplib.IMAP4.error, match=r"UNAVAILABLE"):
                client.login(ALICE, password)
            assert client.noop()[0] == "OK"
            client.logout()
            with connect(gate.facts) as sender, pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                sender.login(ALICE, password)
            assert (caught.value.smtp_code, caught.value.smtp_error) == (454, b"4.7.0 " + UNAVAILABLE)
            seen = house.run("check", "--connect", ALICE)
            assert seen.exit_code == 1
            assert seen.stderr.count("account set-upstream") == 2
        finally:
            change_password(dovecot, OWN)
        gate.log.wait_for("refused our sign-in")
        with imap.connect(gate.facts) as again:
            again.login(ALICE, password)
    lines = house.ask("account", "sign-ins", ALICE)
    stale = {line["service"] for line in lines if line["outcome"] == "upstream refused"}
    assert stale == {"imap", "submission"}


def test_an_account_that_nothing_is_stored_for_is_no_wrong_password(house):
    with running_gate(house) as gate:
        client = imap.connect(gate.facts)
        with pytest.raises(imaplib.IMAP4.error, match=r"UNAVAILABLE"):
            client.login(ALICE, gate.mint(ALICE))
        client.logout()
        assert "wicketgate account set-upstream" in gate.log.wait_for("no secret is stored")


def test_one_account_of_a_house_that_trusts_the_gate(tmp_path, dovecot, postfix):
    """Each account its own kind: the others go on by authzid, and a login alone renames one."""
    sign_in = signing_in(tmp_path, dovecot.secret)
    house = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in),
    )
    house.add(ALICE)
    house.add(BOB)
    assert set_upstream(house, "--login", THERE).exit_code == 0
    renamed = house.run("account", "set-upstream", BOB, "--login", "robert@example.org", "--login-only")
    assert renamed.exit_code == 0, renamed.stderr
    with running_gate(house) as gate:
        for email, there in ((ALICE, THERE), (BOB, "robert@example.org")):
            password = gate.mint(email)
            with imap.connect(gate.facts) as client:
                client.login(email, password)
            assert f"user=<{there}>" in dovecot.log
