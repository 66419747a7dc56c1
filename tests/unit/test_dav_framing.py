"""Bodies of requests: cut out the same in every splitting, refused where two readers could differ."""

from __future__ import annotations

from itertools import pairwise

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dav.framing import BadBody, Counted, body_of
from proxy.limits import DAV_CHUNK_LINE_OCTETS, DAV_TRAILER_OCTETS

END = b"0\r\n\r\n"


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    cuts = [0, *sorted(min(place, len(octets)) for place in places), len(octets)]
    return [octets[a:b] for a, b in pairwise(cuts)]


def read(length: int | None, pieces: list[bytes]) -> tuple[bytes, bytes] | str | None:
    """Give the body and what came behind it; why it is none; or None for not yet."""
    body, data, behind = body_of(length), b"", b""
    for piece in pieces:
        if body.done:
            behind += piece
            continue
        try:
            data += body.feed(piece)
        except BadBody:
            return "bad"
    return (data, body.rest + behind) if body.done else None


def reads(length: int | None, octets: bytes) -> tuple[bytes, bytes] | str | None:
    expected = read(length, [octets])
    assert read(length, [octets[at : at + 1] for at in range(len(octets))]) == expected
    for at in range(max(0, len(octets) - 300), len(octets)):
        assert read(length, [octets[:at], octets[at:]]) == expected, at
    return expected


def test_no_body_is_done_at_once():
    assert body_of(0).done
    assert body_of(0).rest == b""


def test_so_many_octets():
    assert reads(5, b"hello") == (b"hello", b"")
    assert reads(5, b"helloGET /") == (b"hello", b"GET /")
    assert reads(5, b"hell") is None
    assert isinstance(body_of(5), Counted)


@pytest.mark.parametrize(
    ("octets", "data"),
    [
        (END, b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n" + END, b"hello"),
        (b"00000005\r\nhello\r\n" + END, b"hello"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + END, b"0123456789" * 2),
        (b"2\r\n\r\n\r\n" + END, b"\r\n"),
        (b"3\r\n0\r\n\r\n" + END, b"0\r\n"),
        (b'5;a=b;c="d \\" ;\xe9";e\r\nhello\r\n0;x=y\r\n\r\n', b"hello"),
        (b"1\r\nx\r\n0\r\nA: b\r\nContent-MD5:x\r\nTransfer-Encoding: x\r\n\r\n", b"x"),
    ],
)
def test_chunks(octets, data):
    assert reads(None, octets) == (data, b"")
    assert reads(None, octets + b"GET / HTTP/1.1\r\n") == (data, b"GET / HTTP/1.1\r\n")
    assert read(None, [octets[:-1]]) is None


@pytest.mark.parametrize(
    "octets",
    [
        *(
            b"x",
            b"-1\r\n",
            b"+5\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"\t5\r\n",
            b"0x5\r\n",
            b"5_0\r\n",
            b"5.\r\n",
            b"\r\n",
        ),
        *(b"000000005\r\n", b"FFFFFFFFFFFFFFFF5\r\n", b"5,5\r\n", b"\xd9\xa5\r\n", b"5h\r\n"),
        *(b"5\n", b"5\rx", b"5\r\r\n", b"\n5\r\n", b"5\0\r\n"),
        *(
            b"5;a\nb\r\n",
            b"5;a\n",
            b"5;a\rb",
            b"5;\r\n",
            b"5; a\r\n",
            b"5 ;a\r\n",
            b"5;a =b\r\n",
            b"5;a=\r\n",
        ),
        *(b'5;a="b\r\n', b'5;a="b"c\r\n', b"5;a=\0\r\n", b"5;\xe9\r\n"),
        *(b"5\r\nhello0\r\n", b"5\r\nhello\n", b"5\r\nhello\rx", b"5\r\nhellox\r\n", b"5\r\nhello5\r\n"),
        *(b"0\r\n\n", b"0\r\nA: b\n", b"0\r\nA : b\r\n", b"0\r\n A: b\r\n", b"0\r\nA\r\n", b"0\r\nA: \0\r\n"),
    ],
)
def test_chunks_that_end_somewhere_else_for_some(octets):
    assert read(None, [octets + b"\r\n"]) == "bad"
    assert read(None, [octet.to_bytes() for octet in octets + b"\r\n"]) == "bad"
    for at in range(len(octets)):
        assert read(None, [octets[:at], octets[at:] + b"\r\n"]) == "bad", at


def test_a_line_that_never_ends_is_refused_early():
    line = b"5;" + b"a" * (DAV_CHUNK_LINE_OCTETS - 3)
    assert reads(None, line + b"\r\nhello\r\n" + END) == (b"hello", b"")
    assert reads(None, line + b"a\r\nhello\r\n" + END) == "bad"
    assert reads(None, line + b"aa") == "bad"


def test_trailers_are_bounded():
    most = b"0\r\nA: " + b"x" * (DAV_TRAILER_OCTETS - 7) + b"\r\n\r\n"
    assert reads(None, most) == (b"", b"")
    assert reads(None, most[:-4] + b"x\r\n\r\n") == "bad"
    assert reads(None, most[:-4] + b"xxxx") == "bad"
    assert reads(None, b"0\r\n" + b"A: b\r\n" * DAV_TRAILER_OCTETS) == "bad"


class Heard:
    def __init__(self) -> None:
        self.body = b""
        self.complete = 0

    def on_body(self, octets: bytes) -> None:
        self.body += octets

    def on_message_complete(self) -> None:
        self.complete += 1


CHUNKS = st.lists(
    st.sampled_from(
        [b"5", b"0", b"\r\n", b"\r\n", b"\r", b"\n", b"hello", b";a", b"=", b'"', b"A: b", b" ", b"\0", b"f"]
    )
    | st.sampled_from(
        [b"5\r\nhello\r\n", b"5\r\nhello\r\n", b"5;a=b\r\nhello\r\n", END, b"0\r\nA: b\r\n\r\n"]
    ),
    max_size=12,
).map(b"".join)


@given(CHUNKS, st.lists(st.integers(0, 60), max_size=4))
def test_splitting_changes_nothing_and_llhttp_agrees(octets, places):
    found = read(None, [octets])
    assert read(None, cut(octets, places)) == found
    assert read(None, [octet.to_bytes() for octet in octets]) == found
    if not isinstance(found, tuple):
        return
    data, behind = found
    heard = Heard()
    parser = httptools.HttpRequestParser(heard)
    parser.feed_data(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.feed_data(octets[: len(octets) - len(behind) - 1])
    assert heard.complete == 0
    parser.feed_data(octets[len(octets) - len(behind) - 1 :][:1])
    assert (heard.complete, heard.body) == (1, data)
