"""App passwords that only read, before Dovecot and before Cyrus: clients read as ever, nothing changes."""

import imaplib
import itertools
import re

import pytest

from support.cutting import carry_out, wait_for_end
from support.cyrus import running_cyrus
from support.dovecot import running_dovecot
from support.imap import start_idle, subjects
from support.mbsync import pull
from support.serving import behind, make_gate, running_gate

NOPERM = "[NOPERM] this app password is for reading only"
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["dovecot", "cyrus"])
def server(request):
    with {"dovecot": running_dovecot, "cyrus": running_cyrus}[request.param]() as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("front")
    lines = behind(folder, f"imaps://localhost:{server.imaps}", server.secret, ca_file=server.ca_file)
    with running_gate(make_gate(folder / "gate", lines)) as serving:
        yield serving


@pytest.fixture
def email(gate) -> str:
    """An account whose mailbox is empty."""
    made = f"reader{next(_numbers)}@example.org"
    gate.house.add(made)
    return made


@pytest.fixture
def owner(gate, dial, email) -> imaplib.IMAP4:
    """Signed in with an app password that may do everything; there are two unread messages."""
    client = dial(gate.facts)
    client.login(email, gate.mint(email, "owner"))
    for subject in ("first", "second"):
        put(client, subject)
    return client


@pytest.fixture
def reader(gate, dial, email, owner) -> imaplib.IMAP4:
    """Signed in with one that only reads."""
    client = dial(gate.facts)
    client.login(email, gate.mint(email, "reader", "--read-only"))
    return client


def put(client: imaplib.IMAP4, subject: str) -> None:
    message = f"From: a@example.org\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()
    assert client.append("INBOX", "", None, message)[0] == "OK"


def state(client: imaplib.IMAP4) -> tuple[object, ...]:
    """Give all that could have been changed: mailboxes, subscriptions, messages and their flags."""
    client.select("INBOX", readonly=True)
    messages = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return client.list()[1], client.lsub()[1], messages


def say(client: imaplib.IMAP4, *octets: bytes) -> None:
    client.send(b"".join(octets))


def hear(client: imaplib.IMAP4, tag: bytes) -> bytes:
    """Read up to the answer that has this tag, and give it."""
    while (line := client.readline()) and not line.startswith(tag + b" "):
        pass
    return line


def test_a_mailbox_is_opened_for_reading_alone(reader):
    with pytest.raises(imaplib.IMAP4.readonly):  # what imaplib makes of [READ-ONLY]
        reader.select("INBOX")
    assert reader.select("INBOX", readonly=True) == ("OK", [b"2"])
    assert b"Subject: first" in reader.fetch("1", "(BODY[])")[1][0][1]
    flags = reader.fetch("1:2", "(FLAGS)")[1]
    assert len(flags) == 2
    assert b"Seen" not in b"".join(flags)


WRITES = {
    "STORE": lambda c: c.store("1", "+FLAGS", r"\Deleted"),
    "UID STORE": lambda c: c.uid("STORE", "1", "+FLAGS.SILENT", r"(\Seen)"),
    "COPY": lambda c: c.copy("1", "INBOX"),
    "UID COPY": lambda c: c.uid("COPY", "1", "INBOX"),
    "UID MOVE": lambda c: c.uid("MOVE", "1", "Trash"),
    "UID EXPUNGE": lambda c: c.uid("EXPUNGE", "1"),
    "EXPUNGE": lambda c: c.expunge(),
    "APPEND": lambda c: c.append("INBOX", r"\Seen", None, b"Subject: x\r\n\r\nx\r\n"),
    "CREATE": lambda c: c.create("New"),
    "DELETE": lambda c: c.delete("INBOX"),
    "RENAME": lambda c: c.rename("INBOX", "Old"),
    "SUBSCRIBE": lambda c: c.subscribe("INBOX"),
    "UNSUBSCRIBE": lambda c: c.unsubscribe("INBOX"),
    "SETACL": lambda c: c.setacl("INBOX", "anyone", "lrswipkxtea"),
    "SETANNOTATION": lambda c: c.setannotation("INBOX", "/x", '("value.priv" "y")'),
    "SETQUOTA": lambda c: c.setquota("", "(STORAGE 1)"),
    "SETMETADATA": lambda c: c.xatom("SETMETADATA", "INBOX", '(/private/comment "x")'),
    "X": lambda c: c.xatom("XWHATEVER"),
}


