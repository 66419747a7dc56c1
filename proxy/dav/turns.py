"""Whose turn it is at the server behind: so many requests at a time, and of one account only a part of them.

A request keeps its turn for as long as its client takes to send a body or to read an answer, and nothing ends
that but silence. So nobody may have them all: whoever has its part waits for itself, not the others for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.limits import DAV_UPSTREAM_TURN_S
from proxy.upstreams.place import UpstreamFailure


@dataclass(slots=True)
class _One:
    free: asyncio.Semaphore
    users: int = 0
    """Who have a turn or wait for one."""


class Turns:
    """Give each turn back that was taken."""

    def __init__(self, *, most: int, of_one: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._of_one = of_one
        self._ones: dict[str, _One] = {}

    async def take(self, account_id: str) -> None:
        """Wait for a turn, not for long. UpstreamFailure."""
        one = self._ones.get(account_id)
        if one is None:
            one = self._ones[account_id] = _One(asyncio.Semaphore(self._of_one))
        one.users += 1
        try:
            if one.free.locked() or self._free.locked():
                async with asyncio.timeout(DAV_UPSTREAM_TURN_S):
                    await self._take(one)
            else:
                await self._take(one)
        except TimeoutError:
            self._leave(account_id, one)
            raise UpstreamFailure("every connection to the DAV server is in use") from None
        except BaseException:
            self._leave(account_id, one)
            raise

    def give(self, account_id: str) -> None:
        """Give one back."""
        one = self._ones[account_id]
        self._free.release()
        one.free.release()
        self._leave(account_id, one)

    async def _take(self, one: _One) -> None:
        await one.free.acquire()
        try:
            await self._free.acquire()
        except BaseException:
            one.free.release()
            raise

    def _leave(self, account_id: str, one: _One) -> None:
        one.users -= 1
        if not one.users:
            del self._ones[account_id]
