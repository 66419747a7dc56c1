"""A ring that is not the store's is found out before anything is read or made with it."""

import asyncio
from pathlib import Path

import pytest

from auth.keycheck import BadKey, KeyFault, WrongKeys, bad_keys, vouch
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.keychecks import check_values
from auth.store.store import Store
from scopes.model import Identity, IdentityKind, Service
from support.office import ALICE, OPERATOR, PRIMARY, office, opened, raw

OLD, NEW, OTHER = bytes(range(32)), b"n" * 32, b"o" * 32
ANOTHER = BadKey(key_id="k1", fault=KeyFault.ANOTHER)
MISSING = BadKey(key_id="k1", fault=KeyFault.MISSING)


def ring(current: str = "k1", **keys: bytes) -> KeyRing:
    return KeyRing(keys or {"k1": OLD}, current)


async def verdict(store: Store, keys: KeyRing) -> tuple[BadKey, ...]:
    """What both ways to look say, which must be the same."""
    seen, refused = await bad_keys(store, keys), ()
    try:
        await vouch(store, keys)
    except WrongKeys as wrong:
        refused = wrong.keys
    assert refused == seen
    return seen


async def known(store: Store) -> set[str]:
    return set(await store.read(check_values))


def test_a_check_value_is_of_one_key_and_one_id() -> None:
    two = ring(k1=OLD, k2=OLD)
    assert two.check_value("k1") == ring().check_value("k1") != two.check_value("k2")
    assert ring().check_value("k1") != ring(k1=NEW).check_value("k1")
    assert (two.ids, len(two.check_value("k1"))) == ({"k1", "k2"}, 32)


async def test_the_first_ring_is_written_down_and_known_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await bad_keys(store, ring()) == ()
        assert await known(store) == set(), "looking changes nothing"
        assert await verdict(store, ring()) == ()
        assert await known(store) == {"k1"}
        before = store.statements
        assert await verdict(store, ring()) == ()
        assert store.statements - before == 2 * 2 + 1, "a known ring costs no write"


async def test_another_key_under_the_same_id_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await vouch(store, ring())
        assert await verdict(store, ring(k1=OTHER)) == (ANOTHER,)
        assert await verdict(store, ring("k2", k1=OTHER, k2=NEW)) == (ANOTHER,)
        assert await known(store) == {"k1"}, "nothing of a ring that is refused is written down"
        assert await verdict(store, ring()) == ()


async def test_a_new_key_is_added_beside_the_old_one(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        await here.person()
        assert await verdict(here.store, ring("k1", k1=OLD, k2=OTHER)) == ()
        assert await known(here.store) == {"k1"}, "a key is bound once it is the current one"
        assert await verdict(here.store, ring("k2", k1=OLD, k2=NEW)) == ()
        assert await known(here.store) == {"k1", "k2"}


@pytest.mark.parametrize("what", ["primary", "seed", "recovery", "app password"])
async def test_a_key_that_a_row_needs_is_missed(tmp_path: Path, what: str) -> None:
    only_new = ring("k2", k2=NEW)
    async with office(tmp_path) as here:
        assert await verdict(here.store, ring("k2", k1=OLD, k2=NEW)) == ()
        assert await verdict(here.store, only_new) == (), "no row needs k1 yet"
        await here.enrolled()
        await here.mint()
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        with raw(tmp_path) as file:
            if what != "primary":
                file.execute("UPDATE account SET primary_key_id = 'k2'")
            if what != "seed":
                file.execute("UPDATE account SET seed_key_id = 'k2'")
            if what != "recovery":
                file.execute("UPDATE recovery_code SET key_id = 'k2'")
            if what != "app password":
                file.execute("UPDATE app_password SET key_id = 'k2'")
        assert await verdict(here.store, only_new) == (MISSING,)


async def test_a_key_that_only_a_secret_for_an_upstream_needs_is_missed(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        assert await verdict(here.store, ring("k2", k1=OLD, k2=NEW)) == ()
        await here.person()
        stored = Identity(login="a", kind=IdentityKind.STORED)
        await here.accounts.identities.set(ALICE, Service.IMAP, stored, Secret("own"), OPERATOR)
        with raw(tmp_path) as file:
            file.execute("UPDATE account SET primary_key_id = 'k2'")
            assert await verdict(here.store, ring("k2", k2=NEW)) == (MISSING,)
            file.execute("UPDATE upstream_login SET key_id = 'k2'")
            assert await verdict(here.store, ring("k2", k2=NEW)) == ()
            file.execute("INSERT INTO oauth_token SELECT id, 'x', 'k1', x'00', 1, NULL, 1, 1 FROM account")
            assert await verdict(here.store, ring("k2", k2=NEW)) == (MISSING,)


async def test_every_key_that_does_not_fit_is_named(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        await here.person()
        await vouch(here.store, ring("k2", k1=OLD, k2=NEW))
        with pytest.raises(WrongKeys) as wrong:
            await vouch(here.store, ring("k2", k2=OTHER))
        assert [bad.key_id for bad in wrong.value.keys] == ["k1", "k2"]
        assert OTHER.decode() not in str(wrong.value)


async def test_of_two_first_rings_one_is_the_stores(tmp_path: Path) -> None:
    async with opened(tmp_path) as here, opened(tmp_path) as there:
        results = await asyncio.gather(
            vouch(here, ring()), vouch(there, ring(k1=OTHER)), return_exceptions=True
        )
        assert [type(each) for each in results if each is not None] == [WrongKeys]


async def test_nothing_is_made_with_a_key_that_was_not_written_down(tmp_path: Path) -> None:
    async with office(tmp_path, vouched=False) as here:
        with pytest.raises(StoreUnavailable, match="FOREIGNKEY"):
            await here.accounts.add(ALICE, primary=PRIMARY, actor=OPERATOR)
        assert await here.accounts.all() == []
