"""Signing in tells nothing about which part was wrong: not by words, nor by statements, hashes or counts."""

import asyncio

import pytest

from auth.accounts import AccountError, Problem
from auth.hashing import Busy, Cost, Hasher, Lane
from auth.proving import Prover
from auth.secret import Secret
from auth.session_book import SessionBook
from auth.signing_in import CODES, SigningIn
from auth.store.errors import StoreUnavailable
from auth.store.rows import Stage
from auth.throttle import PER_ACCOUNT, PER_ADDRESS
from support.office import ALICE, BOB, CHEAP, OPERATOR, PRIMARY, Office, failures, office, raw, refusal

WHERE = "192.0.2.7"
WRONG = Secret("wrong horse battery")
NOT_ENROLLED = "carol@example.org"
DISABLED = "dave@example.org"
SERVICE = "printer@example.org"
INVITED = "erin@example.org"
NOBODY = "nobody@example.org"
NO_CODE = Secret("000000")


async def fill(here: Office) -> None:
    """Add one account of every kind. Afterwards no code is spent."""
    for email in (ALICE, BOB, DISABLED):
        await here.enrolled(email)
    await here.person(NOT_ENROLLED)
    await here.accounts.add(SERVICE, primary=None, service=True, actor=OPERATOR)
    await here.accounts.add(INVITED, primary=None, actor=OPERATOR)
    await here.accounts.disable(DISABLED, OPERATOR)


CASES = [
    (ALICE, PRIMARY, "wrong"),
    (ALICE, WRONG, "right"),
    (ALICE, WRONG, "wrong"),
    (ALICE, WRONG, "recovery"),
    (ALICE, PRIMARY, "nonsense"),
    (DISABLED, PRIMARY, "right"),
    (DISABLED, WRONG, "wrong"),
    (SERVICE, PRIMARY, "wrong"),
    (INVITED, PRIMARY, "wrong"),
    (INVITED, Secret(""), "wrong"),
    (NOT_ENROLLED, WRONG, "wrong"),
    (NOBODY, PRIMARY, "right"),
    ("no name at all", PRIMARY, "wrong"),
    ("\udcff" * 1000, PRIMARY, "wrong"),
]


def cost(here: Office, before: tuple[int, dict[Lane, int]] | None = None) -> tuple[int, dict[Lane, int]]:
    """Give the statements and hashes so far, or since `before`."""
    now = here.store.statements, dict(here.hasher.calls)
    if before is None:
        return now
    return now[0] - before[0], {lane: n - before[1].get(lane, 0) for lane, n in now[1].items()}


async def told(here: Office, case: tuple[str, Secret, str], recovery: Secret) -> tuple[object, ...]:
    """Sign in with something that is wrong; give all that whoever tries can see or measure."""
    name, primary, code = case
    email = name if name in here.seeds else ALICE
    typed = {"right": here.code(email), "wrong": NO_CODE, "nonsense": Secret("?"), "recovery": recovery}[code]
    before = cost(here)
    begun = await here.accounts.portal.begin(name, primary, WHERE)
    first, before = cost(here, before), cost(here)
    seen = await here.accounts.portal.look(begun.token)
    with pytest.raises(AccountError) as refused:
        await here.accounts.portal.answer(begun.token, typed, WHERE)
    error = refused.value
    said = (error.problem, error.message, error.hint, error.retry_after_s)
    last = cost(here, before)
    return begun.stage, len(begun.token.reveal()), seen, said, first, last, await failures(here)


async def test_whatever_is_wrong_is_told_and_costs_the_same(tmp_path):
    said = []
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with office(folder) as here:
            await fill(here)
            recovery = (await here.enrol(ALICE, here.code(ALICE)))[0]
            said.append(await told(here, case, recovery))
    assert said[0][0] is Stage.CODE
    assert said[0][3][0] is Problem.WRONG_PROOF
    assert said[0][4][1] == {Lane.PRIMARY: 1}
    assert said[0][5][1] == {Lane.PRIMARY: 0}
    assert said[0][6] == [2, 2, 2], "by name, account and address"
    assert [each for each in said if each != said[0]] == []


