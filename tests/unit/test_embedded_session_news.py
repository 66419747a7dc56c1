"""What a session is told unasked, and how much a client may ask for."""

import tracemalloc

import pytest

from proxy.embedded.maildir import deliver
from proxy.limits import EMBEDDED_MESSAGE_OCTETS, EMBEDDED_POLL_S
from support.embedded import ALICE, HELLO, Dialog


@pytest.fixture
def dialog(tmp_path):
    return Dialog(tmp_path)


@pytest.fixture
def inbox(dialog):
    return dialog.with_inbox()


# --- sizes --------------------------------------------------------------------------------------------------


def test_only_append_has_large_literals_and_they_have_an_end(inbox):
    assert inbox.say(b"a SEARCH BODY {70000}\r\n") == b"a BAD no such literal here\r\n"
    assert (
        inbox.say(b"b APPEND INBOX {%d}\r\n" % (EMBEDDED_MESSAGE_OCTETS + 1))
        == b"b NO [TOOBIG] that is too large\r\n"
    )
    assert inbox.say(b"c NOOP\r\n") == b"c OK done\r\n"
    assert b"c BAD" in inbox.say(b"c NOOP {5000+}\r\n")
    assert inbox.closed


def test_a_small_fetch_of_a_large_message_costs_one_message(inbox):
    """Each item was a copy: 300 of one megabyte took 300 megabytes, all before the first octet was sent."""
    big = b"Subject: big\r\n\r\n" + b"x" * 5_000_000
    inbox.mail.folder("INBOX").add(big, letters="S", received=None)
    inbox.say(b"a NOOP\r\n")

    def asked(count):
        return b"a FETCH 3 (%b)\r\n" % b" ".join(b"BODY.PEEK[]<%d.5000000>" % at for at in range(count))

    assert inbox.say(asked(51)) == b"a NO [LIMIT] no more than 50 items in one FETCH\r\n"
    assert inbox.say(asked(50)) == b"a NO [LIMIT] that is too much of one message: ask for less at a time\r\n"
    tracemalloc.start()
    try:
        inbox.session.dataReceived(asked(30))
        inbox.wire.producer.resumeProducing()
        assert tracemalloc.get_traced_memory()[1] < 3 * len(big)
    finally:
        tracemalloc.stop()
    assert len(inbox._said()) > 29 * 5_000_000


def test_a_line_without_end_closes(inbox):
    assert b"* BYE" in inbox.say(b"a SEARCH TEXT " + b"x" * 70_000)
    assert inbox.closed


def test_what_a_client_does_not_read_is_not_made(inbox):
    """Nothing more is read, and no further command run, until the client has taken what waits."""
    inbox.session.dataReceived(b"a NOOP\r\n" * 1000)
    inbox.wire.producer.resumeProducing()
    assert inbox.wire.value().count(b"a OK") == 1
    assert inbox.wire.producerState == "paused"
    assert inbox._said().count(b"a OK") == 1000
    assert inbox.wire.producerState == "producing"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"SEARCH BODY zzz", b"* SEARCH\r\na OK searched\r\n"),
        (b"FETCH 3:4 BODY.PEEK[9]", b"* 4 FETCH (BODY[9] NIL)\r\na OK fetched\r\n"),
    ],
)
def test_others_are_answered_between_large_messages(inbox, tmp_path, command, reply):
    for _ in range(2):
        inbox.mail.folder("INBOX").add(b"\r\n" + b"x" * 300_000, letters="", received=None)
    inbox.say(b"x NOOP\r\n")
    inbox.session.dataReceived(b"a " + command + b"\r\n")
    inbox.wire.producer.resumeProducing()
    assert reply not in inbox.wire.value()
    other = Dialog(tmp_path, inbox.mail).sign_in()
    assert other.say(b"b NOOP\r\n") == b"b OK done\r\n"
    assert inbox._said().endswith(reply)


# --- news ---------------------------------------------------------------------------------------------------


