"""One of our connections as an asyncio transport, so that aiohttp serves it and TLS and counting stay ours.

`carry` moves octets both ways until either side ends, and closes the connection. What is written waits in a
buffer, and the protocol is told to pause above `PORTAL_UNSENT_OCTETS`. A request must come whole within a
time, counted from the end of the one before: a client that trickles holds its place no longer than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from proxy.limits import PORTAL_REQUEST_S, PORTAL_UNSENT_OCTETS
from proxy.net.connection import Connection


class Wire(asyncio.Transport):
    """The transport of one connection."""

    def __init__(self, connection: Connection, *, request_s: float = PORTAL_REQUEST_S) -> None:
        super().__init__()
        self.connection = connection
        self._request_s = request_s
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
            errors = [each.exception() for each in done]
            lost = next((error for error in errors if isinstance(error, Exception)), None)
            if sending in done and lost is None:
                await _over(receiving)
                await self.connection.close()
        finally:
            self._closing = True
            await _over(receiving, sending)
            self._let_go()
            protocol.connection_lost(lost)
            self.connection.abort()

    def waits(self) -> None:
        """A request is awaited from now on."""
        self._let_go()
        self._limit = asyncio.get_running_loop().call_later(self._request_s, self.abort)

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
                data = bytes(self._unsent)
                self._unsent.clear()
                await self.connection.send(data)
                if self._paused and len(self._unsent) <= PORTAL_UNSENT_OCTETS // 2:
                    self._paused = False
                    protocol.resume_writing()
            if self._closing:
                return

    def _let_go(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


async def _over(*tasks: asyncio.Task[None]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)