def test_what_would_change_something_is_refused_and_changes_nothing(owner, reader):
    before = state(owner)
    reader.select("INBOX", readonly=True)
    for name, write in WRITES.items():
        status, [words] = write(reader)
        assert (status, words.decode()) == ("NO", NOPERM), name
    assert reader.close()[0] == "OK"
    assert reader.noop()[0] == "OK"
    assert state(owner) == before


def test_another_sign_in_and_compression_are_refused_and_not_shown(reader):
    shown = reader.capability()[1][0].decode().upper().split()
    assert "IDLE" in shown
    assert not [name for name in shown if name.startswith(("AUTH=", "COMPRESS", "STARTTLS", "UNAUTHENT"))]
    for command in (b"LOGIN a b", b"AUTHENTICATE PLAIN", b"COMPRESS DEFLATE", b"STARTTLS", b"UNAUTHENTICATE"):
        say(reader, b"x ", command, b"\r\n")
        assert hear(reader, b"x").startswith(b"x BAD ")
    assert reader.noop()[0] == "OK"


@pytest.mark.parametrize("more", ["Sync Pull", "Sync All"])
def test_mbsync_pulls_and_changes_nothing(gate, owner, email, tmp_path, more):
    password = gate.mint(email, "mbsync", "--read-only")
    messages = pull(gate.facts, email, password, tmp_path, more=more)
    assert len(messages) == 2
    for message in messages:  # read here
        message.rename(message.parent.parent / "cur" / (message.name.split(":")[0] + ":2,S"))
    put(owner, "third")
    before = state(owner)
    assert len(pull(gate.facts, email, password, tmp_path, more=more)) == 3
    assert state(owner) == before
    assert subjects(owner) == ["first", "second", "third"]


THUNDERBIRD = [
    b'ID ("name" "Thunderbird" "version" "128.5.0")',
    b"ENABLE UTF8=ACCEPT",
    b"NAMESPACE",
    b'LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)',
    b'LIST "" "INBOX"',
    b'SELECT "INBOX" (CONDSTORE)',
    b'GETQUOTAROOT "INBOX"',
    b"UID FETCH 1:* (FLAGS)",
    b"UID FETCH 1:2 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID)])",
    b"UID FETCH 1 (UID RFC822.SIZE BODY[])",
    b'STATUS "INBOX" (UIDNEXT MESSAGES UNSEEN RECENT)',
    b"UID SEARCH UNDELETED",
    b"NOOP",
    b"CLOSE",
]


def test_what_thunderbird_does_all_day(owner, reader):
    before = state(owner)
    for number, command in enumerate(THUNDERBIRD):
        tag = b"%d" % number
        say(reader, tag, b" ", command, b"\r\n")
        answer = hear(reader, tag)
        assert re.match(rb"\d+ (OK|BAD Unknown|BAD Error in IMAP command (ENABLE|GETQUOTAROOT))", answer), (
            command
        )
        if command.startswith(b"SELECT"):
            assert b"[READ-ONLY]" in answer
    assert state(owner) == before


def test_idle_hears_of_new_mail_and_a_revocation_cuts_it(gate, owner, reader, email):
    reader.select("INBOX", readonly=True)
    start_idle(reader)
    put(owner, "news")
    assert b"3 EXISTS" in reader.readline()
    say(reader, b"DONE\r\n")
    assert subjects(reader) == ["first", "second", "news"]
    start_idle(reader)
    assert carry_out(gate, "password", "revoke", email, "reader").cut == (1, 0)
    wait_for_end(reader)


# --- attacks ---------------------------------------------------------------------------------------------

