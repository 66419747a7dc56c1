"""Mail programs and libraries before a whole gate: each signs in its own way and reads the demo's mail."""

import imaplib
import subprocess
import sys
from pathlib import Path

import imapclient
import pytest

from support.imap import refusal, subjects, trusting
from support.mbsync import pull
from support.programs import program

ALICE = "alice@example.org"
WELCOME = "Welcome to the demo"


@pytest.fixture
def secret(demo) -> str:
    return demo.password(ALICE, "Mail only")


@pytest.mark.parametrize("starttls", [False, True])
def test_imaplib_login(demo, dial, secret, starttls):
    client = dial(demo.facts, starttls=starttls)
    client.login(ALICE, secret)
    assert WELCOME in subjects(client)
    assert client.logout()[0] == "BYE"


@pytest.mark.parametrize("typed", ["{}", "{} ", " {}\t", "{}\u00a0", "{}".upper])
def test_imaplib_with_what_people_paste(demo, dial, secret, typed):
    client = dial(demo.facts)
    pasted = secret.upper() if callable(typed) else typed.format(secret).replace("-", " ")
    client.authenticate("PLAIN", lambda _: b"\0" + ALICE.encode() + b"\0" + pasted.encode())
    client.logout()


def test_imaplib_plain_with_an_authorization_identity(demo, dial, secret):
    client = dial(demo.facts)
    client.authenticate("PLAIN", lambda _: ALICE.encode() + b"\0" + ALICE.encode() + b"\0" + secret.encode())
    client.logout()


def test_imaplib_is_not_let_in_for_somebody_else(demo, dial, secret):
    client = dial(demo.facts)
    with pytest.raises(imaplib.IMAP4.error, match=r"AUTHENTICATIONFAILED|authorization"):
        client.authenticate(
            "PLAIN", lambda _: b"bob@example.org\0" + ALICE.encode() + b"\0" + secret.encode()
        )


def test_an_alias_signs_in_to_the_same_mailbox(demo, dial, secret):
    assert demo.cli("account", "alias", "add", ALICE, "ally@example.org").returncode == 0
    client = dial(demo.facts)
    client.login("Ally@Example.org", secret)
    assert WELCOME in subjects(client)
    client.logout()


def test_a_sign_in_can_be_tried_at_least_three_times(demo, dial, secret):
    client = dial(demo.facts)
    for _ in range(3):
        assert refusal(client, ALICE, "wrong").startswith("[AUTHENTICATIONFAILED]")
    client.login(ALICE, secret)
    client.logout()


def test_before_tls_there_is_no_sign_in(demo, secret):
    with imaplib.IMAP4(demo.facts["host"], demo.facts["imap_port"], timeout=20) as client:
        assert "LOGINDISABLED" in client.capabilities
        assert not any(each.startswith("AUTH=") for each in client.capabilities)
        assert refusal(client, ALICE, secret).startswith("[PRIVACYREQUIRED]")


@pytest.mark.parametrize("starttls", [False, True])
def test_imapclient_signs_in_idles_and_sees_new_mail(demo, dial, secret, starttls):
    facts = demo.facts
    port = facts["imap_port" if starttls else "imaps_port"]
    context = trusting(facts["ca_file"])
    client = imapclient.IMAPClient(facts["host"], port, ssl=not starttls, ssl_context=context, timeout=20)
    if starttls:
        client.starttls(context)
    client.id_({"name": "test", "version": "1"})
    client.login(ALICE, secret)
    client.select_folder("INBOX")
    client.idle()
    other = dial(facts)
    other.login(ALICE, secret)
    other.append("INBOX", "", None, b"Subject: while idle\r\n\r\nx\r\n")
    assert any(b"EXISTS" in response for response in client.idle_check(timeout=10))
    client.idle_done()
    client.logout()
    other.logout()


@pytest.mark.parametrize("mechanism", ["plain", "login", "command"])
def test_twisteds_client(demo, secret, root, mechanism):
    facts = demo.facts
    done = subprocess.run(
        [sys.executable, root / "tests/support/twisted_client.py", facts["host"], str(facts["imaps_port"]),
         facts["ca_file"], mechanism],
        input=f"{ALICE}\n{secret}\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3


@pytest.mark.parametrize("options", [(), ("--sasl-ir",), ("--login-options", "AUTH=LOGIN")])
@pytest.mark.parametrize("starttls", [False, True])
def test_curl(demo, secret, tmp_path, options, starttls):
    facts = demo.facts
    port, scheme = (facts["imap_port"], "imap") if starttls else (facts["imaps_port"], "imaps")
    settings = tmp_path / "curlrc"
    settings.write_text(f'user = "{ALICE}:{secret}"\n')
    done = subprocess.run(
        [program("curl", "curl"), "--config", settings, "--silent", "--show-error", "--ssl-reqd",
         "--cacert", facts["ca_file"], "--max-time", "20", *options,
         f"{scheme}://{facts['host']}:{port}/INBOX;MAILINDEX=1"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert WELCOME in done.stdout


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_mbsync_pulls_and_pulls_nothing_the_second_time(demo, secret, tmp_path, mechanism, starttls):
    first = pull(demo.facts, ALICE, secret, tmp_path, starttls=starttls, mechanism=mechanism)
    assert len(first) >= 3
    assert pull(demo.facts, ALICE, secret, tmp_path, starttls=starttls, mechanism=mechanism) == first
    assert any(WELCOME in Path(message).read_text(errors="replace") for message in first)
