"""Renewal: a successor takes the place of an app password, and what each of the two may still do."""

import pytest

from auth.accounts import AccountError, Problem
from auth.deed import Fresh
from auth.lifetimes import FRESH_S
from auth.minting import counted
from auth.renewing import usual_end
from auth.store.rows import ChangeKind, RevokedWhy
from auth.store.successors import GRACE_S
from scopes.model import Limits, Scope
from support.office import ALICE, OPERATOR, OWNER, PRIMARY, office, refusal

DAY = 86_400


@pytest.fixture
async def here(tmp_path):
    """Alice with a phone whose app password ends in ten days."""
    async with office(tmp_path) as here:
        await here.enrolled()
        here.end = int(here.clock.now) + 10 * DAY
        here.phone = await here.mint(
            "phone", scopes={Scope.MAIL}, expires_at=here.end, limits=Limits(read_only=True)
        )
        yield here


async def renew(here, which="phone", days=90, actor=OPERATOR, proof=None):
    """`days` from now; None never ends."""
    end = None if days is None else int(here.clock.now) + days * DAY
    return await here.accounts.renew(ALICE, which, end, actor, proof)


async def row(here, minted):
    return next(row for row in await here.accounts.history(ALICE) if row.id == minted.id)


async def used(here, minted):
    """Let the gate say that a client signs in by it."""
    await here.store.first_use(minted.id, int(here.clock.now), "192.0.2.9")


async def test_the_successor_is_what_the_old_one_was(here):
    new = await renew(here)
    old_row, new_row = await row(here, here.phone), await row(here, new)
    assert (new_row.label, new_row.scopes, new_row.limits) == (old_row.label, old_row.scopes, old_row.limits)
    assert new_row.replaces == old_row.id
    assert new_row.expires_at == int(here.clock.now) + 90 * DAY
    assert new.password.reveal() != here.phone.password.reveal()
    assert old_row.revoked_at is None
    assert old_row.expires_at == here.end + GRACE_S == here.end + 7 * DAY


async def test_the_owner_proves_it_and_the_trail_says_so(here):
    assert await refusal(renew(here, actor=OWNER)) is Problem.PROOF_NEEDED
    new = await renew(here, actor=OWNER, proof=here.proof())
    entry = (await here.accounts.audit())[-1]
    assert (entry.deed, entry.app_password_id, entry.actor_kind) == (ChangeKind.RENEWED, new.id, "owner")
    assert here.phone.id in entry.detail
    assert "by a code" in entry.detail


async def test_a_session_at_the_portal_proves_it_while_it_is_fresh(here):
    portal = here.accounts.portal
    begun = await portal.begin(ALICE, PRIMARY, "192.0.2.7")
    proof = Fresh(token=(await portal.answer(begun.token, here.code(), "192.0.2.7")).token)
    new = await renew(here, actor=OWNER, proof=proof)
    entry = (await here.accounts.audit())[-1]
    assert (entry.app_password_id, "in the portal" in entry.detail) == (new.id, True)
    await here.accounts.revoke(ALICE, new.id, OPERATOR)
    here.clock.now += FRESH_S + 1
    assert await refusal(renew(here, actor=OWNER, proof=proof)) is Problem.PROOF_NEEDED


async def test_first_use_ends_the_old_one_once(here):
    new = await renew(here)
    await used(here, new)
    old_row = await row(here, here.phone)
    assert (old_row.revoked_at, old_row.revoked_why) == (int(here.clock.now), RevokedWhy.REPLACED)
    assert (await row(here, new)).replaces is None
    (change,) = await here.store.changes_since((await here.store.feed_mark()).seq - 1)
    assert (change.kind, change.app_password_ids) == (ChangeKind.REPLACED, (here.phone.id,))
    entry = (await here.accounts.audit())[-1]
    assert (entry.deed, entry.actor_name, entry.where) == (ChangeKind.REPLACED, ALICE, "192.0.2.9")
    assert (entry.app_password_id, entry.label) == (here.phone.id, "phone")
    mark = await here.store.feed_mark()
    await used(here, new)
    assert await here.store.feed_mark() == mark