HIDDEN = b"z1 UID STORE 1:* +FLAGS (\\Deleted)\r\nz2 EXPUNGE\r\n"
OWN_RESPONSES = b"x\r\n" + b"* OK %b\r\n" % (b"x" * 990) * 60 + b"+ go ahead\r\n"
"""What Dovecot repeats when it stands where a SEARCH key should; it comes in several pieces."""
ATTACKS = {
    "a refused literal": (b"y1 APPEND INBOX {%d}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "a refused literal that comes unasked": (b"y1 APPEND INBOX {%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "one that the server refuses": (
        b"y1 LIST {%d}\r\n" % (len(HIDDEN) + 70_000),
        HIDDEN,
        b"x" * 70_000,
        b"\r\n",
    ),
    "a mailbox that is not there": (b"y1 EXAMINE {%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "a command without literals": (b"y1 NOOP {%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "bad syntax before a literal": (b'y1 FETCH ( "" {%d+}\r\n' % len(HIDDEN), HIDDEN, b"\r\n"),
    "a literal in an open quote": (b'y1 LIST "" "x {%d+}\r\n' % len(HIDDEN), HIDDEN, b'"\r\n'),
    "a literal8": (b"y1 LIST ~{%d+}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "IDLE before a literal": (b"y0 IDLE\r\ny1 LIST {%d}\r\n" % len(HIDDEN), HIDDEN, b"\r\n"),
    "lines in IDLE": (b"y0 IDLE\r\n", HIDDEN),
    "a literal behind IDLE": (b"y0 IDLE {%d+}\r\n" % (6 + len(HIDDEN)), b"DONE\r\n", HIDDEN, b"\r\n"),
    "responses of one's own": (
        b"y1 SEARCH {%d+}\r\n" % len(OWN_RESPONSES),
        OWN_RESPONSES,
        b"\r\ny2 NOOP {%d+}\r\n" % len(HIDDEN),
        HIDDEN,
        b"\r\n",
    ),
    "STATUS without its list": (b'y1 LIST "" "*" RETURN (STATUS z1 CREATE z1\r\n',),
    "the same behind a literal": (
        b'y1 LIST "" {1+}\r\n* RETURN (STATUS z1 CREATE z1\r\n',
        b'y2 LIST "" "*" RETURN (METADATA {16+}\r\n/private/comment STATUS z1 CREATE z1\r\n',
    ),
    "bare LF": (b"y1 NOOP\n" + HIDDEN.replace(b"\r\n", b"\n"),),
    "bare CR": (b"y1 NOOP\r" + HIDDEN.replace(b"\r\n", b"\r"), b"\r\n"),
    "NUL": (b"y1 NOOP\0" + HIDDEN, b"\r\n"),
    "spaces": (b"y1  EXPUNGE\r\n", b" y2 EXPUNGE\r\n", b"y3 UID  EXPUNGE 1:*\r\n", b"y4\tEXPUNGE\r\n"),
    "no tag": (b"* EXPUNGE\r\n", b"+ EXPUNGE\r\n", b"EXPUNGE\r\n"),
    "a name in a literal": (b"y1 {7+}\r\nEXPUNGE\r\n", b"y2 UID {7+}\r\nEXPUNGE 1:*\r\n"),
    "a line too long": (b"y1 NOOP ", b"x" * 65_528, HIDDEN),
    "behind a literal": (b"y1 LIST {1+}\r\nx", HIDDEN),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_smuggled(owner, reader, attack):
    owner.select("INBOX")
    owner.store("1", "+FLAGS", r"(\Deleted)")
    before = state(owner)
    reader.select("INBOX", readonly=True)
    reader.sock.settimeout(10)
    try:
        say(reader, *ATTACKS[attack])
        say(reader, b"y9 NOOP\r\n")
        while (line := reader.readline()) and not line.startswith(b"y9 "):
            assert not line.startswith((b"z1 OK", b"z2 OK")), line
    except (OSError, imaplib.IMAP4.abort):
        pass
    assert state(owner) == before
    assert subjects(owner) == ["first", "second"]
