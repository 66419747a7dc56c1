"""Commands are watched beside a Cyrus that offers UNAUTHENTICATE (RFC 8437): an administrator there.

Whoever could sign in anew behind the gate would need no app password any more.
"""

import imaplib
import itertools
from contextlib import suppress

import pytest

from support.cyrus import ADMIN, running_cyrus
from support.imap import start_idle, trusting
from support.serving import behind, make_gate, running_gate

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cyrus():
    with running_cyrus() as server:
        yield server


@pytest.fixture(scope="module")
def gate(tmp_path_factory, cyrus):
    folder = tmp_path_factory.mktemp("front")
    lines = behind(folder, f"imaps://localhost:{cyrus.imaps}", cyrus.secret, ca_file=cyrus.ca_file)
    with running_gate(make_gate(folder / "gate", lines)) as serving:
        serving.house.add(ADMIN)
        yield serving


def heard(client: imaplib.IMAP4, tag: bytes) -> bytes:
    """Read up to the answer that has this tag, and give it."""
    while (line := client.readline()) and not line.startswith(tag + b" "):
        pass
    return line


def test_an_administrator_of_cyrus_could_sign_in_anew_there(cyrus):
    """RFC 8437. What the next tests are about."""
    with imaplib.IMAP4_SSL("localhost", cyrus.imaps, ssl_context=trusting(str(cyrus.ca_file))) as client:
        client.authenticate("PLAIN", lambda _: f"{ADMIN}\0gate\0{cyrus.secret}".encode())
        assert "UNAUTHENTICATE" in client.capability()[1][-1].decode().split()
        client.send(b"u1 UNAUTHENTICATE\r\n")
        assert heard(client, b"u1").startswith(b"u1 OK")


@pytest.fixture
def chief(gate, dial):
    """Signed in as the administrator, through the gate; commands are watched."""
    client = dial(gate.facts)
    client.login(ADMIN, gate.mint(ADMIN, f"chief {next(_numbers)}"))
    return client


def test_the_gate_neither_shows_nor_takes_it(chief):
    shown = chief.capability()[1][-1].decode().upper().split()
    assert "IDLE" in shown
    assert not [name for name in shown if name.startswith(("UNAUTHENT", "COMPRESS", "AUTH=", "STARTTLS"))]
    for command in (
        b"UNAUTHENTICATE",
        b"unauthenticate",
        b"COMPRESS DEFLATE",
        b"LOGIN a b",
        b"AUTHENTICATE PLAIN",
    ):
        chief.send(b"u1 " + command + b"\r\n")
        assert heard(chief, b"u1").startswith(b"u1 BAD ")
    assert chief.noop()[0] == "OK"


def test_all_else_passes_with_literals_of_every_kind(chief):
    box = f"user/worker{next(_numbers)}@example.org"
    assert chief.create(box)[0] == chief.setacl(box, ADMIN, "lrswipkxtecda")[0] == "OK"
    message = b"Subject: hello\r\n\r\nHello\r\n"
    assert chief.append(box, "", None, message)[0] == "OK"
    for kind in (b"{%d+}", b"~{%d}", b"~{%d+}"):
        chief.send(b"u1 APPEND " + box.encode() + b" " + kind % len(message) + b"\r\n")
        if b"+" not in kind:
            assert chief.readline().startswith(b"+")
        chief.send(message + b"\r\n")
        assert heard(chief, b"u1").startswith(b"u1 OK")
    assert chief.select(box) == ("OK", [b"4"])
    start_idle(chief)
    chief.send(b"DONE\r\n")
    assert b" OK " in chief.readline()
    assert chief.close()[0] == chief.delete(box)[0] == "OK"


HIDDEN = b"z1 UNAUTHENTICATE\r\n"
ATTACKS = {
    "a literal that is refused": (b"y1 APPEND Nowhere {%d}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "one that comes unasked": (b"y1 APPEND Nowhere {%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "a command without literals": (b"y1 NOOP {%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "bad syntax before a literal": (b'y1 FETCH ( "" {%d+}\r\n' % len(HIDDEN), HIDDEN, b"\r\n"),
    "a literal in an open quote": (b'y1 LIST "" "x {%d+}\r\n' % len(HIDDEN), HIDDEN, b'"\r\n'),
    "a literal8": (b"y1 LIST ~{%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "IDLE before a literal": (b"y0 IDLE\r\nDONE\r\ny1 LIST {%d}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "lines in IDLE": (b"y0 IDLE\r\n", b"y1 NOOP\r\n", HIDDEN),
    "bare LF": (b"y1 NOOP\n" + HIDDEN,),
    "bare CR": (b"y1 NOOP\r" + HIDDEN,),
    "NUL": (b"y1 NOOP\0" + HIDDEN,),
    "blanks": (b"z1  UNAUTHENTICATE\r\n", b" z1 UNAUTHENTICATE\r\n", b"z1\tUNAUTHENTICATE\r\n"),
    "a name in a literal": (b"z1 {14+}\r\nUNAUTHENTICATE\r\n",),
    "behind a literal": (b"y1 LIST {1+}\r\n", HIDDEN),
    "behind STATUS without its list": (b'y1 LIST "" "*" RETURN (STATUS ' + HIDDEN,),
    "behind a list without its beginning": (b"y1 SETQUOTA INBOX ( " + HIDDEN, b"y2 XWARMUP INBOX " + HIDDEN),
    "COMPRESS, likewise": (b"y1 XWARMUP INBOX z1 COMPRESS DEFLATE\r\n",),
    "that behind a literal": (b"y1 SETQUOTA {5+}\r\nINBOX ( " + HIDDEN,),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_smuggled(chief, attack):
    chief.send(b"".join((*ATTACKS[attack], b"y9 CAPABILITY\r\n")))
    said = b""
    with suppress(OSError, imaplib.IMAP4.abort):
        while (line := chief.readline()) and not line.startswith(b"y9 "):
            said += line
    assert b"z1 OK" not in said
    assert b" AUTH=" not in said
