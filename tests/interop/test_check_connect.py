"""`wicketgate check --connect` before real servers: what is right, what is wrong, and what to change."""

import re
import shutil

import pytest

from config.authority import make_authority
from support.daemons import free_ports
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.radicale_program import running_radicale

ALICE, BOB = "alice@example.org", "bob@example.org"
GATE = "gate@example.org"
OWN = "what-alice-chose"


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(passwords={ALICE: OWN})) as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot) as server:
        yield server


@pytest.fixture
def house(tmp_path, dovecot, postfix):
    sign_in = signing_in(tmp_path, dovecot.secret)
    made = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in),
    )
    made.add(ALICE)
    return made


def test_all_is_well(house):
    done = house.run("check", "--connect")
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.search(rf"upstream\.imap: imaps://localhost:\d+: signed in as {ALICE}\n", done.stdout)
    assert re.search(rf"upstream\.smtp: smtps://localhost:\d+: signed in as {ALICE}\n", done.stdout)
    servers = house.ask("check", "--connect", ALICE)["servers"]
    assert [(each["key"], each["email"], each["what"]) for each in servers] == [
        ("upstream.imap", ALICE, ""),
        ("upstream.smtp", ALICE, ""),
    ]


def test_who_sends_the_gates_own_mails_is_tried_too(house):
    """For another domain it is another server: there a mistake would be seen by nobody but the log."""
    there = house.file.parent / "nobody-listens"
    smtp = f'upstream.smtp = {{ address = "unix:{there}", sign_in = {{ kind = "none" }} }}'
    text = house.file.read_text("utf-8") + f'\n[[domain]]\nname = "nowhere.example"\n{smtp}\n'
    house.file.write_text(text + '\n[mail]\nsender = "gate@example.org"\n', "utf-8")
    done = house.run("check", "--connect")
    assert re.search(r"mail\.sender: smtps://localhost:\d+: signed in as gate@example\.org\n", done.stdout)
    house.file.write_text(text + '\n[mail]\nsender = "gate@nowhere.example"\n', "utf-8")
    done = house.run("check", "--connect")
    assert done.exit_code == 1
    assert f"error: mail.sender: cannot connect to unix:{there}" in done.stderr
    assert "mail.sender" not in house.run("check", "--connect", ALICE).output


def test_a_sender_that_is_not_the_logins_own_is_named(house):
    house.add(GATE)
    assert house.run("account", "set-upstream", GATE, "--login", BOB, "--login-only").exit_code == 0
    with house.file.open("a", encoding="utf-8") as config:
        config.write(f'\n[mail]\nsender = "{GATE}"\n')
    done = house.run("check", "--connect")
    assert done.exit_code == 1
    refused = rf"refused the recipient: '553 5\.7\.1 <{GATE}>: Sender address rejected"
    assert re.search(rf"error: mail\.sender: smtps://localhost:\d+ {refused}", done.stderr)
    assert "hint: let that server take mails of this sender" in done.stderr


def test_before_there_is_an_account_it_connects_alone(house, tmp_path):
    assert house.run("account", "remove", ALICE, "--yes").exit_code == 0
    done = house.run("check", "--connect")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("connected; no account signs in there yet") == 2


def test_a_server_that_takes_the_password_itself_is_a_side_door(house):
    """Dovecot lets alice in past the gate, and Postfix too, for it asks Dovecot."""
    done = house.run("check", "--connect", ALICE, "--primary-password-file", "-", stdin=f"{OWN}\n")
    assert done.exit_code == 1
    assert done.stderr.count(f"takes {ALICE}'s own password directly") == 2
    assert "docs/deploy.md" in done.stderr
    assert OWN not in done.output
    closed = house.run("check", "--connect", ALICE, "--primary-password-file", "-", stdin="another\n")
    assert closed.exit_code == 0, closed.stderr
    assert closed.stdout.count("it refuses that password, as it should") == 2


def test_the_side_door_is_tried_under_the_login_that_the_account_has_there(house):
    house.add(BOB)
    done = house.run("account", "set-upstream", BOB, "--login", ALICE, "--login-only")
    assert done.exit_code == 0, done.stderr
    done = house.run("check", "--connect", BOB, "--primary-password-file", "-", stdin=f"{OWN}\n")
    assert done.exit_code == 1
    assert done.stderr.count(f"takes {BOB}'s own password directly") == 2


