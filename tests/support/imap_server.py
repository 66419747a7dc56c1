"""An upstream that follows a script, on a loopback port or a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.address import Address, AddressKind
from proxy.net.connection import Connection, ConnectionLost
from proxy.upstreams.place import Place
from support.imap_stage import closed, line
from support.sockets import Tls, reset


@dataclass
class ScriptedUpstream:
    """Serves one connection: `S` lines are said, `C` lines are expected, `TLS` is a handshake, `HOLD` waits.

    Without a script left it reads until the end. `heard` is everything the gate said.
    """

    tls: Tls
    kind: AddressKind
    script: list[tuple[str, bytes] | str]
    heard: list[bytes] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    place: Place | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedUpstream]:
        folder = Path(tempfile.mkdtemp(prefix="wg-"))
        listener = self._listen(folder)
        task = asyncio.create_task(self._serve(listener))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})
            listener.close()
            shutil.rmtree(folder)
            if not task.cancelled():
                task.result()

    def _listen(self, folder: Path) -> socket.socket:
        if self.kind in (AddressKind.UNIX, AddressKind.EMBEDDED):
            path = folder / "s"
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            if self.kind is AddressKind.UNIX:
                self.place = Place(address=Address(kind=self.kind, path=path))
            else:
                self.place = Place(address=Address(kind=self.kind), embedded_socket=lambda: path)
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            address = Address(kind=self.kind, host="localhost", port=listener.getsockname()[1])
            self.place = Place(address=address, tls=self.tls.client)
        listener.setblocking(False)
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        connection = Connection(sock)
        try:
            with contextlib.suppress(ConnectionLost):
                if self.kind is AddressKind.IMAPS:
                    await connection.secure_as_server(self.tls.server, timeout_s=10)
                for step in self.script:
                    await self._step(connection, step)
            self.reached.set()
            await closed(connection)
            self.ended.set()
        finally:
            connection.abort()

    async def _step(self, connection: Connection, step: tuple[str, bytes] | str) -> None:
        match step:
            case "TLS":
                await connection.secure_as_server(self.tls.server, timeout_s=10)
            case "HOLD":
                self.reached.set()
                await self.holds.wait()
            case "RESET":
                sock = connection.channel.sock.dup()
                connection.abort()
                reset(sock)
            case "CLOSE":
                await connection.close()
            case "S", bytes(octets):
                await connection.send(octets)
            case "C", bytes(octets):
                said = await line(connection)
                self.heard.append(said)
                assert said == octets + b"\r\n", f"{said!r} instead of {octets!r}"
            case _:
                raise AssertionError(step)
