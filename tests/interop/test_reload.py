"""SIGHUP while serving: another configuration is taken whole or not at all, and no session is dropped."""

import imaplib
import re
import signal
import socket

import pytest

from support import imap
from support.daemons import free_ports
from support.dovecot import running_dovecot
from support.serving import behind, make_gate, running_gate

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot() as server:
        yield server


@pytest.fixture
def gate(tmp_path):
    house = make_gate(tmp_path / "gate")
    house.add(ALICE)
    with running_gate(house) as serving:
        yield serving


def change(gate, before: str, after: str) -> None:
    text, found = re.subn(before, after, gate.house.file.read_text("utf-8"), count=1, flags=re.MULTILINE)
    assert found
    gate.house.file.write_text(text, "utf-8")


def hang_up(gate, words: str) -> str:
    """Send SIGHUP and give the line that answers it."""
    gate.process.send_signal(signal.SIGHUP)
    return gate.log.wait_for(words)


@pytest.fixture
def session(gate):
    """A session that was there before, and must be there after."""
    client = imap.connect(gate.facts)
    client.login(ALICE, gate.mint(ALICE))
    assert client.select()[0] == "OK"
    yield client
    assert client.noop()[0] == "OK"
    client.logout()


def test_another_server_behind_serves_new_sessions(gate, session, dovecot, tmp_path):
    lines = behind(tmp_path, f"imaps://localhost:{dovecot.imaps}", dovecot.secret, ca_file=dovecot.ca_file)
    change(gate, r'^\[upstream\.imap\]\naddress = "embedded"', f"[upstream.imap]\n{lines}")
    hang_up(gate, "configuration read again")
    with imap.connect(gate.facts) as client:
        client.login(ALICE, gate.mint(ALICE, "another"))
    assert f"user=<{ALICE}>" in dovecot.log


def test_places_come_and_go(gate, session):
    """What stays is not opened anew, so its port is the same; what goes accepts no more."""
    (port,) = free_ports(1)
    before = gate.facts["imap_port"]
    change(gate, r"^imap = .*$", f'imap = ["127.0.0.1:{port}"]')
    hang_up(gate, f"imap=({port},)")
    client = imap.connect({**gate.facts, "imap_port": port}, starttls=True)
    client.login(ALICE, gate.mint(ALICE, "another"))
    client.logout()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", before))
    with imap.connect(gate.facts) as other:
        assert other.noop()[0] == "OK"


def test_the_policy_and_the_form_of_the_log_change(gate, session):
    change(gate, r"^\[policy\]$", '[log]\nformat = "json"\n\n[policy]\nmessage_octets = 70000')
    assert hang_up(gate, "configuration read again").startswith("{")
    with socket.create_connection(("127.0.0.1", gate.facts["submission_port"])) as sock:
        stream = sock.makefile("rwb")
        assert stream.readline().startswith(b"220")
        stream.write(b"EHLO x\r\n")
        stream.flush()
        said = b""
        while not said.startswith(b"250 "):
            said = stream.readline()
            if b"SIZE" in said:
                assert said.strip().endswith(b"SIZE 70000")
                return
    raise AssertionError("no SIZE was offered")


NOBODY = '"imaps://h"\nsign_in = { kind = "authzid", user = "gate", secret_file = "none" }'
MISTAKES = {
    "no TOML": ("^\\[policy\\]$", "[policy", "is not TOML"),
    "a key nobody knows": ("^app_passwords = .*$", "app_pass = 3", "is not a known key"),
    "a certificate that is not there": ('"tls/server.pem"', '"tls/none.pem"', "none.pem"),
    "a secret that is not there": (
        r'^\[upstream\.imap\]\naddress = "embedded"',
        f"[upstream.imap]\naddress = {NOBODY}",
        "none cannot be read",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_keeps_the_old_one(gate, session, name):
    before, after, words = MISTAKES[name]
    good = gate.house.file.read_text("utf-8")
    change(gate, before, after)
    said = hang_up(gate, "configuration not changed, the old one goes on")
    assert words in said
    gate.house.file.write_text(good, "utf-8")
    with imap.connect(gate.facts) as client:
        client.login(ALICE, gate.mint(ALICE, "another"))
    hang_up(gate, "configuration read again")


def test_a_port_that_is_taken_keeps_the_old_one(gate, session):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        good = gate.house.file.read_text("utf-8")
        change(gate, r"^https = .*$", f'https = ["127.0.0.1:{taken.getsockname()[1]}"]')
        assert "cannot listen on" in hang_up(gate, "configuration not changed")
    gate.house.file.write_text(good, "utf-8")
    with imaplib.IMAP4("127.0.0.1", gate.facts["imap_port"]) as client:
        assert client.noop()[0] == "OK"


def test_what_holds_for_life_is_named(gate, session):
    change(gate, "passes = 2", "passes = 3")
    assert "policy.hashing changed, and waits for a restart" in hang_up(gate, "waits for a restart")
