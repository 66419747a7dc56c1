"""No window: whatever changes or fails at whatever moment of a sign-in, nobody comes in who should not."""

import asyncio
from dataclasses import replace

import pytest

from auth.hashing import Busy, CorruptHash
from auth.refusal import Reason, Refusal
from auth.seal import KeyRing
from auth.store.errors import StoreUnavailable
from scopes.model import Grant
from support.gatehouse import Gatehouse, sign_in, turns_until

ALICE = "alice@example.org"
COLD = [
    *("before feed_mark", "after feed_mark", "before locate", "after locate"),
    *("before standing", "after standing", "before hash", "after hash"),
    *("before feed_mark", "after feed_mark"),
]
CONFIRM = ["before feed_mark", "after feed_mark"]
STALE = COLD[:2] + COLD[:6]


def opened():
    house = Gatehouse()
    house.alice = house.add_account(ALICE, "al@example.org")
    house.phone, house.secret = house.add(house.alice)
    return house


@pytest.fixture
async def house():
    house = opened()
    yield house
    house.close()


async def prepare(house, kind):
    """Bring the memo into the state of this kind of sign-in, and start counting moments."""
    if kind != "cold":
        assert isinstance(await house.admit_and_confirm(ALICE, house.secret), Grant)
    if kind == "stale":
        house.store.seq += 1
    house.moments.names.clear()


KINDS = {"cold": COLD + CONFIRM, "warm": CONFIRM + CONFIRM, "stale": STALE + CONFIRM}
MOMENTS = [(kind, at) for kind, names in KINDS.items() for at in range(len(names))]


@pytest.mark.parametrize("kind", KINDS)
async def test_these_are_all_the_moments(house, kind):
    await prepare(house, kind)
    assert isinstance(await house.admit_and_confirm(ALICE, house.secret), Grant)
    assert house.moments.names == KINDS[kind]


@pytest.mark.parametrize(("kind", "at"), MOMENTS)
@pytest.mark.parametrize("told", [True, False])
async def test_revoked_at_any_moment_is_refused(house, kind, at, told):
    """Also where the registry is never told; but for the last moment of all, when only the cut can come."""
    await prepare(house, kind)
    house.moments.at = at
    house.moments.happens = lambda: house.revoke(house.phone, told=told)
    outcome = await house.admit_and_confirm(ALICE, house.secret)
    if at < len(KINDS[kind]) - 1:
        assert outcome.reason is Reason.REVOKED or (told and outcome.reason is Reason.UNAVAILABLE)
        assert outcome.label == "phone 1"
    elif told:
        assert outcome.reason is Reason.UNAVAILABLE
    else:
        assert house.attempts[-1].entered[-1] == house.phone, "the cut will find it"


@pytest.mark.parametrize(("kind", "at"), [each for each in MOMENTS if each[1] < len(KINDS[each[0]]) - 1])
async def test_disabled_at_any_moment_is_refused(house, kind, at):
    def disable():
        house.store.disabled.add(house.alice)
        house.store.seq += 1

    await prepare(house, kind)
    house.moments.at, house.moments.happens = at, disable
    outcome = await house.admit_and_confirm(ALICE, house.secret)
    assert outcome.reason is Reason.BAD_CREDENTIALS


@pytest.mark.parametrize("kind", KINDS)
async def test_the_attempt_is_entered_before_the_read_that_authorises(house, kind):
    await prepare(house, kind)
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    attempt = house.attempts[-1]
    assert set(attempt.entered) == {house.phone}
    authorising = "before feed_mark" if kind == "warm" else "before standing"
    assert attempt.entered_at[0] <= house.moments.names.index(authorising)


async def test_an_alias_taken_away_is_no_name_any_more(house):
    assert isinstance(await house.admit("al@example.org", house.secret), Grant)
    del house.store.names["al@example.org"]
    house.store.seq += 1
    assert (await house.admit("al@example.org", house.secret)).reason is Reason.BAD_CREDENTIALS
    assert isinstance(await house.admit(ALICE, house.secret), Grant)


async def test_a_name_that_now_belongs_to_another_account_opens_nothing(house):
    assert isinstance(await house.admit("al@example.org", house.secret), Grant)
    house.store.names["al@example.org"] = house.add_account("albert@example.org")
    house.store.seq += 1
    assert (await house.admit("al@example.org", house.secret)).reason is Reason.BAD_CREDENTIALS


