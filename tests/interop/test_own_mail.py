"""The gate's own mails in real mailboxes, built-in ones and those of Postfix; a renewal from end to end."""

import http.client
import imaplib
import signal
import ssl
from base64 import b64encode
from contextlib import contextmanager
from email import message_from_bytes, policy

import pytest

from support.delivering import inbox
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import running_postfix
from support.running import running_demo
from support.serving import make_gate, running_gate
from support.waiting import until

ALICE = "alice@example.org"
GATE = "gate@example.org"
OWN = "abcd-efgh-ijkl-mnop"
MAIL = f'\n[mail]\nsender = "{GATE}"\n'


def with_mail(house):
    house.file.write_text(house.file.read_text("utf-8") + MAIL, "utf-8")
    return house


@pytest.fixture(scope="module")
def built_in(tmp_path_factory):
    """A gate with mailboxes of its own, which sends mails."""
    house = with_mail(make_gate(tmp_path_factory.mktemp("built-in") / "w"))
    house.add(ALICE)
    with running_gate(house) as serving:
        yield serving


def arrived(serving, email=ALICE):
    octets = inbox(serving.data / "mail", email)
    return [message_from_bytes(each, policy=policy.default) for each in octets]


def waited_for(serving, subject, email=ALICE):
    until(lambda: subject in [message["Subject"] for message in arrived(serving, email)])
    (message,) = [each for each in arrived(serving, email) if each["Subject"] == subject]
    return message


def test_the_built_in_mailbox_gets_one_for_each_mint_and_revocation(built_in):
    built_in.mint(ALICE, "Küche 📱")
    message = waited_for(built_in, "New app password: Küche 📱")
    assert message["From"].addresses[0].addr_spec == GATE
    assert message["Return-Path"] == f"<{GATE}>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert '"Küche 📱"' in message.get_content()
    built_in.ask("password", "revoke", ALICE, "Küche 📱")
    waited_for(built_in, "App password revoked: Küche 📱")
    built_in.mint(ALICE, "tablet")
    built_in.ask("password", "revoke-all", ALICE, "--yes")
    message = waited_for(built_in, f"App passwords revoked for {ALICE}")
    assert "tablet" in message.get_content()
    assert "mail sent about='all app passwords revoked'" in built_in.log.wait_for(
        "all app passwords revoked' to"
    )


def test_a_renewed_one_ends_at_the_first_use_of_its_successor(built_in):
    """Signed in by IMAP with both; the session of the old one is cut."""
    old = built_in.mint(ALICE, "laptop", "--expires", "9d")
    with signed_in(built_in, old) as before:
        new = built_in.ask("password", "renew", ALICE, "laptop", "--operator", "--expires", "never")
        assert before.noop()[0] == "OK", "nothing has ended yet"
        waited_for(built_in, "Renewed app password: laptop")
        with signed_in(built_in, new["password"]) as after:
            built_in.log.wait_for("kind=app password replaced")
            with pytest.raises((imaplib.IMAP4.abort, OSError)):
                before.noop()
            with pytest.raises(imaplib.IMAP4.error, match="was revoked"), signed_in(built_in, old):
                pass
            assert after.noop()[0] == "OK"
    waited_for(built_in, "Old app password ended: laptop")
    (entry,) = [each for each in built_in.ask("audit", ALICE) if each["deed"] == "app password replaced"]
    assert (entry["actor"]["kind"], entry["actor"]["where"]) == ("owner", "127.0.0.1")


def test_a_request_for_contacts_is_a_first_use_too(built_in):
    options = ("--scope", "contacts", "--expires", "9d", "--operator")
    old = built_in.ask("password", "create", ALICE, "--label", "book", *options)["password"]
    assert asked_for_contacts(built_in, old) == 207
    new = built_in.ask("password", "renew", ALICE, "book", "--operator")["password"]
    assert [asked_for_contacts(built_in, each) for each in (old, new, old, new)] == [207, 207, 401, 207]


def asked_for_contacts(serving, password):
    context = ssl.create_default_context(cafile=serving.facts["ca_file"])
    client = http.client.HTTPSConnection(
        "localhost", serving.facts["https_port"], context=context, timeout=20
    )
    shown = b64encode(f"{ALICE}:{password}".encode()).decode()
    try:
        client.request("PROPFIND", "/", headers={"Authorization": f"Basic {shown}", "Depth": "0"})
        return client.getresponse().status
    finally:
        client.close()


