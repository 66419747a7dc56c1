"""Turns: who works, who waits, whose turn is next, and what happens when the queue is full."""

import asyncio

import pytest

from auth.hashing import Busy
from auth.turns import DOUBTED_TURN, Asker, Turns
from support.gatehouse import turns_until


class Hall:
    """Work that goes on until it is told to end."""

    def __init__(self, **more):
        self.turns = Turns(**({"at_a_time": 2, "doubted_at_a_time": 1, "deadline_s": 60} | more))
        self.ends = {}
        self.order = []

    def come(self, name, *, doubted=False, origin=None):
        """Come and work when it is one's turn; the origin is the name's first letter."""
        asker = Asker(origin=origin or name[0], doubted=doubted)

        async def work():
            async with self.turns.turn(asker):
                self.order.append(name)
                await end.wait()
                return name

        end = self.ends[name] = asyncio.Event()
        return asyncio.create_task(work())

    async def working(self, *names):
        await turns_until(lambda: set(names) <= set(self.order))

    async def waiting(self, count):
        await turns_until(lambda: self.turns.waiting == count)

    async def one_after_the_other(self, count):
        """End what works, the oldest first, until `count` more have begun."""
        for number in range(len(self.order), len(self.order) + count):
            self.ends[self.order[number - 1]].set()
            await turns_until(lambda: len(self.order) > number)  # noqa: B023 - awaited here


async def taken(hall):
    """Both places are taken; one of them for good, the other one is there to take turns in."""
    for name in ("stays", "leaves"):
        hall.come(name)
    await hall.working("stays", "leaves")
    hall.order[:] = ["leaves"]


async def test_so_many_work_at_a_time_and_the_others_wait():
    hall = Hall()
    for name in "abc":
        hall.come(name)
    await hall.working("a", "b")
    await hall.waiting(1)
    hall.ends["b"].set()
    await hall.working("c")
    assert hall.order == ["a", "b", "c"]


async def test_the_doubted_never_take_every_place():
    hall = Hall()
    for name in ("d1", "d2"):
        hall.come(name, doubted=True)
    await hall.working("d1")
    await hall.waiting(1)
    hall.come("a")
    await hall.working("a")
    assert hall.order == ["d1", "a"]
    hall.ends["a"].set()
    hall.ends["d1"].set()
    await hall.working("d2")


async def test_every_fourth_turn_is_for_the_doubted():
    hall = Hall()
    await taken(hall)
    for number in range(1, 9):
        hall.come(f"a{number}")
    for number in range(1, 4):
        hall.come(f"d{number}", doubted=True)
    await hall.waiting(11)
    await hall.one_after_the_other(11)
    assert DOUBTED_TURN == 4
    assert hall.order[1:] == ["a1", "a2", "a3", "d1", "a4", "a5", "a6", "d2", "a7", "a8", "d3"]


@pytest.mark.parametrize("doubted", [False, True])
async def test_every_origin_gets_its_turn_however_many_it_sends(doubted):
    hall = Hall()
    await taken(hall)
    for name in ("c1", "c2", "c3", "c4", "h1", "h2", "i1"):
        hall.come(name, doubted=doubted)
    await hall.waiting(7)
    await hall.one_after_the_other(7)
    assert hall.order[1:] == ["c1", "h1", "i1", "c2", "h2", "c3", "c4"]


async def test_nobody_comes_before_those_who_wait():
    hall = Hall(at_a_time=3, doubted_at_a_time=1)
    hall.come("d1", doubted=True)
    await hall.working("d1")
    hall.come("d2", doubted=True)
    await hall.waiting(1)
    hall.ends["d1"].set()
    hall.come("d3", doubted=True)
    await hall.working("d2")
    assert hall.order == ["d1", "d2"]


async def test_when_full_the_origin_with_the_most_gives_up_its_last_place():
    hall = Hall(waiting_most=3)
    await taken(hall)
    first, second, third = (hall.come(name) for name in ("c1", "c2", "c3"))
    await hall.waiting(3)
    with pytest.raises(Busy):
        await hall.come("c4")
    honest = hall.come("h1")
    with pytest.raises(Busy):
        await third
    hall.come("i1")
    with pytest.raises(Busy):
        await second
    with pytest.raises(Busy):
        await hall.come("j1")
    assert hall.turns.waiting == 3
    await hall.one_after_the_other(2)
    for task, name in ((first, "c1"), (honest, "h1")):
        hall.ends[name].set()
        assert await task == name


async def test_a_queue_full_of_the_doubted_is_no_full_queue_for_others():
    hall = Hall(waiting_most=1)
    for name in ("d1", "d2"):
        hall.come(name, doubted=True)
    await hall.waiting(1)
    with pytest.raises(Busy):
        await hall.come("d3", doubted=True)
    for name in ("a1", "a2"):
        hall.come(name)
    await hall.working("a1")
    await hall.waiting(2)


async def test_a_deadline_is_busy_and_frees_the_place():
    hall = Hall(deadline_s=0.01)
    await taken(hall)
    with pytest.raises(Busy):
        await hall.come("late")
    assert hall.turns.waiting == 0
    hall.ends["leaves"].set()
    hall.come("next")
    await hall.working("next")


async def test_who_vanishes_while_waiting_frees_the_place():
    hall = Hall()
    await taken(hall)
    gone = hall.come("gone")
    hall.come("comes")
    await hall.waiting(2)
    gone.cancel()
    await hall.waiting(1)
    hall.ends["leaves"].set()
    await hall.working("comes")
    assert "gone" not in hall.order
    assert all(not vars(ring)["_places"] for ring in vars(hall.turns)["_waiting"].values()), "nothing is kept"


async def test_who_vanishes_at_the_moment_of_the_hand_over_gives_the_turn_back():
    hall = Hall()
    await taken(hall)
    gone = hall.come("gone")
    await hall.waiting(1)
    hall.ends["leaves"].set()
    await hall.waiting(0)  # handed over, not yet awake
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert "gone" not in hall.order
    hall.come("after")
    await hall.working("after")


async def test_a_fault_in_the_work_gives_the_turn_back():
    turns = Turns(at_a_time=2, doubted_at_a_time=1)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            async with turns.turn(Asker(doubted=True)):
                raise ZeroDivisionError
