"""What an owner must show, and what it spends."""

import asyncio

import pytest

from auth.accounts import AccountError, Problem, Proof
from auth.hashing import Busy, Cost, Hasher, Lane
from auth.keycheck import vouch
from auth.proving import Prover
from auth.seal import KeyRing, UnknownKey, UnsealError
from auth.secret import Secret
from auth.store import keychecks
from auth.store.errors import StoreUnavailable
from auth.throttle import PER_ACCOUNT
from support.office import (
    ALICE,
    BOB,
    CHEAP,
    OPERATOR,
    OWNER,
    PRIMARY,
    Clock,
    failures,
    office,
    raw,
    refusal,
    wish,
)

WRONG = Secret("wrong horse battery")


async def test_the_primary_password_and_a_code_open_a_mint(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.accounts.mint("ALICE@example.org", wish(), OWNER, here.proof())
        assert [row.id for row in await here.accounts.active(ALICE)] == [minted.id]
        entry = (await here.accounts.audit(ALICE))[-1]
        assert (entry.actor_kind, entry.where, entry.detail) == ("owner", "192.0.2.7", "mail, by a code")
        assert await failures(here) == []


async def test_either_half_wrong_is_the_same_refusal(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        said = set()
        for primary, code in ((WRONG, here.code()), (PRIMARY, Secret("000000")), (PRIMARY, Secret(""))):
            with pytest.raises(AccountError) as refused:
                await here.accounts.mint(ALICE, wish(), OWNER, Proof(primary=primary, code=code))
            said.add((refused.value.problem, str(refused.value), refused.value.hint))
            here.clock.now += 100
        with pytest.raises(AccountError) as refused:
            await here.accounts.mint(BOB, wish(), OWNER, here.proof())
        said.add((refused.value.problem, str(refused.value), refused.value.hint))
        assert len(said) == 1
        assert await here.accounts.history(ALICE) == []


async def test_unknown_accounts_cost_and_count_like_known_ones(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        for name in (ALICE, BOB, "no name at all", "\udcff" * 1000):
            here.hasher.calls.clear()
            before = len(await failures(here))
            proof = Proof(primary=WRONG, code=Secret("123456"))
            assert await refusal(here.accounts.mint(name, wish(), OPERATOR, proof)) is Problem.WRONG_PROOF
            assert here.hasher.calls == {Lane.PRIMARY: 1}
            assert len(await failures(here)) == before + 2, "by name and by account"


async def test_an_owner_without_a_proof_is_refused(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER)) is Problem.PROOF_NEEDED
        assert await refusal(here.accounts.set_primary(ALICE, WRONG, OWNER)) is Problem.PROOF_NEEDED


async def test_a_service_account_proves_nothing(tmp_path):
    async with office(tmp_path) as here:
        await here.accounts.add(BOB, primary=None, service=True, actor=OPERATOR)
        proof = Proof(primary=PRIMARY, code=Secret("123456"))
        assert await refusal(here.accounts.mint(BOB, wish(), OWNER, proof)) is Problem.WRONG_PROOF


async def test_a_code_used_twice_in_parallel_opens_one_deed(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled()
        there.clock.now = here.clock.now
        proof = here.proof()
        results = await asyncio.gather(
            *(
                desk.accounts.mint(ALICE, wish(f"app {number}"), OPERATOR, proof)
                for number, desk in enumerate((here, there, here))
            ),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, AccountError)]
        assert [error.problem for error in refused] == [Problem.WRONG_PROOF] * 2
        assert await here.accounts.preview(ALICE) == 1
        assert await refusal(here.accounts.mint(ALICE, wish("late"), OPERATOR, proof)) is Problem.WRONG_PROOF
        here.clock.now += 30
        await here.accounts.mint(ALICE, wish("next"), OPERATOR, here.proof())


async def test_a_recovery_code_is_good_once_also_in_parallel(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        codes = await here.enrolled()
        proof = Proof(primary=PRIMARY, code=Secret(codes[0].reveal().upper().replace("-", " ")))
        results = await asyncio.gather(
            here.accounts.mint(ALICE, wish("a"), OPERATOR, proof),
            there.accounts.mint(ALICE, wish("b"), OPERATOR, proof),
            return_exceptions=True,
        )
        assert [type(result) for result in results].count(AccountError) == 1
        assert (await here.accounts.audit(ALICE))[-1].detail == "mail, by a recovery code"
        here.clock.now += 100
        assert await refusal(here.accounts.mint(ALICE, wish("c"), OPERATOR, proof)) is Problem.WRONG_PROOF
        here.clock.now += 100
        other = Proof(primary=PRIMARY, code=codes[1])
        await here.accounts.mint(ALICE, wish("d"), OPERATOR, other)


async def test_another_accounts_recovery_code_is_worth_nothing(tmp_path):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        await here.enrolled(BOB)
        proof = Proof(primary=PRIMARY, code=codes[0])
        assert await refusal(here.accounts.mint(BOB, wish(), OPERATOR, proof)) is Problem.WRONG_PROOF


async def test_a_deed_refused_for_its_own_reason_spends_the_code_but_not_a_recovery_code(tmp_path):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        await here.mint("phone")
        proof, recovery = here.proof(), Proof(primary=PRIMARY, code=codes[0])
        assert await refusal(here.accounts.mint(ALICE, wish("phone"), OPERATOR, proof)) is Problem.LABEL_TAKEN
        assert await failures(here) == []
        assert await refusal(here.accounts.mint(ALICE, wish("new"), OPERATOR, proof)) is Problem.WRONG_PROOF
        here.clock.now += 100
        assert (
            await refusal(here.accounts.mint(ALICE, wish("phone"), OPERATOR, recovery)) is Problem.LABEL_TAKEN
        )
        await here.accounts.mint(ALICE, wish("new"), OPERATOR, recovery)


async def test_an_outage_is_no_failure(tmp_path):
    closed = Hasher(app=CHEAP, primary=CHEAP)
    closed.close()
    async with office(tmp_path) as here:
        await here.enrolled()
        prover = Prover(here.store, closed, here.keys, here.clock)
        for _ in range(PER_ACCOUNT.free + 1):
            with pytest.raises(Busy):
                await prover.claim(ALICE, OWNER, here.proof())
        assert await failures(here) == []


async def test_a_right_proof_is_no_failure_whatever_becomes_of_the_deed(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        prover = Prover(here.store, here.hasher, here.keys, here.clock)
        for _ in range(PER_ACCOUNT.free + 1):
            await prover.claim(ALICE, OWNER, here.proof())
        assert await failures(here) == []


class FailingOnce:
    """A store of which one write fails."""

    def __init__(self, store, which: int) -> None:
        self._store, self._left = store, which

    async def write(self, work):
        self._left -= 1
        if self._left == 0:
            raise StoreUnavailable("locked")
        return await self._store.write(work)


async def test_a_right_proof_that_could_not_be_noted_is_no_failure(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        prover = Prover(FailingOnce(here.store, 2), here.hasher, here.keys, here.clock)
        with pytest.raises(StoreUnavailable):
            await prover.claim(ALICE, OWNER, here.proof())
        assert await failures(here) == []


async def test_a_key_that_is_missing_is_an_outage_and_no_failure(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        proof = here.proof()
    async with office(tmp_path, keys=KeyRing({"k2": bytes(32)}, "k2"), vouched=False) as there:
        await there.store.write(lambda tx: keychecks.insert_check_value(tx, "k2", b"not k1"))
        with pytest.raises(UnknownKey):
            await there.accounts.mint(ALICE, wish(), OPERATOR, proof)
        assert await failures(there) == []


async def test_a_seed_moved_from_another_account_does_not_open(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.enrolled(BOB)
        with raw(tmp_path) as connection:
            connection.execute(
                "UPDATE account SET seed_box = (SELECT seed_box FROM account WHERE email = ?) "
                "WHERE email = ?",
                (BOB, ALICE),
            )
        proof = Proof(primary=PRIMARY, code=here.code(BOB))
        with pytest.raises(UnsealError):
            await here.accounts.mint(ALICE, wish(), OPERATOR, proof)


async def test_a_damaged_hash_is_an_outage(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        with raw(tmp_path) as connection:
            connection.execute("UPDATE account SET primary_hash = 'plain'")
        with pytest.raises(StoreUnavailable, match="hash"):
            await here.accounts.mint(ALICE, wish(), OPERATOR, here.proof())
        assert await failures(here) == []


async def test_a_hash_of_yesterday_is_renewed_on_use(tmp_path):
    clock, dearer = Clock(), Hasher(app=CHEAP, primary=Cost(memory_kib=16, passes=1))
    async with office(tmp_path) as here:
        await here.enrolled()
        clock.now = here.clock.now
        keys = KeyRing({"k1": bytes(range(32)), "k2": bytes(32)}, "k2")
        await vouch(here.store, keys)
        prover = Prover(here.store, dearer, keys, clock)
        old = await here.accounts.find(ALICE)
        claim = await prover.claim(ALICE, OWNER, here.proof())
        await prover.carry_out(claim, lambda tx, account: None)
        new = await here.accounts.find(ALICE)
        assert new.primary_hash != old.primary_hash
        assert new.primary_key_id == "k2"
        clock.now += 60
        here.clock.now = clock.now
        assert (await prover.claim(ALICE, OWNER, here.proof())).rehashed is None
        dearer.close()


async def test_a_proof_looked_at_before_a_change_is_worth_nothing_after(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        prover = Prover(here.store, here.hasher, here.keys, here.clock)
        claim = await prover.claim(ALICE, OWNER, here.proof())
        await here.accounts.set_primary(ALICE, Secret("another password"), OPERATOR)
        with pytest.raises(AccountError) as refused:
            await prover.carry_out(claim, lambda tx, account: None)
        assert refused.value.problem is Problem.CHANGED_MEANWHILE
        stale = Prover(here.store, here.hasher, here.keys, here.clock)
        claim = await stale.claim(ALICE, OPERATOR, None)
        await here.accounts.remove(ALICE, OPERATOR)
        with pytest.raises(AccountError) as refused:
            await stale.carry_out(claim, lambda tx, account: None)
        assert refused.value.problem is Problem.NO_SUCH_ACCOUNT


async def test_a_disabled_account_is_told_so_only_after_its_proof(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.accounts.disable(ALICE, OPERATOR)
        wrong = Proof(primary=WRONG, code=here.code())
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, wrong)) is Problem.WRONG_PROOF
        assert (
            await refusal(here.accounts.mint(ALICE, wish(), OWNER, here.proof())) is Problem.ACCOUNT_DISABLED
        )
