"""One process of the gate as its fellows see it: a held file lock, a look at the change feed, a report.

A worker holds `NAME.lock` in the workers' folder for as long as it lives; the kernel lets go of it however
the worker ends, so whoever revokes knows exactly whose report to wait for. The worker looks at the change
feed every `FEED_POLL_S`, cuts what a change ended and answers each change with the number it cut.
A worker that cannot look for `FEED_BLIND_S` cuts everything, and so does one that finds another history than
the one it followed (a restored store): it no longer knows what is revoked.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from auth.store.errors import StoreUnavailable
from auth.store.rows import Change, FeedMark
from proxy.limits import FEED_BLIND_S, FEED_POLL_S, REPORT_WAIT_S

log = logging.getLogger(__name__)

_REPORT_POLL_S: Final = 0.02
"""Between two looks for reports on the command line."""


class Feed(Protocol):
    """What a worker needs of the store."""

    async def feed_mark(self) -> FeedMark:
        """Give the mark of the newest change."""

    async def changes_since(self, after: int) -> list[Change]:
        """Give the changes after number `after`, in order."""

    async def report(self, worker: str, change: FeedMark, cut: int) -> None:
        """Write how many sessions `worker` cut for a change."""


class Reported(Protocol):
    """What a waiting command needs of the store."""

    async def reports(self, change: FeedMark) -> dict[str, int]:
        """Give the sessions cut for a change, by worker."""


class Cutter(Protocol):
    """What ends sessions: `proxy.sessions.Registry`."""

    def cut(self, app_password_ids: Iterable[str]) -> int:
        """End the attempts and sessions of these app passwords; give their number."""

    def cut_all(self) -> int:
        """End every attempt and session; give their number."""


class WorkerLock:
    """A file that is locked while this process lives; its name is the worker's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        self.name = ""
        while not self.name:
            name = f"w_{secrets.token_hex(8)}"
            self._path = folder / f"{name}.lock"
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if os.fstat(self._descriptor).st_nlink:
                self.name = name
            else:  # swept away by another worker's start, between our open and our lock
                os.close(self._descriptor)

    def release(self) -> None:
        """Let go; the name is not used again."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def live_workers(folder: Path) -> frozenset[str]:
    """Name the workers whose locks are held now."""
    return frozenset(path.stem for path in folder.glob("w_*.lock") if _is_held(path))


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sweep(folder: Path) -> None:
    """Remove the files of workers that were killed."""
    for path in folder.glob("w_*.lock"):
        if not _is_held(path):
            path.unlink(missing_ok=True)


class Worker:
    """Follows the change feed and cuts what it ends."""

    def __init__(
        self, name: str, store: Feed, cutter: Cutter, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._store = store
        self._cutter = cutter
        self._monotonic = monotonic
        self._seen = FeedMark(0, b"")
        self._owed: deque[tuple[FeedMark, int]] = deque()
        self._owing = asyncio.Event()
        self._looked_at = monotonic()

    async def start(self) -> None:
        """Take the feed's mark as it stands; raises StoreUnavailable.

        Call it before the first sign-in: what was revoked earlier has no session to cut.
        """
        self._seen = await self._store.feed_mark()
        self._looked_at = self._monotonic()

    async def follow(self) -> None:
        """Look at the feed, and report, until cancelled. A report that waits holds no cut up."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._report_on())
            while True:
                await asyncio.sleep(FEED_POLL_S)
                await self.look()

    async def _report_on(self) -> None:
        while True:
            await self._owing.wait()
            self._owing.clear()
            await self.report()

    async def report(self) -> None:
        """Report each change that was taken and not yet reported."""
        while self._owed:
            change, cut = self._owed.popleft()
            try:
                await self._store.report(self.name, change, cut)
            except StoreUnavailable as error:
                log.warning("report not written change=%d cause=%s", change.seq, error)

    async def look(self) -> None:
        """Look at the feed once and cut what it ended; `report` tells of it."""
        try:
            mark = await self._store.feed_mark()
            if mark != self._seen:
                self._catch_up(mark, await self._store.changes_since(self._seen.seq - 1))
        except StoreUnavailable as error:
            self._blind(error)
            return
        self._looked_at = self._monotonic()

    def _catch_up(self, mark: FeedMark, changes: list[Change]) -> None:
        """Take what is new. `changes` begin with the one last seen, or this is not the history it was in."""
        seen = self._seen
        if mark.seq > seen.seq and (seen.seq == 0 or (changes and changes[0].mark == seen)):
            for change in changes:
                if change.mark.seq > seen.seq:
                    self._take(change)
        else:
            self._start_over(mark)

    def _take(self, change: Change) -> None:
        cut = self._cutter.cut(change.app_password_ids)
        self._seen = change.mark
        if cut:
            log.info("cut sessions=%d change=%d kind=%s", cut, change.mark.seq, change.kind)
        self._owe(change.mark, cut)

    def _start_over(self, mark: FeedMark) -> None:
        """Cut everything: what the other history revoked, and when, cannot be known."""
        cut = self._cutter.cut_all()
        log.error("cut every session: the store was replaced sessions=%d change=%d", cut, mark.seq)
        self._seen = mark
        self._owe(mark, cut)

    def _owe(self, change: FeedMark, cut: int) -> None:
        self._owed.append((change, cut))
        self._owing.set()

    def _blind(self, error: StoreUnavailable) -> None:
        if self._monotonic() - self._looked_at < FEED_BLIND_S:
            return
        if cut := self._cutter.cut_all():
            log.error(
                "cut every session: change feed unreadable for %.0f s sessions=%d cause=%s",
                FEED_BLIND_S,
                cut,
                error,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What the workers answered to one change."""

    sessions_cut: int
    silent_workers: int
    """Workers that live but did not answer in time; they cut within `FEED_BLIND_S` at the latest."""


async def await_reports(
    store: Reported, folder: Path, change: FeedMark | None, wait_s: float = REPORT_WAIT_S
) -> Reports:
    """Wait until every live worker has answered `change`, `wait_s` at most; None was no change at all."""
    if change is None:
        return Reports(sessions_cut=0, silent_workers=0)
    expected = live_workers(folder)
    deadline = time.monotonic() + wait_s
    answered: dict[str, int] = {}
    while True:
        try:
            answered = await store.reports(change)
        except StoreUnavailable as error:
            log.warning("reports not readable change=%d cause=%s", change.seq, error)
        silent = (expected - answered.keys()) & live_workers(folder)
        if not silent or time.monotonic() >= deadline:
            return Reports(sessions_cut=sum(answered.values()), silent_workers=len(silent))
        await asyncio.sleep(_REPORT_POLL_S)
