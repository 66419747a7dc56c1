"""A successor's first use ends what it replaces before the client is told yes; no other sign-in pays."""

import asyncio
from ipaddress import ip_address

import pytest

from auth.gate import Gate
from auth.ports import Clock
from auth.refusal import Reason
from auth.store.errors import StoreUnavailable
from auth.store.rows import RevokedWhy
from auth.throttle import AddressThrottle
from scopes.model import Grant
from support.gatehouse import Gatehouse, sign_in
from support.insiders import Unwatched
from support.office import ALICE, OPERATOR, office

FIRST = [
    *("before feed_mark", "after feed_mark", "before locate", "after locate"),
    *("before standing", "after standing", "before hash", "after hash"),
    *("before feed_mark", "after feed_mark"),
    *("before feed_mark", "after feed_mark"),  # confirm, by what is remembered
    *("before first_use", "after first_use"),
    *("before feed_mark", "after feed_mark", "before feed_mark", "after feed_mark"),
    *("before locate", "after locate", "before standing", "after standing"),
]


@pytest.fixture
async def house():
    house = Gatehouse()
    house.alice = house.add_account(ALICE)
    house.old, house.old_secret = house.add(house.alice)
    house.new, house.secret = house.add(house.alice, replaces=house.old)
    yield house
    house.close()


def is_replaced(house):
    return house.store.rows[house.old].revoked_why is RevokedWhy.REPLACED


async def test_the_old_one_is_ended_before_the_client_is_told(house):
    assert isinstance(await house.admit_and_confirm(ALICE, house.old_secret), Grant)
    house.moments.names.clear()
    assert isinstance(await house.admit_and_confirm(ALICE, house.secret), Grant)
    assert house.moments.names == FIRST, "one hash, one deed, and the rows once more behind it"
    assert is_replaced(house)
    assert (await house.admit(ALICE, house.old_secret)).reason is Reason.REVOKED


async def test_only_a_sign_in_that_gets_through_is_a_use(house):
    """The upstream may still say no behind `admit`: then the app still needs the old one."""
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert not is_replaced(house)
    attempt, wanted = house.attempt(), sign_in(ALICE, house.secret)
    grant = await house.gate.admit(wanted, attempt)
    attempt.cut = True
    assert (await house.gate.confirm(grant, wanted, attempt)).reason is Reason.UNAVAILABLE
    assert not is_replaced(house)


async def test_later_sign_ins_cost_what_all_cost(house):
    await house.admit_and_confirm(ALICE, house.secret)
    house.moments.names.clear()
    assert isinstance(await house.admit_and_confirm(ALICE, house.secret), Grant)
    assert house.moments.names == ["before feed_mark", "after feed_mark"] * 2


@pytest.mark.parametrize("at", range(len(FIRST)))
@pytest.mark.parametrize("told", [True, False])
async def test_revoked_at_any_moment_of_the_first_use(house, at, told):
    house.moments.at = at
    house.moments.happens = lambda: house.revoke(house.new, told=told)
    outcome = await house.admit_and_confirm(ALICE, house.secret)
    ended = house.moments.names.index("after first_use") if "after first_use" in house.moments.names else None
    if isinstance(outcome, Grant):
        assert at == len(FIRST) - 1, "read already; the cut finds it"
        assert not told
        assert house.attempts[-1].entered[-1] == house.new
    else:
        assert outcome.reason in {Reason.REVOKED, Reason.UNAVAILABLE}
    assert is_replaced(house) == (ended is not None and at >= ended)


async def test_an_outage_at_the_first_use_ends_nothing_and_is_temporary(house):
    house.store.fails["first_use"] = StoreUnavailable("busy")
    assert (await house.admit_and_confirm(ALICE, house.secret)).reason is Reason.UNAVAILABLE
    assert not is_replaced(house)
    del house.store.fails["first_use"]
    assert isinstance(await house.admit_and_confirm(ALICE, house.secret), Grant)


async def test_a_store_that_forgets_to_end_it_lets_nobody_in(house):
    house.store._first_use = lambda *_: None
    assert (await house.admit_and_confirm(ALICE, house.secret)).reason is Reason.UNAVAILABLE
    assert house.store.calls["first_use"] < 10


async def test_two_first_uses_at_once_in_a_real_store(tmp_path):
    """One deed, two grants, and the address in the trail."""
    async with office(tmp_path) as here:
        await here.enrolled()
        old = await here.mint(expires_at=int(here.clock.now) + 1000)
        new = await here.accounts.renew(ALICE, "phone", None, OPERATOR)
        clock = Clock(wall=here.clock, monotonic=lambda: 0.0)
        gate = Gate(here.store, here.hasher, here.keys, AddressThrottle(), clock=clock)

        async def use():
            wanted, attempt = sign_in(ALICE, new.password, peer=ip_address("192.0.2.9")), Unwatched()
            grant = await gate.admit(wanted, attempt)
            return await gate.confirm(grant, wanted, attempt)

        assert await asyncio.gather(use(), use()) == [None, None]
        deeds = [entry for entry in await here.accounts.audit() if entry.app_password_id == old.id]
        assert [entry.deed for entry in deeds] == ["app password created", "app password replaced"]
        assert deeds[-1].where == "192.0.2.9"
        (row,) = await here.accounts.active(ALICE)
        assert row.id == new.id
