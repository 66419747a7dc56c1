"""The first promise: clone, run one command, and a mail program works with app-specific passwords.

One fresh clone makes its own environment and runs `scripts/demo`; the tests of this file follow one another's
deeds in no order, each with a password of its own where it ends one.
"""

import os
import select
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pyotp
import pytest

from support.imap import refusal, seconds_to_end, start_idle, subjects
from support.mbsync import pull
from support.programs import git_for, missing
from support.running import running_demo, stop

ALICE = "alice@example.org"
SUBJECTS = 3


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
    assert len(subjects(client)) == SUBJECTS
    client.logout()


@pytest.mark.parametrize("label", ["Everything", "Mail only"])
def test_passwords_that_open_mail_read_it_with_mbsync(fresh, label, tmp_path):
    assert len(pull(fresh.facts, ALICE, fresh.password(ALICE, label), tmp_path)) == SUBJECTS


@pytest.mark.parametrize(("label", "opens"), [("Contacts only", "contacts"), ("Events only", "events")])
def test_other_scopes_are_refused_and_told_what_they_open(fresh, dial, label, opens):
    client = dial(fresh.facts)
    words = refusal(client, ALICE, fresh.password(ALICE, label))
    assert words.startswith("[NOPERM]")
    assert f'"{label}" opens {opens}, not mail' in words
    client.login(ALICE, fresh.password(ALICE, "Mail only"))  # the connection is still good for the right one
    client.logout()


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
    assert len(subjects(other)) == SUBJECTS, "a session of another app password must go on"
    other.logout()
    client = dial(fresh.facts)
    assert 'the app-specific password "Old phone" was revoked' in refusal(client, ALICE, password)
    client.logout()


@pytest.mark.parametrize("email", [ALICE, "bob@example.org"])
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
    not_served = ("smtps_port", "submission_port", "https_port", "dav_url")
    assert [facts[key] for key in not_served] == [None] * 4


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
