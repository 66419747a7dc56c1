"""Whose mailbox an address is, as the store knows it."""

import pytest

from auth.store.errors import StoreUnavailable
from support.office import ALICE, BOB, OPERATOR, office


async def test_an_address_is_its_accounts_mailbox_alias_or_not(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["ally@example.net", "al"])
        await here.person(BOB)
        before = here.store.statements
        assert await here.store.mailbox("ally@example.net") == ALICE
        assert here.store.statements == before + 1
        assert await here.store.mailbox(ALICE) == ALICE
        assert await here.store.mailbox(BOB) == BOB
        assert await here.store.mailbox("nobody@example.org") is None


async def test_a_disabled_account_keeps_its_mailbox_and_a_removed_one_does_not(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        await here.person(BOB)
        await here.accounts.disable(ALICE, OPERATOR)
        await here.accounts.remove(BOB, OPERATOR)
        assert await here.store.mailbox(ALICE) == ALICE
        assert await here.store.mailbox(BOB) is None


async def test_a_domain_is_served_while_some_account_has_a_name_in_it(tmp_path):
    async with office(tmp_path) as here:
        await here.person("solo@a-b.example", aliases=["solo@xn--bcher-kva.example", "nowhere"])
        before = here.store.statements
        assert await here.store.serves_domain("a-b.example")
        assert here.store.statements == before + 1
        assert await here.store.serves_domain("xn--bcher-kva.example")
        for other in ("b.example", "example", "a_b.example", "%.example", "nowhere", "a-b.example.org"):
            assert not await here.store.serves_domain(other)
        await here.accounts.remove("solo@a-b.example", OPERATOR)
        assert not await here.store.serves_domain("a-b.example")


async def test_an_outage_is_no_answer(tmp_path):
    async with office(tmp_path) as here:
        await here.store.close()
        with pytest.raises(StoreUnavailable):
            await here.store.mailbox(ALICE)
        with pytest.raises(StoreUnavailable):
            await here.store.serves_domain("example.org")