async def test_a_cut_without_a_revocation_is_temporary(house):
    attempt = house.attempt()
    attempt.cut = True
    outcome = await house.admit(ALICE, house.secret, attempt=attempt)
    assert outcome.reason is Reason.UNAVAILABLE


async def test_rows_that_change_all_the_time_are_temporary(house):
    def change():
        house.store.seq += 1
        row = house.store.rows[house.phone]
        house.store.rows[house.phone] = replace(row, version=row.version + 1)

    house.moments.pass_by = lambda name: change() if name == "after hash" else None
    outcome = await house.admit(ALICE, house.secret)
    assert outcome.reason is Reason.UNAVAILABLE
    assert house.hasher.calls["app"] == 3


FAILURES = [(StoreUnavailable("locked"), Reason.UNAVAILABLE), (RuntimeError("secret text"), Reason.BUG)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["feed_mark", "locate", "standing"])
@pytest.mark.parametrize(("error", "reason"), FAILURES)
async def test_a_store_that_fails_is_no_wrong_password(house, kind, method, error, reason):
    await prepare(house, kind)
    house.store.fails[method] = error
    outcome = await house.admit(ALICE, house.secret)
    if kind == "warm" and method != "feed_mark":
        assert isinstance(outcome, Grant)
    else:
        assert outcome.reason is reason
        assert "secret text" not in repr(outcome)


async def test_a_feed_that_cannot_be_read_stops_remembered_secrets_at_once_and_spoils_none(house):
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    calls = house.hasher.calls["app"]
    house.store.fails["feed_mark"] = StoreUnavailable("busy")
    assert (await house.admit(ALICE, house.secret)).reason is Reason.UNAVAILABLE
    house.store.fails.clear()
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert house.hasher.calls["app"] == calls


@pytest.mark.parametrize("error", [StoreUnavailable("busy"), ValueError("secret text")])
async def test_confirm_fails_closed(house, error):
    attempt, wanted = house.attempt(), sign_in(ALICE, house.secret)
    grant = await house.gate.admit(wanted, attempt)
    house.store.fails["feed_mark"] = error
    outcome = await house.gate.confirm(grant, wanted, attempt)
    expected = Reason.UNAVAILABLE if isinstance(error, StoreUnavailable) else Reason.BUG
    assert outcome.reason is expected
    assert "secret text" not in repr(outcome)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Busy("queue full"), Reason.UNAVAILABLE),
        (CorruptHash(), Reason.UNAVAILABLE),
        (KeyError("k"), Reason.BUG),
    ],
)
async def test_a_hash_that_cannot_be_made_is_no_wrong_password(house, error, reason):
    house.hasher.error = error
    assert (await house.admit(ALICE, house.secret)).reason is reason
    house.hasher.error = None
    assert isinstance(await house.admit(ALICE, house.secret), Grant)


async def test_a_dummy_hash_that_cannot_be_made_is_the_same_outage(house):
    house.hasher.close()
    for name in ("nobody@example.org", "\u200b", ALICE):
        assert (await house.admit(name, house.secret)).reason is Reason.UNAVAILABLE


async def test_a_key_that_is_missing_is_an_outage_and_named_in_the_log(house):
    gate = house.another_gate(keys=KeyRing({"k2": b"2" * 32}, "k2"))
    outcome = await house.admit(ALICE, house.secret, gate=gate)
    assert outcome == Refusal(reason=Reason.UNAVAILABLE, cause="UnknownKey: no key 'k1' in the key ring")


async def test_a_bug_is_named_by_type_and_place_only(house):
    house.store.fails["locate"] = RuntimeError(house.secret.text().reveal())
    outcome = await house.admit(ALICE, house.secret)
    assert outcome.cause.startswith("RuntimeError at gatehouse.py:")
    assert outcome.account_id is None


async def test_an_upgrade_that_fails_disturbs_no_one(house):
    gate = house.another_gate(keys=KeyRing({"k1": b"1" * 32, "k2": b"2" * 32}, "k2"))
    house.store.fails["replace_verifier"] = StoreUnavailable("locked")
    assert isinstance(await house.admit(ALICE, house.secret, gate=gate), Grant)
    assert house.store.rows[house.phone].key_id == "k1"


async def test_only_a_vanished_client_ends_a_sign_in_by_exception(house):
    house.hasher.held.clear()
    task = asyncio.create_task(house.admit(ALICE, house.secret))
    await turns_until(lambda: house.hasher.waiting)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns_until(lambda: not house.hasher.waiting)
    house.hasher.held.set()
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
