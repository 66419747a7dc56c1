"""How many connections have not signed in yet, by address and in all, and who gives way.

A full address drops its own oldest idle connection for a newcomer, so strangers who only wait cost honest
users nothing. Idle means that it is the peer's turn; a sign-in being worked on is never dropped, and where
nothing else is left the newcomer goes instead. Counts start at the accepted socket and end with `release`.
"""

from __future__ import annotations

from collections.abc import Hashable
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

    def __len__(self) -> int:
        return len(self._groups.get(None, ()))

    def add(self, guest: Guest) -> bool:
        """Count a newcomer; may drop the oldest idle ones. False: it cannot stay, and is not counted."""
        groups = self._groups_of(guest)
        for group, cap in groups:
            if len(self._groups.get(group, ())) >= cap and not self._drop_oldest_idle(group):
                return False
        for group, _ in groups:
            self._groups.setdefault(group, {})[guest] = None
        return True

    def release(self, guest: Guest) -> None:
        """Count it no longer: it has signed in, or is gone. Idempotent."""
        for key, _ in self._groups_of(guest):
            group = self._groups.get(key, {})
            if guest in group:
                del group[guest]
                if not group:
                    del self._groups[key]

    def make_room(self) -> int:
        """Drop the older half of all idle ones, one batch at most, to win back descriptors; how many."""
        idle = [guest for guest in self._groups.get(None, ()) if guest.waiting]
        oldest = idle[: min((len(idle) + 1) // 2, limits.ACCEPT_BATCH)]
        for guest in oldest:
            self._drop(guest)
        return len(oldest)

    def _drop_oldest_idle(self, key: Hashable) -> bool:
        oldest = next((guest for guest in self._groups.get(key, ()) if guest.waiting), None)
        if oldest is not None:
            self._drop(oldest)
        return oldest is not None

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
