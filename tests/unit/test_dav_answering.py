"""How answers are written: head, framing, and what each of them says."""

from __future__ import annotations

import pytest

from proxy.dav.answering import Answering, for_upstream_fault, text
from proxy.limits import DAV_HOLD_OCTETS
from support.dav_stage import SAFE


async def written(
    status: int, length: int | None, *pieces: bytes, **how: object
) -> tuple[bytes, bytes, bool]:
    """Head without Date, body, and whether another may follow."""
    sent: list[bytes] = []

    async def send(octets: bytes) -> None:
        sent.append(octets)

    answering = Answering(send, **{"method": "GET", "modern": True, "keep": True} | how)
    answering.start(status, (("etag", "x"),), length)
    assert not answering.begun
    for piece in pieces:
        await answering.piece(piece)
    await answering.finish()
    assert answering.begun
    head, _, body = b"".join(sent).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[1].startswith(b"Date: ")
    return b"\r\n".join([lines[0], *lines[2:], b""]).removesuffix(SAFE), body, answering.keep


@pytest.mark.parametrize(
    ("length", "pieces", "how", "framing", "body", "keep"),
    [
        (5, (b"he", b"", b"llo"), {}, b"Content-Length: 5\r\n", b"hello", True),
        (0, (), {}, b"Content-Length: 0\r\n", b"", True),
        (
            None,
            (b"he", b"llo"),
            {},
            b"Transfer-Encoding: chunked\r\n",
            b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            True,
        ),
        (None, (), {}, b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", True),
        (None, (b"hello",), {"modern": False}, b"Connection: close\r\n", b"hello", False),
        (5, (b"hello",), {"keep": False}, b"Content-Length: 5\r\nConnection: close\r\n", b"hello", False),
        (5, (b"hello",), {"method": "HEAD"}, b"Content-Length: 5\r\n", b"", True),
        (None, (b"hello",), {"method": "HEAD"}, b"", b"", True),
    ],
)
async def test_every_framing(length, pieces, how, framing, body, keep):
    got = await written(200, length, *pieces, **how)
    assert got == (b"HTTP/1.1 200 OK\r\nETag: x\r\n" + framing, body, keep)


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(status):
    head, body, keep = await written(status, 0)
    assert b"Content-Length" not in head
    assert (body, keep) == (b"", True)


async def test_a_status_without_a_phrase():
    assert (await written(299, 0))[0].startswith(b"HTTP/1.1 299 \r\n")


def test_what_is_said_of_the_server_behind():
    assert [for_upstream_fault(status).status for status in (500, 502, 503, 504, 507)] == [
        502,
        502,
        503,
        502,
        507,
    ]
    assert text(400, "no", ("allow", "GET")).fields == (
        ("content-type", "text/plain; charset=utf-8"),
        ("allow", "GET"),
    )


@pytest.mark.parametrize(("length", "framed"), [(300_000, 0), (None, 60)])
async def test_a_slow_reader_has_its_time_for_each_part(length, framed):
    sent: list[bytes] = []

    async def send(octets: bytes) -> None:
        sent.append(octets)

    answering = Answering(send, method="GET", modern=True, keep=True)
    answering.start(200, (), length)
    await answering.piece(b"x" * 300_000)
    await answering.finish()
    head, _, body = b"".join(sent).partition(b"\r\n\r\n")
    assert body.count(b"x") == 300_000
    assert max(map(len, sent)) <= DAV_HOLD_OCTETS + len(head) + 20
    assert len(body) <= 300_000 + framed
