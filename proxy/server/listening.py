"""The listeners: all are open before the first one accepts, and a port that cannot be had is said plainly."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from config.address import Listen
from config.listening import Listeners
from proxy.net.accept import AcceptLoop, listen
from proxy.net.balancers import Balancers
from proxy.net.connection import Connection
from proxy.net.strangers import Strangers
from proxy.server.errors import ServeError

Handler = Callable[[Connection], Awaitable[None]]

_Spot = tuple[Listen, str, int]
"""A place, what it is for where that is part of it (any free port), and which of those that are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The ports that answer, in the order of the config; the fields are the keys of `[listen]`."""

    imaps: tuple[int, ...] = ()
    imap: tuple[int, ...] = ()
    submissions: tuple[int, ...] = ()
    submission: tuple[int, ...] = ()
    https: tuple[int, ...] = ()
    portal: tuple[int, ...] = ()

    def __str__(self) -> str:
        return " ".join(f"{kind.name}={getattr(self, kind.name)}" for kind in fields(self))


class Listening:
    """What accepts. Places may come and go while it does; connections that are there stay."""

    def __init__(self, strangers: Strangers) -> None:
        self._strangers = strangers
        self._loops: dict[_Spot, tuple[str, AcceptLoop]] = {}
        self._retired: list[AcceptLoop] = []

    @property
    def all(self) -> list[AcceptLoop]:
        """Every loop, those that accept no more and still have connections too."""
        return [*(loop for _, loop in self._loops.values()), *self._retired]

    @property
    def bound(self) -> Bound:
        """The ports."""
        ports: dict[str, tuple[int, ...]] = {kind.name: () for kind in fields(Bound)}
        for kind, loop in self._loops.values():
            ports[kind] = (*ports[kind], loop.port)
        return Bound(**ports)

    def change(self, listeners: Listeners, handlers: Mapping[str, Handler]) -> None:
        """Listen at these places and no others, `handlers` by the keys of `[listen]`.

        All are open before the first one accepts; raises ServeError with everything as it was.
        """
        balancers = Balancers(networks=listeners.proxy_protocol)
        wanted = dict(_spots(listeners))
        new = self._opened([spot for spot in wanted if spot not in self._loops], wanted, handlers)
        loops = {spot: new[spot] if spot in new else self._loops[spot][1] for spot in wanted}
        gone = [loop for spot, (_, loop) in self._loops.items() if spot not in wanted]
        for spot, loop in loops.items():
            loop.handler, loop.balancers = handlers[wanted[spot]], balancers
            loop.start()
        for loop in gone:
            loop.stop()
        self._loops = {spot: (wanted[spot], loop) for spot, loop in loops.items()}
        self._retired = [loop for loop in (*self._retired, *gone) if loop.connections]

    def stop(self) -> None:
        """Accept no more; connections go on."""
        for loop in self.all:
            loop.stop()

    def _opened(
        self, spots: Sequence[_Spot], kinds: Mapping[_Spot, str], handlers: Mapping[str, Handler]
    ) -> dict[_Spot, AcceptLoop]:
        """Listen, without accepting yet."""
        opened: dict[_Spot, AcceptLoop] = {}
        try:
            for spot in spots:
                opened[spot] = AcceptLoop(_bind(spot[0]), handlers[kinds[spot]], self._strangers)
        except BaseException:
            for loop in opened.values():
                loop.stop()
            raise
        return opened


def _spots(listeners: Listeners) -> Iterator[tuple[_Spot, str]]:
    """Give each place with its kind; a place that stands there twice (any free port) is two."""
    seen: Counter[tuple[Listen, str]] = Counter()
    for kind, places in listeners.places.items():
        for place in places:
            alike = (place, "" if place.port else kind)
            yield (*alike, seen[alike]), kind
            seen[alike] += 1


def _bind(place: Listen) -> socket.socket:
    try:
        return listen(place.host, place.port)
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                hint = "something else listens there; end it, or choose another port"
            case errno.EACCES:
                hint = "ports below 1024 need privileges: choose a higher one, or grant CAP_NET_BIND_SERVICE"
            case _:
                hint = "see whether this machine has the address"
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        what = f"cannot listen on {place}: {reason.lower()}"
        raise ServeError(what, hint) from None
