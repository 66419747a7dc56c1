"""Signing in at the portal, step by step, and what each step leaves behind."""

import asyncio

import pytest

from auth.accounts import AccountError, Problem, Proof
from auth.deed import Fresh
from auth.lifetimes import ABSOLUTE_S, CODE_S, FRESH_S, IDLE_S
from auth.secret import Secret
from auth.signing_in import CODES
from auth.store.rows import Stage
from support.office import ALICE, BOB, OPERATOR, OWNER, PRIMARY, Office, failures, office, raw, refusal, wish

WHERE = "192.0.2.7"
WRONG = Secret("wrong horse battery")


async def let_in(here: Office, email: str = ALICE) -> Secret:
    """Sign in; give the token."""
    begun = await here.accounts.portal.begin(email, PRIMARY, WHERE)
    return (await here.accounts.portal.answer(begun.token, here.code(email), WHERE)).token


async def test_both_halves_let_in_and_each_step_has_its_own_token(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled(aliases=["al"])
        portal = here.accounts.portal
        begun = await portal.begin("AL", PRIMARY, WHERE)
        waiting = await portal.look(begun.token)
        assert (begun.stage, waiting.stage, waiting.whose) == (Stage.CODE, Stage.CODE, None)
        opened = await portal.answer(begun.token, here.code(), WHERE)
        session = await portal.look(opened.token)
        assert (opened.stage, session.stage, session.account.email) == (Stage.IN, Stage.IN, ALICE)
        assert session.proved_at == session.created_at == int(here.clock.now)
        assert await portal.look(begun.token) is None
        assert await failures(here) == []


async def test_a_recovery_code_lets_in_once(tmp_path):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        portal = here.accounts.portal
        for expected in (Stage.IN, None):
            begun = await portal.begin(ALICE, PRIMARY, WHERE)
            answer = portal.answer(begun.token, codes[0], WHERE)
            if expected is not None:
                assert (await answer).stage is expected
            else:
                assert await refusal(answer) is Problem.WRONG_PROOF


async def test_a_code_is_good_once_whatever_it_is_typed_into(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        code = here.code()
        await let_in(here)
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        replayed = here.accounts.portal.answer(begun.token, code, WHERE)
        assert await refusal(replayed) is Problem.WRONG_PROOF
        proof = Proof(primary=PRIMARY, code=code)
        assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, proof)) is Problem.WRONG_PROOF


@pytest.mark.parametrize("kind", ["code", "recovery code"])
async def test_of_two_uses_of_one_code_at_once_one_succeeds(tmp_path, kind):
    async with office(tmp_path) as here, office(tmp_path) as there:
        codes = await here.enrolled()
        there.clock.now = here.clock.now
        code = here.code() if kind == "code" else codes[0]
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        results = await asyncio.gather(
            here.accounts.portal.answer(begun.token, code, WHERE),
            there.accounts.mint(ALICE, wish(), OWNER, Proof(primary=PRIMARY, code=code)),
            return_exceptions=True,
        )
        refused = [result.problem for result in results if isinstance(result, AccountError)]
        assert refused == [Problem.WRONG_PROOF]


