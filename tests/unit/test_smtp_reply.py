"""Replies of an upstream: put together from any pieces, bounded, and never a danger to whoever hears them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import SMTP_REPLY_LINE_OCTETS, SMTP_REPLY_LINES, SMTP_REPLY_READ_OCTETS
from proxy.smtp.reply import Reply, ReplyFault, ReplyReader
from support.transcript import ways, whole


def read(octets: bytes, split=whole) -> list[Reply]:
    reader, replies = ReplyReader(), []
    for piece in split(octets):
        reader.feed(piece)
        while reply := reader.next():
            replies.append(reply)
    return replies


REPLIES = {
    "one line": (b"250 2.1.5 Ok\r\n", Reply(250, (b"2.1.5 Ok",))),
    "several lines": (b"250-a\r\n250-b\r\n250 c\r\n", Reply(250, (b"a", b"b", b"c"))),
    "no text": (b"354 \r\n", Reply(354, (b"",))),
    "a bare code": (b"250\r\n", Reply(250, (b"",))),
    "a bare code behind lines": (b"250-a\r\n250\r\n", Reply(250, (b"a", b""))),
    "a CR within": (b"250 a\rb\r\n", Reply(250, (b"a\rb",))),
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply(name):
    octets, reply = REPLIES[name]
    for split in ways().values():
        assert read(octets, split) == [reply]
        assert read(octets * 2, split) == [reply, reply]


FAULTS = {
    "LF alone": (b"250 a\n", "ends without CRLF"),
    "no code": (b"hello\r\n", "no reply"),
    "a code of two digits": (b"25 a\r\n", "no reply"),
    "a code of four digits": (b"2500 a\r\n", "no reply"),
    "a code of the first kind": (b"150 a\r\n", "no reply"),
    "a code of the sixth kind": (b"650 a\r\n", "no reply"),
    "an empty line": (b"\r\n", "no reply"),
    "two codes": (b"250-a\r\n550 b\r\n", "two codes"),
    "endless lines": (b"250-a\r\n" * (SMTP_REPLY_LINES + 1), "more than 100 lines"),
    "an endless line": (b"250 " + b"a" * SMTP_REPLY_READ_OCTETS, "more than 32768 octets"),
    "too much in all": ((b"250-" + b"a" * 1000 + b"\r\n") * 40, "more than 32768 octets"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_reply(name):
    octets, words = FAULTS[name]
    for split in ways().values():
        with pytest.raises(ReplyFault, match=words):
            read(octets, split)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"250 2.0.0 queued as 4F9D\r\n", b"250 2.0.0 queued as 4F9D\r\n"),
        (b"250 queued\r\n", b"250 2.0.0 queued\r\n"),
        (b"250\r\n", b"250 2.0.0 \r\n"),
        (b"550-no\r\n550 5.1.1 nobody\r\n", b"550-5.0.0 no\r\n550 5.1.1 nobody\r\n"),
        (b"451 2,0,0 later\r\n", b"451 4.0.0 2,0,0 later\r\n"),
        (b"354 go on\r\n", b"354 go on\r\n"),
        (b"250 2.0.0 a\rb\0\x1b[2J\xff\tc\r\n", b"250 2.0.0 a?b??[2J??c\r\n"),
    ],
)
def test_a_reply_is_said_again_with_a_status_and_nothing_unprintable(octets, said):
    (reply,) = read(octets)
    assert reply.wire == said


@given(
    code=st.integers(200, 559).filter(lambda code: code // 10 % 10 < 6),
    lines=st.lists(st.binary(max_size=700), min_size=1, max_size=4),
)
def test_whatever_an_upstream_says_is_one_reply_for_the_client(code, lines):
    said = Reply(code, tuple(lines)).wire
    (heard,) = read(said)
    assert (heard.code, len(heard.lines)) == (code, len(lines))
    parts = said.split(b"\r\n")
    assert all(len(part) + 2 <= SMTP_REPLY_LINE_OCTETS for part in parts)
    assert all(32 <= octet < 127 for part in parts for octet in part)


def test_what_came_behind_is_given_once():
    reader = ReplyReader()
    reader.feed(b"250 a\r\n421 b")
    assert (reader.next(), reader.empty) == (Reply(250, (b"a",)), False)
    assert (reader.rest(), reader.rest(), reader.empty) == (b"421 b", b"", True)


def test_a_reply_that_has_begun_is_something_unread():
    reader = ReplyReader()
    reader.feed(b"250-a\r\n")
    assert (reader.next(), reader.empty) == (None, False)
