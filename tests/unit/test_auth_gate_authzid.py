"""Whom a client may act as: itself, by whatever name of its account, and nobody else (RFC 4616 §2)."""

import pytest

from auth.apppassword import AppPassword, generate
from auth.refusal import Reason, Refusal
from auth.store.errors import StoreUnavailable
from scopes.model import Grant
from support.gatehouse import HERE, Gatehouse, sign_in

ALICE, AL, BOB = "alice@example.org", "al@example.org", "bob@example.org"
BAD = Refusal(reason=Reason.BAD_CREDENTIALS)
FOREIGN = [BOB, "nobody@example.org", "ali\u200bce@example.org", "\ufffd", ""]
COLD = [
    *("before feed_mark", "after feed_mark", "before locate", "after locate"),
    *("before locate", "after locate", "before standing", "after standing", "before hash", "after hash"),
    *("before feed_mark", "after feed_mark"),
]
CONFIRM = ["before feed_mark", "after feed_mark"]


@pytest.fixture
async def house():
    house = Gatehouse()
    house.alice = house.add_account(ALICE, AL)
    house.phone, house.secret = house.add(house.alice)
    house.bob = house.add_account(BOB)
    yield house
    house.close()


@pytest.mark.parametrize("authzid", [None, ALICE, "Alice@Example.ORG"])
async def test_another_form_of_the_same_name_costs_nothing(house, authzid):
    assert (await house.admit_and_confirm(ALICE, house.secret, authzid)).email == ALICE
    assert (house.store.statements, house.hasher.calls["app"]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "authzid"), [(ALICE, AL), (AL, ALICE), ("AL@example.org", "ALICE@example.org")]
)
async def test_another_name_of_the_account_is_looked_up_once(house, name, authzid):
    assert (await house.admit_and_confirm(name, house.secret, authzid)).email == ALICE
    assert (house.store.calls["locate"], house.store.calls["standing"]) == (2, 1)
    assert isinstance(await house.admit_and_confirm(name, house.secret, authzid), Grant)
    assert (house.store.calls["locate"], house.hasher.calls["app"]) == (2, 1), "remembered like any other"


@pytest.mark.parametrize("authzid", FOREIGN)
async def test_acting_as_another_is_the_one_answer_to_everything_wrong(house, authzid):
    assert await house.admit(ALICE, house.secret, authzid=authzid) == BAD
    assert house.hasher.calls["app"] == 1
    assert house.time.sleeps == [0.25]
    assert house.attempts[-1].entered == []


async def test_an_unknown_name_costs_what_a_known_one_does(house):
    for name, secret in ((ALICE, house.secret), ("nobody@example.org", house.secret), (ALICE, generate())):
        before = house.store.statements, house.hasher.calls["app"]
        assert await house.admit(name, secret, authzid=BOB) == BAD
        assert (house.store.statements - before[0], house.hasher.calls["app"] - before[1]) == (2, 1)


async def test_the_same_selector_elsewhere_is_another_app_password(house):
    other = AppPassword(selector=house.secret.selector, verifier=generate().verifier)
    house.add(house.bob, other)
    assert await house.admit(ALICE, house.secret, authzid=BOB) == BAD
    assert await house.admit(BOB, house.secret, authzid=ALICE) == BAD
    assert isinstance(await house.admit(BOB, other, authzid=BOB), Grant)


async def test_nothing_is_told_of_a_tombstone_to_who_acts_as_another(house):
    house.revoke(house.phone)
    assert await house.admit(ALICE, house.secret, authzid=BOB) == BAD
    assert (await house.admit(ALICE, house.secret, authzid=AL)).reason is Reason.REVOKED


async def test_it_counts_like_one_wrong_secret(house):
    for _ in range(100):
        await house.admit(ALICE, house.secret, authzid=BOB)
    assert house.throttle.delay(HERE, 1_000.0) == 0.0
    assert isinstance(await house.admit(ALICE, house.secret), Grant)


async def test_what_is_remembered_of_one_name_is_nothing_for_another(house):
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert isinstance(await house.admit(ALICE, house.secret, authzid=AL), Grant)
    assert await house.admit(ALICE, house.secret, authzid=BOB) == BAD
    assert house.hasher.calls["app"] == 2, "one for the secret, one for show"


async def test_another_shape_is_told_so_whoever_it_acts_as(house):
    outcome = await house.admit(ALICE, "no app password", authzid=BOB)
    assert outcome == Refusal(reason=Reason.NOT_APP_PASSWORD)
    assert house.store.calls == {}


async def test_confirm_sees_that_the_other_name_is_gone(house):
    attempt, wanted = house.attempt(), sign_in(ALICE, house.secret, authzid=AL)
    grant = await house.gate.admit(wanted, attempt)
    assert await house.gate.confirm(grant, wanted, attempt) is None
    house.store.names[AL] = house.bob
    house.store.seq += 1
    assert (await house.gate.confirm(grant, wanted, attempt)).reason is Reason.BAD_CREDENTIALS
    assert await house.admit(ALICE, house.secret, authzid=AL) == BAD
    assert isinstance(await house.admit(ALICE, house.secret), Grant)


async def test_these_are_all_the_moments(house):
    assert isinstance(await house.admit_and_confirm(ALICE, house.secret, AL), Grant)
    assert house.moments.names == COLD + CONFIRM


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("at", range(len(COLD + CONFIRM) - 1))
async def test_revoked_at_any_moment_is_refused(house, at, told):
    house.moments.at = at
    house.moments.happens = lambda: house.revoke(house.phone, told=told)
    outcome = await house.admit_and_confirm(ALICE, house.secret, AL)
    assert outcome.reason is Reason.REVOKED or (told and outcome.reason is Reason.UNAVAILABLE)


@pytest.mark.parametrize("at", range(len(COLD + CONFIRM) - 1))
async def test_the_other_name_taken_away_at_any_moment_is_refused(house, at):
    def take_away():
        house.store.names[AL] = house.bob
        house.store.seq += 1

    house.moments.at, house.moments.happens = at, take_away
    assert (await house.admit_and_confirm(ALICE, house.secret, AL)).reason is Reason.BAD_CREDENTIALS


async def test_a_look_up_that_fails_is_an_outage(house):
    def fails():
        house.store.fails["locate"] = StoreUnavailable("locked")

    house.moments.at, house.moments.happens = COLD.index("after locate"), fails
    assert (await house.admit(ALICE, house.secret, authzid=BOB)).reason is Reason.UNAVAILABLE
