"""Dialogs with one session, each whole, byte by byte and split at random, and what must never happen."""

import resource
from pathlib import Path

import pytest

from proxy.embedded.commands import COMMANDS
from proxy.limits import (
    EMBEDDED_TIMEOUT_S,
    ERRORS_PER_CONNECTION,
    SIGN_IN_S,
)
from support.embedded import HELLO, SECRET, Dialog, files_below, home, plain
from support.transcript import at_random, byte_by_byte, whole

SPLITS = {"whole": whole, "byte by byte": byte_by_byte, "at random": at_random(7)}


@pytest.fixture
def dialog(tmp_path):
    return Dialog(tmp_path)


@pytest.fixture
def inbox(dialog):
    return dialog.with_inbox()


def lines(text: str) -> bytes:
    return b"".join(line.strip().encode() + b"\r\n" for line in text.strip().splitlines())


TWO_APPENDS = (
    rb'f APPEND "INBOX" (\Flagged custom) " 9-Sep-2001 01:46:40 +0000" {14+}'
    b"\r\nSubject: x\r\n\r\n\r\nf2 APPEND inbox {14}\r\nSubject: y\r\n\r\n\r\n"
)
DIALOG = (
    (
        """a CAPABILITY""",
        """* CAPABILITY IMAP4rev1 SASL-IR LITERAL- AUTH=PLAIN
           a OK CAPABILITY completed""",
    ),
    ("b SELECT INBOX", "b BAD not now"),
    (
        f"c AUTHENTICATE PLAIN {plain().decode()}",
        "c OK [CAPABILITY IMAP4rev1 LITERAL- IDLE UIDPLUS SPECIAL-USE] signed in",
    ),
    ("d FETCH 1 UID", "d BAD not now"),
    (
        'e LIST "" "*"',
        r"""* LIST () "." "INBOX"
            * LIST (\Archive) "." "Archive"
            * LIST (\Drafts) "." "Drafts"
            * LIST (\Junk) "." "Junk"
            * LIST (\Sent) "." "Sent"
            * LIST (\Trash) "." "Trash"
            e OK that is all""",
    ),
    (
        TWO_APPENDS,
        "f OK [APPENDUID 1795000000 1] kept\n+ go on\nf2 OK [APPENDUID 1795000000 2] kept",
    ),
    (
        "g SELECT inbox",
        r"""* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded)
            * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded)] kept
            * 2 EXISTS
            * 0 RECENT
            * OK [UNSEEN 1] first unseen
            * OK [UIDVALIDITY 1795000000] valid
            * OK [UIDNEXT 3] next
            g OK [READ-WRITE] selected""",
    ),
    (
        "h FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)",
        r"""* 1 FETCH (FLAGS (\Flagged) INTERNALDATE " 9-Sep-2001 01:46:40 +0000" RFC822.SIZE 14)
            h OK fetched""",
    ),
    (
        r"i STORE 1:2 +FLAGS (\Deleted)",
        r"""* 1 FETCH (FLAGS (\Flagged \Deleted))
            * 2 FETCH (FLAGS (\Deleted))
            i OK stored""",
    ),
    (r"j UID STORE 2 -FLAGS.SILENT \Deleted", "j OK stored"),
    ("k UID COPY 1:9 Archive", "k OK [COPYUID 1795000001 1:2 1:2] copied"),
    ("l CHECK", "l OK done"),
    ("l EXPUNGE", "* 1 EXPUNGE\nl OK expunged"),
    ("m UID SEARCH ALL", "* SEARCH 2\nm OK searched"),
    ("n STATUS archive (MESSAGES)", "n NO [NONEXISTENT] no such folder"),
    (
        "o STATUS Archive (MESSAGES UNSEEN UIDNEXT)",
        '* STATUS "Archive" (MESSAGES 2 UNSEEN 2 UIDNEXT 3)\no OK that is how it stands',
    ),
    ("p CLOSE", "p OK closed"),
    ("q LOGOUT\nr NOOP", "* BYE Nice talking to you\nq OK LOGOUT successful"),
)


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_a_whole_session(dialog, split):
    assert dialog.greeting == b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- AUTH=PLAIN] ready\r\n"
    for asked, answered in DIALOG:
        octets = asked if isinstance(asked, bytes) else lines(asked)
        assert dialog.say(octets, split) == lines(answered)
    assert dialog.closed


