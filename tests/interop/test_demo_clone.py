"""The first promise: clone, run one command, and a mail program works with app-specific passwords.

One fresh clone makes its own environment and runs `scripts/demo`; the tests of this file follow one another's
deeds in no order, each with a password of its own where it ends one.
"""

import os
import select
import shutil
import signal
import smtplib
import subprocess
import time
from collections import Counter
from pathlib import Path

import pyotp
import pytest

from support import smtp
from support.imap import refusal, seconds_to_end, start_idle, subjects
from support.mbsync import pull
from support.programs import git_for, missing
from support.running import running_demo, stop
from support.vdirsyncer import vdir

ALICE = "alice@example.org"
BOB = "bob@example.org"
WELCOME = {"Welcome to the demo", "Revoke one and watch"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory, root):
    """A fresh clone, as a newcomer has it, with its environment made by its own script."""
    folder = tmp_path_factory.mktemp("clone") / "wicketgate"
    subprocess.run([git_for(root), "clone", "--quiet", root, folder], check=True)
    installed = subprocess.run([folder / "scripts/install"], capture_output=True, text=True, check=False)
    if "the locked packages could not be installed" in installed.stderr:
        missing("no package index is reachable, so a fresh clone cannot be installed")
    assert installed.returncode == 0, installed.stderr
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def fresh(clone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh")
    with running_demo(folder / "data", folder / "ready.json", script=clone / "scripts/demo") as running:
        yield running


def minted(demo, label: str) -> str:
    made = demo.ask("password", "create", ALICE, "--label", label, "--scope", "mail", "--operator")
    return made["password"]


@pytest.mark.parametrize("label", ["Everything", "Mail only"])
@pytest.mark.parametrize("starttls", [False, True])
def test_passwords_that_open_mail_read_it_with_imaplib(fresh, dial, label, starttls):
    client = dial(fresh.facts, starttls=starttls)
    client.login(ALICE, fresh.password(ALICE, label))
    assert set(subjects(client)) >= WELCOME
    client.logout()


@pytest.mark.parametrize("label", ["Everything", "Mail only"])
def test_passwords_that_open_mail_read_it_with_mbsync(fresh, label, tmp_path):
    pulled = pull(fresh.facts, ALICE, fresh.password(ALICE, label), tmp_path)
    assert any(b"Welcome to the demo" in each.read_bytes() for each in pulled)


@pytest.mark.parametrize(("label", "opens"), [("Contacts only", "contacts"), ("Events only", "events")])
def test_other_scopes_are_refused_and_told_what_they_open(fresh, dial, label, opens):
    client = dial(fresh.facts)
    words = refusal(client, ALICE, fresh.password(ALICE, label))
    assert words.startswith("[NOPERM]")
    assert f'"{label}" opens {opens}, not mail' in words
    client.login(ALICE, fresh.password(ALICE, "Mail only"))  # the connection is still good for the right one
    client.logout()


MAIL, CONTACTS, EVENTS = "mail", "contacts", "events"
OPENS = {
    "Everything": (MAIL, CONTACTS, EVENTS),
    "Mail only": (MAIL,),
    "Contacts only": (CONTACTS,),
    "Events only": (EVENTS,),
}
PEOPLE = {"Bob Builder", "Grüße & Söhne", "水野 さくら"}
TITLES = {"Breakfast with friends", "Dentist\\, Dr. Müller", "Wicketgate demo"}
ITEMS = ((CONTACTS, "carddav", "FN", PEOPLE), (EVENTS, "caldav", "SUMMARY", TITLES))


def values(items, name: str) -> set[str]:
    """Give the values of one property in vCards or events."""
    lines = [line for item in items.values() for line in item.decode().splitlines()]
    return {line.partition(":")[2] for line in lines if line.startswith(f"{name}:")}


@pytest.mark.parametrize("label", OPENS)
def test_each_password_gets_exactly_the_contacts_and_events_it_opens(fresh, label, tmp_path):
    password = fresh.password(ALICE, label)
    for scope, kind, name, there in ITEMS:
        client = vdir(fresh.facts, ALICE, password, tmp_path / scope, kind)
        if scope in OPENS[label]:
            client.sync()
            assert values(client.items, name) == there
        else:  # what is not opened has no home to be found
            assert ("403" if OPENS[label] == (MAIL,) else "home-set") in client.refused()
            assert client.items == {}


@pytest.mark.parametrize("label", OPENS)
@pytest.mark.parametrize("starttls", [False, True])
def test_each_password_sends_mail_exactly_if_it_opens_mail(fresh, dial, label, starttls):
    subject = f"from {label}, starttls {starttls}"
    with smtp.connect(fresh.facts, starttls=starttls) as client:
        if MAIL not in OPENS[label]:
            opened = OPENS[label][0]
            refused = smtp.refusal(client, ALICE, fresh.password(ALICE, label))
            assert refused == f'535 5.7.8 the app-specific password "{label}" opens {opened}, not mail'
            return
        client.login(ALICE, fresh.password(ALICE, label))
        client.send_message(smtp.message(ALICE, BOB, subject))
    reader = dial(fresh.facts)
    reader.login(BOB, fresh.password(BOB, "Everything"))
    assert subject in subjects(reader)
    reader.logout()


def test_bob_writes_to_alice_and_nobody_writes_to_the_world(fresh, dial):
    with smtp.connect(fresh.facts) as client:
        client.login(BOB, fresh.password(BOB, "Everything"))
        client.send_message(smtp.message(BOB, ALICE, "from bob"))
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.send_message(smtp.message(BOB, "someone@elsewhere.example", "lost"))
        code, words = refused.value.recipients["someone@elsewhere.example"]
        assert (code, b"built-in" in words) == (550, True)
        with pytest.raises(smtplib.SMTPSenderRefused) as forged:
            client.send_message(smtp.message(ALICE, BOB, "forged"))
        assert forged.value.smtp_code == 550
    reader = dial(fresh.facts)
    password = minted(fresh, "Reads bob")
    reader.login(ALICE, password)
    assert "from bob" in subjects(reader)
    reader.logout()


def test_a_revoked_one_is_refused_everywhere_and_its_sessions_end_within_a_second(fresh, dial, tmp_path):
    made = fresh.ask(
        "password", "create", ALICE, "--label", "Lost", "--operator",
        "--scope", "mail", "--scope", "contacts", "--scope", "events",
    )  # fmt: skip
    password = made["password"]
    idle, sending = dial(fresh.facts), smtp.connect(fresh.facts)
    idle.login(ALICE, password)
    idle.select("INBOX")
    start_idle(idle)
    sending.login(ALICE, password)
    sending.mail(ALICE)
    sending.rcpt(BOB)
    sending.docmd("DATA")
    sending.send(b"Subject: half a message\r\n\r\nhalf")
    contacts = vdir(fresh.facts, ALICE, password, tmp_path, "carddav")
    contacts.sync()
    revoked = fresh.ask("password", "revoke", ALICE, "Lost")
    began = time.monotonic()
    assert (revoked["sessions_cut"], revoked["silent_workers"]) == (2, 0)
    assert seconds_to_end(idle) < 1.0
    assert sending.getreply()[0] == 421
    assert time.monotonic() - began < 1.0
    sending.close()
    assert "was revoked" in refusal(dial(fresh.facts), ALICE, password)
    with smtp.connect(fresh.facts) as client:
        assert smtp.refusal(client, ALICE, password) == (
            '535 5.7.8 the app-specific password "Lost" was revoked'
        )
    assert "401" in contacts.refused()
    reader = dial(fresh.facts)
    reader.login(BOB, fresh.password(BOB, "Everything"))
    assert "half a message" not in subjects(reader), "what was cut off is not delivered"
    reader.logout()


def test_the_primary_password_is_told_what_is_needed(fresh, dial):
    client = dial(fresh.facts)
    words = refusal(client, ALICE, fresh.account(ALICE)["primary_password"])
    assert words.startswith("[AUTHENTICATIONFAILED] app-specific password required")
    client.logout()


def test_a_stranger_and_a_wrong_password_hear_the_same(fresh, dial):
    client = dial(fresh.facts)
    wrong = refusal(client, ALICE, "k7mq-2xwd-hnrp-4tvc-9zsa")
    assert wrong.startswith("[AUTHENTICATIONFAILED]")
    assert refusal(client, "nobody@example.org", "k7mq-2xwd-hnrp-4tvc-9zsa") == wrong
    client.logout()


def test_a_revoked_one_is_named_and_its_idle_session_ends_within_a_second(fresh, dial):
    password = minted(fresh, "Old phone")
    sleeping, other = dial(fresh.facts), dial(fresh.facts)
    sleeping.login(ALICE, password)
    sleeping.select("INBOX")
    start_idle(sleeping)
    other.login(ALICE, fresh.password(ALICE, "Mail only"))
    revoked = fresh.ask("password", "revoke", ALICE, "Old phone")
    # The command answers when the worker has reported, so the session is gone by now.
    assert seconds_to_end(sleeping) < 1.0
    assert (revoked["sessions_cut"], revoked["silent_workers"]) == (1, 0)
    assert set(subjects(other)) >= WELCOME, "a session of another app password must go on"
    other.logout()
    client = dial(fresh.facts)
    assert 'the app-specific password "Old phone" was revoked' in refusal(client, ALICE, password)
    client.logout()


@pytest.mark.parametrize("email", [ALICE, BOB])
def test_the_first_code_typed_mints_an_app_password(fresh, dial, email, tmp_path):
    account = fresh.account(email)
    (tmp_path / "primary").write_text(account["primary_password"])
    code = pyotp.TOTP(account["totp_secret"]).now()
    made = fresh.ask(
        "password", "create", email, "--label", "Tablet", "--scope", "mail",
        "--primary-password-file", str(tmp_path / "primary"), "--code", code,
    )  # fmt: skip
    assert set(made) >= {"id", "label", "selector", "scopes", "expires_at", "password"}
    client = dial(fresh.facts)
    client.login(email, made["password"])
    client.logout()


def test_the_page_shows_what_the_ready_file_says(fresh):
    facts = fresh.facts
    assert facts["host"] == "localhost"
    for each in (facts["imaps_port"], facts["imap_port"], facts["ca_file"], facts["config"]):
        assert str(each) in fresh.page
    scopes = {each["label"]: each["scopes"] for each in fresh.account(ALICE)["app_passwords"]}
    assert sorted(scopes.values(), key=str) == sorted(
        [["mail", "contacts", "events"], ["mail"], ["contacts"], ["events"]], key=str
    )
    for account in facts["accounts"]:
        secrets = [account["primary_password"], account["totp_secret"]]
        secrets += [each["password"] for each in account["app_passwords"]]
        assert all(secret in fresh.page for secret in secrets)
    for port in ("smtps_port", "submission_port", "https_port"):
        assert f"port {facts[port]}" in fresh.page
    assert facts["dav_url"] == f"https://localhost:{facts['https_port']}/"
    assert facts["dav_url"] in fresh.page


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in Linux's /proc")
def test_started_again_it_keeps_its_data_and_leaves_no_process_behind(tmp_path, dial):
    data, ready = tmp_path / "data", tmp_path / "ready.json"
    with running_demo(data, ready) as first:
        password = minted(first, "Kept")
        client = dial(first.facts)
        client.login(ALICE, first.password(ALICE, "Everything"))
        client.append("INBOX", "", None, b"Subject: put here\r\n\r\nx\r\n")
        client.logout()
        first.ask("password", "revoke", ALICE, "Mail only")
        children = children_of(first.process.pid)
        assert stop(first.process) == 0
        assert not ready.exists(), "the ready file says what answers"
    assert not any(map(alive, children))
    with running_demo(data, ready) as second:
        client = dial(second.facts)
        client.login(ALICE, password)
        assert Counter(subjects(client))["put here"] == 1
        states = {each["label"]: each["active"] for each in second.account(ALICE)["app_passwords"]}
        assert states == {"Everything": True, "Mail only": False, "Contacts only": True, "Events only": True}
        assert "was revoked" in refusal(dial(second.facts), ALICE, second.password(ALICE, "Mail only"))
        client.logout()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in Linux's /proc")
def test_a_killed_demo_leaves_no_child(tmp_path):
    with running_demo(tmp_path / "data", tmp_path / "ready.json") as running:
        children = [os.pidfd_open(child) for child in children_of(running.process.pid)]
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    assert children, "the built-in mailbox is a child"
    for child in children:
        assert ended(child), "an orphan lives on"


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def ended(descriptor: int) -> bool:
    """Wait for a process that is not ours to end, ten seconds at most."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        return bool(poll.poll(10_000))
    finally:
        os.close(descriptor)
