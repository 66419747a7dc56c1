"""Hashing: right and wrong, the two lanes, and what happens when they are full."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from auth.hashing import PRIMARY_AT_A_TIME, Busy, CorruptHash, Cost, Hasher, Lane, Lanes, Queue
from support.gatehouse import turns_until

CHEAP = Cost(memory_kib=8, passes=1)
DEARER = Cost(memory_kib=16, passes=2)
PATIENT = Queue(most=100, deadline_s=60)
DIGEST, OTHER = b"d" * 32, b"e" * 32


@pytest.fixture
def hasher():
    hasher = Hasher(app=CHEAP, primary=DEARER, slots=2)
    yield hasher
    hasher.close()


class Bench:
    """Work that stays in its thread until it is told to end."""

    def __init__(self, slots=2, app=PATIENT, primary=PATIENT):
        self.lanes = Lanes(slots, {Lane.APP: app, Lane.PRIMARY: primary})
        self.gates = {}
        self.order = []

    def start(self, lane, name):
        loop, gate = asyncio.get_running_loop(), threading.Event()
        self.gates[name] = gate

        def work():
            loop.call_soon_threadsafe(self.order.append, name)
            gate.wait()
            return name

        return asyncio.create_task(self.lanes.run(lane, work))

    async def running(self, *names):
        await turns_until(lambda: set(names) <= set(self.order))

    async def waiting(self, lane, count):
        await turns_until(lambda: self.lanes.waiting(lane) == count)

    def close(self):
        for gate in self.gates.values():
            gate.set()
        self.lanes.close()


@pytest.fixture
async def bench_of():
    made = []

    def make(**queues):
        made.append(Bench(**queues))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
async def bench(bench_of):
    return bench_of()


async def test_right_and_wrong(hasher):
    for hash_it, verify in (
        (hasher.hash_app, hasher.verify_app),
        (hasher.hash_primary, hasher.verify_primary),
    ):
        stored = await hash_it(DIGEST)
        assert stored.startswith("$argon2id$v=19$")
        assert await verify(stored, DIGEST)
        assert not await verify(stored, OTHER)
        assert await hash_it(DIGEST) != stored, "salted"


async def test_the_cost_is_in_the_hash_and_an_older_one_is_noticed(hasher):
    app, primary = await hasher.hash_app(DIGEST), await hasher.hash_primary(DIGEST)
    assert "m=8,t=1,p=1" in app
    assert "m=16,t=2,p=1" in primary
    assert not hasher.app_needs_rehash(app)
    assert hasher.app_needs_rehash(primary)
    assert not hasher.primary_needs_rehash(primary)
    assert hasher.primary_needs_rehash(app)


async def test_every_argon2_run_is_counted_and_a_dummy_is_one(hasher):
    await hasher.dummy_app()
    await hasher.verify_app(await hasher.hash_app(DIGEST), OTHER)
    await hasher.dummy_primary()
    assert hasher.calls == {"app": 3, "primary": 1}


async def test_damage_is_no_wrong_password(hasher):
    for stored in ("", "plain", "$argon2id$v=19$m=8"):
        with pytest.raises(CorruptHash):
            await hasher.verify_app(stored, DIGEST)
        with pytest.raises(CorruptHash):
            hasher.app_needs_rehash(stored)


@pytest.mark.parametrize("salt", ["", "!!!!", "ab"])
async def test_a_damaged_salt_is_damage_too(hasher, salt):
    parts = (await hasher.hash_app(DIGEST)).split("$")
    parts[4] = salt
    with pytest.raises(CorruptHash):
        await hasher.verify_app("$".join(parts), DIGEST)


async def test_memory_that_cannot_be_had_is_busy():
    hasher = Hasher(app=Cost(memory_kib=2**31, passes=1), primary=CHEAP, slots=2)
    with pytest.raises(Busy):
        await hasher.hash_app(DIGEST)
    with pytest.raises(Busy):
        await hasher.dummy_app()
    hasher.close()


async def test_primary_takes_only_so_much_memory_however_many_slots_there_are(bench_of):
    bench = bench_of(slots=2 * PRIMARY_AT_A_TIME)
    started = [bench.start(Lane.PRIMARY, f"p{number}") for number in range(PRIMARY_AT_A_TIME + 1)]
    await bench.waiting(Lane.PRIMARY, 1)
    app = bench.start(Lane.APP, "a1")
    await bench.running("a1", "p0")
    bench.gates["p0"].set()
    await bench.running(f"p{PRIMARY_AT_A_TIME}")
    bench.close()
    await asyncio.gather(app, *started)


def test_the_processors_are_those_this_process_may_use():
    code = "from auth.hashing import processors; print(processors())"
    if hasattr(os, "sched_setaffinity"):
        code = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); " + code
    told = subprocess.check_output([sys.executable, "-c", code], timeout=60)
    assert int(told) == (1 if hasattr(os, "sched_setaffinity") else os.cpu_count())


async def test_primary_never_takes_the_last_slot(bench):
    first, second = bench.start(Lane.PRIMARY, "p1"), bench.start(Lane.PRIMARY, "p2")
    await bench.running("p1")
    await bench.waiting(Lane.PRIMARY, 1)
    app = bench.start(Lane.APP, "a1")
    await bench.running("a1")
    assert bench.order == ["p1", "a1"]
    for name in ("a1", "p1", "p2"):
        bench.gates[name].set()
    assert await asyncio.gather(first, second, app) == ["p1", "p2", "a1"]


async def test_a_waiting_app_goes_before_a_waiting_primary(bench):
    tasks = [bench.start(Lane.APP, "a1"), bench.start(Lane.APP, "a2")]
    await bench.running("a1", "a2")
    tasks.append(bench.start(Lane.PRIMARY, "p1"))
    await bench.waiting(Lane.PRIMARY, 1)
    tasks.append(bench.start(Lane.APP, "a3"))
    await bench.waiting(Lane.APP, 1)
    bench.gates["a1"].set()
    await bench.running("a3")
    assert "p1" not in bench.order
    bench.gates["a2"].set()
    await bench.running("p1")


async def test_a_full_queue_is_busy_at_once(bench_of):
    bench = bench_of(app=Queue(most=1, deadline_s=60))
    tasks = [bench.start(Lane.APP, name) for name in ("a1", "a2", "a3")]
    await bench.waiting(Lane.APP, 1)
    with pytest.raises(Busy):
        await bench.start(Lane.APP, "a4")
    bench.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_deadline_is_busy_and_frees_the_place(bench_of):
    bench = bench_of(primary=Queue(most=5, deadline_s=0.01))
    running = bench.start(Lane.PRIMARY, "p1")
    await bench.running("p1")
    with pytest.raises(Busy):
        await bench.start(Lane.PRIMARY, "p2")
    assert bench.lanes.waiting(Lane.PRIMARY) == 0
    bench.gates["p1"].set()
    assert await running == "p1"


async def test_who_vanishes_while_waiting_frees_the_place(bench):
    held = [bench.start(Lane.APP, "a1"), bench.start(Lane.APP, "a2")]
    gone, stays = bench.start(Lane.APP, "gone"), bench.start(Lane.APP, "stays")
    await bench.waiting(Lane.APP, 2)
    gone.cancel()
    await bench.waiting(Lane.APP, 1)
    bench.gates["a1"].set()
    await bench.running("stays")
    assert "gone" not in bench.order
    for name in ("a2", "stays"):
        bench.gates[name].set()
    await asyncio.gather(*held, stays)


async def test_who_vanishes_in_the_turn_of_the_hand_over_gives_the_slot_back(bench):
    held = [bench.start(Lane.APP, "a1"), bench.start(Lane.APP, "a2")]
    gone = bench.start(Lane.APP, "gone")
    await bench.waiting(Lane.APP, 1)
    bench.gates["a1"].set()
    await bench.waiting(Lane.APP, 0)  # handed over, not yet awake
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert "gone" not in bench.order
    after = bench.start(Lane.APP, "after")
    await bench.running("after")
    for name in ("a2", "after"):
        bench.gates[name].set()
    await asyncio.gather(*held, after)


async def test_a_running_hash_keeps_its_slot_though_its_waiter_is_gone(bench):
    gone, held = bench.start(Lane.APP, "gone"), bench.start(Lane.APP, "held")
    await bench.running("gone", "held")
    gone.cancel()
    late = bench.start(Lane.APP, "late")
    await bench.waiting(Lane.APP, 1)
    assert "late" not in bench.order
    bench.gates["gone"].set()
    await bench.running("late")
    for name in ("held", "late"):
        bench.gates[name].set()
    await asyncio.gather(held, late)


async def test_after_close_everyone_is_busy(bench):
    tasks = [bench.start(Lane.APP, name) for name in ("a1", "a2", "a3")]
    await bench.running("a1", "a2")
    await bench.waiting(Lane.APP, 1)
    bench.close()
    with pytest.raises(Busy):
        await tasks[2]
    assert await asyncio.gather(*tasks[:2]) == ["a1", "a2"]
    with pytest.raises(Busy):
        await bench.lanes.run(Lane.APP, lambda: None)


def test_there_is_always_a_slot_for_each_lane():
    lanes = Lanes(1, {Lane.APP: PATIENT, Lane.PRIMARY: PATIENT})

    async def both():
        return await asyncio.gather(lanes.run(Lane.PRIMARY, lambda: 1), lanes.run(Lane.APP, lambda: 2))

    assert asyncio.run(both()) == [1, 2]
    lanes.close()


async def test_a_slot_handed_over_in_the_turn_of_closing_is_busy(bench):
    tasks = [bench.start(Lane.APP, name) for name in ("a1", "a2", "a3")]
    await bench.running("a1", "a2")
    await bench.waiting(Lane.APP, 1)
    bench.gates["a1"].set()
    await bench.waiting(Lane.APP, 0)  # handed over, not yet awake
    bench.close()
    with pytest.raises(Busy):
        await tasks[2]
    assert await asyncio.gather(*tasks[:2]) == ["a1", "a2"]