# --- sign-in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        plain(account=""),
        plain(user="alice"),
        plain(type(SECRET)("wrong")),
        b"!!!",
        b"",
        b"*",
        plain()[:-3],
        b"AGdhdGUA",
        b"/////w==",
    ],
)
def test_nobody_but_the_gate_signs_in(dialog, response):
    said = dialog.say(b"a AUTHENTICATE PLAIN\r\n")
    assert said == b"+ \r\n"
    assert dialog.say(response + b"\r\n") == b"a NO [AUTHENTICATIONFAILED] only the gate signs in here\r\n"
    assert dialog.say(b"b SELECT INBOX\r\n") == b"b BAD not now\r\n"


def test_the_empty_initial_response_and_other_mechanisms(dialog):
    assert b"a NO [AUTH" in dialog.say(b"a AUTHENTICATE PLAIN =\r\n")
    assert dialog.say(b"b AUTHENTICATE LOGIN\r\n") == b"b NO [CANNOT] only PLAIN\r\n"


@pytest.mark.parametrize(
    "command",
    [
        b"LOGIN gate x",
        b"STARTTLS",
        b"COMPRESS DEFLATE",
        b"UNAUTHENTICATE",
        b"ID NIL",
        b"NAMESPACE",
        b"UID NOOP 1",
        b"X",
    ],
)
def test_what_is_not_offered_is_not_done(dialog, command):
    assert dialog.say(b"a " + command + b"\r\n") == b"a BAD no such command here\r\n"
    assert dialog.sign_in().say(b"a " + command + b"\r\n") == b"a BAD no such command here\r\n"


def test_signed_in_means_signed_in_once(dialog):
    dialog.sign_in()
    assert dialog.say(b"a AUTHENTICATE PLAIN " + plain() + b"\r\n") == b"a BAD not now\r\n"


def test_a_stranger_cannot_have_literals_nor_go_on_for_ever(dialog):
    assert dialog.say(b"a NOOP {5}\r\n") == b"a BAD no such literal here\r\n"
    for _ in range(ERRORS_PER_CONNECTION):
        said = dialog.say(b"a NONSENSE\r\n")
    assert b"* BYE too many errors\r\n" in said
    assert dialog.closed


def test_silence_ends(dialog, tmp_path):
    assert dialog.pass_time(SIGN_IN_S + 1) == b"* BYE idle for too long\r\n"
    other = Dialog(tmp_path, dialog.mail).sign_in()
    assert other.pass_time(SIGN_IN_S + 1) == b""
    assert other.pass_time(EMBEDDED_TIMEOUT_S) == b"* BYE idle for too long\r\n"


# --- commands -----------------------------------------------------------------------------------------------


def test_looking_marks_seen_and_peeking_does_not(inbox):
    assert (
        inbox.say(b"a FETCH 1 BODY.PEEK[TEXT]\r\n")
        == b"* 1 FETCH (BODY[TEXT] {14}\r\nHow are you?\r\n)\r\na OK fetched\r\n"
    )
    said = inbox.say(b"b UID FETCH 1 BODY[]<0.4>\r\n")
    assert said == b"* 1 FETCH (UID 1 BODY[]<0> {4}\r\nFrom FLAGS (\\Seen))\r\nb OK fetched\r\n"
    inbox.say(b"c STORE 1 -FLAGS (\\Seen)\r\n")
    inbox.say(b"d EXAMINE INBOX\r\n")
    assert b"FLAGS" not in inbox.say(b"e FETCH 1 RFC822\r\n")


def test_a_folder_examined_is_not_written_to(inbox):
    inbox.say(b"a EXAMINE INBOX\r\n")
    for command in (b"STORE 1 FLAGS (\\Seen)", b"EXPUNGE", b"UID EXPUNGE 1"):
        assert (
            inbox.say(b"b " + command + b"\r\n") == b"b NO [READ-ONLY] the folder was opened for reading\r\n"
        )
    assert inbox.say(b"c CLOSE\r\n") == b"c OK closed\r\n"
    assert len(inbox.mail.folder("INBOX").messages) == 2


