"""How many connections have not signed in yet, by address and in all, and who gives way.

A full address drops its own oldest idle connection for a newcomer, so strangers who only wait cost honest
users nothing. Idle means that it is the peer's turn; a sign-in being worked on is not dropped, and where
nothing else is left the newcomer goes instead. With one exception: when the house is full, the address that
fills it most gives way to one that has less, at work or not, so a few addresses that guess without pause
never keep the others out. Counts start at the accepted socket and end with `release`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from proxy import limits
from scopes.model import IPAddress


class Guest(Protocol):
    """What is counted: `proxy.net.connection.Connection`."""

    @property
    def peer(self) -> IPAddress | None:
        """Where it comes from; None on a Unix socket."""

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


class Strangers:
    """Connections before sign-in, oldest first, shared by all listeners of a worker."""

    def __init__(self, caps: Caps | None = None) -> None:
        self._caps = caps or Caps()
        self._groups: dict[Hashable, dict[Guest, None]] = {}
        self._by_size: dict[int, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._groups.get(None, ()))

    def add(self, guest: Guest) -> bool:
        """Count a newcomer; may drop the oldest idle ones. False: it cannot stay, and is not counted."""
        groups = self._groups_of(guest)
        for key, cap in groups:
            if len(self._groups.get(key, ())) >= cap and not self._make_way(key, guest):
                return False
        for key, _ in groups:
            group = self._groups.setdefault(key, {})
            group[guest] = None
            self._resized(key, len(group) - 1, len(group))
        return True

    def release(self, guest: Guest) -> None:
        """Count it no longer: it has signed in, or is gone. Idempotent."""
        for key, _ in self._groups_of(guest):
            group = self._groups.get(key, {})
            if guest in group:
                del group[guest]
                self._resized(key, len(group) + 1, len(group))
                if not group:
                    del self._groups[key]

    def make_room(self) -> int:
        """Drop the older half of all idle ones, one batch at most, to win back descriptors; how many."""
        idle = [guest for guest in self._groups.get(None, ()) if guest.waiting]
        oldest = idle[: min((len(idle) + 1) // 2, limits.ACCEPT_BATCH)]
        for guest in oldest:
            self._drop(guest)
        return len(oldest)

    def _make_way(self, key: Hashable, newcomer: Guest) -> bool:
        group = self._groups[key]
        leaving = _oldest_idle(group) if key is not None else self._to_leave_for(newcomer)
        if leaving is not None:
            self._drop(leaving)
        return leaving is not None

    def _to_leave_for(self, newcomer: Guest) -> Guest | None:
        """The house is full. No place of an address goes to one that has more."""
        mine = self._crowd(newcomer)
        fullest = self._groups[next(iter(self._by_size[max(self._by_size)]))] if self._by_size else {}
        if len(fullest) > mine + 1:
            return _oldest_idle(fullest) or next(iter(fullest))
        for guest in self._groups[None]:
            if guest.waiting and self._crowd(guest) >= mine:
                return guest
        return None

    def _crowd(self, guest: Guest) -> int:
        """How many there are of its address, or of its site."""
        *narrower, _ = self._groups_of(guest)
        return len(self._groups.get(narrower[-1][0], ())) if narrower else 0

    def _resized(self, key: Hashable, before: int, after: int) -> None:
        if key is None:
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
