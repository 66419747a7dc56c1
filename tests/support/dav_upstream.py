"""A DAV server of bytes: what it says to each request is written down, what it heard is kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.address import Address, AddressKind
from proxy.net.connection import Connection, ConnectionLost
from proxy.upstreams.place import Place

CLOSE = b""
"""In place of an answer: the connection is closed."""


class _EndedError(Exception):
    """The client ended the connection."""


@dataclass
class SaidDav:
    """Gives its answers one after the other, whatever it is asked; the last one for ever."""

    answers: Sequence[bytes]
    path: Path
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0
    heard_one: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> Place:
        return Place(address=Address(kind=AddressKind.UNIX, path=self.path))

    async def accept(self, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            self.connections += 1
            tasks.create_task(self._serve(Connection(sock)))

    async def _serve(self, connection: Connection) -> None:
        try:
            await self._talk(connection)
        finally:
            connection.abort()

    async def _talk(self, connection: Connection) -> None:
        with contextlib.suppress(ConnectionLost, _EndedError):
            rest = b""
            while True:
                request, rest = await _request(connection, rest)
                self.heard.append(request)
                self.heard_one.set()
                answer = self.answers[min(len(self.heard), len(self.answers)) - 1]
                if answer is not CLOSE:
                    await connection.send(answer)
                if answer is CLOSE or b"connection: close" in answer.lower():
                    break


async def _until(connection: Connection, octets: bytes, mark: bytes, more: int = 0) -> tuple[bytes, bytes]:
    """Receive to the end of `mark` and `more` octets behind it: that, and the rest."""
    while mark not in octets or len(octets) < octets.index(mark) + len(mark) + more:
        received = await connection.receive()
        if not received:
            raise _EndedError
        octets += received
    end = octets.index(mark) + len(mark) + more
    return octets[:end], octets[end:]


async def _request(connection: Connection, octets: bytes) -> tuple[bytes, bytes]:
    head, rest = await _until(connection, octets, b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body, rest = await _until(connection, rest, b"0\r\n\r\n")
    else:
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body, rest = await _until(connection, rest, b"", int(length or b"0"))
    return head + body, rest


@asynccontextmanager
async def said_dav(*answers: bytes) -> AsyncIterator[SaidDav]:
    """Run one on a Unix socket; whoever asks has closed its connections when the block ends."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        said = SaidDav(answers, Path(folder) / "dav")
        listener.bind(str(said.path))
        listener.listen()
        listener.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(said.accept(listener, tasks))
            yield said
            accepting.cancel()