def test_a_server_that_asks_for_no_password_is_not_said_to_refuse_it(house, tmp_path):
    with running_radicale(tmp_path / "radicale") as port:
        for name in ("contacts", "events"):
            sign_in = 'insecure = true\nsign_in = { kind = "trusted-header" }'
            lines = f'address = "http://localhost:{port}"\n{sign_in}'
            with house.file.open("a", encoding="utf-8") as config:
                config.write(f"\n[upstream.{name}]\n{lines}\n")
        done = house.run("check", "--connect", ALICE, "--primary-password-file", "-", stdin="another\n")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count(f"signed in as {ALICE}\n") == 2
    assert done.stdout.count("it refuses that password, as it should") == 2


def nobody_there(dovecot, folder):
    return r"imaps://localhost:\d+", f"imaps://localhost:{free_ports(1)[0]}"


def another_authority(dovecot, folder):
    make_authority(folder / "foreign")
    return r'ca_file = "[^"]*"', f'ca_file = "{folder / "foreign" / "ca.pem"}"'


def another_name(dovecot, folder):
    return r"(ca_file = .*)", r'\1\nserver_name = "imap.example.org"'


def tls_where_starttls_is(dovecot, folder):
    return r"imaps://localhost:\d+", f"imaps://localhost:{dovecot.imap}"


def a_wrong_secret(dovecot, folder):
    secret = folder / "gate.secret"
    secret.unlink()
    secret.write_text("not the secret\n")
    secret.chmod(0o400)
    return "^", ""


WRONG = {
    nobody_there: ("ECONNREFUSED", "see that the server runs and listens"),
    another_authority: ("certificate refused", "ca_file"),
    another_name: ("mismatch", "server_name"),
    tls_where_starttls_is: ("no TLS with", "imap+starttls://"),
    a_wrong_secret: ("refused our sign-in", "sign_in is as the server behind has it"),
}


@pytest.mark.parametrize("change", WRONG)
def test_what_fails_is_named_with_what_to_change(house, dovecot, tmp_path, change):
    words, hint = WRONG[change]
    before, after = change(dovecot, tmp_path)
    house.file.write_text(re.sub(before, after, house.file.read_text("utf-8"), count=1), "utf-8")
    done = house.run("check", "--connect", ALICE)
    assert done.exit_code == 1
    said = done.stderr.splitlines()
    assert re.search(rf"error: upstream\.imap: .*{words}", said[0])
    assert said[1].startswith("hint: ")
    assert hint in said[1]
    assert "all is well" not in done.stdout
    assert "not the secret" not in done.output


def test_an_extension_that_the_server_does_not_offer_is_named(tmp_path, dovecot):
    """Clients would be offered it, and refused when they use it."""
    with running_postfix(dovecot, PostfixOptions(more=("smtpd_discard_ehlo_keywords = chunking",))) as server:
        sign_in = signing_in(tmp_path, dovecot.secret)
        house = make_mail_gate(
            tmp_path / "gate",
            upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
            upstream(
                f"smtps://localhost:{server.ports.submissions}", server.ca_file, sign_in,
                'extensions = ["CHUNKING", "DSN", "SMTPUTF8"]',
            ),
        )  # fmt: skip
        house.add(ALICE)
        done = house.run("check", "--connect")
    assert done.exit_code == 1
    assert "does not offer CHUNKING, as its extensions say" in done.stderr
    assert "take out of extensions" in done.stderr


def test_a_disabled_account_is_named_as_such(house):
    house.ask("account", "disable", ALICE, "--yes")
    done = house.run("check", "--connect", ALICE)
    assert done.exit_code == 0, done.stderr
    assert f"note: {ALICE} is disabled: the gate refuses its apps" in done.stderr


def test_the_options_go_together(house):
    assert house.run("check", ALICE).exit_code == 2
    assert house.run("check", "--connect", "--side-door").exit_code == 2
    assert house.run("check", "--connect", "nobody@example.org").exit_code == 1


def test_a_config_with_a_mistake_is_not_connected_with(house):
    shutil.rmtree(house.file.parent / "tls")
    done = house.run("check", "--connect", ALICE)
    assert done.exit_code == 2
    assert "upstream" not in done.stderr
