"""Open a stream socket to a host or a Unix socket: a failure is a `ConnectionLost` and leaves no descriptor.

A name may have several addresses; they are tried one after the other, each with its share of the time left,
so one that swallows packets does not spend the time of the next.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any, Final

from proxy import limits
from proxy.net.channel import ConnectionLost, lost
from proxy.net.ready import writable

_UNIX_RETRY_S: Final = 0.01
"""A Unix socket with a full backlog says EAGAIN and offers nothing to wait on."""


def tune(sock: socket.socket) -> None:
    """No Nagle delay, and probes that find a peer which vanished; nothing for a Unix socket."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(
        socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None)
    )  # the second is macOS's name
    if idle is not None:
        sock.setsockopt(socket.IPPROTO_TCP, idle, limits.TCP_KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, limits.TCP_KEEPALIVE_INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, limits.TCP_KEEPALIVE_PROBES)


async def tcp(host: str, port: int, *, timeout_s: float) -> socket.socket:
    """Connect to the first address of `host` that answers."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ConnectionLost("name look-up timed out") from None
    except OSError as error:
        raise lost(error) from None
    failure = ConnectionLost("name not found")
    for place, (family, _, protocol, _, address) in enumerate(found):
        share = (deadline - loop.time()) / (len(found) - place)
        try:
            async with asyncio.timeout(share):
                return await _connected(socket.socket(family, socket.SOCK_STREAM, protocol), address)
        except TimeoutError:
            failure = ConnectionLost("connect timed out")
        except OSError as error:
            failure = lost(error)
    raise failure


async def unix(path: Path, *, timeout_s: float) -> socket.socket:
    """Connect to a Unix stream socket."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), os.fspath(path))
    except TimeoutError:
        raise ConnectionLost("connect timed out") from None
    except OSError as error:
        raise lost(error) from None


async def _connected(sock: socket.socket, address: Any) -> socket.socket:
    """Connect a fresh socket without blocking. OSError; the socket is closed on any failure."""
    try:
        sock.setblocking(False)
        tune(sock)
        while (code := sock.connect_ex(address)) == errno.EAGAIN:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(_UNIX_RETRY_S)
        if code == errno.EINPROGRESS:
            await writable(sock.fileno())
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - closed below like every other failure
    except BaseException:
        sock.close()
        raise
    return sock
