"""Who may have an unproven sign-in looked at now, and whose turn is next.

A sign-in whose secret is not known yet costs reads of the store and a hash, and anyone can ask for one. So
only so many are worked on at a time, and the others wait here, not in the queues behind. Each network gets
its turn before any gets a second one, however many it sends. Networks that have failed lately (`doubted`) go
behind the others, but get every fourth turn, because honest apps live behind shared addresses too; and they
never take all the places, so that an honest newcomer finds one free.

The queue has an end and a deadline; beyond either the answer is `Busy`, which is an outage and never a wrong
password. When it is full, the network that has most in it gives up its last place. Whoever is cancelled while
waiting frees the place at once. One loop; no clock but the loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from typing import Final

from auth.handover import handed_over
from auth.hashing import Busy, processors

AT_A_TIME: Final = 16
"""Enough to keep the store's readers and the hashing threads of a dozen processors busy."""
DOUBTED_TURN: Final = 4
"""While others wait too, every fourth turn goes to those who are doubted."""
WAITING_MOST: Final = 2_048
"""Two cores serve this many in about eight seconds."""
DEADLINE_S: Final = 8.0
"""Clients give up after ten or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """On whose behalf work is done."""

    origin: Hashable = None
    """What takes turns with others: a network, or None for all who are at no address."""
    doubted: bool = False
    """Whether it has failed lately."""


class Ring:
    """Places in a queue, by origin: each origin's turn comes once before any comes twice."""

    def __init__(self) -> None:
        self._places: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, origin: Hashable, place: asyncio.Future[None]) -> None:
        """Queue up behind those of the same origin; a new origin goes behind all that are there."""
        self._places.setdefault(origin, deque()).append(place)
        self._count += 1

    def take(self) -> asyncio.Future[None]:
        """Give the next place; its origin goes to the end. Somebody must be there."""
        origin = next(iter(self._places))
        places = self._places.pop(origin)
        place = places.popleft()
        if places:
            self._places[origin] = places
        self._count -= 1
        return place

    def remove(self, origin: Hashable, place: asyncio.Future[None]) -> None:
        """Leave, if still there."""
        places = self._places.get(origin, deque())
        with contextlib.suppress(ValueError):
            places.remove(place)
            self._count -= 1
            if not places:
                del self._places[origin]

    def crowd(self, origin: Hashable) -> int:
        """How many of this origin wait."""
        return len(self._places.get(origin, ()))

    def last_of_fullest(self) -> tuple[Hashable, asyncio.Future[None]]:
        """Name the origin that has most, and its last place. Somebody must be there."""
        origin = max(self._places, key=self.crowd)
        return origin, self._places[origin][-1]


class Turns:
    """At most `at_a_time` work; of those `doubted_at_a_time`, at most, are doubted."""

    def __init__(
        self,
        *,
        at_a_time: int = AT_A_TIME,
        doubted_at_a_time: int | None = None,
        waiting_most: int = WAITING_MOST,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """By default as many are doubted as there are processors: all at work, and none of them for long."""
        self._at_a_time = at_a_time
        self._most = {False: at_a_time, True: doubted_at_a_time or min(processors(), at_a_time - 1)}
        self._waiting_most = waiting_most
        self._deadline_s = deadline_s
        self._working = {False: 0, True: 0}
        self._waiting = {False: Ring(), True: Ring()}
        self._passed_over = 0

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def turn(self, asker: Asker) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as the block takes. Raises Busy."""
        if self._may_work(doubted=asker.doubted) and not self._waiting[asker.doubted]:
            self._working[asker.doubted] += 1
        else:
            await self._wait(asker)
        try:
            yield
        finally:
            self._leave(asker)

    def _may_work(self, *, doubted: bool) -> bool:
        return (
            sum(self._working.values()) < self._most[False] and self._working[doubted] < self._most[doubted]
        )

    async def _wait(self, asker: Asker) -> None:
        """Queue up until `_leave` hands a turn over (already counted as working). Raises Busy."""
        ring = self._waiting[asker.doubted]
        if len(ring) >= self._waiting_most:
            _make_room(ring, asker.origin)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ring.add(asker.origin, place)
        try:
            await handed_over(
                place,
                self._deadline_s,
                give_back=lambda: self._leave(asker),
                leave=lambda: ring.remove(asker.origin, place),
            )
        except TimeoutError:
            raise Busy("a sign-in waited too long for its turn") from None

    def _leave(self, asker: Asker) -> None:
        """Give a turn back and hand the free ones to those who wait."""
        self._working[asker.doubted] -= 1
        while (doubted := self._following()) is not None:
            place = self._waiting[doubted].take()
            if not place.done():
                self._working[doubted] += 1
                place.set_result(None)

    def _following(self) -> bool | None:
        """Tell whether the next turn is for who is doubted; None when nobody waits who may work."""
        ready = [each for each in (False, True) if self._waiting[each] and self._may_work(doubted=each)]
        if len(ready) < 2:
            return ready[0] if ready else None
        self._passed_over = (self._passed_over + 1) % DOUBTED_TURN
        return self._passed_over == 0


def _make_room(ring: Ring, newcomer: Hashable) -> None:
    """Send the last of the fullest origin away, if the newcomer's has less even with it. Raises Busy."""
    origin, place = ring.last_of_fullest() if ring else (newcomer, None)
    if place is None or ring.crowd(origin) <= ring.crowd(newcomer) + 1:
        raise Busy("too many sign-ins are waiting")
    ring.remove(origin, place)
    if not place.done():
        place.set_exception(Busy("too many sign-ins are waiting"))
