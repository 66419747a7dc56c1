"""A time limit set and lifted at every wait that costs next to nothing: its timer moves only when due.

`asyncio.timeout` makes and cancels a timer for each wait; a request has half a dozen of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` once the time last set is over, unless it was lifted. `close` in the end."""

    __slots__ = ("_at", "_due", "_expired", "_loop", "_timer")

    def __init__(self, expired: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._expired = expired
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When the timer looks."""

    def within(self, seconds: float) -> None:
        """Expire so many seconds from now; what was set before does not count any more."""
        self._at = at = self._loop.time() + seconds
        if self._timer is not None:
            if self._due <= at:
                return
            self._timer.cancel()
        self._look_at(at)

    def lift(self) -> None:
        """Never expire, until it is set again."""
        self._at = None

    def close(self) -> None:
        """Lift it, and leave no timer."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, due: float) -> None:
        self._due = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._look_at(self._at)
        else:
            self._at = None
            self._expired()