@pytest.mark.parametrize("name", [ALICE, NOBODY])
async def test_a_right_first_half_costs_what_a_wrong_one_costs(tmp_path, name):
    async with office(tmp_path) as here:
        await fill(here)
        costs = []
        for primary in (PRIMARY, WRONG):
            here.clock.now += 100
            before = cost(here)
            await here.accounts.portal.begin(name, primary, WHERE)
            costs.append(cost(here, before))
        assert costs[0] == costs[1]


async def test_each_half_is_one_try_and_all_are_forgiven_only_together(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal = here.accounts.portal
        begun = await portal.begin(ALICE, PRIMARY, WHERE)
        assert await failures(here) == [1, 1, 1], "by name, account and address"
        assert await refusal(portal.answer(begun.token, NO_CODE, WHERE)) is Problem.WRONG_PROOF
        assert await failures(here) == [2, 2, 2]
        await portal.answer(begun.token, here.code(), WHERE)
        assert await failures(here) == [1], "the wrong code, by its address"


async def test_a_sign_in_leaves_nothing_counted_also_from_two_addresses(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, "192.0.2.7")
        await here.accounts.portal.answer(begun.token, here.code(), "2001:db8::7")
        assert await failures(here) == []


async def test_too_many_tries_do_not_tell_a_right_primary_password(tmp_path):
    answers = []
    for number, primary in enumerate((PRIMARY, WRONG)):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with office(folder) as here:
            await here.enrolled()
            problems = []
            for _ in range(PER_ACCOUNT.lock_after):
                here.clock.now += 64
                problems.append((await here.accounts.portal.begin(ALICE, primary, WHERE)).stage)
            with pytest.raises(AccountError) as refused:
                await here.accounts.portal.begin(ALICE, primary, WHERE)
            answers.append((problems, refused.value.problem, refused.value.hint))
    assert answers[0] == answers[1]
    assert answers[0][1:] == (Problem.TOO_MANY_TRIES, "try again in 15 minutes")


async def test_too_many_tries_of_one_name_and_of_one_nobody_has_are_alike(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        answers = []
        for name in (ALICE, NOBODY):
            said = []
            for _ in range(PER_ACCOUNT.lock_after + 2):
                here.clock.now += 64
                try:
                    token = (await here.accounts.portal.begin(name, WRONG, "")).token
                    await here.accounts.portal.answer(token, NO_CODE, "")
                except AccountError as error:
                    said.append((error.problem, error.hint))
            answers.append(said)
        assert answers[0] == answers[1]
        assert (Problem.TOO_MANY_TRIES, "try again in 14 minutes") in answers[0]


async def test_three_codes_and_it_begins_anew(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        for primary in (PRIMARY, WRONG):
            here.clock.now += 86_401
            begun = await here.accounts.portal.begin(ALICE, primary, WHERE)
            for _ in range(CODES):
                here.clock.now += 64
                wrong = here.accounts.portal.answer(begun.token, NO_CODE, WHERE)
                assert await refusal(wrong) is Problem.WRONG_PROOF
            here.clock.now += 64
            assert await here.accounts.portal.look(begun.token) is None
            late = here.accounts.portal.answer(begun.token, here.code(), WHERE)
            assert await refusal(late) is Problem.SESSION_ENDED


async def test_codes_in_parallel_count_like_codes_in_a_row(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled()
        there.clock.now = here.clock.now
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        results = await asyncio.gather(
            *(
                desk.accounts.portal.answer(begun.token, NO_CODE, WHERE)
                for _ in range(10)
                for desk in (here, there)
            ),
            return_exceptions=True,
        )
        problems = [result.problem for result in results]
        assert problems.count(Problem.WRONG_PROOF) <= CODES
        assert set(problems) <= {Problem.WRONG_PROOF, Problem.TOO_MANY_TRIES, Problem.SESSION_ENDED}


async def test_too_early_a_code_is_not_one_of_the_three(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal = here.accounts.portal
        tokens = [(await portal.begin(ALICE, PRIMARY, WHERE)).token for _ in range(PER_ACCOUNT.free)]
        for _ in range(CODES + 1):
            early = portal.answer(tokens[0], here.code(), WHERE)
            assert await refusal(early) is Problem.TOO_MANY_TRIES
        here.clock.now += 1
        assert (await portal.answer(tokens[0], here.code(), WHERE)).stage is Stage.IN


async def test_an_account_that_is_to_be_left_alone_is_so_by_its_other_name_too(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled(aliases=["al"])
        portal = here.accounts.portal
        earlier = await portal.begin("al", PRIMARY, WHERE)
        for _ in range(PER_ACCOUNT.lock_after):
            here.clock.now += 64
            await refusal_or_token(portal.begin(ALICE, WRONG, WHERE))
        here.clock.now += 1
        begun = await portal.begin("al", PRIMARY, WHERE)
        for token in (begun.token, earlier.token):
            here.clock.now += 1
            unseen = portal.answer(token, here.code(), WHERE)
            assert await refusal(unseen) in {Problem.WRONG_PROOF, Problem.SESSION_ENDED}


async def refusal_or_token(deed) -> object:
    try:
        return (await deed).token
    except AccountError as error:
        return error.problem


async def test_a_sweep_over_many_names_is_stopped_by_its_address(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        for number in range(PER_ADDRESS.free):
            await here.accounts.portal.begin(f"u{number}@example.org", WRONG, f"2001:db8::{number:x}")
        swept = here.accounts.portal.begin(ALICE, PRIMARY, "2001:db8::ffff")
        assert await refusal(swept) is Problem.TOO_MANY_TRIES
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, "2001:db9::1")
        assert begun.stage is Stage.CODE


async def test_an_outage_is_no_failure_and_opens_nothing(tmp_path):
    closed = Hasher(app=CHEAP, primary=CHEAP)
    closed.close()
    async with office(tmp_path) as here:
        await here.enrolled()
        prover = Prover(here.store, closed, here.keys, here.clock)
        book = SessionBook(here.keys, here.clock)
        signing_in = SigningIn(here.store, prover, here.keys, book, here.clock)
        for _ in range(PER_ACCOUNT.free + 1):
            with pytest.raises(Busy):
                await signing_in.begin(ALICE, PRIMARY, WHERE)
        assert await failures(here) == []
        with raw(tmp_path) as connection:
            assert connection.execute("SELECT count(*) FROM portal_session").fetchone() == (0,)


async def test_a_hash_of_yesterday_lets_in_and_is_renewed_when_both_halves_are_shown_again(tmp_path):
    dearer = Hasher(app=CHEAP, primary=Cost(memory_kib=16, passes=1))
    try:
        async with office(tmp_path) as here:
            await here.enrolled()
            old = (await here.accounts.find(ALICE)).primary_hash
            here.accounts._prover.primaries._hasher = dearer
            begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
            opened = await here.accounts.portal.answer(begun.token, here.code(), WHERE)
            assert (await here.accounts.find(ALICE)).primary_hash == old
            here.clock.now += 60
            await here.accounts.portal.confirm(opened.token, PRIMARY, here.code(), WHERE)
            assert (await here.accounts.find(ALICE)).primary_hash != old
    finally:
        dearer.close()


class FailingOnce:
    """A store of which one write fails."""

    def __init__(self, store, which: int) -> None:
        self._store, self._left = store, which

    async def write(self, work):
        self._left -= 1
        if self._left == 0:
            raise StoreUnavailable("locked")
        return await self._store.write(work)

    async def read(self, work):
        return await self._store.read(work)


async def test_a_right_code_that_could_not_be_taken_counts_for_nothing_and_is_good_again(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        prover = Prover(here.store, here.hasher, here.keys, here.clock)
        book = SessionBook(here.keys, here.clock)
        failing = SigningIn(FailingOnce(here.store, 2), prover, here.keys, book, here.clock)
        with pytest.raises(StoreUnavailable):
            await failing.answer(begun.token, here.code(), WHERE)
        assert await failures(here) == [1, 1, 1]
        assert (await here.accounts.portal.answer(begun.token, here.code(), WHERE)).stage is Stage.IN
