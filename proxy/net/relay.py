"""Join two connections: octets both ways on the loop's callbacks, until one side ends or is cut.

Two states. Detached: both directions flow, nothing is parsed. Closing, from the first end on: the end is
passed on behind the octets before it (close_notify and FIN; a missing close_notify stays missing), what is
left flows on, and a short time without a move ends the rest. When `relay` returns, both are closed.

A direction reads its source only while its sink has taken everything, so a reader that does not read holds
one relay buffer. An idle session costs the few small objects of this module and the TLS objects, no buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final

from proxy import limits
from proxy.net.channel import ConnectionLost, Truncated
from proxy.net.connection import Connection
from proxy.net.lane import CopyLane, lane_between
from proxy.net.splice import PipePool, pipe_pool


class RelayEnd(StrEnum):
    """What began the end of a session."""

    CLIENT_CLOSED = "client closed"
    UPSTREAM_CLOSED = "upstream closed"
    IDLE = "idle"
    CLIENT_BROKE = "client broke the protocol"
    """Only where commands are watched, as the next."""
    UPSTREAM_BROKE = "upstream broke the protocol"
    CUT = "cut"
    """One of the connections was aborted here."""
    CLIENT_LOST = "client lost"
    """Reset, timed out or broken TLS."""
    UPSTREAM_LOST = "upstream lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """What a relay did."""

    end: RelayEnd
    to_upstream: int
    """Octets passed on to the upstream, those given at the start included."""
    to_client: int
    cause: str = ""
    """What the upstream did wrong, for the log; only where commands are watched."""


async def relay(
    client: Connection,
    upstream: Connection,
    *,
    to_upstream: bytes = b"",
    to_client: bytes = b"",
    idle_s: float,
    closing_s: float = limits.RELAY_CLOSING_S,
    pool: PipePool | None = None,
) -> Relayed:
    """Take over both connections and join them until the session has ended; both are closed then.

    `to_upstream` and `to_client` go first. `idle_s` is how long nothing may move, `closing_s` the same once
    one side has ended. Ended by `abort` of either connection, by cancelling, and by the peers; raises nothing
    for what peers do. `pool` lends the pipes, by default this thread's.
    """
    pool = pool or pipe_pool()
    session = _Session(client, upstream, idle_s=idle_s, closing_s=closing_s, pool=pool)
    try:
        session.start(to_upstream, to_client)
        end = await session.ended
    finally:
        session.release()
    return Relayed(end=end, to_upstream=session.up.octets, to_client=session.down.octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """What the ends of one direction are called."""

    source_closed: RelayEnd
    source_lost: RelayEnd
    sink_lost: RelayEnd


_CLIENT: Final = _Ends(
    source_closed=RelayEnd.CLIENT_CLOSED, source_lost=RelayEnd.CLIENT_LOST, sink_lost=RelayEnd.UPSTREAM_LOST
)
_UPSTREAM: Final = _Ends(
    source_closed=RelayEnd.UPSTREAM_CLOSED, source_lost=RelayEnd.UPSTREAM_LOST, sink_lost=RelayEnd.CLIENT_LOST
)


class _State(Enum):
    FLOWING = auto()
    BLOCKED = auto()  # the sink has not taken everything; the source is not read
    ENDING = auto()  # the source has ended; the sink has not taken everything or not been told
    DONE = auto()


_AWAITS_SINK: Final = (_State.BLOCKED, _State.ENDING)


class _Session:
    """Both directions, their common clock and their common end."""

    __slots__ = ("_closing_s", "_last", "_limit_s", "_loop", "_timer", "down", "end", "ended", "up")

    def __init__(
        self, client: Connection, upstream: Connection, *, idle_s: float, closing_s: float, pool: PipePool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._limit_s = idle_s
        self._closing_s = closing_s
        self._timer: asyncio.TimerHandle | None = None
        self.end: RelayEnd | None = None
        self.ended: asyncio.Future[RelayEnd] = self._loop.create_future()
        up = lane_between(client.channel, upstream.channel, pool)
        down = lane_between(upstream.channel, client.channel, pool)
        self.up = _Direction(self, client, upstream, up, _CLIENT)
        self.down = _Direction(self, upstream, client, down, _UPSTREAM)

    def start(self, to_upstream: bytes, to_client: bytes) -> None:
        for connection in (self.up.source, self.down.source):
            connection.on_abort = self._cut
        if self.up.source.closed or self.down.source.closed:
            self._cut()
        self._watch(self._limit_s)
        for direction, first in ((self.up, to_upstream), (self.down, to_client)):
            if not self.ended.done():
                direction.start(first)

    def release(self) -> None:
        """Close both connections, whatever state they are in."""
        if self._timer is not None:
            self._timer.cancel()
        for direction in (self.up, self.down):
            direction.source.on_abort = None
            direction.stop()
        for direction in (self.up, self.down):
            direction.source.abort()
            direction.forget()

    def moved(self) -> None:
        self._last = self._loop.time()

    def close(self, end: RelayEnd) -> None:
        """Enter Closing; the first reason stands."""
        if self.end is None:
            self.end = end
            self._last = self._loop.time()
            self._watch(self._closing_s)

    def settle(self) -> None:
        """End when nothing more can move: both directions done, or the client gone for both."""
        if self.up.done and (self.down.done or self.down.sink_lost):
            self._over(self.end or RelayEnd.CLIENT_LOST)

    def other(self, direction: _Direction) -> _Direction:
        return self.down if direction is self.up else self.up

    def fail(self, bug: Exception) -> None:
        """End by a fault of ours, raised to whoever waits for the relay."""
        if not self.ended.done():
            self.ended.set_exception(bug)
            self.up.stop()
            self.down.stop()

    def _cut(self) -> None:
        self._over(RelayEnd.CUT)

    def _over(self, end: RelayEnd) -> None:
        if not self.ended.done():
            self.ended.set_result(end)
            self.up.stop()
            self.down.stop()

    def _watch(self, limit_s: float) -> None:
        self._limit_s = limit_s
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(limit_s, self._look)

    def _look(self) -> None:
        """Runs once a limit, not once a move."""
        left = self._last + self._limit_s - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
            return
        if self.end is None:
            self.up.farewell()
            self.down.farewell()
        self._over(self.end or RelayEnd.IDLE)


class _Direction:
    """Octets from one connection to another. FLOWING reads the source, BLOCKED and ENDING await the sink."""

    __slots__ = (
        "_clean",
        "_ends",
        "_lane",
        "_loop",
        "_session",
        "_sink",
        "_state",
        "octets",
        "sink_lost",
        "source",
    )

    def __init__(
        self, session: _Session, source: Connection, sink: Connection, lane: CopyLane, ends: _Ends
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._sink = sink
        self._ends = ends
        self._clean = True
        self._state = _State.DONE
        self._lane = lane
        self.source = source
        self.sink_lost = False
        """The sink takes nothing any more; what the source still sends is dropped until it ends."""
        self.octets = 0

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def start(self, first: bytes) -> None:
        self.octets = len(first)
        self._enter(_State.BLOCKED)
        self._run(lambda: self._begin(first))

    def stop(self) -> None:
        """Move nothing more; the descriptors are closed by others."""
        self._enter(_State.DONE)
        self._lane.close()

    def forget(self) -> None:
        """Break the circle with the session: TLS objects are not to wait for the garbage collector."""
        del self._session

    def farewell(self) -> None:
        """Tell the sink that no more comes, if it has everything and takes it at once."""
        if self._state is _State.FLOWING and not self.sink_lost:
            with contextlib.suppress(ConnectionLost):
                self._sink.channel.finish(clean=True)

    def _run(self, step: Callable[[], None]) -> None:
        """Every callback comes through here: left to the loop, a fault of ours would be called for ever."""
        try:
            step()
        except Exception as bug:  # noqa: BLE001 - raised by `relay`
            self._session.fail(bug)

    def _begin(self, first: bytes) -> None:
        try:
            taken = self._sink.channel.send(memoryview(first))
        except ConnectionLost:
            self._lose_sink()
            return
        if taken:
            self._enter(_State.FLOWING)
            self._move_what_is_held()

    def _move(self) -> None:
        self._move_once()
        self._move_what_is_held()

    def _move_what_is_held(self) -> None:
        """Move on while no readiness will announce what there is; each move takes some of it."""
        while self._state is _State.FLOWING and self.source.channel.holds:
            self._move_once()

    def _move_once(self) -> None:
        try:
            octets = self._lane.take()
        except BlockingIOError:
            return
        except Truncated:
            self._source_ended(clean=False)
            return
        except ConnectionLost:
            self._lose_source()
            return
        if not octets:
            self._source_ended(clean=True)
        elif not self.sink_lost:
            self._pass_on(octets)

    def _pass_on(self, octets: int) -> None:
        self._session.moved()
        self.octets += octets
        try:
            if not self._lane.give(octets):
                self._enter(_State.BLOCKED)
        except ConnectionLost:
            self._lose_sink()

    def _flush(self) -> None:
        self._session.moved()
        ending = self._state is _State.ENDING
        try:
            done = self._lane.flush() and (not ending or self._sink.channel.finish(clean=self._clean))
        except ConnectionLost:
            self._lose_sink()
            return
        if done:
            self._enter(_State.DONE if ending else _State.FLOWING)
            self._session.settle()
            self._move_what_is_held()

    def _source_ended(self, *, clean: bool) -> None:
        self._session.close(self._ends.source_closed)
        self._clean = clean
        if self.sink_lost:
            self._enter(_State.DONE)
            self._session.settle()
        else:
            self._enter(_State.ENDING)
            self._flush()

    def _lose_source(self) -> None:
        """The source is gone both ways; what came from it before still goes out."""
        self._session.close(self._ends.source_lost)
        other = self._session.other(self)
        other.sink_lost = True
        other.stop()
        self._source_ended(clean=False)

    def _lose_sink(self) -> None:
        """The sink takes no more; it may have sent last words, so its own direction ends by itself."""
        self._session.close(self._ends.sink_lost)
        self.sink_lost = True
        self._lane.close()
        self._lane = CopyLane(self.source.channel, self._sink.channel)
        self._enter(_State.DONE if self._state is _State.ENDING else _State.FLOWING)
        self._session.settle()

    def _enter(self, state: _State) -> None:
        """Change state, and what the loop watches with it."""
        before, self._state = self._state, state
        if before is state:
            return
        if not self.source.closed:
            if before is _State.FLOWING:
                self._loop.remove_reader(self.source.fileno())
            elif state is _State.FLOWING:
                self._loop.add_reader(self.source.fileno(), self._run, self._move)
        if not self._sink.closed and (before in _AWAITS_SINK) != (state in _AWAITS_SINK):
            if state in _AWAITS_SINK:
                self._loop.add_writer(self._sink.fileno(), self._run, self._flush)
            else:
                self._loop.remove_writer(self._sink.fileno())
