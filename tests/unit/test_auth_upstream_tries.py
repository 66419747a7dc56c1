"""An owner's tries at the servers behind come to an end, whatever comes of them."""

from auth.deed import AccountError, Problem
from auth.keycheck import vouch
from auth.seal import KeyRing
from auth.upstream_tries import UPSTREAM_TRIES, UpstreamTries
from support.office import ALICE, BOB, office

IMAP, SUBMISSION = "imap", "submission"


def tries(here, keys=None) -> UpstreamTries:
    return UpstreamTries(here.store, keys or here.keys, here.clock)


async def wait(counts, account, *at) -> float:
    """Give for how long another try is refused; 0 where it is made."""
    try:
        await counts.begin(account, at)
    except AccountError as error:
        return error.retry_after_s if error.problem is Problem.TOO_MANY_TRIES else -1.0
    return 0.0


async def test_a_few_are_free_then_each_waits_longer_and_then_a_quarter_of_an_hour(tmp_path):
    async with office(tmp_path) as here:
        alice, counts = await here.person(ALICE), tries(here)
        waits = []
        while len(waits) < 10:
            waited = await wait(counts, alice, IMAP)
            if waited:
                here.clock.now += waited
                assert await wait(counts, alice, IMAP) == 0.0
            waits.append(waited)
        assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 900, 900]


async def test_a_try_that_is_too_early_counts_nothing(tmp_path):
    async with office(tmp_path) as here:
        alice, counts = await here.person(ALICE), tries(here)
        for _ in range(UPSTREAM_TRIES.free):
            await counts.begin(alice, [IMAP])
        for _ in range(20):
            assert await wait(counts, alice, IMAP) == 1.0
        here.clock.now += 1
        assert await wait(counts, alice, IMAP) == 0.0


async def test_what_was_right_clears_its_own_count_alone(tmp_path):
    """Or the password of one server would be guessed at beside a right one of the other."""
    async with office(tmp_path) as here:
        alice, bob, counts = await here.person(ALICE), await here.person(BOB), tries(here)
        for _ in range(UPSTREAM_TRIES.free):
            await counts.begin(alice, [IMAP, SUBMISSION])
        await counts.right(alice, [IMAP])
        assert await wait(counts, alice, IMAP) == 0.0
        assert await wait(counts, alice, SUBMISSION) == 1.0
        assert await wait(counts, bob, SUBMISSION) == 0.0


async def test_one_that_must_wait_keeps_all_from_being_tried(tmp_path):
    async with office(tmp_path) as here:
        alice, counts = await here.person(ALICE), tries(here)
        for _ in range(UPSTREAM_TRIES.free):
            await counts.begin(alice, [SUBMISSION])
        assert await wait(counts, alice, IMAP, SUBMISSION) == 1.0
        for _ in range(UPSTREAM_TRIES.free):  # so none was counted at the other one
            assert await wait(counts, alice, IMAP) == 0.0


async def test_another_current_key_forgets_nothing(tmp_path):
    async with office(tmp_path) as here:
        alice = await here.person(ALICE)
        for _ in range(UPSTREAM_TRIES.free):
            await tries(here).begin(alice, [IMAP])
        both = KeyRing({"k1": bytes(range(32)), "k2": b"2" * 32}, "k2")
        await vouch(here.store, both)
        assert await wait(tries(here, both), alice, IMAP) == 1.0


async def test_a_day_later_nothing_is_left(tmp_path):
    async with office(tmp_path) as here:
        alice, counts = await here.person(ALICE), tries(here)
        for _ in range(UPSTREAM_TRIES.free):
            await counts.begin(alice, [IMAP])
        here.clock.now += UPSTREAM_TRIES.forget_s
        assert await wait(counts, alice, IMAP) == 0.0
