"""The second factor and the primary password: what replaces them, and what goes with them."""

import asyncio

import pytest

from auth.accounts import AccountError, Problem, Proof
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.rows import ChangeKind, RevokedWhy
from support.office import ALICE, BOB, OPERATOR, OWNER, PRIMARY, locked, office, wish

NEW = Secret("another good password")


async def refusal(deed) -> Problem:
    with pytest.raises(AccountError) as refused:
        await deed
    return refused.value.problem


async def test_an_enrolment_counts_only_once_confirmed(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        enrolment = await here.accounts.begin_enrolment(ALICE)
        assert enrolment.uri.reveal().startswith("otpauth://totp/test:alice%40example.org?secret=")
        assert enrolment.seed.reveal() not in repr(enrolment)
        assert not (await here.accounts.find(ALICE)).has_second_factor
        wrong = here.accounts.confirm_enrolment(ALICE, enrolment, Secret("000000"), OPERATOR)
        assert await refusal(wrong) is Problem.WRONG_NEW_CODE
        assert not (await here.accounts.find(ALICE)).has_second_factor
        codes = await here.accounts.confirm_enrolment(ALICE, enrolment, here.first_code(enrolment), OPERATOR)
        assert len(codes) == 10
        assert len({code.reveal() for code in codes}) == 10
        assert (await here.accounts.find(ALICE)).has_second_factor


async def test_the_confirming_code_is_spent(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        enrolment = await here.accounts.begin_enrolment(ALICE)
        code = here.first_code(enrolment)
        await here.accounts.confirm_enrolment(ALICE, enrolment, code, OPERATOR)
        proof = Proof(primary=PRIMARY, code=code)
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, proof)) is Problem.WRONG_PROOF


async def test_an_owner_enrols_the_first_with_the_primary_password(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        enrolment = await here.accounts.begin_enrolment(ALICE)
        code = here.first_code(enrolment)

        def confirm(proof):
            return here.accounts.confirm_enrolment(ALICE, enrolment, code, OWNER, proof)

        assert await refusal(confirm(None)) is Problem.PROOF_NEEDED
        assert await refusal(confirm(Proof(primary=NEW, code=Secret("")))) is Problem.WRONG_PROOF
        assert await refusal(confirm(Secret("123456"))) is Problem.WRONG_PROOF
        await confirm(Proof(primary=PRIMARY, code=Secret("")))
        assert (await here.accounts.audit(ALICE))[-1].detail == "by the primary password"


async def test_two_first_enrolments_at_once_give_one(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.person()
        enrolments = [await here.accounts.begin_enrolment(ALICE) for _ in range(2)]
        results = await asyncio.gather(
            *(
                desk.accounts.confirm_enrolment(ALICE, each, here.first_code(each), OPERATOR)
                for desk, each in zip((here, there), enrolments, strict=True)
            ),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, AccountError)]
        assert [error.problem for error in refused] == [Problem.ALREADY_ENROLLED]


async def test_the_operator_alone_does_not_replace_it(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        before = await here.accounts.find(ALICE)
        assert await refusal(here.enrol()) is Problem.ALREADY_ENROLLED
        assert await here.accounts.find(ALICE) == before


@pytest.mark.parametrize("by", ["code", "recovery code", "whole proof"])
async def test_its_owner_replaces_it_and_keeps_the_app_passwords(tmp_path, by):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        await here.mint()
        old = here.seeds[ALICE]
        proof = {"code": here.code(), "recovery code": codes[3], "whole proof": here.proof()}[by]
        new_codes = await here.enrol(ALICE, proof)
        assert here.seeds[ALICE] != old
        assert await here.accounts.preview(ALICE) == 1
        assert (await here.accounts.audit(ALICE))[-1].deed is ChangeKind.SECOND_FACTOR_REPLACED
        stale = Proof(primary=PRIMARY, code=codes[4])
        assert await refusal(here.accounts.mint(ALICE, wish("a"), OWNER, stale)) is Problem.WRONG_PROOF
        await here.accounts.mint(ALICE, wish("b"), OWNER, here.proof())
        await here.accounts.mint(ALICE, wish("c"), OWNER, Proof(primary=PRIMARY, code=new_codes[0]))


async def test_a_wrong_code_replaces_nothing(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        before = await here.accounts.find(ALICE)
        for proof in (Secret("000000"), Secret(""), PRIMARY):
            with pytest.raises(AccountError, match=r"^the code is wrong$") as refused:
                await here.enrol(ALICE, proof)
            assert refused.value.problem is Problem.WRONG_PROOF
        here.clock.now += 60
        with pytest.raises(AccountError, match=r"^the primary password or the code is wrong$"):
            await here.enrol(ALICE, Proof(primary=PRIMARY, code=Secret("000000")))
        assert await here.accounts.find(ALICE) == before


async def test_a_code_used_twice_in_parallel_replaces_it_once(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled()
        there.clock.now = here.clock.now
        enrolments = [await here.accounts.begin_enrolment(ALICE) for _ in range(2)]
        results = await asyncio.gather(
            *(
                desk.accounts.confirm_enrolment(ALICE, each, here.first_code(each), OPERATOR, here.code())
                for desk, each in zip((here, there), enrolments, strict=True)
            ),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, AccountError)]
        assert [error.problem for error in refused] in (
            [Problem.WRONG_PROOF],
            [Problem.CHANGED_MEANWHILE],
        )


async def test_an_enrolment_belongs_to_its_account_and_outlives_no_disabling(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        await here.person(BOB)
        enrolment = await here.accounts.begin_enrolment(ALICE)
        code = here.first_code(enrolment)
        deed = here.accounts.confirm_enrolment(BOB, enrolment, code, OPERATOR)
        assert await refusal(deed) is Problem.NO_SUCH_ACCOUNT
        await here.accounts.disable(ALICE, OPERATOR)
        deed = here.accounts.confirm_enrolment(ALICE, enrolment, code, OPERATOR)
        assert await refusal(deed) is Problem.ACCOUNT_DISABLED


async def test_a_reset_takes_everything_in_one_transaction(tmp_path):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        minted = await here.mint()
        number = (await here.store.feed_mark()).seq
        done = await here.accounts.reset_second_factor(ALICE, OPERATOR)
        assert (done.change.seq, done.app_password_ids) == (number + 1, (minted.id,))
        row = await here.accounts.find(ALICE)
        assert (row.seed, row.last_step) == (None, None)
        (dead,) = await here.accounts.history(ALICE)
        assert dead.revoked_why is RevokedWhy.SECOND_FACTOR_RESET
        entry = (await here.accounts.audit(ALICE))[-1]
        assert (entry.deed, entry.detail) == (ChangeKind.SECOND_FACTOR_RESET, "1 app password revoked")
        proof = Proof(primary=PRIMARY, code=codes[0])
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, proof)) is Problem.NO_SECOND_FACTOR
        again = here.accounts.reset_second_factor(ALICE, OPERATOR)
        assert await refusal(again) is Problem.NO_SECOND_FACTOR


@pytest.mark.parametrize("proved", [True, False])
async def test_a_new_primary_password_ends_all_app_passwords(tmp_path, proved):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = [await here.mint(label) for label in ("a", "b")]
        number = (await here.store.feed_mark()).seq
        proof, actor = (here.proof(), OWNER) if proved else (None, OPERATOR)
        done = await here.accounts.set_primary(ALICE, NEW, actor, proof)
        assert done.change.seq == number + 1
        assert set(done.app_password_ids) == {each.id for each in minted}
        assert {row.revoked_why for row in await here.accounts.history(ALICE)} == {RevokedWhy.PRIMARY_CHANGED}
        detail = (await here.accounts.audit(ALICE))[-1].detail
        assert (
            detail == ("by a code" if proved else "without the owner's proof") + ", 2 app passwords revoked"
        )
        here.clock.now += 60
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, here.proof())) is Problem.WRONG_PROOF
        await here.accounts.mint(ALICE, wish(), OWNER, Proof(primary=NEW, code=here.code()))


