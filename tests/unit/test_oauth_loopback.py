"""The listener that a browser is sent back to: what others say to it costs nothing and ends nothing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from proxy.upstreams.oauth2.loopback import _CONNECTIONS, Landing, landing
from support.sockets import turns

RIGHT = "/?code=c&state=ours"


def is_ours(target: str) -> bool:
    return target == RIGHT


async def opened(place: Landing) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(place.redirect_uri.rpartition(":")[2]))


async def said(place: Landing, octets: bytes) -> bytes:
    reader, writer = await opened(place)
    writer.write(octets)
    answer = await reader.read()
    writer.close()
    return answer


def request(place: Landing, target: str = RIGHT, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    host = place.redirect_uri.removeprefix("http://")
    return f"{method} {target} {version}\r\nHost: {host}\r\nCookie: a=b\r\n\r\n".encode()


async def test_the_right_request_ends_the_wait():
    async with landing("127.0.0.1") as place:
        waiting = asyncio.ensure_future(place.target(is_ours))
        await turns()
        answer = await said(place, request(place))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nCache-Control: no-store\r\n" in answer
        assert b"code" not in answer.partition(b"\r\n\r\n")[2]  # nothing that came is shown
        assert await waiting == RIGHT
        assert (await said(place, request(place))).startswith(b"HTTP/1.1 200")  # a browser may ask again


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"GET " + RIGHT.encode() + b" HTTP/1.1\r\n\r\n",
        b"GET " + RIGHT.encode() + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET " + RIGHT.encode() + b" HTTP/1.1\r\n" + b"X: y\r\n" * 4_000 + b"\r\n",
        b"x" * 100_000,
    ],
    ids=["nothing", "half", "empty", "binary", "no host", "other host", "long", "endless"],
)
async def test_whatever_else_is_said_ends_nothing(octets):
    async with landing("127.0.0.1") as place:
        waiting = asyncio.ensure_future(place.target(is_ours))
        reader, writer = await opened(place)
        writer.write(octets)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert b"200 OK" not in await reader.read()
        writer.close()
        assert not waiting.done()
        await said(place, request(place))
        assert await waiting == RIGHT


async def test_other_methods_and_protocols_are_refused():
    async with landing("127.0.0.1") as place:
        waiting = asyncio.ensure_future(place.target(is_ours))
        await turns()
        for one in (
            request(place, method="POST"),
            request(place, version="HTTP/3"),
            request(place, "/x" + RIGHT),
        ):
            assert b"200 OK" not in await said(place, one)
        assert not waiting.done()
        waiting.cancel()


async def test_idle_connections_are_bounded_and_end_with_it():
    async with landing("127.0.0.1") as place:
        idle = [await opened(place) for _ in range(_CONNECTIONS)]
        await turns()
        one_more, writer = await opened(place)
        assert await one_more.read() == b""
        writer.close()
    for reader, writer in idle:
        assert await reader.read() == b""
        writer.close()


async def test_localhost_is_heard_on_both_families_where_there_are_both():
    async with landing("localhost") as place:
        assert place.redirect_uri.startswith("http://localhost:")
        waiting = asyncio.ensure_future(place.target(is_ours))
        await turns()
        assert b"200 OK" in await said(place, request(place))
        assert await waiting == RIGHT
