"""The client's side of a DAV connection: its heads and bodies as they come, and whether it is still there.

Every wait for the client has its limit. While others work for it the client is not listened to, but after a
while somebody looks whether it has gone; what it sends meanwhile is kept for the next request, up to a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from proxy.dav.deadline import Deadline
from proxy.dav.framing import BadBody, body_of
from proxy.dav.head import Head, HeadFinder, read_head
from proxy.dav.settings import Settings
from proxy.limits import DAV_HOLD_OCTETS, PIPELINED_OCTETS, RECEIVE_OCTETS
from proxy.net.connection import Connection, ConnectionLost

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Client:
    """One connection. `slow` and `gone` are called at most once each, from the loop; `close` in the end."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        slow: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.received = bytearray()
        """What has come and was not read yet."""
        self.octets_in = 0
        self.octets_out = 0
        """Both as they are within TLS."""
        self._settings = settings
        self._gone = gone
        self._finder = HeadFinder()
        self._limit = Deadline(slow)
        self._patience = Deadline(self._begin_watch)
        self._watch: asyncio.Task[None] | None = None

    async def head(self) -> Head | None:
        """Wait for the next request; None at the client's end. Raises `BadHead`, ConnectionLost."""
        await self._alone()
        self._limit.within(self._settings.idle_s)
        try:
            while (octets := self._finder.find(self.received)) is None:
                came = await self._receive(RECEIVE_OCTETS)
                if not came:
                    return None
                self.received += came
        finally:
            self._limit.lift()
        return read_head(octets, self._settings.is_ours)

    async def octets(self) -> bytes:
        """Give the next octets of a body. Raises ConnectionLost, also at the client's end."""
        if self.received:
            came = bytes(self.received)
            self.received.clear()
            return came
        await self._alone()
        self._limit.within(self._settings.quiet_s)
        try:
            came = await self._receive(RECEIVE_OCTETS)
        finally:
            self._limit.lift()
        if not came:
            raise ConnectionLost("closed within a body")
        return came

    async def send(self, octets: bytes) -> None:
        """Send. Raises ConnectionLost."""
        self._limit.within(self._settings.quiet_s)
        try:
            self.octets_out += len(octets)
            await self.connection.send(octets)
        finally:
            self._limit.lift()

    def watch_soon(self) -> None:
        """Look after a while whether the client has gone, until it is listened to again."""
        if self._watch is None:
            self._patience.within(self._settings.watch_s)

    async def part(self) -> None:
        """Close the connection, and let the client read the last answer. Never raises."""
        await self._alone()
        await self.connection.close()

    def close(self) -> None:
        """Leave no timer and no task."""
        self._limit.close()
        self._patience.close()
        if self._watch is not None:
            self._watch.cancel()

    async def _alone(self) -> None:
        """End the watch: somebody else receives from now on."""
        self._patience.lift()
        if self._watch is not None:
            watch, self._watch = self._watch, None
            watch.cancel()
            await asyncio.wait({watch})

    async def _receive(self, most: int) -> bytes:
        came = await self.connection.receive(most)
        self.octets_in += len(came)
        return came

    def _begin_watch(self) -> None:
        self._watch = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        with contextlib.suppress(ConnectionLost):
            while room := max(0, PIPELINED_OCTETS - len(self.received)):
                came = await self._receive(min(room, RECEIVE_OCTETS))
                if not came:
                    break
                self.received += came
            else:
                return
        self._gone()


class Incoming:
    """The body of one request, read as somebody wants it."""

    def __init__(self, client: Client, head: Head) -> None:
        self._client = client
        self._length = head.length
        self._body = body_of(head.length)
        self._expects = head.expects
        self._taken = 0

    @property
    def announced(self) -> bool:
        """Whether there is a body of an octet or more, as far as the head tells."""
        return self._length != 0

    @property
    def done(self) -> bool:
        """Whether all of it was read."""
        return self._body.done

    def exceeds(self, octets: int) -> bool:
        """Whether it is larger, as far as is known by now."""
        return max(self._length or 0, self._taken) > octets

    async def read(self) -> bytes:
        """Give the next octets; b"" at its end. Raises `BadBody`, ConnectionLost.

        The client is told to go on if it waits for that (RFC 9110 §10.1.1).
        """
        body = self._body
        while not body.done:
            if self._expects and not self._client.received:
                await self._client.send(_CONTINUE)
            self._expects = False
            octets = body.feed(await self._client.octets())
            if body.rest:
                self._client.received[:0] = body.rest
            if octets:
                self._taken += len(octets)
                return octets
        return b""

    async def skip(self) -> bool:
        """Throw away what is left, if that is little; False when the connection must end instead."""
        if self._expects and not self.done:
            return False
        most = self._taken + DAV_HOLD_OCTETS
        try:
            while not self.done and not self.exceeds(most):
                await self.read()
        except BadBody:
            return False
        return self.done