def test_uid_expunge_takes_only_those_named(inbox):
    inbox.say(b"a STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n")
    assert inbox.say(b"b UID EXPUNGE 2:99\r\n") == b"* 2 EXPUNGE\r\nb OK expunged\r\n"
    assert inbox.say(b"c CLOSE\r\n") == b"c OK closed\r\n"
    assert inbox.mail.folder("INBOX").messages == {}


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"FETCH 3 UID", b"BAD no message of that number"),
        (b"FETCH 0 UID", b"BAD expected a set of messages"),
        (b"FETCH 1", b"BAD expected a space and a further argument"),
        (b"UID FETCH 99 FLAGS", b"OK fetched"),
        (b"UID COPY 99 Trash", b"OK nothing to copy"),
        (b"COPY 1 None", b"NO [TRYCREATE] no such folder"),
        (b"COPY 1 a..b", b"NO [CANNOT] a part of the folder's name is empty"),
        (b"STORE 1 FLAG (\\Seen)", b"BAD expected FLAGS, +FLAGS or -FLAGS"),
        (b"STORE 1 FLAGS.LOUD (\\Seen)", b"BAD expected FLAGS, +FLAGS or -FLAGS"),
        (b"SEARCH CHARSET KOI8-R ALL", b"NO [BADCHARSET (US-ASCII UTF-8)] unknown character set"),
        (b"NOOP x", b"BAD too many arguments"),
        (b"APPEND INBOX x", b"BAD expected a literal"),
        (b'APPEND INBOX "31-Feb-2026 00:00:00 +0000" {1+}\r\nx', b"BAD expected a date and time"),
        (b"APPEND INBOX {1+}\r\n\0", b"BAD a message may not hold NUL"),
        (b"APPEND None {1+}\r\nx", b"NO [TRYCREATE] no such folder"),
        (b"STATUS INBOX (MESSAGES COLOUR)", b"BAD unknown status item"),
        (b"STATUS INBOX ()", b"BAD unknown status item"),
        (b"CREATE INBOX", b"NO [ALREADYEXISTS] there is such a folder already"),
        (
            b"CREATE a/b",
            b"NO [CANNOT] a folder's name may not hold / * % \\ or control characters, nor be very long",
        ),
        (b"DELETE INBOX", b"NO You cannot delete the inbox"),
        (b"DELETE none", b"NO [NONEXISTENT] no such folder"),
        (b"RENAME none other", b"NO [NONEXISTENT] no such folder"),
        (b'LIST (SUBSCRIBED) "" *', b"BAD expected a string"),
        (b'LIST "" * RETURN (CHILDREN)', b"BAD too many arguments"),
        (b'SELECT "unended', b"BAD expected a string"),
    ],
)
def test_replies(inbox, command, reply):
    said = inbox.say(b"a " + command + b"\r\n")
    assert said.endswith(b"a " + reply + b"\r\n"), said
    assert inbox.say(b"z NOOP\r\n") == b"z OK done\r\n"


def test_a_failed_select_leaves_nothing_selected(inbox):
    assert inbox.say(b"a SELECT none\r\n") == b"a NO [NONEXISTENT] no such folder\r\n"
    assert inbox.say(b"b FETCH 1 UID\r\n") == b"b BAD not now\r\n"


def test_names_with_every_kind_of_string(inbox):
    assert b"a OK" in inbox.say(b'a CREATE "quo\\"ted"\r\n')
    assert b"b OK" in inbox.say(b"b CREATE {5+}\r\nR&-D2\r\n")
    assert b"c OK" in inbox.say(b"c CREATE {9}\r\nM&APw-ll2\r\n")
    assert b'* LIST () "." "quo\\"ted"\r\n' in inbox.say(b'd LIST "" quo*\r\n')
    assert b"e OK" in inbox.say(b'e RENAME "quo\\"ted" plain\r\n')
    assert b'"plain"' in inbox.say(b'f LIST pl "%"\r\n')


def test_list_shows_what_only_stands_above_others(inbox):
    inbox.say(b"a CREATE top.middle.leaf\r\n")
    assert b'* LIST (\\Noselect) "." "top"\r\n' in inbox.say(b'b LIST "" %\r\n')
    assert inbox.say(b'c LIST "" ""\r\n') == b'* LIST (\\Noselect) "." ""\r\nc OK that is the delimiter\r\n'
    inbox.say(b"d SUBSCRIBE top.middle.leaf\r\n")
    assert b'* LSUB (\\Noselect) "." "top"\r\n' in inbox.say(b'e LSUB "" %\r\n')
    assert inbox.say(b'f LSUB "" "top*"\r\n') == b'* LSUB () "." "top.middle.leaf"\r\nf OK that is all\r\n'
    inbox.say(b"g UNSUBSCRIBE top.middle.leaf\r\n")
    assert inbox.say(b'h LSUB "" "top*"\r\n') == b"h OK that is all\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b" \r\n",
        b"a\r\n",
        b"(\r\n",
        b"a \x00\r\n",
        b"a N\xc3\xa4\r\n",
        b"a NOOP\n",
        b"{3+}\r\nabc\r\n",
    ],
)
def test_what_is_no_command_is_bad(inbox, octets):
    assert b" BAD " in inbox.say(octets)
    assert inbox.say(b"z NOOP\r\n") == b"z OK done\r\n"


