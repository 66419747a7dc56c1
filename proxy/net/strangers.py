"""How many connections have not signed in yet, by address and in all, and who gives way.

A full address drops its own oldest idle connection for a newcomer, so strangers who only wait cost honest
users nothing. Idle means that it is the peer's turn; a sign-in being worked on is not dropped, and where
nothing else is left the newcomer goes instead. When the house is full there are two exceptions, so that those
who guess without pause never keep the others out: the address that fills it most gives way to one that has
less, at work or not; and so does whoever is doubted to a newcomer who is not. Doubted is who was refused here
before, or comes from an address that was. Counts start at the accepted socket and end with `release`.

What a load balancer has connected is nobody's until its header has come (`Guest.unannounced`). Until then it
counts apart from all others, under a cap of its own: a balancer's many connections are not taken for one
client's, and one that stalls takes no place of those who come directly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Protocol

from proxy import limits
from scopes.model import IPAddress


class Guest(Protocol):
    """What is counted: `proxy.net.connection.Connection`."""

    @property
    def peer(self) -> IPAddress | None:
        """Where it comes from; None on a Unix socket."""

    @property
    def unannounced(self) -> bool:
        """Whether a load balancer has yet to say whose it is. It changes only while it is not counted."""

    @property
    def waiting(self) -> bool:
        """Whether it is the peer's turn."""

    def abort(self) -> None:
        """Close it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most connections before sign-in."""

    per_address: int = limits.STRANGERS_PER_ADDRESS
    """From one IPv4 address or one IPv6 /64, the least that a site gives to one network (RFC 6177)."""
    per_site: int = limits.STRANGERS_PER_SITE
    """From one IPv6 /48."""
    in_all: int = limits.STRANGERS_IN_ALL
    unannounced: int = limits.STRANGERS_UNANNOUNCED
    """Of those that load balancers have yet to tell of; they are not among all."""


_UNANNOUNCED: Final = "unannounced"
"""Names their group."""


class Strangers:
    """Connections before sign-in, oldest first, shared by all listeners of a worker."""

    def __init__(
        self, caps: Caps | None = None, *, doubts: Callable[[IPAddress | None], bool] = lambda _: False
    ) -> None:
        """`doubts` tells of an address whether it has failed lately; asked once for each newcomer."""
        self._caps = caps or Caps()
        self._doubts = doubts
        self._doubted: dict[Guest, None] = {}
        self._groups: dict[Hashable, dict[Guest, None]] = {}
        self._by_size: dict[int, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._groups.get(None, ())) + len(self._groups.get(_UNANNOUNCED, ()))

    def add(self, guest: Guest) -> bool:
        """Count a newcomer; may drop the oldest idle ones. False: it cannot stay, and is not counted."""
        groups = self._groups_of(guest)
        doubted = not guest.unannounced and self._doubts(guest.peer)
        for key, cap in groups:
            if len(self._groups.get(key, ())) >= cap and not self._make_way(key, guest, doubted=doubted):
                return False
        for key, _ in groups:
            group = self._groups.setdefault(key, {})
            group[guest] = None
            self._resized(key, len(group) - 1, len(group))
        if doubted:
            self._doubted[guest] = None
        return True

    def doubt(self, guest: Guest) -> None:
        """Let it give way to those who are not doubted: it was refused. Nothing, when it is not counted."""
        if guest in self._groups.get(None, ()):
            self._doubted[guest] = None

    def release(self, guest: Guest) -> None:
        """Count it no longer: it has signed in, or is gone. Idempotent."""
        self._doubted.pop(guest, None)
        for key, _ in self._groups_of(guest):
            group = self._groups.get(key, {})
            if guest in group:
                del group[guest]
                self._resized(key, len(group) + 1, len(group))
                if not group:
                    del self._groups[key]

    def make_room(self) -> int:
        """Drop the older half of all idle ones, one batch at most, to win back descriptors; how many."""
        everyone = (*self._groups.get(None, ()), *self._groups.get(_UNANNOUNCED, ()))
        idle = [guest for guest in everyone if guest.waiting]
        oldest = idle[: min((len(idle) + 1) // 2, limits.ACCEPT_BATCH)]
        for guest in oldest:
            self._drop(guest)
        return len(oldest)

    def _make_way(self, key: Hashable, newcomer: Guest, *, doubted: bool) -> bool:
        if key is None:
            leaving = self._to_leave_for(newcomer, doubted=doubted)
        else:
            leaving = _oldest_idle(self._groups[key])
        if leaving is not None:
            self._drop(leaving)
        return leaving is not None

    def _to_leave_for(self, newcomer: Guest, *, doubted: bool) -> Guest | None:
        """The house is full. No place of an address goes to one that has more."""
        mine = self._crowd(newcomer)
        fullest = self._groups[next(iter(self._by_size[max(self._by_size)]))] if self._by_size else {}
        if len(fullest) > mine + 1:
            return _oldest_idle(fullest) or next(iter(fullest))
        suspects = [guest for guest in self._doubted if self._crowd(guest) >= mine]
        if leaving := _oldest_idle(suspects) or (None if doubted else next(iter(suspects), None)):
            return leaving
        return _oldest_idle(guest for guest in self._groups[None] if self._crowd(guest) >= mine)

    def _crowd(self, guest: Guest) -> int:
        """How many there are of its address, or of its site."""
        *narrower, _ = self._groups_of(guest)
        return len(self._groups.get(narrower[-1][0], ())) if narrower else 0

    def _resized(self, key: Hashable, before: int, after: int) -> None:
        if key in (None, _UNANNOUNCED):
            return
        if before:
            del self._by_size[before][key]
            if not self._by_size[before]:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, {})[key] = None

    def _drop(self, guest: Guest) -> None:
        self.release(guest)
        guest.abort()

    def _groups_of(self, guest: Guest) -> list[tuple[Hashable, int]]:
        """The narrowest first, so that whoever overfills an address pays for it."""
        if guest.unannounced:
            return [(_UNANNOUNCED, self._caps.unannounced)]
        everyone: tuple[Hashable, int] = (None, self._caps.in_all)
        match guest.peer:
            case None:
                return [everyone]
            case IPv4Address() as address:
                return [(address, self._caps.per_address), everyone]
            case address:
                network = int(address) >> 64
                site = (network >> 16, "site")
                return [(network, self._caps.per_address), (site, self._caps.per_site), everyone]


def _oldest_idle(guests: Iterable[Guest]) -> Guest | None:
    return next((guest for guest in guests if guest.waiting), None)
