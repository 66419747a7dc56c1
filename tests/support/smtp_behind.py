"""A submission server behind the gate on a Unix socket: it greets, lets the gate in, and takes messages."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.net.connection import Connection
from proxy.smtp.session import SessionSettings, Submission
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place
from support.smtp_front_stage import HOUSE, OFFER, Stage
from support.smtp_sink import Sink

SESSION = SessionSettings(house=HOUSE, offer=OFFER)
_EHLO = b"250-behind.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 1000000\r\n250 AUTH PLAIN\r\n"


class Behind:
    """Serves every connection with a `Sink` of its own; `options` are the sinks'."""

    def __init__(self, **options: Any) -> None:
        self.sinks: list[Sink] = []
        self.arrived = asyncio.Event()
        self._options = options

    @property
    def sink(self) -> Sink:
        [only] = self.sinks
        return only

    @asynccontextmanager
    async def before(self, stage: Stage) -> AsyncIterator[None]:
        """Put a stage before it: upstream and session are the real ones then."""
        async with self.running() as upstream:
            stage.upstream = upstream
            stage.new_session = lambda *joined: Submission(*joined, SESSION)
            yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SmtpUpstream]:
        """Listen, and give the way to it."""
        folder = Path(tempfile.mkdtemp(prefix="wg-"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "s"))
            listener.listen()
            listener.setblocking(False)
            task = asyncio.create_task(self._accept(listener))
            try:
                yield SmtpUpstream(
                    place=Place(address=Address(kind=AddressKind.UNIX, path=folder / "s")),
                    sign_in_as=Authzid(user="gate", secret=Secret("open sesame")),
                    name="mail.example.org",
                )
            finally:
                task.cancel()
                await asyncio.wait({task})
                shutil.rmtree(folder)

    async def _accept(self, listener: socket.socket) -> None:
        async with asyncio.TaskGroup() as serving:
            while True:
                sock, _ = await asyncio.get_running_loop().sock_accept(listener)
                connection = Connection(sock)
                await connection.send(b"220 behind.example.org ESMTP\r\n")
                answers = {"EHLO": [_EHLO], "AUTH": [b"235 2.7.0 in\r\n"], **self._options.get("answers", {})}
                self.sinks.append(Sink(connection, **{**self._options, "answers": answers}))
                serving.create_task(self.sinks[-1].serve())
                self.arrived.set()