def test_a_fault_of_ours_is_a_fixed_text(inbox):
    from twisted.python import log

    seen = []
    log.addObserver(seen.append)
    try:
        inbox.mail.folder = lambda name: 1 / 0
        assert inbox.say(b"a SELECT INBOX\r\n") == b"a NO [SERVERBUG] internal error\r\n"
    finally:
        log.removeObserver(seen.append)
    assert any("ZeroDivisionError" in str(event.get("failure")) for event in seen)


def test_a_full_disk_is_told_and_leaves_nothing(inbox, tmp_path):
    from twisted.python import log

    before = files_below(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    log.addObserver(quiet := (lambda event: None))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        said = inbox.say(b"a APPEND INBOX {9000}\r\n" + b"x" * 9000 + b"\r\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.removeObserver(quiet)
    assert said == b"+ go on\r\na NO [OVERQUOTA] no room left\r\n"
    assert files_below(tmp_path) == before
    assert b"b OK [APPENDUID 1795000000 3]" in inbox.say(b"b APPEND INBOX {1+}\r\nx\r\n")


def test_a_literal_behind_what_is_no_command_is_not_taken(inbox):
    assert inbox.say(b"a {3}\r\n") == b"a BAD no command\r\n"
    assert inbox.say(b"b NOOP\r\n") == b"b OK done\r\n"


def test_everything_of_a_message_at_once(inbox):
    said = inbox.say(b"a FETCH 2 FULL\r\n")
    assert said == (
        b'* 2 FETCH (FLAGS (\\Seen) INTERNALDATE " 9-Sep-2001 01:46:40 +0000" RFC822.SIZE %d ENVELOPE (NIL'
        b' "Hello" %b NIL NIL NIL NIL NIL)'
        b' BODY ("text" "plain" NIL NIL NIL "7bit" 14 1))\r\na OK fetched\r\n'
        % (len(HELLO), b" ".join([b'(("Bob" NIL "bob" "example.org"))'] * 3))
    )


@pytest.mark.parametrize(
    "command",
    [
        b"FETCH 1 (UID) x",
        b"STORE 1 FLAGS \\Seen \\Draft x y",
        b"STORE 1 FLAGS ()",
        b"STORE 1 FLAGS (",
        b"COPY 1",
        b"EXPUNGE 1",
        b"CLOSE x",
        b"UID EXPUNGE",
        b"UID",
        b"UID FETCH",
        b"IDLE x",
    ],
)
def test_arguments_that_do_not_fit_do_nothing_else(inbox, command):
    said = inbox.say(b"a " + command + b"\r\n")
    assert said.startswith((b"a BAD ", b"* 1 FETCH (FLAGS "))
    assert inbox.say(b"z NOOP\r\n") == b"z OK done\r\n"


def test_one_poisoned_message_does_not_take_the_others_along(inbox):
    poison = b"From: " + b"(" * 3_000 + b"\r\nDate: 1 Jan 99999999999 00:00 +99999999999\r\n\r\n"
    inbox.mail.folder("INBOX").add(poison, letters="S", received=None)
    inbox.say(b"a NOOP\r\n")
    said = inbox.say(b"b FETCH 1:3 ENVELOPE\r\n")
    assert said.endswith(
        b'* 3 FETCH (ENVELOPE ("1 Jan 99999999999 00:00 +99999999999" NIL %b))\r\nb OK fetched\r\n'
        % b" ".join([b"NIL"] * 8)
    )
    assert inbox.say(b"c SEARCH SENTSINCE 1-Jan-1990\r\n") == b"* SEARCH\r\nc OK searched\r\n"


def test_a_connection_that_goes_leaves_nothing_running(inbox):
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    inbox.say(b"a IDLE\r\n")
    inbox.session.connectionLost(Failure(ConnectionDone()))
    assert inbox.clock.getDelayedCalls() == []


def test_every_command_is_in_a_dialog():
    text = Path(__file__).read_bytes().upper()
    assert not [name for name in COMMANDS if name not in text]


def test_no_secret_in_a_reply_or_repr(dialog):
    assert SECRET.reveal() not in repr(dialog.session.__dict__)
    assert b"gate in" not in dialog.say(b"a AUTHENTICATE PLAIN " + plain() + b"x\r\n")


def test_homes_are_shared_while_used(tmp_path):
    mail = home(tmp_path)
    one, other = Dialog(tmp_path, mail).sign_in(), Dialog(tmp_path, mail).sign_in()
    assert one.session.account.home is other.session.account.home