async def test_a_pair_counts_as_one(tmp_path):
    async with office(tmp_path, limit=2) as here:
        await here.enrolled()
        await here.mint("phone", expires_at=int(here.clock.now) + 10 * DAY)
        await here.mint("tablet")
        await renew(here)
        rows = await here.accounts.active(ALICE)
        assert len(rows) == 3
        assert len(counted(rows, here.clock.now)) == 2
        assert await refusal(here.mint("third")) is Problem.TOO_MANY_APP_PASSWORDS
        await here.accounts.revoke(ALICE, "tablet", OPERATOR)
        await here.mint("third")


async def test_once_and_no_chains(here):
    new = await renew(here)
    with pytest.raises(AccountError) as refused:
        await renew(here)
    assert refused.value.problem is Problem.NOT_RENEWABLE
    assert new.id in refused.value.hint
    assert await refusal(renew(here, here.phone.id)) is Problem.NOT_RENEWABLE
    assert await refusal(renew(here, new.selector)) is Problem.NOT_RENEWABLE
    await used(here, new)
    assert (await renew(here, days=180)).label == "phone", "used, it can be renewed itself"


async def test_only_what_lives_and_will_end(here):
    await here.mint("forever")
    assert await refusal(renew(here, "forever")) is Problem.NOT_RENEWABLE
    await here.mint("gone", expires_at=here.end)
    await here.accounts.revoke(ALICE, "gone", OPERATOR)
    assert await refusal(renew(here, "gone")) is Problem.NOT_RENEWABLE
    assert await refusal(renew(here, "nothing")) is Problem.NO_SUCH_APP_PASSWORD
    here.clock.now = here.end
    assert await refusal(renew(here)) is Problem.NOT_RENEWABLE


@pytest.mark.parametrize("days", [-1, 0, 9])
async def test_it_does_not_end_before_the_old_one(here, days):
    assert await refusal(renew(here, days=days)) is Problem.BAD_EXPIRY


async def test_it_may_never_end(here):
    assert (await renew(here, days=None)).expires_at is None


async def test_an_account_that_may_have_none_renews_none(here):
    await here.accounts.disable(ALICE, OPERATOR)
    assert await refusal(renew(here)) is Problem.ACCOUNT_DISABLED


async def test_a_successor_revoked_unused_gives_the_end_back(here):
    new = await renew(here)
    await here.accounts.revoke(ALICE, new.id, OPERATOR)
    assert (await row(here, here.phone)).expires_at == here.end
    await renew(here)
    assert (await row(here, here.phone)).expires_at == here.end + GRACE_S, "a week in all, however often"


async def test_a_successor_revoked_after_its_use_gives_nothing_back(here):
    new = await renew(here)
    await used(here, new)
    await here.accounts.revoke(ALICE, new.id, OPERATOR)
    old_row = await row(here, here.phone)
    assert (old_row.revoked_why, old_row.expires_at) == (RevokedWhy.REPLACED, here.end + GRACE_S)


async def test_the_successor_of_a_revoked_one_is_like_any_other(here):
    new = await renew(here)
    await here.accounts.revoke(ALICE, here.phone.id, OPERATOR)
    assert (await row(here, new)).replaces is None
    mark = await here.store.feed_mark()
    await used(here, new)
    assert await here.store.feed_mark() == mark


async def test_a_revoked_successor_ends_nothing(here):
    new = await renew(here)
    await here.accounts.revoke_all(ALICE, OPERATOR)
    mark = await here.store.feed_mark()
    await used(here, new)
    assert await here.store.feed_mark() == mark
    assert (await row(here, here.phone)).revoked_why is RevokedWhy.ALL_REVOKED


async def test_one_label_for_two_has_to_be_told_apart_by_what_ends_them(here):
    await renew(here)
    assert await refusal(here.accounts.revoke(ALICE, "phone", OPERATOR)) is Problem.AMBIGUOUS
    assert await refusal(here.mint("phone")) is Problem.LABEL_TAKEN


async def test_the_usual_end_is_as_far_away_as_it_was(here):
    old = await row(here, here.phone)
    assert usual_end(old, here.clock.now + 3 * DAY) == int(here.clock.now) + 13 * DAY
