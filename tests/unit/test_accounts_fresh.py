"""A session of the portal as a proof: what it opens, for whom, and for how long."""

import asyncio

import pytest

from auth.accounts import AccountError, Actor, Fresh, Problem, Proof
from auth.lifetimes import FRESH_S
from auth.proving import Prover
from auth.secret import Secret
from auth.store.rows import ChangeKind, RevokedWhy, Stage
from support.office import ALICE, BOB, OPERATOR, OWNER, PRIMARY, Office, failures, office, refusal, wish

WHERE = "192.0.2.7"
NEW = Secret("another good password")


async def fresh(here: Office, email: str = ALICE) -> Fresh:
    """Sign in, and let the code's step pass."""
    begun = await here.accounts.portal.begin(email, PRIMARY, WHERE)
    opened = await here.accounts.portal.answer(begun.token, here.code(email), WHERE)
    return Fresh(token=opened.token)


def deeds(here: Office, proof: Fresh | None) -> dict[str, object]:
    """Every deed that takes one, ready to be begun."""
    soon = int(here.clock.now) + 86_400
    return {
        "mint": lambda: here.accounts.mint(ALICE, wish("new"), OWNER, proof),
        "renew": lambda: here.accounts.renew(ALICE, "phone", 10 * soon, OWNER, proof),
        "set_primary": lambda: here.accounts.set_primary(ALICE, NEW, OWNER, proof),
        "revoke_all": lambda: here.accounts.revoke_all(ALICE, OWNER, proof),
        "renew_recovery_codes": lambda: here.accounts.renew_recovery_codes(ALICE, OWNER, proof),
    }


DEEDS = ["mint", "renew", "set_primary", "revoke_all", "renew_recovery_codes"]


async def settled(here: Office) -> Fresh:
    await here.enrolled()
    await here.mint("phone", expires_at=int(here.clock.now) + 86_400)
    return await fresh(here)


@pytest.mark.parametrize("deed", DEEDS)
async def test_it_opens_every_deed_as_long_as_it_is_fresh(tmp_path, deed):
    async with office(tmp_path) as here:
        proof = await settled(here)
        here.clock.now += FRESH_S
        await deeds(here, proof)[deed]()
        entry = (await here.accounts.audit(ALICE))[-1]
        assert (entry.actor_kind, entry.where) == ("owner", WHERE)
        assert "in the portal" in entry.detail
        assert await failures(here) == []


@pytest.mark.parametrize("deed", DEEDS)
async def test_after_five_minutes_it_opens_none_until_both_halves_are_shown_again(tmp_path, deed):
    async with office(tmp_path) as here:
        proof = await settled(here)
        here.clock.now += FRESH_S + 1
        before = await here.accounts.audit(ALICE)
        assert await refusal(deeds(here, proof)[deed]()) is Problem.PROOF_NEEDED
        assert await here.accounts.audit(ALICE) == before
        again = await here.accounts.portal.confirm(proof.token, PRIMARY, here.code(), WHERE)
        assert await refusal(deeds(here, proof)[deed]()) is Problem.PROOF_NEEDED, (
            "the old token is worth nothing"
        )
        await deeds(here, Fresh(token=again.token))[deed]()


@pytest.mark.parametrize("deed", DEEDS)
async def test_an_owner_without_any_proof_is_refused(tmp_path, deed):
    async with office(tmp_path) as here:
        await settled(here)
        assert await refusal(deeds(here, None)[deed]()) is Problem.PROOF_NEEDED


@pytest.mark.parametrize("deed", DEEDS)
async def test_the_session_of_another_account_opens_none(tmp_path, deed):
    async with office(tmp_path) as here:
        await settled(here)
        await here.enrolled(BOB)
        proof = await fresh(here, BOB)
        assert await refusal(deeds(here, proof)[deed]()) is Problem.PROOF_NEEDED


@pytest.mark.parametrize("kind", ["nothing", "between the halves", "enrolling", "ended", "app password"])
async def test_what_is_not_in_is_no_proof(tmp_path, kind):
    async with office(tmp_path) as here:
        proof = await settled(here)
        here.clock.now += 60
        portal = here.accounts.portal
        match kind:
            case "nothing":
                token = Secret("")
            case "between the halves":
                token = (await portal.begin(ALICE, PRIMARY, WHERE)).token
            case "enrolling":
                await here.accounts.reset_second_factor(ALICE, OPERATOR)
                token = (await portal.begin(ALICE, PRIMARY, WHERE)).token
            case "ended":
                token = proof.token
                await portal.end(token)
            case "app password":
                token = (await here.mint("other")).password
        for deed in deeds(here, Fresh(token=token)).values():
            assert await refusal(deed()) is Problem.PROOF_NEEDED


