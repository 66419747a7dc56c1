"""What a watch holds, and for whom it waits; its dialogs are in `test_imap_watched`."""

import pytest

from proxy import limits
from proxy.imap.permitted import Mode
from proxy.imap.watch import Watch

REFUSED = b" NO [NOPERM] this app password is for reading only\r\n"


def feed(watch: Watch, octets: bytes) -> bytes:
    """Say as much as there is room for, and give the rest."""
    while octets and (room := watch.room):
        watch.client_said(octets[:room])
        octets = octets[room:]
    return octets


def test_an_upstream_that_takes_nothing_stops_the_client():
    watch = Watch(Mode.WHOLE)
    watch.client_said(b"a APPEND INBOX {1000000}\r\n")
    watch.take_for_upstream()
    watch.upstream_said(b"+ go\r\n")
    watch.take_for_client()
    left = feed(watch, b"x" * 1_000_000)
    assert 0 < 1_000_000 - len(left) <= limits.RELAY_BUFFER_OCTETS
    assert watch.has_for_upstream
    assert len(watch.take_for_upstream()) + len(left) == 1_000_000
    assert watch.room


def test_a_client_that_does_not_read_its_refusals_stops_itself():
    watch = Watch(Mode.READ_ONLY)
    sent = b"a X\r\n" * 100_000
    left = feed(watch, sent)
    assert left
    held = len(sent) - len(left) + len(watch.take_for_client())
    assert held <= limits.RELAY_BUFFER_OCTETS
    while left:
        said = watch.take_for_client()
        assert len(said) <= 2 * limits.IMAP_WATCHED_REPLIES_OCTETS
        left = feed(watch, left)


def test_replies_that_wait_for_a_response_to_end_stop_the_client():
    watch = Watch(Mode.READ_ONLY)
    watch.upstream_said(b"* 1 FETCH (X {10}\r\n")
    assert feed(watch, b"a X\r\n" * 100_000)
    watch.take_for_client()
    assert watch.room == 0
    watch.upstream_said(b"0123456789)\r\n")
    assert watch.take_for_client().startswith(b"0123456789)\r\na" + REFUSED)
    while watch.take_for_client():
        pass
    assert watch.room


def test_no_more_commands_are_under_way_than_are_kept():
    watch = Watch(Mode.WHOLE)
    most = limits.IMAP_WATCHED_COMMANDS
    watch.client_said(b"".join(b"%d NOOP\r\n" % number for number in range(most + 2)))
    assert watch.take_for_upstream().count(b"NOOP") == most
    watch.upstream_said(b"7 OK\r\n")
    assert watch.take_for_upstream() == b"%d NOOP\r\n" % most


@pytest.mark.parametrize("octets", [limits.IMAP_WATCHED_LINE_OCTETS, limits.IMAP_WATCHED_LINE_OCTETS + 1])
def test_a_line_is_bounded_to_the_octet(octets):
    watch = Watch(Mode.WHOLE)
    line = b"a NOOP " + b"x" * (octets - 9) + b"\r\n"
    feed(watch, line)
    assert watch.closing == (octets > limits.IMAP_WATCHED_LINE_OCTETS)
    assert watch.take_for_upstream() == (b"" if watch.closing else line)


def test_after_the_end_nothing_counts():
    watch = Watch(Mode.WHOLE)
    watch.client_said(b"a NOOP\n")
    assert watch.over
    said = watch.take_for_client()
    watch.client_said(b"b NOOP\r\n")
    watch.upstream_said(b"* OK\r\n")
    assert (watch.take_for_client(), watch.take_for_upstream(), watch.room) == (b"", b"", 0)
    assert said.endswith(b"* BYE cannot go on after that\r\n")


def test_the_greeting_comes_first():
    watch = Watch(Mode.READ_ONLY, greeting=b"a OK in\r\n")
    watch.client_said(b"b X\r\n")
    watch.upstream_said(b"* OK hi\r\n")
    assert watch.has_for_client
    assert watch.take_for_client() == b"a OK in\r\nb" + REFUSED + b"* OK hi\r\n"
    assert not watch.has_for_client


def test_an_answer_to_a_command_that_was_not_passed_on_yet_is_none():
    watch = Watch(Mode.WHOLE)
    watch.client_said(b"a NOOP\r\nb APPEND INBOX {1}\r\n")
    assert watch.take_for_upstream() == b"a NOOP\r\n"
    watch.upstream_said(b"b OK\r\n+ go\r\n")
    assert watch.take_for_upstream() == b""
    watch.upstream_said(b"a OK\r\n")
    assert watch.take_for_upstream() == b"b APPEND INBOX {1}\r\n"
    assert watch.take_for_client() == b"b OK\r\n+ go\r\na OK\r\n"
