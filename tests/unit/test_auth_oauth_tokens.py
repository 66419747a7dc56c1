"""What owners authorised at providers, in the store: deeds, and rows that are replaced in turn."""

import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from auth.accounts import Accounts
from auth.deed import AccountError, Actor, Problem
from auth.hashing import Cost, Hasher
from auth.keycheck import KeyFault, bad_keys, vouch
from auth.oauth_tokens import GivenToken, OAuthTokens
from auth.seal import KeyRing, UnsealError
from auth.secret import Secret
from auth.store.rows import ChangeKind
from auth.store.store import Store
from scopes.model import IdentityKind, Service

OPERATOR = Actor(kind="operator", name="root", where="test")
ALICE, BOB = "alice@example.org", "bob@example.org"


@dataclass
class Stage:
    store: Store
    keys: KeyRing
    accounts: Accounts
    path: object
    now: float = 1_000_000.0

    @property
    def tokens(self) -> OAuthTokens:
        return OAuthTokens(self.store, self.keys, lambda: self.now)

    async def id_of(self, email: str) -> str:
        return (await self.accounts.find(email)).id


@asynccontextmanager
async def staged(folder):
    keys = KeyRing({"k1": b"1" * 32}, "k1")
    store = await Store.open(f"sqlite:///{folder}/gate.db", f"sqlite:///{folder}/activity.db", create=True)
    hasher = Hasher(primary=Cost(memory_kib=19_456, passes=2))
    try:
        await vouch(store, keys)
        accounts = Accounts(store, hasher, keys)
        for email in (ALICE, BOB):
            await accounts.add(email, primary=None, service=True, actor=OPERATOR)
        yield Stage(store, keys, accounts, folder / "gate.db")
    finally:
        await store.close()
        hasher.close()


def given(secret: str, expires_at: int | None = None) -> GivenToken:
    return GivenToken(secret=Secret(secret), expires_at=expires_at)


async def test_a_token_is_stored_sealed_with_the_logins_it_is_for(tmp_path):
    async with staged(tmp_path) as stage:
        logins = {Service.IMAP: "al@gmail.com", Service.SUBMISSION: "al@gmail.com"}
        await stage.tokens.authorise(ALICE, "google", given("rt-of-alice", 1_604_800), logins, OPERATOR)
        known = await stage.tokens.of(ALICE)
        assert [(row.provider, row.expires_at, row.refused_at) for row in known.tokens] == [
            ("google", 1_604_800, None)
        ]
        stored = await stage.tokens.vault("google").read(await stage.id_of(ALICE))
        assert stored is not None
        assert stored.refresh == Secret("rt-of-alice")
        identities = (await stage.accounts.identities.of(ALICE)).identities
        whose = {service: (each.kind, each.provider) for service, each in identities.items()}
        assert whose == dict.fromkeys(logins, (IdentityKind.OAUTH2, "google"))
        assert await stage.tokens.vault("google").read(await stage.id_of(BOB)) is None
        assert await stage.tokens.vault("microsoft").read(await stage.id_of(ALICE)) is None
        deeds = [(entry.deed, entry.detail) for entry in await stage.accounts.audit(ALICE)]
        assert deeds[-1] == (
            ChangeKind.AUTHORISED,
            "google, imap as al@gmail.com, submission as al@gmail.com",
        )
    assert b"rt-of-alice" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


async def test_a_deed_takes_a_number_and_a_rotation_takes_none(tmp_path):
    async with staged(tmp_path) as stage:
        before = (await stage.store.feed_mark()).seq
        await stage.tokens.authorise(ALICE, "home", given("rt1"), {}, OPERATOR)
        assert (await stage.store.feed_mark()).seq == before + 1
        account_id, vault = await stage.id_of(ALICE), stage.tokens.vault("home")
        stored = await vault.read(account_id)
        assert stored is not None
        assert await vault.replace(account_id, stored.version, given("rt2")) == stored.version + 1
        assert await vault.mark_refused(account_id, stored.version + 1)
        assert (await stage.store.feed_mark()).seq == before + 1
        await stage.tokens.remove(ALICE, "home", OPERATOR)
        assert (await stage.store.feed_mark()).seq == before + 2


