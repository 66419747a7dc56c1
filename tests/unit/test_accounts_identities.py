"""Who an account is upstream: set, sealed, read in the sign-in's one statement, and gone with the account."""

import pytest

from auth.deed import AccountError, Problem
from auth.identities import LOGIN_CHARACTERS, SECRET_OCTETS
from auth.seal import UnsealError
from auth.secret import Secret
from scopes.model import Identity, IdentityKind, Service
from support.office import ALICE, BOB, OPERATOR, office, raw, refusal

STORED = Identity(login="a.liddell", kind=IdentityKind.STORED)
OWN = Secret("wond-erla-nd")


async def identities(here, minted):
    standing = await here.store.standing(minted.id)
    return standing.identities


async def test_what_is_set_is_read_with_the_app_password(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled(ALICE)
        minted = await here.mint(email=ALICE)
        assert await identities(here, minted) == {}
        await here.accounts.identities.set(ALICE, Service.IMAP, STORED, OWN, OPERATOR)
        login = Identity(login="alice-out")
        known = await here.accounts.identities.set(ALICE, Service.SUBMISSION, login, None, OPERATOR)
        both = {Service.IMAP: STORED, Service.SUBMISSION: login}
        before = here.store.statements
        assert await identities(here, minted) == known.identities == both
        assert here.store.statements == before + 1


async def test_a_secret_is_sealed_for_its_own_place(tmp_path):
    async with office(tmp_path) as here:
        alice, bob = await here.person(ALICE), await here.person(BOB)
        safe = here.accounts.identities
        await safe.set(ALICE, Service.IMAP, STORED, OWN, OPERATOR)
        await safe.set(BOB, Service.IMAP, STORED, Secret("other"), OPERATOR)
        assert await safe.secret(alice, Service.IMAP) == OWN
        assert await safe.secret(alice, Service.SUBMISSION) is None
        with raw(tmp_path) as gate:
            (box,) = gate.execute("SELECT box FROM upstream_login WHERE account_id = ?", (alice,)).fetchone()
            assert OWN.reveal_bytes() not in box
            gate.execute("UPDATE upstream_login SET box = ? WHERE account_id = ?", (box, bob))
            gate.commit()
        with pytest.raises(UnsealError):
            await safe.secret(bob, Service.IMAP)


async def test_when_each_was_set_is_known(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        await here.accounts.identities.set(ALICE, Service.IMAP, STORED, OWN, OPERATOR)
        before = int(here.clock.now)
        here.clock.now += 60
        known = await here.accounts.identities.set(ALICE, Service.SUBMISSION, STORED, OWN, OPERATOR)
        assert known.set_at == {Service.IMAP: before, Service.SUBMISSION: before + 60}


async def test_it_is_replaced_and_taken_away_and_the_audit_says_so_without_the_secret(tmp_path):
    async with office(tmp_path) as here:
        alice = await here.person(ALICE)
        safe = here.accounts.identities
        await safe.set(ALICE, Service.IMAP, STORED, OWN, OPERATOR)
        marks = [await here.store.feed_mark()]
        await safe.set(ALICE, Service.IMAP, Identity(login="al"), None, OPERATOR)
        assert await safe.secret(alice, Service.IMAP) is None
        marks.append(await here.store.feed_mark())
        assert (await safe.clear(ALICE, Service.IMAP, OPERATOR)).identities == {}
        marks.append(await here.store.feed_mark())
        assert len(set(marks)) == 3
        assert await refusal(safe.clear(ALICE, Service.IMAP, OPERATOR)) is Problem.NO_SUCH_IDENTITY
        said = [(line.deed.value, line.detail) for line in await here.accounts.audit(ALICE)][-3:]
        assert said == [
            ("upstream login set", "imap: stored as a.liddell"),
            ("upstream login set", "imap: login as al"),
            ("upstream login removed", "imap"),
        ]


async def test_a_removed_account_keeps_nothing_for_the_next_of_its_name(tmp_path):
    async with office(tmp_path) as here:
        alice = await here.person(ALICE)
        await here.accounts.identities.set(ALICE, Service.IMAP, STORED, OWN, OPERATOR)
        await here.accounts.remove(ALICE, OPERATOR)
        assert await here.accounts.identities.secret(alice, Service.IMAP) is None
        await here.person(ALICE)
        assert (await here.accounts.identities.of(ALICE)).identities == {}


@pytest.mark.parametrize("login", ["", " a", "a\n", "a\0b", "x" * (LOGIN_CHARACTERS + 1)])
async def test_a_login_that_cannot_be_one(tmp_path, login):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        deed = here.accounts.identities.set(ALICE, Service.IMAP, Identity(login=login), None, OPERATOR)
        assert await refusal(deed) is Problem.BAD_LOGIN


@pytest.mark.parametrize("secret", ["", "a\0b", "a\nb", "x" * (SECRET_OCTETS + 1)])
async def test_a_secret_that_cannot_be_one_is_not_repeated(tmp_path, secret):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        with pytest.raises(AccountError) as caught:
            await here.accounts.identities.set(ALICE, Service.IMAP, STORED, Secret(secret), OPERATOR)
        assert caught.value.problem is Problem.BAD_UPSTREAM_SECRET
        assert not secret or secret not in str(caught.value)
