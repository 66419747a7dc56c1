"""A worker follows the change feed, cuts and reports; a waiting command hears exactly the live ones."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from auth.store.errors import StoreUnavailable
from auth.store.rows import Change, ChangeKind, FeedMark
from proxy.limits import FEED_BLIND_S
from proxy.worker import Reports, Worker, WorkerLock, await_reports, live_workers


def change(seq: int, *app_password_ids: str, history: bytes = b"first") -> Change:
    return Change(
        mark=FeedMark(seq, b"%s %d" % (history, seq)),
        kind=ChangeKind.REVOKED,
        account_id="ac_1",
        app_password_ids=tuple(app_password_ids),
    )


@dataclass
class FakeFeed:
    changes: list[Change] = field(default_factory=list)
    broken: bool = False
    origin: bytes = b"origin"
    reported: dict[FeedMark, dict[str, int]] = field(default_factory=dict)

    async def feed_mark(self) -> FeedMark:
        if self.broken:
            raise StoreUnavailable("locked")
        return self.changes[-1].mark if self.changes else FeedMark(0, self.origin)

    async def changes_since(self, after: int) -> list[Change]:
        if self.broken:
            raise StoreUnavailable("locked")
        return [each for each in self.changes if each.mark.seq > after]

    async def report(self, worker: str, change: FeedMark, cut: int) -> None:
        self.reported.setdefault(change, {})[worker] = cut

    async def reports(self, change: FeedMark) -> dict[str, int]:
        return self.reported.get(change, {})


@dataclass
class FakeSessions:
    live: dict[str, int] = field(default_factory=dict)

    def cut(self, app_password_ids) -> int:
        return sum(self.live.pop(each, 0) for each in app_password_ids)

    def cut_all(self) -> int:
        return self.cut(tuple(self.live))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_each_change_is_cut_once_and_reported():
    feed, sessions = FakeFeed(), FakeSessions(live={"ap_1": 2, "ap_2": 1})
    worker = Worker("w_1", feed, sessions)
    await worker.start()
    feed.changes += [change(1, "ap_1"), change(2, "ap_3")]
    await worker.look()
    await worker.look()
    assert feed.reported == {}, "a report that waits must hold no cut up"
    await worker.report()
    assert feed.reported == {change(1).mark: {"w_1": 2}, change(2).mark: {"w_1": 0}}
    assert sessions.live == {"ap_2": 1}


async def test_what_was_revoked_before_the_start_is_not_reported_again():
    feed = FakeFeed(changes=[change(1, "ap_1")])
    worker = Worker("w_1", feed, FakeSessions())
    await worker.start()
    await worker.look()
    await worker.report()
    assert feed.reported == {}


async def test_a_broken_look_is_made_good_by_the_next():
    feed, sessions = FakeFeed(), FakeSessions(live={"ap_1": 1})
    worker = Worker("w_1", feed, sessions)
    await worker.start()
    feed.changes.append(change(1, "ap_1"))
    feed.broken = True
    await worker.look()
    assert sessions.live == {"ap_1": 1}
    feed.broken = False
    await worker.look()
    assert sessions.live == {}


HISTORY = [change(1), change(2), change(3)]
ANOTHER = {
    "shorter": HISTORY[:2],
    "as long": [*HISTORY[:2], change(3, history=b"other")],
    "longer": [*HISTORY[:2], change(3, history=b"other"), change(4, history=b"other")],
    "longer, with a gap": [*HISTORY[:2], change(4, history=b"other")],
    "empty": [],
}


@pytest.mark.parametrize("restored", ANOTHER)
async def test_a_store_with_another_history_cuts_everything_and_is_followed_from_there(restored):
    feed = FakeFeed(changes=list(HISTORY))
    sessions = FakeSessions(live={"ap_1": 2, "ap_2": 1})
    worker = Worker("w_1", feed, sessions)
    await worker.start()
    feed.changes = list(ANOTHER[restored])
    await worker.look()
    assert sessions.live == {}
    sessions.live = {"ap_1": 1, "ap_3": 1}
    newest = await feed.feed_mark()
    later = change(newest.seq + 1, "ap_3", history=b"later")
    feed.changes.append(later)
    await worker.look()
    assert sessions.live == {"ap_1": 1}
    await worker.report()
    assert feed.reported == {newest: {"w_1": 3}, later.mark: {"w_1": 1}}


async def test_an_empty_store_with_another_history_is_followed_from_there():
    feed, sessions = FakeFeed(), FakeSessions()
    worker = Worker("w_1", feed, sessions)
    await worker.start()
    feed.origin = b"another"
    await worker.look()
    sessions.live = {"ap_1": 1, "ap_2": 1}
    await worker.look()
    assert sessions.live == {"ap_1": 1, "ap_2": 1}
    feed.changes.append(change(1, "ap_1"))
    await worker.look()
    assert sessions.live == {"ap_2": 1}


async def test_a_worker_blind_for_too_long_cuts_everything():
    clock, feed, sessions = Clock(), FakeFeed(), FakeSessions(live={"ap_1": 1, "ap_2": 3})
    worker = Worker("w_1", feed, sessions, monotonic=clock)
    await worker.start()
    feed.broken = True
    clock.now = FEED_BLIND_S - 0.1
    await worker.look()
    assert len(sessions.live) == 2
    clock.now = FEED_BLIND_S
    await worker.look()
    assert sessions.live == {}


def test_a_lock_is_live_until_released(tmp_path):
    lock = WorkerLock(tmp_path / "workers")
    assert live_workers(tmp_path / "workers") == {lock.name}
    lock.release()
    assert live_workers(tmp_path / "workers") == frozenset()
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_killed_worker_is_not_live_and_is_swept_by_the_next(tmp_path):
    hold = (
        "import pathlib, sys; from proxy.worker import WorkerLock;"
        "lock = WorkerLock(pathlib.Path(sys.argv[1])); print(lock.name, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        name = process.stdout.readline().strip()
        assert live_workers(tmp_path) == {name}
        os.kill(process.pid, signal.SIGKILL)
    assert live_workers(tmp_path) == frozenset()
    lock = WorkerLock(tmp_path)
    assert [path.stem for path in tmp_path.iterdir()] == [lock.name]
    lock.release()


SEVENTH = FeedMark(7, b"seventh")


async def test_a_command_waits_for_the_live_workers_and_sums_their_cuts(tmp_path):
    first, second = WorkerLock(tmp_path), WorkerLock(tmp_path)
    feed = FakeFeed(reported={SEVENTH: {first.name: 2, second.name: 3}})
    assert await await_reports(feed, tmp_path, SEVENTH) == Reports(sessions_cut=5, silent_workers=0)
    second.release()
    feed.reported[SEVENTH].pop(second.name)
    assert await await_reports(feed, tmp_path, SEVENTH) == Reports(sessions_cut=2, silent_workers=0)
    first.release()


async def test_a_live_worker_that_does_not_answer_is_counted_as_silent(tmp_path):
    lock = WorkerLock(tmp_path)
    reports = await await_reports(FakeFeed(), tmp_path, SEVENTH, wait_s=0.0)
    lock.release()
    assert reports == Reports(sessions_cut=0, silent_workers=1)


async def test_no_change_and_no_workers_wait_for_nothing(tmp_path):
    assert await await_reports(FakeFeed(), tmp_path, None) == Reports(sessions_cut=0, silent_workers=0)
    assert await await_reports(FakeFeed(), tmp_path, SEVENTH) == Reports(sessions_cut=0, silent_workers=0)