async def test_only_who_has_read_the_newest_row_replaces_or_marks_it(tmp_path):
    async with staged(tmp_path) as stage:
        await stage.tokens.authorise(ALICE, "home", given("rt1"), {}, OPERATOR)
        account_id, vault = await stage.id_of(ALICE), stage.tokens.vault("home")
        first = await vault.read(account_id)
        assert first is not None
        assert await vault.replace(account_id, first.version, given("rt2", 7)) is not None
        assert await vault.replace(account_id, first.version, given("rt-late")) is None
        assert not await vault.mark_refused(account_id, first.version)
        second = await vault.read(account_id)
        assert second is not None
        assert (second.refresh, second.refused_at) == (Secret("rt2"), None)
        assert await vault.mark_refused(account_id, second.version)
        marked = await vault.read(account_id)
        assert marked is not None
        assert marked.refused_at == 1_000_000
        assert await vault.replace(account_id, marked.version, given("rt3")) is not None
        assert (await stage.tokens.of(ALICE)).tokens[0].refused_at is None


async def test_no_version_comes_again(tmp_path):
    async with staged(tmp_path) as stage:
        account_id, vault = await stage.id_of(ALICE), stage.tokens.vault("home")
        seen = []
        for _ in range(2):
            await stage.tokens.authorise(ALICE, "home", given("rt"), {}, OPERATOR)
            await stage.tokens.authorise(ALICE, "home", given("rt"), {}, OPERATOR)
            stored = await vault.read(account_id)
            assert stored is not None
            seen.append(stored.version)
            await stage.tokens.remove(ALICE, "home", OPERATOR)
            stage.now += 2
        assert seen == sorted(set(seen))


async def test_to_remove_takes_its_logins_away_and_no_others(tmp_path):
    async with staged(tmp_path) as stage:
        await stage.tokens.authorise(ALICE, "home", given("rt"), {Service.IMAP: "al"}, OPERATOR)
        await stage.tokens.authorise(ALICE, "work", given("rt"), {Service.SUBMISSION: "al"}, OPERATOR)
        known = await stage.tokens.remove(ALICE, "home", OPERATOR)
        assert [row.provider for row in known.tokens] == ["work"]
        assert set((await stage.accounts.identities.of(ALICE)).identities) == {Service.SUBMISSION}
        with pytest.raises(AccountError) as caught:
            await stage.tokens.remove(ALICE, "home", OPERATOR)
        assert caught.value.problem is Problem.NOT_AUTHORISED
        assert (await stage.accounts.audit(ALICE))[-1].deed is ChangeKind.TOKEN_REMOVED


async def test_a_removed_account_leaves_no_token(tmp_path):
    async with staged(tmp_path) as stage:
        account_id = await stage.id_of(ALICE)
        await stage.tokens.authorise(ALICE, "home", given("rt"), {}, OPERATOR)
        await stage.accounts.remove(ALICE, OPERATOR)
        assert await stage.tokens.vault("home").read(account_id) is None


async def test_a_box_moved_to_another_account_or_provider_does_not_open(tmp_path):
    async with staged(tmp_path) as stage:
        for email, provider in ((ALICE, "home"), (BOB, "home"), (ALICE, "work")):
            await stage.tokens.authorise(
                email, provider, given(f"{email} {provider}".replace(" ", "-")), {}, OPERATOR
            )
        alice, bob = await stage.id_of(ALICE), await stage.id_of(BOB)
        with sqlite3.connect(stage.path) as database:
            box = "(SELECT box FROM oauth_token WHERE account_id = ? AND provider = 'home')"
            database.execute(f"UPDATE oauth_token SET box = {box} WHERE account_id = ?", (alice, bob))
            database.execute(f"UPDATE oauth_token SET box = {box} WHERE provider = 'work'", (alice,))
        database.close()
        for account_id, provider in ((bob, "home"), (alice, "work")):
            with pytest.raises(UnsealError):
                await stage.tokens.vault(provider).read(account_id)


async def test_a_key_that_only_a_token_needs_is_missed(tmp_path):
    async with staged(tmp_path) as stage:
        two = KeyRing({"k1": b"1" * 32, "k2": b"2" * 32}, "k2")
        await vouch(stage.store, two)
        await OAuthTokens(stage.store, two, lambda: 1.0).authorise(ALICE, "home", given("rt"), {}, OPERATOR)
        bad = await bad_keys(stage.store, stage.keys)
        assert [(each.key_id, each.fault) for each in bad] == [("k2", KeyFault.MISSING)]
