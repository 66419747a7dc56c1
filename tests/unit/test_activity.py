"""Records of sign-ins are written in batches; a broken store loses the oldest and disturbs nobody."""

import asyncio
from dataclasses import dataclass, field

import pytest

from auth.store.errors import StoreUnavailable
from proxy.activity import Activity
from proxy.limits import ACTIVITY_PENDING


@dataclass
class FakeStore:
    batches: list[list] = field(default_factory=list)
    broken: bool = False
    cause: str = "disk full"
    written: asyncio.Event = field(default_factory=asyncio.Event)

    async def record_sign_ins(self, records) -> None:
        if self.broken:
            raise StoreUnavailable(self.cause)
        self.batches.append(records)
        self.written.set()


async def test_records_gather_into_one_batch():
    store = FakeStore()
    activity = Activity(store)
    writer = asyncio.create_task(activity.write())
    activity.record("a")
    activity.record("b")
    await asyncio.wait_for(store.written.wait(), 10)
    writer.cancel()
    assert store.batches == [["a", "b"]]


async def test_a_broken_store_keeps_them_for_later():
    store = FakeStore(broken=True)
    activity = Activity(store)
    activity.record("a")
    assert await activity.flush() is False
    store.broken = False
    activity.record("b")
    assert await activity.flush() is True
    assert store.batches == [["a", "b"]]


async def test_a_broken_store_is_logged_once_until_it_changes_or_is_over(caplog):
    store = FakeStore(broken=True)
    activity = Activity(store)
    activity.record("a")
    for cause in ("disk full", "disk full", "locked"):
        store.cause = cause
        await activity.flush()
    store.broken = False
    for record in ("b", "c"):
        activity.record(record)
        await activity.flush()
    assert caplog.messages == [
        "activity not written pending=1 cause=disk full",
        "activity not written pending=1 cause=locked",
        "activity is written again",
    ]


async def test_the_newest_are_kept_when_there_are_too_many(caplog):
    store = FakeStore()
    activity = Activity(store)
    for number in range(ACTIVITY_PENDING + 3):
        activity.record(number)
    assert await activity.flush() is True
    assert store.batches[0][0] == 3
    assert len(store.batches[0]) == ACTIVITY_PENDING
    assert "dropped records=3" in caplog.text


@dataclass
class SlowStore(FakeStore):
    """Takes its time. `goes_on`: a write that has begun is done though its caller leaves."""

    goes_on: bool = True
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def record_sign_ins(self, records) -> None:
        writing = asyncio.create_task(self._write(records))
        await (asyncio.shield(writing) if self.goes_on else writing)

    async def _write(self, records) -> None:
        self.begun.set()
        await self.may_end.wait()
        self.batches.append(records)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_writer_cancelled_in_the_middle_writes_nothing_twice_and_loses_nothing(goes_on):
    store = SlowStore(goes_on=goes_on)
    activity = Activity(store)
    writer = asyncio.create_task(activity.write())
    activity.record("a")
    await asyncio.wait_for(store.begun.wait(), 10)
    writer.cancel()
    await asyncio.wait([writer])
    activity.record("b")
    rest = asyncio.create_task(activity.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    store.may_end.set()
    assert await rest is True
    assert store.batches == [["a"], ["b"]]


async def test_nothing_pending_writes_nothing():
    store = FakeStore()
    assert await Activity(store).flush() is True
    assert store.batches == []
