"""What a try at a primary password costs that a mail server keeps, in time, hashes and statements."""

import pytest

from auth.accounts import AccountError, Problem, Proof
from auth.hashing import Lane
from auth.primaries import PRIMARY_FLOOR_S, PRIMARY_JITTER_S, Floor
from auth.store import deeds
from auth.store.rows import Stage
from support.mailbox_town import ALICE, CAROL, NEW, NO_CODE, NOBODY, OWNER, WHERE, WRONG, settled, town
from support.mailboxes import Mailboxes, Stopwatch
from support.office import PRIMARY, office, raw, refusal, wish


async def test_answers_that_must_not_tell_take_a_least_time(tmp_path):
    watch = Stopwatch()
    there = Mailboxes(passwords={ALICE: PRIMARY})
    async with office(tmp_path, primaries=there, floor=watch.floor()) as here:
        await settled(here)
        for name, primary in ((ALICE, PRIMARY), (ALICE, NEW), (NOBODY, PRIMARY), (CAROL, PRIMARY)):
            watch.pauses.clear()
            assert (await here.accounts.portal.begin(name, primary, WHERE)).stage is Stage.CODE
            assert watch.pauses == [PRIMARY_FLOOR_S + PRIMARY_JITTER_S / 2]
        watch.pauses.clear()
        here.clock.now += 1000
        wrong = Proof(primary=WRONG, code=here.code(ALICE))
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, wrong)) is Problem.WRONG_PROOF
        here.clock.now += 1000
        half = Proof(primary=PRIMARY, code=NO_CODE)
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, half)) is Problem.WRONG_PROOF
        assert watch.pauses == [PRIMARY_FLOOR_S + PRIMARY_JITTER_S / 2] * 2
        watch.pauses.clear()
        here.clock.now += 1000
        await here.accounts.mint(ALICE, wish(), OWNER, Proof(primary=PRIMARY, code=here.code(ALICE)))
        assert watch.pauses == [], "who is right waits for nothing"


async def test_a_changed_one_costs_no_less_time_than_a_wrong_one(tmp_path):
    watch = Stopwatch()
    there = Mailboxes(passwords={ALICE: PRIMARY})
    async with office(tmp_path, primaries=there, floor=watch.floor()) as here:
        await settled(here)
        watch.pauses.clear()
        there.passwords[ALICE] = NEW
        began_at = watch.now
        await here.accounts.portal.begin(ALICE, NEW, WHERE)
        assert watch.now == began_at + PRIMARY_FLOOR_S + PRIMARY_JITTER_S / 2


async def test_a_floor_counts_what_has_passed_already():
    watch = Stopwatch()
    began_at = watch.now
    watch.now += 2
    await watch.floor().keep(began_at)
    assert watch.pauses == [PRIMARY_FLOOR_S + PRIMARY_JITTER_S / 2 - 2]
    watch.now += 10
    await watch.floor().keep(began_at)
    assert len(watch.pauses) == 1
    assert 0 <= Floor().jitter() < 1


async def test_where_none_is_elsewhere_nobody_waits(tmp_path):
    watch = Stopwatch()
    async with office(tmp_path, floor=watch.floor()) as here:
        await here.enrolled()
        await here.accounts.portal.begin(ALICE, WRONG, WHERE)
        assert watch.pauses == []


async def test_there_is_one_hash_to_verify_for_every_try(tmp_path):
    costs = set()
    async with town(tmp_path) as (here, _):
        await settled(here)
        for name, primary in ((ALICE, PRIMARY), (ALICE, WRONG), (NOBODY, PRIMARY), ("nobody", PRIMARY)):
            here.hasher.calls.clear()
            before = here.store.statements
            await here.accounts.portal.begin(name, primary, "")
            assert here.hasher.calls == {Lane.PRIMARY: 1}
            costs.add(here.store.statements - before)
            here.clock.now += 1000
    assert len(costs) == 1


async def test_a_store_behind_sees_neither_half(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        there.passwords[ALICE] = NEW
        await here.accounts.portal.begin(ALICE, NEW, WHERE)
        with raw(tmp_path) as connection:
            lines = "\n".join(connection.iterdump())
        assert NEW.reveal() not in lines


async def test_the_account_keeps_changing_is_an_answer_too(tmp_path):
    there = Mailboxes(passwords={ALICE: PRIMARY})
    async with town(tmp_path, there) as (here, _):
        await settled(here)
        asked = there.is_right

        async def restless(email, account, primary):
            said = await asked(email, account, primary)
            other = await here.hasher.hash_primary(b"another one each time")
            await here.store.write(
                lambda tx: deeds.set_primary(tx, account.id, other, account.primary_key_id)
            )
            return said

        there.passwords[ALICE] = NEW
        there.is_right = restless
        with pytest.raises(AccountError) as refused:
            await here.accounts.portal.begin(ALICE, NEW, WHERE)
        assert refused.value.problem is Problem.CHANGED_MEANWHILE
