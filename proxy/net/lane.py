"""One direction of a relay, one move at a time: take from the source, give to the sink. Never waits.

`CopyLane` goes through the thread's shared buffer and keeps nothing: its remainder stays with the sink.
`SpliceLane` stays in the kernel and keeps a remainder in its pipe. `lane_between` picks the right one.
"""

from __future__ import annotations

from proxy.net import splice
from proxy.net.channel import Channel, PlainChannel, shared_buffer


class CopyLane:
    """Octets go through the shared buffer."""

    __slots__ = ("_buffer", "_sink", "_source")

    def __init__(self, source: Channel, sink: Channel) -> None:
        self._source = source
        self._sink = sink
        self._buffer = shared_buffer()

    def take(self) -> int:
        """Read what has come; 0 is the source's clean end. `give` follows before anything else is read.

        BlockingIOError when nothing has come; ConnectionLost is about the source.
        """
        return self._source.receive_into(self._buffer)

    def give(self, octets: int) -> bool:
        """Pass on what `take` read; False when some is kept for `flush`. ConnectionLost is about the sink."""
        return self._sink.send(self._buffer[:octets])

    def flush(self) -> bool:
        """Pass on what was kept; True when nothing is left. ConnectionLost is about the sink."""
        return self._sink.flush()

    def close(self) -> None:
        """Drop what is kept here."""


class SpliceLane(CopyLane):
    """Octets stay in the kernel; both sides are bare sockets."""

    __slots__ = ("_from", "_pipe", "_pool", "_to")

    def __init__(self, source: PlainChannel, sink: PlainChannel, pool: splice.PipePool) -> None:
        super().__init__(source, sink)
        self._from = source.sock.fileno()
        self._to = sink.sock.fileno()
        self._pool = pool
        self._pipe: splice.Pipe | None = None

    def take(self) -> int:
        """See `CopyLane`."""
        self._pipe = pipe = self._pool.borrow()
        if pipe is None:
            return super().take()
        try:
            octets = pipe.fill(self._from)
        except BaseException:
            self.close()
            raise
        if not octets:
            self.close()
        return octets

    def give(self, octets: int) -> bool:
        """See `CopyLane`."""
        return super().give(octets) if self._pipe is None else self._empty(self._pipe)

    def flush(self) -> bool:
        """See `CopyLane`."""
        return super().flush() and (self._pipe is None or self._empty(self._pipe))

    def close(self) -> None:
        """See `CopyLane`."""
        if self._pipe is not None:
            pipe, self._pipe = self._pipe, None
            self._pool.give_back(pipe)

    def _empty(self, pipe: splice.Pipe) -> bool:
        if not pipe.drain(self._to):
            return False
        self.close()
        return True


def lane_between(source: Channel, sink: Channel, pool: splice.PipePool) -> CopyLane:
    """The cheapest lane from one channel to the other; `pool` lends the pipes of those in the kernel."""
    if isinstance(source, PlainChannel) and isinstance(sink, PlainChannel) and pool.usable:
        return SpliceLane(source, sink, pool)
    return CopyLane(source, sink)
