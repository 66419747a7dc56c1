"""Sign-ins on their way to the activity store: kept in memory for a moment, written in batches.

Recording never waits and never fails, so a slow or broken activity store cannot disturb a sign-in. While it
is broken the newest `ACTIVITY_PENDING` records are kept and older ones are dropped, with a line in the log.
A batch under way goes on to its end when whoever asked for it is cancelled, and the next one waits for it: at
shutdown nothing is written twice, and nothing is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from auth.store.errors import StoreUnavailable
from auth.store.rows import SignInRecord
from proxy.limits import ACTIVITY_BATCH_S, ACTIVITY_PENDING

log = logging.getLogger(__name__)


class ActivityStore(Protocol):
    """Where records end up."""

    async def record_sign_ins(self, records: list[SignInRecord]) -> None:
        """Write the records; raises StoreUnavailable."""


class Activity:
    """The queue before the activity store; one a worker."""

    def __init__(self, store: ActivityStore) -> None:
        self._store = store
        self._pending: deque[SignInRecord] = deque(maxlen=ACTIVITY_PENDING)
        self._dropped = 0
        self._trouble = ""
        self._arrived = asyncio.Event()
        self._under_way: asyncio.Task[bool] | None = None

    def record(self, record: SignInRecord) -> None:
        """Take one record; returns at once."""
        if len(self._pending) == self._pending.maxlen:
            self._dropped += 1
        self._pending.append(record)
        self._arrived.set()

    async def write(self) -> None:
        """Write batches until cancelled; call `flush` afterwards for the rest."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(ACTIVITY_BATCH_S)
            self._arrived.clear()
            if not await self.flush():
                self._arrived.set()

    async def flush(self) -> bool:
        """Write what is pending; False when the store could not take it (it stays pending)."""
        while self._under_way is not None and not self._under_way.done():
            await asyncio.wait([self._under_way])
        if not self._pending:
            return True
        self._under_way = asyncio.create_task(self._write_batch())
        return await asyncio.shield(self._under_way)

    async def _write_batch(self) -> bool:
        batch = list(self._pending)
        try:
            await self._store.record_sign_ins(batch)
        except StoreUnavailable as error:
            self._say(str(error))
            return False
        self._say("")
        for record in batch:
            if self._pending and self._pending[0] is record:  # not dropped in the meantime
                self._pending.popleft()
        if self._dropped:
            log.warning("activity dropped records=%d", self._dropped)
            self._dropped = 0
        return True

    def _say(self, trouble: str) -> None:
        """Log what keeps the store from writing, once, for it is asked twice a second; empty: it writes."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            log.warning("activity not written pending=%d cause=%s", len(self._pending), trouble)
        else:
            log.warning("activity is written again")