@contextmanager
def signed_in(serving, password):
    context = ssl.create_default_context(cafile=serving.facts["ca_file"])
    client = imaplib.IMAP4_SSL("localhost", serving.facts["imaps_port"], ssl_context=context, timeout=20)
    try:
        client.login(ALICE, password)
        yield client
    finally:
        client.shutdown()


def test_what_was_done_while_nobody_served_is_told_afterwards(tmp_path):
    house = with_mail(make_gate(tmp_path / "w"))
    house.add(ALICE)
    house.ask("password", "create", ALICE, "--label", "phone", "--scope", "mail", "--operator")
    with running_gate(house) as serving:
        waited_for(serving, "New app password: phone")


def test_without_mail_in_the_configuration_nothing_is_written_and_a_restart_is_asked_for(tmp_path):
    house = make_gate(tmp_path / "w")
    house.add(ALICE)
    with running_gate(house) as serving:
        serving.mint(ALICE)
        with_mail(house)
        serving.process.send_signal(signal.SIGHUP)
        serving.log.wait_for("configuration: mail changed, and waits for a restart")
        serving.log.wait_for("configuration read again")
        serving.mint(ALICE, "tablet")  # by a process that has read the new configuration
        waited_for(serving, "New app password: tablet")
        assert len(arrived(serving)) == 1


@pytest.fixture(scope="module")
def servers():
    options = DovecotOptions(passwords={GATE: OWN})
    with running_dovecot(options) as dovecot, running_postfix(dovecot) as postfix:
        yield dovecot, postfix


@pytest.mark.parametrize("kind", ["authzid", "master"])
def test_postfix_delivers_it_for_the_sender_as_whom_the_gate_signs_in(servers, tmp_path, kind):
    dovecot, postfix = servers
    login = signing_in(tmp_path, dovecot.secret, kind)
    house = with_mail(
        make_mail_gate(
            tmp_path / "gate",
            upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, login),
            upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, login),
        )
    )
    house.add(ALICE)
    label = f"phone by {kind}"
    with running_gate(house) as serving:
        serving.mint(ALICE, label)
        message = postfix.wait_for(ALICE, f"New app password: {label}")
        assert message["Return-Path"] == f"<{GATE}>"
        assert f"sasl_username={GATE}" in postfix.log
        serving.log.wait_for("mail sent about='app password made'")


def test_where_nobody_may_act_for_others_the_sender_is_an_account_with_a_stored_secret(servers, tmp_path):
    dovecot, postfix = servers
    stored = 'sign_in = { kind = "stored" }'
    house = with_mail(
        make_mail_gate(
            tmp_path / "gate",
            upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, stored),
            upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, stored),
        )
    )
    house.add(ALICE)
    with running_gate(house) as serving:
        serving.mint(ALICE, "stored")
        assert "no secret is stored" in serving.log.wait_for("mail not sent, tried again in 60 s")
    house.ask("account", "add", GATE, "--service")
    done = house.run("account", "set-upstream", GATE, "--login", GATE, "--secret-file", "-", stdin=f"{OWN}\n")
    assert done.exit_code == 0, done.stderr
    with running_gate(house) as serving:
        serving.mint(ALICE, "stored too")
        assert postfix.wait_for(ALICE, "New app password: stored too")["Return-Path"] == f"<{GATE}>"
        assert OWN not in serving.log.text


def test_the_demos_mailboxes_get_them_and_begin_without(tmp_path):
    """What the demo makes before anybody is there is no news; the next app password is."""
    with running_demo(tmp_path / "demo", tmp_path / "ready.json") as demo:
        password = demo.password(ALICE, "Everything")
        demo.ask("password", "create", ALICE, "--label", "new one", "--scope", "mail", "--operator")
        until(lambda: subjects(demo, password).count("New app password: new one") == 1)
        assert [each for each in subjects(demo, password) if "app password" in each.lower()] == [
            "New app password: new one"
        ]


def subjects(demo, password):
    context = ssl.create_default_context(cafile=demo.facts["ca_file"])
    with imaplib.IMAP4_SSL("localhost", demo.facts["imaps_port"], ssl_context=context, timeout=20) as client:
        client.login(ALICE, password)
        client.select("INBOX", readonly=True)
        _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    heads = [message_from_bytes(each[1], policy=policy.default) for each in found if isinstance(each, tuple)]
    return [str(each["Subject"]) for each in heads]