async def test_without_a_second_factor_the_old_primary_password_is_enough(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        proof = Proof(primary=PRIMARY, code=Secret(""))
        assert (await here.accounts.set_primary(ALICE, NEW, OWNER, proof)).change is not None
        assert await refusal(here.accounts.set_primary(ALICE, PRIMARY, OWNER, proof)) is Problem.WRONG_PROOF


async def test_the_owner_of_a_disabled_account_changes_nothing_but_the_operator_may(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.accounts.disable(ALICE, OPERATOR)
        deed = here.accounts.set_primary(ALICE, NEW, OWNER, here.proof())
        assert await refusal(deed) is Problem.ACCOUNT_DISABLED
        await here.accounts.set_primary(ALICE, NEW, OPERATOR)


async def test_every_way_to_write_a_letter_is_the_same_primary_password(tmp_path):
    composed, decomposed = Secret("caf\u00e9 au lait"), Secret("cafe\u0301 au lait")
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.accounts.set_primary(ALICE, composed, OPERATOR)
        await here.accounts.mint(ALICE, wish(), OWNER, Proof(primary=decomposed, code=here.code()))


@pytest.mark.parametrize("deed", ["disable", "remove", "reset_second_factor", "revoke_all", "set_primary"])
async def test_a_locked_store_does_nothing_by_halves(tmp_path, deed):
    async with office(tmp_path, busy_s=0.05) as here:
        await here.enrolled()
        await here.mint()
        before = (
            await here.accounts.find(ALICE),
            await here.accounts.audit(),
            await here.accounts.active(ALICE),
        )
        arguments = (ALICE, NEW, OPERATOR) if deed == "set_primary" else (ALICE, OPERATOR)
        with locked(tmp_path), pytest.raises(StoreUnavailable):
            await getattr(here.accounts, deed)(*arguments)
        after = (
            await here.accounts.find(ALICE),
            await here.accounts.audit(),
            await here.accounts.active(ALICE),
        )
        assert after == before


@pytest.mark.parametrize("deed", ["disable", "remove", "reset_second_factor", "revoke_all", "set_primary"])
async def test_a_deed_that_cannot_be_numbered_is_not_done(tmp_path, deed):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint()
        before = (
            await here.accounts.find(ALICE),
            await here.accounts.audit(),
            await here.accounts.active(ALICE),
        )
        await here.store.write(
            lambda tx: tx.exec_driver_sql(
                "CREATE TRIGGER no_number BEFORE INSERT ON change BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )
        arguments = (ALICE, NEW, OPERATOR) if deed == "set_primary" else (ALICE, OPERATOR)
        with pytest.raises(StoreUnavailable):
            await getattr(here.accounts, deed)(*arguments)
        after = (
            await here.accounts.find(ALICE),
            await here.accounts.audit(),
            await here.accounts.active(ALICE),
        )
        assert after == before
