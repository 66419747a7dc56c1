"""One of our connections as an asyncio transport, so that aiohttp serves it and TLS and counting stay ours.

`carry` moves octets both ways until either side ends, and closes the connection. What is written waits in a
buffer, and the protocol is told to pause above `PORTAL_UNSENT_OCTETS`. A request must come whole within a
time, counted from the end of the one before, and each piece of an answer be taken within one: a client that
trickles, or does not read, holds its place no longer than that. A client that ends its half is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from auth.fault import fault
from proxy.limits import (
    PORTAL_BODY_S,
    PORTAL_PIECE_OCTETS,
    PORTAL_PIECE_S,
    PORTAL_REQUEST_S,
    PORTAL_UNSENT_OCTETS,
)
from proxy.net.connection import Connection, ConnectionLost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client is waited for, in seconds."""

    request_s: float = PORTAL_REQUEST_S
    """From the end of an answer, or the beginning, to the next whole head."""
    body_s: float = PORTAL_BODY_S
    """For a form to come, from its head."""
    piece_s: float = PORTAL_PIECE_S
    """To take `PORTAL_PIECE_OCTETS` of an answer."""


class Wire(asyncio.Transport):
    """The transport of one connection."""

    def __init__(self, connection: Connection, patience: Patience | None = None) -> None:
        super().__init__()
        self.connection = connection
        self.late = False
        """Whether it was ended because no request came in time."""
        self.lost: str = ""
        """Why it was lost, in words safe to log; empty when it was not."""
        self._patience = patience or Patience()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._limit: asyncio.TimerHandle | None = None
        self._unsent = bytearray()
        self._more = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._closing = False
        self._paused = False
        self._protocol: asyncio.Protocol | None = None

    async def carry(self, protocol: asyncio.Protocol) -> None:
        """Serve until the connection has ended; it is closed then. Raises nothing but CancelledError."""
        self._protocol = protocol
        lost: Exception | None = None
        self.waits()
        protocol.connection_made(self)
        receiving, sending = (
            asyncio.ensure_future(each) for each in (self._receive(protocol), self._send(protocol))
        )
        try:
            done, _ = await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            lost = self._why(done)
            if sending in done and lost is None:
                await _end(receiving)
                await self.connection.close()
        finally:
            self._closing = True
            self._let_go()
            self.connection.abort()
            await _end(receiving, sending)
            self._emptied.set()
            protocol.connection_lost(lost)

    def _why(self, done: set[asyncio.Task[None]]) -> Exception | None:
        """Say why the client cannot be reached any more; None where it, or we, ended it in order."""
        for error in [each.exception() for each in done]:
            if isinstance(error, Exception):
                if not isinstance(error, ConnectionLost):
                    log.error("portal connection %s ended by a fault: %s", self.connection.id, fault(error))
                self.lost = str(error) if isinstance(error, ConnectionLost) else "fault"
                return ConnectionResetError(self.lost)
        return None

    async def sent(self) -> None:
        """Wait until the kernel has all that was written. Raises ConnectionResetError where it never will."""
        await self._emptied.wait()
        if self._unsent:
            raise ConnectionResetError("the client is gone")

    def waits(self) -> None:
        """A request is awaited from now on."""
        self._let_go()
        self._limit = asyncio.get_running_loop().call_later(self._patience.request_s, self._too_late)

    def works(self) -> None:
        """A request is being answered: the client waits for us."""
        self._let_go()

    # --- what the protocol calls ----------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Say what aiohttp asks; `socket` is not given away."""
        peer = self.connection.peer
        match name:
            case "peername" if peer is not None:
                return (str(peer), 0)
            case "sslcontext" if self.connection.secure:
                return True
        return default

    def is_closing(self) -> bool:
        """Whether nothing more is taken."""
        return self._closing

    def close(self) -> None:
        """End it once all is sent."""
        self._closing = True
        self._more.set()

    def abort(self) -> None:
        """End it now."""
        self._closing = True
        self.connection.abort()
        self._more.set()
        self._flowing.set()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Take octets to send."""
        if self._closing or not data:
            return
        self._unsent += data
        self._emptied.clear()
        self._more.set()
        if len(self._unsent) > PORTAL_UNSENT_OCTETS and not self._paused and self._protocol is not None:
            self._paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Take octets to send."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """HTTP ends a connection by closing it."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Keep to our own."""

    def get_write_buffer_size(self) -> int:
        """Give how many octets are not sent yet."""
        return len(self._unsent)

    def is_reading(self) -> bool:
        """Whether octets are received."""
        return self._flowing.is_set()

    def pause_reading(self) -> None:
        """Receive no more for now."""
        self._flowing.clear()

    def resume_reading(self) -> None:
        """Receive again."""
        self._flowing.set()

    # --- both ways ------------------------------------------------------------------------------------------

    async def _receive(self, protocol: asyncio.Protocol) -> None:
        while not self._closing:
            await self._flowing.wait()
            data = await self.connection.receive()
            if not data:
                protocol.eof_received()
                return
            protocol.data_received(data)
        await asyncio.get_running_loop().create_future()  # what is left is the sender's: it ends first

    async def _send(self, protocol: asyncio.Protocol) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._unsent:
                await self._piece(bytes(self._unsent[:PORTAL_PIECE_OCTETS]))
                if self._paused and len(self._unsent) <= PORTAL_UNSENT_OCTETS // 2:
                    self._paused = False
                    protocol.resume_writing()
            self._emptied.set()
            if self._closing:
                return

    async def _piece(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._patience.piece_s):
                await self.connection.send(data)
        except TimeoutError:
            raise ConnectionLost("does not read what it is sent") from None
        del self._unsent[: len(data)]

    def _too_late(self) -> None:
        self.late = True
        self.abort()

    def _let_go(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


async def _end(*tasks: asyncio.Task[None]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)
    for each in tasks:
        if not each.cancelled():
            each.exception()  # it is told already, or of no interest any more
