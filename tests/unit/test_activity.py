"""Records of sign-ins are written in batches; a broken store loses the oldest and disturbs nobody."""

import asyncio
from dataclasses import dataclass, field

from auth.store.errors import StoreUnavailable
from proxy.activity import Activity
from proxy.limits import ACTIVITY_PENDING


@dataclass
class FakeStore:
    batches: list[list] = field(default_factory=list)
    broken: bool = False
    written: asyncio.Event = field(default_factory=asyncio.Event)

    async def record_sign_ins(self, records) -> None:
        if self.broken:
            raise StoreUnavailable("disk full")
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


async def test_the_newest_are_kept_when_there_are_too_many(caplog):
    store = FakeStore()
    activity = Activity(store)
    for number in range(ACTIVITY_PENDING + 3):
        activity.record(number)
    assert await activity.flush() is True
    assert store.batches[0][0] == 3
    assert len(store.batches[0]) == ACTIVITY_PENDING
    assert "dropped records=3" in caplog.text


async def test_nothing_pending_writes_nothing():
    store = FakeStore()
    assert await Activity(store).flush() is True
    assert store.batches == []