def test_mail_from_outside_is_told_in_idle(inbox, tmp_path):
    assert inbox.say(b"a IDLE\r\n") == b"+ idling\r\n"
    assert inbox.pass_time(EMBEDDED_POLL_S) == b""
    deliver(tmp_path, ALICE, HELLO)
    assert inbox.pass_time(EMBEDDED_POLL_S) == b"* 3 EXISTS\r\n* 1 RECENT\r\n"
    assert inbox.say(b"done\r\n") == b"a OK IDLE is over\r\n"
    deliver(tmp_path, ALICE, HELLO)
    assert inbox.pass_time(10 * EMBEDDED_POLL_S) == b""
    assert inbox.say(b"b CHECK\r\n") == b"* 4 EXISTS\r\n* 2 RECENT\r\nb OK done\r\n"


def test_another_session_is_heard_in_idle(inbox, tmp_path):
    other = Dialog(tmp_path, inbox.mail).sign_in().select()
    inbox.say(b"a IDLE\r\n")
    other.say(b"x STORE 2 +FLAGS (\\Deleted)\r\n")
    assert inbox.pass_time(EMBEDDED_POLL_S) == b"* 2 FETCH (UID 2 FLAGS (\\Deleted \\Seen))\r\n"
    other.say(b"x EXPUNGE\r\n")
    assert inbox.pass_time(EMBEDDED_POLL_S) == b"* 2 EXPUNGE\r\n"
    assert inbox.say(b"STOP\r\n") == b"a BAD expected DONE\r\n"


def test_numbers_do_not_change_under_a_client(inbox, tmp_path):
    other = Dialog(tmp_path, inbox.mail).sign_in().select()
    other.say(b"x STORE 1 +FLAGS.SILENT (\\Deleted)\r\n")
    other.say(b"x EXPUNGE\r\n")
    assert (
        inbox.say(b"a FETCH 1:2 (UID)\r\n") == b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\na OK fetched\r\n"
    )
    said = inbox.say(b"b FETCH 1:2 (FLAGS)\r\n")
    assert (
        said == b"* 2 FETCH (FLAGS (\\Seen))\r\nb NO [EXPUNGEISSUED] some messages are not there any more\r\n"
    )
    assert b"EXPUNGEISSUED" in inbox.say(b"c STORE 1 FLAGS (\\Seen)\r\n")
    assert b"EXPUNGEISSUED" in inbox.say(b"d COPY 1:2 Trash\r\n")
    assert inbox.say(b"e SEARCH SEEN\r\n") == b"* SEARCH 2\r\ne OK searched\r\n"
    assert inbox.say(b"f NOOP\r\n") == b"* 1 EXPUNGE\r\nf OK done\r\n"
    assert inbox.say(b"g FETCH 1 UID\r\n") == b"* 1 FETCH (UID 2)\r\ng OK fetched\r\n"


def test_recent_belongs_to_the_first_who_may_write(dialog, tmp_path):
    deliver(tmp_path, ALICE, HELLO)
    looking = Dialog(tmp_path, dialog.mail).sign_in()
    assert b"* 1 RECENT" in looking.say(b"a EXAMINE INBOX\r\n")
    assert b"(MESSAGES 1 RECENT 1)" in looking.say(b"b STATUS INBOX (MESSAGES RECENT)\r\n")
    assert b"* 1 RECENT" in dialog.sign_in().say(b"a SELECT INBOX\r\n")
    assert b"* 0 RECENT" in Dialog(tmp_path, dialog.mail).sign_in().say(b"a SELECT INBOX\r\n")
    assert b"FLAGS (\\Recent)" in dialog.say(b"b FETCH 1 FLAGS\r\n")


def test_a_folder_deleted_while_selected_is_empty(inbox, tmp_path):
    inbox.say(b"a CREATE x\r\n")
    inbox.say(b"b COPY 1:2 x\r\n")
    inbox.select(b"x")
    assert b"c OK" in Dialog(tmp_path, inbox.mail).sign_in().say(b"c DELETE x\r\n")
    assert inbox.say(b"d NOOP\r\n") == b"* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nd OK done\r\n"