async def test_of_two_sign_ins_at_once_with_one_code_one_succeeds(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled()
        there.clock.now = here.clock.now
        begun = [await desk.accounts.portal.begin(ALICE, PRIMARY, WHERE) for desk in (here, there)]
        results = await asyncio.gather(
            *(
                desk.accounts.portal.answer(each.token, here.code(), WHERE)
                for desk, each in zip((here, there), begun, strict=True)
            ),
            return_exceptions=True,
        )
        refused = [result.problem for result in results if isinstance(result, AccountError)]
        assert refused in ([Problem.WRONG_PROOF], [Problem.TOO_MANY_TRIES])


async def test_one_form_sent_twice_at_once_opens_one_session(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        results = await asyncio.gather(
            *(here.accounts.portal.answer(begun.token, here.code(), WHERE) for _ in range(2)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, AccountError) for result in results) == 1


async def test_who_has_no_second_factor_enrols_one_and_is_in(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        portal = here.accounts.portal
        begun = await portal.begin(ALICE, PRIMARY, WHERE)
        assert begun.stage is Stage.ENROL
        assert (await portal.look(begun.token)).account.email == ALICE
        enrolment = await portal.begin_enrolment(begun.token)
        assert (await portal.begin_enrolment(begun.token)).seed == enrolment.seed, (
            "a page may be loaded again"
        )
        wrong = portal.confirm_enrolment(begun.token, Secret("000000"), OWNER)
        assert await refusal(wrong) is Problem.WRONG_NEW_CODE
        opened, codes = await portal.confirm_enrolment(begun.token, here.first_code(enrolment), OWNER)
        assert (opened.stage, len(codes)) == (Stage.IN, 10)
        assert await portal.look(begun.token) is None
        assert (await here.accounts.audit(ALICE))[-1].detail == "in the portal"
        minted = await here.accounts.mint(ALICE, wish(), OWNER, Fresh(token=opened.token))
        assert minted.label == "phone"


async def test_a_first_enrolment_begun_by_another_session_comes_too_late(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        portal = here.accounts.portal
        mine, other = [await portal.begin(ALICE, PRIMARY, WHERE) for _ in range(2)]
        enrolments = [await portal.begin_enrolment(each.token) for each in (mine, other)]
        await portal.confirm_enrolment(mine.token, here.first_code(enrolments[0]), OWNER)
        late = portal.confirm_enrolment(other.token, here.first_code(enrolments[1]), OWNER)
        assert await refusal(late) is Problem.SESSION_ENDED


async def test_two_first_enrolments_at_once_give_one(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.person()
        begun = [await desk.accounts.portal.begin(ALICE, PRIMARY, WHERE) for desk in (here, there)]
        pairs = list(zip((here, there), begun, strict=True))
        seeds = [await desk.accounts.portal.begin_enrolment(each.token) for desk, each in pairs]
        results = await asyncio.gather(
            *(
                desk.accounts.portal.confirm_enrolment(each.token, desk.first_code(seed), OWNER)
                for (desk, each), seed in zip(pairs, seeds, strict=True)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, AccountError) for result in results) == 1


@pytest.mark.parametrize("by", ["operator", "owner at the command line"])
async def test_a_session_that_enrols_ends_when_a_second_factor_comes_another_way(tmp_path, by):
    async with office(tmp_path) as here:
        await here.person()
        portal = here.accounts.portal
        begun = await portal.begin(ALICE, PRIMARY, WHERE)
        enrolment = await portal.begin_enrolment(begun.token)
        await here.enrol(ALICE, None if by == "operator" else Proof(primary=PRIMARY, code=Secret("")))
        late = portal.confirm_enrolment(begun.token, here.first_code(enrolment), OWNER)
        assert await refusal(late) is Problem.SESSION_ENDED


async def test_the_authenticator_is_replaced_with_a_fresh_proof_and_app_passwords_stay(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint()
        portal = here.accounts.portal
        other = await let_in(here)
        here.clock.now += 60
        token = await let_in(here)
        enrolment = await portal.begin_enrolment(token)
        here.clock.now += FRESH_S + 1
        code = here.first_code(enrolment)
        assert await refusal(portal.begin_enrolment(token)) is Problem.PROOF_NEEDED
        assert await refusal(portal.confirm_enrolment(token, code, OWNER)) is Problem.PROOF_NEEDED
        confirmed = await portal.confirm(token, PRIMARY, here.code(), WHERE)
        opened, _ = await portal.confirm_enrolment(confirmed.token, code, OWNER)
        assert (await portal.look(opened.token)).stage is Stage.IN
        assert [await portal.look(each) for each in (other, token, confirmed.token)] == [None] * 3
        assert await here.accounts.preview(ALICE) == 1


async def test_an_old_cookie_is_worth_nothing_after_any_step(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal = here.accounts.portal
        planted = (await portal.begin(ALICE, PRIMARY, WHERE)).token
        first = (await portal.answer(planted, here.code(), WHERE)).token
        await portal.keep(first, "state", Secret("kept"))
        here.clock.now += 60
        second = (await portal.confirm(first, PRIMARY, here.code(), WHERE)).token
        third = (await here.accounts.set_primary(ALICE, WRONG, OWNER, Fresh(token=second))).opened.token
        assert len({each.reveal() for each in (planted, first, second, third)}) == 4
        assert [await portal.look(each) for each in (planted, first, second)] == [None] * 3
        assert (await portal.look(third)).account.email == ALICE
        assert await portal.kept(third, "state") == Secret("kept")


async def test_sessions_end_when_idle_and_after_all_by_age(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal, began_at = here.accounts.portal, here.clock.now
        begun = await portal.begin(ALICE, PRIMARY, WHERE)
        here.clock.now += CODE_S
        assert await portal.look(begun.token) is not None
        here.clock.now += 1
        assert await portal.look(begun.token) is None
        assert await refusal(portal.answer(begun.token, here.code(), WHERE)) is Problem.SESSION_ENDED
        token, began_at = await let_in(here), here.clock.now
        here.clock.now += IDLE_S + 1
        assert await portal.look(token) is None
        token, began_at = await let_in(here), here.clock.now
        while here.clock.now < began_at + ABSOLUTE_S:
            assert await portal.look(token) is not None
            here.clock.now += IDLE_S
            token = (await portal.confirm(token, PRIMARY, here.code(), WHERE)).token
        here.clock.now = began_at + ABSOLUTE_S + 1
        assert await portal.look(token) is None, "a step up makes it no younger"


async def test_looking_is_written_down_once_a_minute(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        token = await let_in(here)
        here.clock.now += 59
        await here.accounts.portal.look(token)
        before = here.store.statements
        await here.accounts.portal.look(token)
        looked = here.store.statements - before
        here.clock.now += 1
        await here.accounts.portal.look(token)
        assert here.store.statements - before > 2 * looked
        before = here.store.statements
        await here.accounts.portal.look(token)
        assert here.store.statements - before == looked


async def test_a_clock_set_far_back_ends_sessions(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        token = await let_in(here)
        here.clock.now -= 30
        assert await here.accounts.portal.look(token) is not None
        here.clock.now -= 3600
        assert await here.accounts.portal.look(token) is None


async def test_ended_is_ended_and_others_can_be_ended(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.enrolled(BOB)
        portal, tokens = here.accounts.portal, []
        bob = await let_in(here, BOB)
        for _ in range(3):
            here.clock.now += 60
            tokens.append(await let_in(here))
        assert await portal.end_others(tokens[1]) == 2
        assert [await portal.look(each) is not None for each in (*tokens, bob)] == [False, True, False, True]
        await portal.end(tokens[1])
        await portal.end(tokens[1])
        assert await portal.look(tokens[1]) is None
        assert await refusal(portal.end_others(tokens[1])) is Problem.SESSION_ENDED


@pytest.mark.parametrize("deed", ["disable", "remove", "reset_second_factor", "set_primary"])
async def test_what_ends_a_proof_ends_the_sessions_with_it(tmp_path, deed):
    async with office(tmp_path) as here:
        await here.enrolled()
        token = await let_in(here)
        here.clock.now += 60
        waiting = await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        arguments = (ALICE, WRONG, OPERATOR) if deed == "set_primary" else (ALICE, OPERATOR)
        await getattr(here.accounts, deed)(*arguments)
        if deed == "disable":
            await here.accounts.enable(ALICE, OPERATOR)
        assert await here.accounts.portal.look(token) is None
        late = here.accounts.portal.answer(waiting.token, here.code(), WHERE)
        assert await refusal(late) is Problem.SESSION_ENDED


async def test_revoking_app_passwords_keeps_their_owner_in(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint()
        token = await let_in(here)
        await here.accounts.revoke_all(ALICE, OWNER, Fresh(token=token))
        assert await here.accounts.portal.look(token) is not None


async def test_the_store_holds_no_token_and_nothing_kept_in_clear(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        begun = await here.accounts.portal.begin("alice@EXAMPLE.org", PRIMARY, WHERE)
        enrolment = await here.accounts.portal.begin_enrolment(begun.token)
        await here.accounts.portal.keep(begun.token, "state", Secret("a-state-of-oauth"))
        octets = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        for secret in (begun.token, enrolment.seed, Secret("a-state-of-oauth")):
            assert secret.reveal_bytes() not in octets
            assert secret.reveal() not in repr((begun, enrolment))


async def test_what_is_kept_is_taken_once_and_dies_with_the_session(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal, token = here.accounts.portal, await let_in(here)
        await portal.keep(token, "shown once", Secret("k7mq"))
        await portal.keep(token, "state", Secret("s"))
        assert await portal.kept(token, "shown once") == Secret("k7mq")
        taken = await asyncio.gather(*(portal.take(token, "shown once") for _ in range(3)))
        assert sorted(each is None for each in taken) == [False, True, True]
        await portal.keep(token, "state", None)
        assert await portal.kept(token, "state") is None
        await portal.keep(token, "state", Secret("s"))
        await portal.end(token)
        assert await portal.kept(token, "state") is None
        assert await portal.take(token, "state") is None
        assert await refusal(portal.keep(token, "state", Secret("s"))) is Problem.SESSION_ENDED


async def test_what_is_no_pages_cannot_be_read_or_written_by_one(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal = here.accounts.portal
        begun = await portal.begin(ALICE, PRIMARY, WHERE)
        assert await portal.kept(begun.token, "name") is None
        assert await portal.take(begun.token, "left") is None
        assert await refusal(portal.keep(begun.token, "left", Secret("9"))) is Problem.SESSION_ENDED
        with pytest.raises(ValueError, match="no page's"):
            await portal.kept(begun.token, ".seed")


async def test_a_box_moved_to_another_session_does_not_open(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal, first = here.accounts.portal, await let_in(here)
        await portal.keep(first, "state", Secret("of the first"))
        here.clock.now += 60
        second = await let_in(here)
        with raw(tmp_path) as connection:
            connection.execute(
                "UPDATE portal_session SET key_id = 'k1', box = (SELECT box FROM portal_session "
                "WHERE box IS NOT NULL) WHERE box IS NULL"
            )
        assert await portal.kept(second, "state") is None
        assert await portal.kept(first, "state") == Secret("of the first")


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "\udcff", "k" * 100_000])
async def test_anything_in_place_of_a_token_is_no_session(tmp_path, token):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal, sent = here.accounts.portal, Secret(token)
        assert await portal.look(sent) is None
        assert await refusal(portal.answer(sent, here.code(), WHERE)) is Problem.SESSION_ENDED
        assert await refusal(portal.confirm(sent, PRIMARY, here.code(), WHERE)) is Problem.SESSION_ENDED
        await portal.end(sent)


async def test_a_session_between_the_halves_is_good_for_nothing_else(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        portal = here.accounts.portal
        token = (await portal.begin(ALICE, PRIMARY, WHERE)).token
        for deed in (
            portal.confirm(token, PRIMARY, here.code(), WHERE),
            portal.end_others(token),
            portal.begin_enrolment(token),
            portal.confirm_enrolment(token, here.code(), OWNER),
            portal.keep(token, "state", Secret("s")),
        ):
            assert await refusal(deed) is Problem.SESSION_ENDED
        mint = here.accounts.mint(ALICE, wish(), OWNER, Fresh(token=token))
        assert await refusal(mint) is Problem.PROOF_NEEDED
        assert (await portal.answer(token, here.code(), WHERE)).stage is Stage.IN


async def test_sessions_that_ended_by_themselves_are_tidied_up(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        for _ in range(CODES):
            here.clock.now += 60
            await let_in(here)
            await here.accounts.portal.begin(BOB, WRONG, WHERE)
        here.clock.now += ABSOLUTE_S
        await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)
        with raw(tmp_path) as connection:
            assert connection.execute("SELECT count(*) FROM portal_session").fetchone() == (1,)
