"""Join a client whose commands are watched with its upstream: the shell around `watch`.

It stands where `proxy.net.relay` does. For each side one task reads and one writes. A side is read only while
what it said before has gone out, so a reader that does not read holds less than a relay buffer. The end of a
side is passed on behind the octets before it; what is left flows on, and a short time without a move ends the
rest. When `framed` returns, both connections are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from proxy import limits
from proxy.imap.watch import Watch
from proxy.net.connection import Connection, ConnectionLost
from proxy.net.relay import Relayed, RelayEnd

_ABRUPT: Final = (RelayEnd.CUT, RelayEnd.CLIENT_LOST, RelayEnd.UPSTREAM_LOST)
"""After these nobody is told that it ends."""


async def framed(
    client: Connection,
    upstream: Connection,
    watch: Watch,
    *,
    idle_s: float,
    closing_s: float = limits.RELAY_CLOSING_S,
) -> Relayed:
    """Take over both connections and join them until the session has ended; both are closed then.

    Times, ends and what is raised are as in `proxy.net.relay.relay`.
    """
    session = _Session(client, upstream, watch, idle_s=idle_s, closing_s=closing_s)
    end = await session.run()
    return Relayed(end=end, to_upstream=session.up.octets, to_client=session.down.octets, cause=watch.fault)


class _Writer:
    """What one side is sent."""

    def __init__(self, connection: Connection, has: Callable[[], bool], take: Callable[[], bytes]) -> None:
        self.octets = 0
        """Sent so far."""
        self._connection = connection
        self._busy = False
        self._take = take
        self.has = has
        """Whether there is something to send."""

    def empty(self) -> bool:
        """Whether all that there was is sent."""
        return not (self._busy or self.has())

    def begin(self) -> bytes:
        """Give what there is; it is to be sent."""
        self._busy = True
        return self._take()

    async def send(self, octets: bytes) -> None:
        """Send what was begun. ConnectionLost."""
        await self._connection.send(octets)
        self._busy = False
        self.octets += len(octets)


class _Session:
    """The tasks, their common clock and their common end."""

    def __init__(
        self, client: Connection, upstream: Connection, watch: Watch, *, idle_s: float, closing_s: float
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._limit_s = idle_s
        self._closing_s = closing_s
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._end: RelayEnd | None = None
        self._ended: asyncio.Future[RelayEnd] = self._loop.create_future()
        self.up = _Writer(upstream, lambda: watch.has_for_upstream, watch.take_for_upstream)
        self.down = _Writer(client, lambda: watch.has_for_client, watch.take_for_client)

    async def run(self) -> RelayEnd:
        """Serve until the end, and give it."""
        both = (self._client, self._upstream)
        for connection in both:
            connection.on_abort = self._cut
        if self._client.closed or self._upstream.closed:
            self._cut()
        self._look_in(self._limit_s)
        steps = {
            self._hear_client: RelayEnd.CLIENT_LOST,
            self._hear_upstream: RelayEnd.UPSTREAM_LOST,
            self._tell_client: RelayEnd.CLIENT_LOST,
            self._tell_upstream: RelayEnd.UPSTREAM_LOST,
            self._part: RelayEnd.CUT,
        }
        tasks = [asyncio.create_task(self._guarded(step, lost)) for step, lost in steps.items()]
        try:
            end = await self._ended
            await _cancelled(tasks)
            if end not in _ABRUPT:
                last_s = min(limits.CLOSE_S, self._closing_s)
                await asyncio.gather(*(connection.close(last_s) for connection in both))
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for connection in both:
                connection.on_abort = None
                connection.abort()
            await _cancelled(tasks)
        return end

    # --- tasks ----------------------------------------------------------------------------------------------

    async def _guarded(self, step: Callable[[], Awaitable[None]], lost: RelayEnd) -> None:
        """Every task comes through here; `lost`: whose loss ends it. A fault of ours is raised by `run`."""
        try:
            await step()
        except ConnectionLost:
            self._over(self._end or lost)
        except Exception as bug:  # noqa: BLE001 - raised by `run`
            if not self._ended.done():
                self._ended.set_exception(bug)

    async def _hear_client(self) -> None:
        """Feed what the client says; its end goes to the upstream behind that."""
        try:
            while data := await self._next_of_client():
                self._watch.client_said(data)
                self._moved()
        except ConnectionLost:
            self._closing(RelayEnd.CLIENT_LOST)
            await self._until(self.up.empty)
            raise
        self._closing(RelayEnd.CLIENT_CLOSED)
        await self._until(self.up.empty)
        with contextlib.suppress(ConnectionLost):  # it may have sent last words
            await self._upstream.finish()

    async def _next_of_client(self) -> bytes:
        await self._until(lambda: self.up.empty() and self._watch.room > 0)
        return await self._client.receive(min(self._watch.room, limits.IMAP_WATCHED_READ_OCTETS))

    async def _hear_upstream(self) -> None:
        """Feed what the upstream says; its end is the session's when the client has all of it."""
        end = RelayEnd.UPSTREAM_CLOSED
        try:
            while data := await self._next_of_upstream():
                self._watch.upstream_said(data)
                self._moved()
        except ConnectionLost:
            end = RelayEnd.UPSTREAM_LOST
        self._closing(end)
        await self._until(self.down.empty)
        self._over(self._end or end)

    async def _next_of_upstream(self) -> bytes:
        await self._until(self.down.empty)
        return await self._upstream.receive(limits.TLS_CHUNK_OCTETS)

    async def _tell_client(self) -> None:
        while True:
            await self._pass(self.down)

    async def _tell_upstream(self) -> None:
        """An upstream that takes no more may have sent last words, so only this task ends."""
        try:
            while True:
                await self._pass(self.up)
        except ConnectionLost:
            self._closing(RelayEnd.UPSTREAM_LOST)

    async def _pass(self, writer: _Writer) -> None:
        await self._until(writer.has)
        octets = writer.begin()
        self._moved()  # what was taken made room
        await writer.send(octets)
        self._moved()

    async def _part(self) -> None:
        """End the session when the watch says so."""
        await self._until(lambda: self._watch.closing)
        end = RelayEnd.UPSTREAM_BROKE if self._watch.fault else RelayEnd.CLIENT_BROKE
        self._closing(end)
        await self._until(lambda: self._watch.over and self.down.empty())
        self._over(end)

    # --- what happens ---------------------------------------------------------------------------------------

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._news.wait()

    def _moved(self) -> None:
        """Octets have moved: whoever waits looks again."""
        self._last = self._loop.time()
        self._news.set()
        self._news = asyncio.Event()

    def _closing(self, end: RelayEnd) -> None:
        """One side has ended; the first reason stands."""
        if self._end is None:
            self._end = end
            self._last = self._loop.time()
            self._look_in(self._closing_s)

    def _cut(self) -> None:
        self._over(RelayEnd.CUT)

    def _over(self, end: RelayEnd) -> None:
        if not self._ended.done():
            self._ended.set_result(end)

    def _look_in(self, limit_s: float) -> None:
        self._limit_s = limit_s
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(limit_s, self._look)

    def _look(self) -> None:
        """Runs once a limit, not once a move."""
        left = self._last + self._limit_s - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._over(self._end or RelayEnd.IDLE)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """End tasks, whose faults are known by now."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
