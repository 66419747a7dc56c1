"""What a session still has to send, given to the transport piece by piece.

Pieces may be iterators, so a message leaves the disk when the client is ready for it and a client that does
not read holds a bounded number of octets here. Making them is work in the one thread that serves every
session, so pieces may hold a `PAUSE`: the others get their turn. `drained` is called each time everything has
gone out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Octets = bytes | memoryview

PAUSE: Final = b""
"""A piece (any empty one) behind which other sessions get their turn."""
_CHUNK_OCTETS: Final = 65_536


class Timer(Protocol):
    """A call to come (Twisted's `IDelayedCall`)."""

    def active(self) -> bool:
        """Whether it is still to come."""

    def cancel(self) -> None:
        """Call it off."""


class Sink(Protocol):
    """The part of a Twisted transport that is used here."""

    def write(self, data: bytes) -> object:
        """Send octets."""

    def registerProducer(self, producer: Outbox, streaming: bool) -> object:  # noqa: N802
        """Ask `producer` for more whenever there is nothing left to send."""

    def unregisterProducer(self) -> object:  # noqa: N802
        """Ask it no more."""


@implementer(IPullProducer)
class Outbox:
    """A queue of octets in front of a transport."""

    def __init__(
        self, sink: Sink, drained: Callable[[], None], later: Callable[[Callable[[], None]], Timer]
    ) -> None:
        self._sink = sink
        self._drained = drained
        self._later = later
        self._pause: Timer | None = None
        self._waiting: deque[Iterator[Octets]] = deque()
        self._registered = False

    @property
    def empty(self) -> bool:
        """Whether everything has gone to the kernel."""
        return not self._registered

    def put(self, pieces: Iterator[Octets]) -> None:
        """Send these after all that waits already."""
        self._waiting.append(pieces)
        if not self._registered:
            self._registered = True
            self._sink.registerProducer(self, streaming=False)

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's interface
        """Send the next pieces, about a chunk of them; a long piece goes out in slices."""
        self._end_pause()
        batch: list[Octets] = []
        size = 0
        while self._waiting and size < _CHUNK_OCTETS:
            piece = next(self._waiting[0], None)
            if piece is None:
                self._waiting.popleft()
            elif not piece:
                break
            elif len(piece) > _CHUNK_OCTETS:
                self._waiting.appendleft(_slices(piece))
            else:
                batch.append(piece)
                size += len(piece)
        if batch:
            self._sink.write(b"".join(batch))  # the sink asks again, in another turn
        elif self._waiting:
            self._pause = self._later(self.resumeProducing)
        else:
            self._registered = False
            self._sink.unregisterProducer()
            self._drained()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's interface
        """The connection is gone."""
        self._waiting.clear()
        self._end_pause()

    def _end_pause(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None and pause.active():
            pause.cancel()


def _slices(octets: Octets) -> Iterator[Octets]:
    for start in range(0, len(octets), _CHUNK_OCTETS):
        yield octets[start : start + _CHUNK_OCTETS]