async def test_how_fresh_it_is_counts_from_the_older_half(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        here.clock.now += 120
        opened = await here.accounts.portal.answer(begun.token, here.code(), WHERE)
        here.clock.now += FRESH_S - 119
        mint = here.accounts.mint(ALICE, wish(), OWNER, Fresh(token=opened.token))
        assert await refusal(mint) is Problem.PROOF_NEEDED


@pytest.mark.parametrize("meanwhile", ["ended", "too old", "disabled", "stepped up"])
async def test_it_is_looked_at_again_in_the_transaction_of_the_deed(tmp_path, meanwhile):
    async with office(tmp_path) as here:
        proof = await settled(here)
        prover = Prover(here.store, here.hasher, here.keys, here.clock)
        claim = await prover.claim(ALICE, OWNER, proof)
        match meanwhile:
            case "ended":
                await here.accounts.portal.end(proof.token)
            case "too old":
                here.clock.now += FRESH_S + 1
            case "disabled":
                await here.accounts.disable(ALICE, OPERATOR)
            case "stepped up":
                here.clock.now += 60
                await here.accounts.portal.confirm(proof.token, PRIMARY, here.code(), WHERE)
        done = []
        late = prover.carry_out(claim, lambda tx, account: done.append(account))
        assert await refusal(late) is Problem.PROOF_NEEDED
        assert done == []


async def test_of_two_mints_at_the_last_free_place_one_succeeds(tmp_path):
    async with office(tmp_path, limit=2) as here, office(tmp_path, limit=2) as there:
        proof = await settled(here)
        there.clock.now = here.clock.now
        results = await asyncio.gather(
            *(
                desk.accounts.mint(ALICE, wish(f"app {number}"), OWNER, proof)
                for number, desk in enumerate((here, there, here))
            ),
            return_exceptions=True,
        )
        refused = [result.problem for result in results if isinstance(result, AccountError)]
        assert refused == [Problem.TOO_MANY_APP_PASSWORDS] * 2
        assert await here.accounts.preview(ALICE) == 2


async def test_an_owner_who_changes_the_primary_password_stays_in_and_nobody_else_does(tmp_path):
    async with office(tmp_path) as here:
        other = await settled(here)
        here.clock.now += 60
        mine = await fresh(here)
        done = await here.accounts.set_primary(ALICE, NEW, OWNER, mine)
        assert done.opened.stage is Stage.IN
        assert len(done.app_password_ids) == 1
        portal = here.accounts.portal
        assert (await portal.look(done.opened.token)).account.email == ALICE
        assert [await portal.look(each.token) for each in (other, mine)] == [None, None]
        (dead,) = await here.accounts.history(ALICE)
        assert dead.revoked_why is RevokedWhy.PRIMARY_CHANGED
        await here.accounts.mint(ALICE, wish("next"), OWNER, Fresh(token=done.opened.token))


async def test_changed_at_the_command_line_it_ends_every_session(tmp_path):
    async with office(tmp_path) as here:
        proof = await settled(here)
        here.clock.now += 60
        done = await here.accounts.set_primary(ALICE, NEW, OWNER, here.proof())
        assert done.opened is None
        assert await here.accounts.portal.look(proof.token) is None


async def test_new_recovery_codes_void_the_old_ones(tmp_path):
    async with office(tmp_path) as here:
        old = await here.enrolled()
        codes = await here.accounts.renew_recovery_codes(ALICE, OWNER, await fresh(here))
        assert len({each.reveal() for each in codes}) == 10
        entry = (await here.accounts.audit(ALICE))[-1]
        assert (entry.deed, entry.detail) == (ChangeKind.RECOVERY_CODES_RENEWED, "in the portal")
        stale = Proof(primary=PRIMARY, code=old[0])
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, stale)) is Problem.WRONG_PROOF
        await here.accounts.mint(ALICE, wish(), OWNER, Proof(primary=PRIMARY, code=codes[0]))


async def test_no_operator_makes_recovery_codes_by_word_alone(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        renewal = here.accounts.renew_recovery_codes(ALICE, OPERATOR, None)
        assert await refusal(renewal) is Problem.PROOF_NEEDED
        await here.accounts.renew_recovery_codes(ALICE, OPERATOR, here.proof())


async def test_who_has_no_second_factor_gets_no_recovery_codes(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        proof = Proof(primary=PRIMARY, code=Secret(""))
        renewal = here.accounts.renew_recovery_codes(ALICE, OWNER, proof)
        assert await refusal(renewal) is Problem.NO_SECOND_FACTOR


async def test_a_wrong_confirmation_is_a_counted_try_and_leaves_the_session_as_it_was(tmp_path):
    async with office(tmp_path) as here:
        proof = await settled(here)
        here.clock.now += FRESH_S + 1
        portal = here.accounts.portal
        for primary, code in ((NEW, here.code()), (PRIMARY, Secret("000000"))):
            wrong = portal.confirm(proof.token, primary, code, WHERE)
            assert await refusal(wrong) is Problem.WRONG_PROOF
        assert await failures(here) == [2, 2, 2]
        session = await portal.look(proof.token)
        assert session.stage is Stage.IN
        assert session.proved_at < here.clock.now - FRESH_S


async def test_a_confirmation_sent_twice_at_once_steps_up_once(tmp_path):
    async with office(tmp_path) as here:
        proof = await settled(here)
        here.clock.now += 60
        results = await asyncio.gather(
            *(here.accounts.portal.confirm(proof.token, PRIMARY, here.code(), WHERE) for _ in range(2)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, AccountError) for result in results) == 1


async def test_a_session_outlives_no_removal_even_if_the_name_comes_back(tmp_path):
    async with office(tmp_path) as here:
        proof = await settled(here)
        await here.accounts.remove(ALICE, OPERATOR)
        await here.enrolled()
        assert await here.accounts.portal.look(proof.token) is None
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, proof)) is Problem.PROOF_NEEDED


async def test_no_token_shows_in_a_repr(tmp_path):
    async with office(tmp_path) as here:
        proof = await settled(here)
        session = await here.accounts.portal.look(proof.token)
        actor = Actor(kind="owner", name=ALICE, where=WHERE)
        claim = await here.accounts._prover.claim(ALICE, actor, proof)
        assert proof.token.reveal() not in repr((proof, session, claim))
