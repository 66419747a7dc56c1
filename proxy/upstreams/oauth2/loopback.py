"""Where a browser on this machine lands when the provider sends it back (RFC 8252 §7.3).

A listener on the loopback interface, for one answer. It takes a GET of `/` with our own Host alone, and only
the one that carries what is expected ends the wait: any program on this machine can connect here. Nothing
that came is shown on the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

_HEAD_OCTETS: Final = 16_384
"""A request of a browser: its cookies for localhost, and a code of up to 2,000 octets in the target."""
_HEAD_S: Final = 10.0
"""For that request to come; the browser is on this machine."""
_CONNECTIONS: Final = 20
"""At a time; a browser opens one or two."""
_IPV4: Final = "127.0.0.1"
_IPV6: Final = "::1"

_DONE: Final = "Wicketgate has heard from your provider. Its command line goes on; this page can be closed."
_UNEXPECTED: Final = "This is not the answer that Wicketgate waits for."

IsOurs = Callable[[str], bool]
"""Whether an address that a browser was sent to answers the request we made."""


class Landing:
    """A listener that waits for the one right request."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._is_ours: IsOurs = lambda _: False
        self._landed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def redirect_uri(self) -> str:
        """What the provider is told; without a path, as Microsoft compares it."""
        return f"http://{self._authority}"

    async def target(self, is_ours: IsOurs) -> str:
        """Wait for the browser; gives the target of its request."""
        self._is_ours = is_ours
        return await self._landed

    async def end(self) -> None:
        """Give up whatever connection is open."""
        for talk in self._talks:
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always has one
        self._talks.add(task)
        try:
            if len(self._talks) <= _CONNECTIONS:
                async with asyncio.timeout(_HEAD_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        finally:
            self._talks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        first, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, version = rest.rpartition(" ")
        hosts = [
            value.strip()
            for name, _, value in (field.partition(":") for field in fields)
            if name.lower() == "host"
        ]
        if method != "GET" or not version.startswith("HTTP/1.") or hosts != [self._authority]:
            return _page("400 Bad Request", _UNEXPECTED)
        if target.partition("?")[0] != "/":
            return _page("404 Not Found", _UNEXPECTED)
        if not self._is_ours(target):
            return _page("400 Bad Request", _UNEXPECTED)
        if not self._landed.done():
            self._landed.set_result(target)
        return _page("200 OK", _DONE)


@asynccontextmanager
async def landing(host: str) -> AsyncIterator[Landing]:
    """Listen on a free port of the loopback interface while the block runs. Raises OSError."""
    sockets = _listeners(host)
    port = sockets[0].getsockname()[1]
    place = Landing(f"{host}:{port}")
    servers = [await asyncio.start_server(place.talk, sock=sock, limit=_HEAD_OCTETS) for sock in sockets]
    try:
        yield place
    finally:
        for server in servers:
            server.close()
        await place.end()


def _listeners(host: str) -> list[socket.socket]:
    """Listen for IPv4, and on the same port for IPv6 where `localhost` may mean either."""
    listeners = [socket.create_server((_IPV4, 0))]
    if host != _IPV4:
        port = listeners[0].getsockname()[1]
        with contextlib.suppress(OSError):  # a machine without IPv6, or a port in use there
            listeners.append(socket.create_server((_IPV6, port), family=socket.AF_INET6))
    return listeners


def _page(status: str, text: str) -> bytes:
    body = f"<!doctype html><meta charset=utf-8><title>Wicketgate</title><p>{text}</p>\n".encode()
    fields = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'",
        "Referrer-Policy: no-referrer",
        "Connection: close",
    )
    return "\r\n".join((*fields, "", "")).encode("ascii") + body
