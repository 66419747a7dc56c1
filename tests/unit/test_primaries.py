"""Primary passwords that a mail server keeps: asked each time, changed there, unreachable, seen first."""

import asyncio

import pytest

from auth.accounts import Problem, Proof
from auth.lifetimes import FRESH_S
from auth.outage import PrimaryOutage
from auth.secret import Secret
from auth.store import deeds
from auth.store.rows import ChangeKind, RevokedWhy, Stage
from support.mailbox_town import (
    ALICE,
    CAROL,
    NEW,
    NO_CODE,
    NOBODY,
    OWNER,
    WHERE,
    WRONG,
    last,
    settled,
    sign_in,
    town,
)
from support.mailboxes import Mailboxes
from support.office import OPERATOR, PRIMARY, failures, refusal, wish


async def test_the_mail_server_is_asked_each_time_and_only_a_hash_stays_here(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        assert await last(here) == (ChangeKind.PRIMARY_PROVED, "at the mail server")
        number = (await here.store.feed_mark()).seq
        there.asked.clear()
        await sign_in(here, PRIMARY)
        assert there.asked == [(ALICE, True)]
        assert (await here.store.feed_mark()).seq == number, "nothing was changed"
        octets = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert PRIMARY.reveal_bytes() not in octets


async def test_one_that_is_kept_here_is_not_asked_for_elsewhere(tmp_path):
    async with town(tmp_path) as (here, there):
        await here.enrolled(CAROL)
        there.away = True
        begun = await here.accounts.portal.begin(CAROL, PRIMARY, WHERE)
        await here.accounts.portal.answer(begun.token, here.code(CAROL), WHERE)
        assert there.asked == []


async def test_what_the_mail_server_refuses_is_wrong_though_it_was_right_before(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        await here.mint()
        there.passwords[ALICE] = NEW
        assert await refusal(sign_in(here, PRIMARY)) is Problem.WRONG_PROOF
        assert await here.accounts.preview(ALICE) == 1, "that alone is no change"


async def test_another_one_that_it_takes_ends_app_passwords_and_sessions_before_anything_opens(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        minted = await here.mint()
        earlier = await sign_in(here, PRIMARY)
        here.clock.now += 60
        there.passwords[ALICE] = NEW
        begun = await here.accounts.portal.begin(ALICE, NEW, WHERE)
        assert (begun.stage, begun.revocation) == (Stage.CODE, None), "nothing is told before the code"
        assert await here.accounts.portal.look(earlier.token) is None
        (dead,) = await here.accounts.history(ALICE)
        assert dead.revoked_why is RevokedWhy.PRIMARY_CHANGED
        deed, detail = await last(here)
        assert deed is ChangeKind.PRIMARY_CHANGED
        assert detail == "at the mail server, seen at a sign-in, 1 app password revoked"
        opened = await here.accounts.portal.answer(begun.token, here.code(ALICE), WHERE)
        assert opened.revocation.app_password_ids == (minted.id,)
        assert opened.revocation.change == await here.store.feed_mark()
        here.clock.now += 60
        number = (await here.store.feed_mark()).seq
        await sign_in(here, NEW)
        assert (await here.store.feed_mark()).seq == number, "it is changed once"


async def test_a_change_is_seen_by_a_claim_too_and_its_deed_is_done(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        await here.mint("old")
        there.passwords[ALICE] = NEW
        proof = Proof(primary=NEW, code=here.code(ALICE))
        await here.accounts.mint(ALICE, wish("new"), OWNER, proof)
        assert [row.label for row in await here.accounts.active(ALICE)] == ["new"]


async def test_an_owner_who_confirms_with_a_changed_one_stays_in_under_a_new_token(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        await here.mint()
        mine, began_at = await sign_in(here, PRIMARY), here.clock.now
        here.clock.now += FRESH_S + 1
        there.passwords[ALICE] = NEW
        opened = await here.accounts.portal.confirm(mine.token, NEW, here.code(ALICE), WHERE)
        assert len(opened.revocation.app_password_ids) == 1
        assert await here.accounts.portal.look(mine.token) is None
        session = await here.accounts.portal.look(opened.token)
        assert (session.created_at, session.proved_at) == (began_at, here.clock.now)


async def test_a_changed_one_with_a_wrong_code_opens_nothing(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        mine = await sign_in(here, PRIMARY)
        here.clock.now += 60
        there.passwords[ALICE] = NEW
        wrong = here.accounts.portal.confirm(mine.token, NEW, NO_CODE, WHERE)
        assert await refusal(wrong) is Problem.WRONG_PROOF
        assert await here.accounts.portal.look(mine.token) is None, "it was changed all the same"


async def test_an_outage_is_no_failure_no_change_and_no_wrong_password(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        await here.mint()
        mine = await sign_in(here, PRIMARY)
        here.clock.now += 60
        there.away = True
        before = await here.accounts.audit()
        for primary in (PRIMARY, NEW, WRONG):
            with pytest.raises(PrimaryOutage):
                await here.accounts.portal.begin(ALICE, primary, WHERE)
            with pytest.raises(PrimaryOutage):
                await here.accounts.portal.confirm(mine.token, primary, here.code(ALICE), WHERE)
            proof = Proof(primary=primary, code=here.code(ALICE))
            with pytest.raises(PrimaryOutage):
                await here.accounts.mint(ALICE, wish("new"), OWNER, proof)
        assert await failures(here) == []
        assert await here.accounts.audit() == before
        assert await here.accounts.preview(ALICE) == 1
        there.away = False
        await here.accounts.portal.confirm(mine.token, PRIMARY, here.code(ALICE), WHERE)


async def test_an_outage_does_not_tell_who_has_an_account(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        there.away = True
        for name in (ALICE, NOBODY):
            with pytest.raises(PrimaryOutage):
                await here.accounts.portal.begin(name, WRONG, WHERE)


async def test_who_was_not_invited_does_not_come_in(tmp_path):
    async with town(tmp_path) as (here, there):
        there.passwords[NOBODY] = PRIMARY
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        for name in (ALICE, NOBODY):
            assert (await here.accounts.portal.begin(name, PRIMARY, WHERE)).stage is Stage.CODE
            proof = Proof(primary=PRIMARY, code=NO_CODE)
            assert await refusal(here.accounts.revoke_all(name, OWNER, proof)) is Problem.WRONG_PROOF
            here.clock.now += 100
        assert [row.email for row in await here.accounts.all()] == [ALICE]
        assert (await here.accounts.find(ALICE)).primary_hash is None


async def test_an_accepted_invitation_left_a_hash_and_that_is_enough(tmp_path):
    async with town(tmp_path) as (here, _):
        row = await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        known = await here.accounts._prover.primaries.hash(row.id, PRIMARY)
        await here.store.write(lambda tx: deeds.set_primary(tx, row.id, *known))
        assert (await here.accounts.portal.begin(ALICE, PRIMARY, WHERE)).stage is Stage.ENROL


async def test_a_first_sign_in_adds_the_account_where_that_is_enough(tmp_path):
    there = Mailboxes(passwords={ALICE: PRIMARY}, comes_in_first=True)
    async with town(tmp_path, there) as (here, _):
        assert (await here.accounts.portal.begin("ALICE@Example.ORG", WRONG, WHERE)).stage is Stage.CODE
        assert await here.accounts.all() == []
        begun = await here.accounts.portal.begin("ALICE@Example.ORG", PRIMARY, WHERE)
        assert begun.stage is Stage.ENROL
        [row] = await here.accounts.all()
        assert (row.email, row.is_service, row.aliases) == (ALICE, False, ())
        entry = (await here.accounts.audit(ALICE))[-1]
        assert (entry.deed, entry.detail, entry.actor_kind, entry.where) == (
            ChangeKind.ACCOUNT_ADDED,
            "person, at the first sign-in",
            "owner",
            WHERE,
        )
        enrolment = await here.accounts.portal.begin_enrolment(begun.token)
        await here.accounts.portal.confirm_enrolment(begun.token, here.first_code(enrolment), OWNER)


@pytest.mark.parametrize("name", ["nobody", "nobody@", "", "no body@example.org", "\udcff@example.org"])
async def test_a_first_sign_in_by_what_is_no_address_adds_nothing(tmp_path, name):
    there = Mailboxes(passwords={name: PRIMARY}, comes_in_first=True)
    async with town(tmp_path, there) as (here, _):
        assert (await here.accounts.portal.begin(name, PRIMARY, WHERE)).stage is Stage.CODE
        assert await here.accounts.all() == []
        assert there.asked == []


async def test_two_first_sign_ins_at_once_add_one_account(tmp_path):
    there = Mailboxes(passwords={ALICE: PRIMARY}, comes_in_first=True, held=asyncio.Event())
    async with town(tmp_path, there) as (here, _), town(tmp_path, there) as (other, _):
        other.clock.now = here.clock.now
        both = [
            asyncio.create_task(desk.accounts.portal.begin(ALICE, PRIMARY, WHERE)) for desk in (here, other)
        ]
        while len(there.asked) < 2:  # noqa: ASYNC110 - a turn of the loop, not a time
            await asyncio.sleep(0)
        there.held.set()
        assert [opened.stage for opened in await asyncio.gather(*both)] == [Stage.ENROL] * 2
        assert len(await here.accounts.all()) == 1


async def test_a_service_or_disabled_account_does_not_come_in_by_its_mailbox(tmp_path):
    printer, gone = "printer@example.org", "gone@example.org"
    there = Mailboxes(passwords={printer: PRIMARY, gone: PRIMARY}, comes_in_first=True)
    async with town(tmp_path, there) as (here, _):
        await here.accounts.add(printer, primary=None, service=True, actor=OPERATOR)
        await here.accounts.add(gone, primary=None, actor=OPERATOR)
        await here.accounts.disable(gone, OPERATOR)
        for name in (printer, gone):
            assert (await here.accounts.portal.begin(name, PRIMARY, WHERE)).stage is Stage.CODE
        assert (await here.accounts.find(printer)).primary_hash is None


async def test_an_account_that_is_to_be_left_alone_is_not_added_again_by_another_name(tmp_path):
    there = Mailboxes(passwords={"al@example.org": PRIMARY, ALICE: PRIMARY}, comes_in_first=True)
    async with town(tmp_path, there) as (here, _):
        await here.accounts.add(ALICE, primary=None, aliases=["al@example.org"], actor=OPERATOR)
        for _ in range(10):
            here.clock.now += 64
            await here.accounts.portal.begin(ALICE, WRONG, "")
        assert (await here.accounts.portal.begin("al@example.org", PRIMARY, "")).stage is Stage.CODE
        assert len(await here.accounts.all()) == 1


async def test_a_hash_stored_by_another_in_the_same_moment_is_looked_at_again(tmp_path):
    """Two sign-ins with the changed one at once: the second finds it known, and nothing is revoked twice."""
    there = Mailboxes(passwords={ALICE: PRIMARY})
    async with town(tmp_path, there) as (here, _), town(tmp_path, there) as (other, _):
        await settled(here)
        other.clock.now = here.clock.now
        there.passwords[ALICE], there.held = NEW, asyncio.Event()
        there.asked.clear()
        both = [asyncio.create_task(desk.accounts.portal.begin(ALICE, NEW, WHERE)) for desk in (here, other)]
        while len(there.asked) < 2:  # noqa: ASYNC110 - a turn of the loop, not a time
            await asyncio.sleep(0)
        there.held.set()
        begun = await asyncio.gather(*both)
        changed = [
            each for each in await here.accounts.audit(ALICE) if each.deed is ChangeKind.PRIMARY_CHANGED
        ]
        assert len(changed) == 1
        opened = await here.accounts.portal.answer(begun[0].token, here.code(ALICE), WHERE)
        here.clock.now += 60
        assert opened.stage is Stage.IN
        late = here.accounts.portal.answer(begun[1].token, here.code(ALICE), WHERE)
        assert (await late).stage is Stage.IN, "the change did not end what began with it"


@pytest.mark.parametrize("old_was_known", [True, False])
async def test_the_old_one_that_was_taken_just_before_the_change_opens_nothing_after_it(
    tmp_path, old_was_known
):
    there = Mailboxes(passwords={ALICE: PRIMARY})
    async with town(tmp_path, there) as (here, _):
        await settled(here)
        if not old_was_known:
            await here.accounts.primary_changed(ALICE, OPERATOR)
        there.held, there.reached = asyncio.Event(), asyncio.Event()
        slow = asyncio.create_task(here.accounts.portal.begin(ALICE, PRIMARY, WHERE))
        await there.reached.wait()
        late, there.held = there.held, None
        there.passwords[ALICE] = NEW
        here.clock.now += 60
        mine = await sign_in(here, NEW)
        late.set()
        begun = await slow
        here.clock.now += 60
        wrong = here.accounts.portal.answer(begun.token, here.code(ALICE), WHERE)
        assert await refusal(wrong) is Problem.WRONG_PROOF
        assert await here.accounts.portal.look(mine.token) is not None
        deed, _ = await last(here)
        assert deed is not ChangeKind.PRIMARY_CHANGED or old_was_known


async def test_told_of_a_change_it_forgets_and_revokes_at_once(tmp_path):
    async with town(tmp_path) as (here, there):
        await settled(here)
        minted = await here.mint()
        mine = await sign_in(here, PRIMARY)
        here.clock.now += 60
        done = await here.accounts.primary_changed("ALICE@example.org", OPERATOR)
        assert done.app_password_ids == (minted.id,)
        assert await last(here) == (
            ChangeKind.PRIMARY_CHANGED,
            "at the mail server, as was told, 1 app password revoked",
        )
        assert await here.accounts.portal.look(mine.token) is None
        assert (await here.accounts.find(ALICE)).primary_hash is None
        there.passwords[ALICE] = NEW
        await here.mint("made since")
        await sign_in(here, NEW)
        assert await here.accounts.preview(ALICE) == 1, "what was told of already is no second change"


async def test_it_is_told_only_of_what_a_mail_server_keeps(tmp_path):
    async with town(tmp_path) as (here, _):
        await here.enrolled(CAROL)
        await here.accounts.add("printer@example.org", primary=None, service=True, actor=OPERATOR)
        for name in (CAROL, "printer@example.org"):
            assert await refusal(here.accounts.primary_changed(name, OPERATOR)) is Problem.PRIMARY_HERE
        assert await refusal(here.accounts.primary_changed(NOBODY, OPERATOR)) is Problem.NO_SUCH_ACCOUNT


async def test_one_that_a_mail_server_keeps_is_not_set_here(tmp_path):
    async with town(tmp_path) as (here, _):
        added = here.accounts.add(ALICE, primary=PRIMARY, actor=OPERATOR)
        assert await refusal(added) is Problem.PRIMARY_ELSEWHERE
        await settled(here)
        await here.mint()
        mine = await sign_in(here, PRIMARY)
        for actor, proof in ((OPERATOR, None), (OWNER, mine)):
            deed = here.accounts.set_primary(ALICE, NEW, actor, proof)
            assert await refusal(deed) is Problem.PRIMARY_ELSEWHERE
        assert await here.accounts.preview(ALICE) == 1


@pytest.mark.parametrize("primary", ["", "a\0b", "a\nb", "a\rb"])
async def test_what_no_sign_in_can_carry_is_wrong_and_goes_nowhere(tmp_path, primary):
    async with town(tmp_path) as (here, there):
        there.passwords[ALICE] = Secret(primary)
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        there.comes_in_first = True
        assert (await here.accounts.portal.begin(ALICE, Secret(primary), WHERE)).stage is Stage.CODE
        assert there.asked == []


# --- the time an answer takes -------------------------------------------------------------------------------
