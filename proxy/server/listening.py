"""The listeners: all are open before the first one accepts, and a port that cannot be had is said plainly."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields

from config.address import Listen
from config.models import Listeners
from proxy.net.accept import AcceptLoop, listen
from proxy.net.balancers import Balancers
from proxy.net.connection import Connection
from proxy.net.strangers import Strangers
from proxy.server.errors import ServeError

Handler = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The ports that answer, in the order of the config; the fields are the keys of `[listen]`."""

    imaps: tuple[int, ...] = ()
    imap: tuple[int, ...] = ()
    submissions: tuple[int, ...] = ()
    submission: tuple[int, ...] = ()
    https: tuple[int, ...] = ()

    def __str__(self) -> str:
        return " ".join(f"{kind.name}={getattr(self, kind.name)}" for kind in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What accepts, by the keys of `[listen]`."""

    loops: Mapping[str, list[AcceptLoop]]

    @property
    def all(self) -> list[AcceptLoop]:
        """Every loop."""
        return [loop for loops in self.loops.values() for loop in loops]

    @property
    def bound(self) -> Bound:
        """The ports."""
        return Bound(**{kind: tuple(loop.port for loop in loops) for kind, loops in self.loops.items()})


def open_listeners(
    listeners: Listeners, handlers: Mapping[str, Handler], strangers: Strangers, stack: AsyncExitStack
) -> Listening:
    """Listen everywhere, then accept. `handlers` are by the keys of `[listen]`. Raises ServeError."""
    balancers = Balancers(networks=listeners.proxy_protocol)
    loops: dict[str, list[AcceptLoop]] = {}
    for kind, places in listeners.places.items():
        loops[kind] = []
        for place in places:
            loop = AcceptLoop(_bind(place), handlers[kind], strangers, balancers=balancers)
            stack.callback(loop.stop)
            loops[kind].append(loop)
    listening = Listening(loops=loops)
    for loop in listening.all:
        loop.start()
    return listening


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
