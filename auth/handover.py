"""Waiting for a place that somebody else hands over: every way such a wait can end, in one spot.

Whoever hands a place over has counted it as taken already. So if the waiter is cancelled, or its time is up,
in the very turn of the hand-over, it must give the place back; at any other moment it only leaves the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def handed_over(
    place: asyncio.Future[None],
    deadline_s: float,
    *,
    give_back: Callable[[], None],
    leave: Callable[[], None],
) -> None:
    """Wait until `place` is handed over. Raises TimeoutError, and what `place` was refused with."""
    try:
        async with asyncio.timeout(deadline_s):
            await place
    except BaseException:
        if place.done() and not place.cancelled() and place.exception() is None:
            give_back()
        else:
            leave()
        raise
