"""What one DAV connection is to the log: a session for each app password that was good on it.

A session lasts from the first request that the gate let in to the connection's end. What was carried is
counted request by request, so that it is told of the app password it was carried for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from proxy.dav.client import Client
from proxy.entrance import Asked, Entrance, Reached
from proxy.log.events import Ended, Traffic
from proxy.log.words import Drop, SessionEnd
from scopes.model import Grant

_DROPS: Final[Mapping[SessionEnd, Drop]] = MappingProxyType(
    {
        SessionEnd.CLIENT_LOST: Drop.CLIENT_LOST,
        SessionEnd.IDLE: Drop.TOO_SLOW,
        SessionEnd.STOPPING: Drop.STOPPING,
        SessionEnd.FAULT: Drop.FAULT,
    }
)
"""How the same end is called where nobody had signed in; the others are ordinary, and no news."""


@dataclass(slots=True)
class _Count:
    octets_in: int = 0
    octets_out: int = 0
    requests: int = 0

    def traffic(self) -> Traffic:
        return Traffic(octets_in=self.octets_in, octets_out=self.octets_out, requests=self.requests)


class Sessions:
    """Those of one connection; false while nobody has signed in."""

    def __init__(self, entrance: Entrance[Reached], client: Client) -> None:
        self._entrance = entrance
        self._client = client
        self._counts: dict[str, _Count] = {}
        self._current: _Count | None = None
        self._counted = (0, 0)
        self._end: tuple[SessionEnd, str] | None = None

    def __bool__(self) -> bool:
        return bool(self._counts)

    def request(self, grant: Grant, introduced: Callable[[], Asked]) -> None:
        """Know whose the request under way is. The first of an app password begins its session."""
        if grant.app_password_id not in self._counts:
            self._counts[grant.app_password_id] = _Count()
            self._entrance.granted(introduced(), grant)
        self._current = self._counts[grant.app_password_id]
        self._current.requests += 1

    def served(self) -> None:
        """Count what was carried since the last call, if the request that was under way was let in."""
        octets = self._client.octets_in, self._client.octets_out
        if self._current is not None:
            self._current.octets_in += octets[0] - self._counted[0]
            self._current.octets_out += octets[1] - self._counted[1]
        self._counted = octets
        self._current = None

    def ending(self, reason: SessionEnd, cause: str = "") -> None:
        """Know why the connection ends. The first reason stands."""
        if self._end is None:
            self._end = reason, cause

    def over(self) -> None:
        """Tell of every session's end; where there was none, of the connection's, if that is news."""
        self.served()
        reason, cause = self._end or (SessionEnd.CLIENT_CLOSED, "")
        for app_password_id, count in self._counts.items():
            self._entrance.teller.ended(
                app_password_id, Ended(reason=reason, traffic=count.traffic(), cause=cause)
            )
        if not self._counts and reason in _DROPS:
            self._entrance.teller.dropped(_DROPS[reason], cause)
