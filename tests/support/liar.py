"""An upstream that lies: an honest server, but the next connections follow scripts of the test's own.

A script is what the server does, step by step. After its last step a liar only reads, until the gate has
gone; an honest connection goes on answering. What was said to a liar is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from proxy.net.connection import Connection, ConnectionLost
from support.imap_stage import closed, line
from support.sockets import GIVE_UP_S, reset

_DRIP_S = 0.005
"""Between two octets of a server that says something now and then."""


class Step(Enum):
    """What a server does that needs no words."""

    HEAR = auto()
    """Read a line."""
    CLOSE = auto()
    RESET = auto()
    SILENCE = auto()
    """Nothing more, for ever."""


@dataclass(frozen=True, slots=True)
class Say:
    """Say these octets."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drip:
    """Say these octets one by one, and the last one for ever."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Secure:
    """Do the TLS handshake."""

    context: ssl.SSLContext


Script = Sequence[Step | Say | Drip | Secure]


@dataclass
class Liar:
    """The server. Connections that come while there are `lies` follow the first of them, which is used up."""

    truth: Script
    answer: Callable[[bytes], bytes]
    """What an honest connection answers to a line, once its script is done."""
    lies: deque[Script] = field(default_factory=deque)
    lied: int = 0
    """How many connections have been lied to so far."""
    heard: list[bytes] = field(default_factory=list)
    """The lines said to a liar."""
    port: int = 0
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Liar]:
        """Listen on a free loopback port; every connection must have been ended by the gate at the end."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            accepting = asyncio.create_task(self._accept(listener))
            try:
                yield self
                async with asyncio.timeout(GIVE_UP_S):
                    await asyncio.gather(*self._serving)
            finally:
                accepting.cancel()
                for task in self._serving:
                    task.cancel()
                await asyncio.wait({accepting, *self._serving})

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            lie = self.lies.popleft() if self.lies else None
            self.lied += lie is not None
            self._serving.add(asyncio.create_task(self._serve(Connection(sock), lie)))

    async def _serve(self, connection: Connection, lie: Script | None) -> None:
        try:
            with contextlib.suppress(ConnectionLost):
                for step in self.truth if lie is None else lie:
                    await self._do(connection, step, lied_to=lie is not None)
                while lie is None and (asked := await line(connection)):
                    await connection.send(self.answer(asked))
                await closed(connection)
        finally:
            connection.abort()

    async def _do(self, connection: Connection, step: Step | Say | Drip | Secure, *, lied_to: bool) -> None:
        match step:
            case Say(octets):
                await connection.send(octets)
            case Drip(octets):
                await _drip(connection, octets)
            case Secure(context):
                await connection.secure_as_server(context, timeout_s=GIVE_UP_S)
            case Step.HEAR:
                said = await line(connection)
                if lied_to:
                    self.heard.append(said)
            case Step.CLOSE:
                await connection.close()
            case Step.RESET:
                sock = connection.channel.sock.dup()
                connection.abort()
                reset(sock)
            case Step.SILENCE:
                await closed(connection)


async def _drip(connection: Connection, octets: bytes) -> None:
    for octet in octets[:-1]:
        await connection.send(bytes([octet]))
        await asyncio.sleep(_DRIP_S)
    while True:
        await connection.send(octets[-1:])
        await asyncio.sleep(_DRIP_S)
