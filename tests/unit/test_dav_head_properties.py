"""Whatever octets come: one outcome in every splitting, and what is taken is one request to llhttp too."""

from __future__ import annotations

from itertools import pairwise

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.dav.head import Fault
from support.dav_heads import HOST, outcome, request

PIECES = [
    *(
        b"GET ",
        b"PUT ",
        b"OPTIONS ",
        b"/",
        b"/x",
        b"*",
        b"http://mail.example.org/",
        b" HTTP/1.1",
        b" HTTP/1.0",
    ),
    *(
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b": ",
        b",",
        b"x",
        b"\xe9",
        b"5",
    ),
    *(HOST, b"Content-Length: ", b"Transfer-Encoding: chunked", b"chunked", b"Connection: close\r\n"),
    *(b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"Authorization: Basic eA==\r\n", b"Depth: 1\r\n"),
]
OCTETS = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: close", b"A: \xe9"]
        ),
        st.sampled_from(
            [b"Expect: 100-continue", b"Content-Length: 00", b"X_Y: z", b"Connection: keep-alive"]
        ),
        st.binary(max_size=12),
    ),
    max_size=5,
)


class Heard:
    """What llhttp found."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.begun = self.complete = 0
        self.url = b""

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


@given(OCTETS | st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=5))
@example(b"\r\n\r\n\r\n", [1, 2, 3, 4, 5])
@example(b"GET / HTTP/1.1\r\r\n\r\n", [15, 16])
def test_splitting_changes_nothing(octets, places):
    cuts = [0, *sorted(min(place, len(octets)) for place in places), len(octets)]
    pieces = [octets[a:b] for a, b in pairwise(cuts)]
    expected = outcome([octets])
    assert outcome(pieces) == expected
    assert outcome(octets[at : at + 1] for at in range(len(octets))) == expected


@given(
    LINES,
    st.sampled_from([b"GET /x HTTP/1.1", b"PUT /x HTTP/1.0", b"PROPFIND http://mail.example.org/ HTTP/1.1"]),
)
def test_llhttp_finds_the_same_request_of_the_same_length(lines, first):
    octets = request(*lines, first=first)
    found = outcome([octets])
    if found is None or isinstance(found, Fault):
        return
    head, rest = found
    if rest:  # a line of the draw was empty: the head ended there
        octets = octets[: -len(rest)]
    body = b"3\r\nabc\r\n0\r\n\r\n" if head.length is None else b"z" * head.length
    heard = Heard()
    parser = httptools.HttpRequestParser(heard)
    parser.feed_data(octets)
    assert heard.begun == 1
    assert heard.complete == (head.length == 0)
    assert parser.get_method().decode() == head.method
    if body:
        parser.feed_data(body[:-1])
        assert heard.complete == 0
        parser.feed_data(body[-1:])
    assert (heard.complete, heard.begun) == (1, 1)
    assert heard.body == (b"abc" if head.length is None else body)
    assert {name.decode("latin-1").lower() for name, _ in heard.fields} == set(head.fields)
