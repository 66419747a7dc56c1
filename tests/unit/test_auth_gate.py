"""The gate's answers: every reason, what each costs, and what may be told to whom."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from auth.apppassword import AppPassword, generate
from auth.gate import Gate
from auth.hashing import Cost
from auth.refusal import Reason, Refusal
from auth.seal import KeyRing
from auth.secret import Secret
from auth.turns import Turns
from scopes.model import Grant, Limits, Scope, Service
from support.gatehouse import HERE, NOW, Gatehouse, sign_in, turns_until

ALICE = "alice@example.org"
BAD = Refusal(reason=Reason.BAD_CREDENTIALS)


@pytest.fixture
async def house():
    house = Gatehouse()
    house.alice = house.add_account(ALICE, "al@example.org")
    house.phone, house.secret = house.add(house.alice)
    yield house
    house.close()


def wrong_verifier(password):
    other = "a" if password.verifier.reveal()[0] != "a" else "b"
    return AppPassword(selector=password.selector, verifier=Secret(other + password.verifier.reveal()[1:]))


def unknown_selector(password):
    other = "abcd" if password.selector != "abcd" else "abce"
    return AppPassword(selector=other, verifier=password.verifier)


async def test_the_right_secret_is_granted(house):
    assert await house.admit(ALICE, house.secret) == Grant(
        account_id=house.alice,
        email=ALICE,
        app_password_id=house.phone,
        label="phone 1",
        scopes=frozenset({Scope.MAIL}),
        limits=Limits(),
        expires_at=None,
    )
    assert house.time.sleeps == []


@pytest.mark.parametrize("name", ["al@example.org", "ALICE@Example.Org", "AL@example.ORG"])
async def test_every_form_of_every_name_leads_to_the_primary_email(house, name):
    assert (await house.admit(name, house.secret)).email == ALICE


async def test_a_secret_is_taken_however_it_was_pasted(house):
    pasted = " " + house.secret.grouped().reveal().upper() + "\r\n"
    assert isinstance(await house.admit(ALICE, pasted), Grant)


async def test_the_one_answer_to_everything_wrong(house):
    bob = house.add_account("bob@example.org")
    _, bobs = house.add(bob)
    house.store.disabled.add(bob)
    wrong = [
        ("nobody@example.org", house.secret),
        ("ali\u200bce@example.org", house.secret),
        ("", house.secret),
        (ALICE + "\udcff", house.secret),
        (ALICE, unknown_selector(house.secret)),
        (ALICE, wrong_verifier(house.secret)),
        (ALICE, bobs),
        ("bob@example.org", house.secret),
    ]
    for name, secret in wrong:
        house.time.sleeps.clear()
        before = house.hasher.calls["app"]
        assert await house.admit(name, secret) == BAD
        assert house.hasher.calls["app"] - before == 1
        assert house.time.sleeps == [0.25]
    house.time.sleeps.clear()
    disabled = await house.admit("bob@example.org", bobs)
    assert (disabled.reason, disabled.label, disabled.scopes) == (Reason.BAD_CREDENTIALS, None, frozenset())
    assert house.time.sleeps == [0.25]


@pytest.mark.parametrize("name", [ALICE, "nobody@example.org", "", "%u", "\udcff"])
@pytest.mark.parametrize("secret", ["", "correct horse battery staple", "k7mq-2xwd", "x" * 5000, "\udcff"])
async def test_another_shape_is_told_so_and_costs_nothing(house, name, secret):
    attempt = house.attempt()
    outcome = await house.admit(name, secret, attempt=attempt)
    assert outcome == Refusal(reason=Reason.NOT_APP_PASSWORD)
    assert house.store.calls == {}
    assert house.hasher.calls == {}
    assert attempt.entered == []


async def test_a_tombstone_is_named_to_its_holder_and_never_counted(house):
    house.revoke(house.phone)
    for _ in range(200):
        outcome = await house.admit(ALICE, house.secret)
        assert outcome.reason is Reason.REVOKED
    assert (outcome.account_id, outcome.app_password_id, outcome.label) == (
        house.alice,
        house.phone,
        "phone 1",
    )
    assert outcome.cause == "revoked by its owner"
    assert house.throttle.delay(HERE, house.time.monotonic) == 0.0
    assert house.hasher.calls["app"] == 1
    assert await house.admit(ALICE, wrong_verifier(house.secret)) == BAD


async def test_expired_is_told_from_its_second_on(house):
    phone, secret = house.add(house.alice, expires_at=int(NOW) + 10)
    assert isinstance(await house.admit(ALICE, secret), Grant)
    house.time.wall = NOW + 10
    outcome = await house.admit(ALICE, secret)
    assert (outcome.reason, outcome.app_password_id) == (Reason.EXPIRED, phone)
    assert await house.admit(ALICE, wrong_verifier(secret)) == BAD


async def test_revoked_comes_before_expired(house):
    phone, secret = house.add(house.alice, expires_at=int(NOW) - 10)
    house.revoke(phone)
    assert (await house.admit(ALICE, secret)).reason is Reason.REVOKED


async def test_a_wrong_scope_names_what_it_opens(house):
    _, secret = house.add(house.alice, scopes=(Scope.CONTACTS,))
    for service in (Service.IMAP, Service.SUBMISSION):
        outcome = await house.admit(ALICE, secret, service)
        assert (outcome.reason, outcome.scopes) == (Reason.WRONG_SCOPE, frozenset({Scope.CONTACTS}))
    assert isinstance(await house.admit(ALICE, secret, Service.DAV), Grant)
    assert (await house.admit(ALICE, wrong_verifier(secret))) == BAD


async def test_an_address_outside_the_limits(house):
    limits = Limits(networks=(ip_network("198.51.100.0/24"),))
    _, secret = house.add(house.alice, limits=limits)
    assert (await house.admit(ALICE, secret)).reason is Reason.ADDRESS_NOT_ALLOWED
    assert (await house.admit(ALICE, secret, peer=None)).reason is Reason.ADDRESS_NOT_ALLOWED
    assert isinstance(await house.admit(ALICE, secret, peer=ip_address("198.51.100.7")), Grant)


async def test_limits_of_use_are_told_to_the_holder_of_the_secret_alone(house):
    _, reading = house.add(house.alice, scopes=(Scope.MAIL, Scope.EVENTS), limits=Limits(read_only=True))
    _, sending = house.add(house.alice, limits=Limits(send_only=True))
    assert isinstance(await house.admit(ALICE, reading, Service.DAV), Grant)
    assert (await house.admit(ALICE, reading, Service.SUBMISSION)).reason is Reason.READ_ONLY
    assert isinstance(await house.admit(ALICE, sending, Service.SUBMISSION), Grant)
    assert (await house.admit(ALICE, sending)).reason is Reason.SEND_ONLY
    assert (await house.admit(ALICE, wrong_verifier(sending))) == BAD


async def test_the_cost_is_the_same_for_one_and_for_25(house):
    async def cost(secret):
        before = (house.store.statements, house.store.calls["feed_mark"], house.hasher.calls["app"])
        assert isinstance(await house.admit(ALICE, secret), Grant)
        after = (house.store.statements, house.store.calls["feed_mark"], house.hasher.calls["app"])
        return tuple(b - a for a, b in zip(before, after, strict=True))

    one = await cost(house.secret)
    many = [house.add(house.alice)[1] for _ in range(24)]
    assert {await cost(secret) for secret in many} == {one}
    assert one == (2, 2, 1)


async def test_an_outdated_hash_is_brought_up_on_use(house):
    dearer = Gatehouse(cost=Cost(memory_kib=16, passes=1))
    account = dearer.add_account(ALICE)
    phone, secret = dearer.add(account)
    assert "m=8," in dearer.store.rows[phone].verifier_hash
    assert isinstance(await dearer.admit(ALICE, secret), Grant)
    assert "m=16," in dearer.store.rows[phone].verifier_hash
    assert dearer.hasher.calls["app"] == 2
    assert isinstance(await dearer.admit(ALICE, secret), Grant)
    assert isinstance(await dearer.admit(ALICE, secret, gate=dearer.another_gate()), Grant)
    assert (dearer.hasher.calls["app"], dearer.store.calls["replace_verifier"]) == (3, 1)
    dearer.close()


async def test_a_hash_under_an_older_key_is_brought_to_the_current_one():
    house = Gatehouse(keys=KeyRing({"k1": b"1" * 32, "k2": b"2" * 32}, "k2"))
    phone, secret = house.add(house.add_account(ALICE), key_id="k1")
    assert isinstance(await house.admit(ALICE, secret), Grant)
    assert house.store.rows[phone].key_id == "k2"
    only_new = house.another_gate(keys=KeyRing({"k2": b"2" * 32}, "k2"))
    assert isinstance(await house.admit(ALICE, secret, gate=only_new), Grant)
    house.close()


async def test_a_tombstone_is_left_as_it_is(house):
    house.keys = KeyRing({"k1": b"1" * 32, "k2": b"2" * 32}, "k2")
    house.revoke(house.phone)
    gate = house.another_gate()
    assert (await house.admit(ALICE, house.secret, gate=gate)).reason is Reason.REVOKED
    assert house.store.calls["replace_verifier"] == 0


async def test_wrong_secrets_make_others_wait_two_seconds_at_most_and_refuse_no_right_one(house):
    _, other = house.add(house.alice)
    for number in range(70):
        house.throttle.failure(HERE, bytes([number]), house.time.monotonic)
    assert await house.admit(ALICE, generate()) == Refusal(reason=Reason.TOO_MUCH_WORK)
    assert house.time.sleeps[0] == 2.0
    house.time.sleeps.clear()
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert house.time.sleeps == [2.0]
    house.time.sleeps.clear()
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert house.time.sleeps == [], "a secret known good does not wait"
    house.store.seq += 1
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert house.time.sleeps == [], "nor when the rows are read again"
    assert isinstance(await house.admit(ALICE, other, peer=ip_address("192.0.2.2")), Grant)
    assert house.time.sleeps == [], "nor does another address"


async def test_who_has_not_the_whole_secret_is_cut_with_no_app_password(house):
    right, wrong = house.attempt(), house.attempt()
    await house.admit(ALICE, house.secret, attempt=right)
    await house.admit(ALICE, wrong_verifier(house.secret), attempt=wrong)
    assert (right.entered, right.left) == ([house.phone], False)
    assert (wrong.entered, wrong.left) == ([house.phone], True)


@pytest.mark.parametrize("known", [True, False])
async def test_the_same_secret_many_times_at_once_is_one_hash_whoever_it_is_for(house, known):
    secret = wrong_verifier(house.secret) if known else unknown_selector(house.secret)
    await asyncio.gather(*(house.admit(ALICE, secret) for _ in range(5)))
    assert house.hasher.calls == {"app": 1}


async def test_an_address_that_failed_takes_its_turns_behind_the_others(house):
    other = ip_address("192.0.2.2")
    await house.admit(ALICE, wrong_verifier(house.secret))
    for name in (ALICE, "nobody@example.org", "not\u200ba name"):
        await house.admit(name, generate())
    await house.admit(ALICE, house.secret)
    await house.admit(ALICE, generate(), peer=other)
    here, there = (house.throttle.asker(peer, 0.0).origin for peer in (HERE, other))
    assert [(asker.origin, asker.doubted) for asker in house.turns.askers] == [
        (here, False),
        (here, True),
        (here, True),
        (here, True),
        (here, True),
        (there, False),
    ]


async def test_a_secret_known_good_takes_no_turn_and_after_a_change_one_like_anyone(house):
    await house.admit(ALICE, generate())
    await house.admit(ALICE, house.secret)
    house.turns.askers.clear()
    await house.admit(ALICE, house.secret)
    assert house.turns.askers == []
    house.store.seq += 1
    await house.admit(ALICE, house.secret)
    assert [asker.doubted for asker in house.turns.askers] == [False]


async def test_where_no_turn_comes_it_is_an_outage(house):
    gate = Gate(
        house.store, house.hasher, house.keys, house.throttle, turns=Turns(waiting_most=0, at_a_time=1)
    )
    house.hasher.held.clear()
    first = asyncio.create_task(house.admit(ALICE, house.secret, gate=gate))
    await turns_until(lambda: house.hasher.waiting)
    for name in (ALICE, "not\u200ba name"):
        assert (await house.admit(name, generate(), gate=gate)).reason is Reason.UNAVAILABLE
    house.hasher.held.set()
    assert isinstance(await first, Grant)


async def test_sixty_wrong_secrets_are_too_much_work(house):
    reasons = [(await house.admit(ALICE, generate())).reason for _ in range(100)]
    first = reasons.index(Reason.TOO_MUCH_WORK)
    assert 60 <= first < 80, "some are forgiven in the meantime"
    assert set(reasons[first:]) == {Reason.TOO_MUCH_WORK}
    assert max(house.time.sleeps) <= 2.0


async def test_the_same_wrong_secret_counts_once(house):
    wrong = wrong_verifier(house.secret)
    for _ in range(100):
        assert await house.admit(ALICE, wrong) == BAD
    assert house.throttle.delay(HERE, 1_000.0) == 0.0


@pytest.mark.parametrize(
    ("work", "floor"), [(0.0, 0.25), (0.1, 0.25), (0.25, 0.25), (0.26, 0.5), (0.9, 1.0), (1.1, 1.25)]
)
async def test_negative_answers_come_at_multiples_of_the_floor(house, work, floor):
    def works():
        house.time.monotonic += work

    house.moments.at, house.moments.happens = 1, works
    house.time.jitter = 0.5
    began = house.time.monotonic
    assert await house.admit(ALICE, wrong_verifier(house.secret)) == BAD
    assert house.time.monotonic - began == pytest.approx(floor + 0.05)


async def test_nothing_of_a_secret_is_in_an_outcome(house):
    text = house.secret.text().reveal()
    outcomes = [
        await house.admit(ALICE, house.secret),
        await house.admit(ALICE, wrong_verifier(house.secret)),
    ]
    house.revoke(house.phone)
    outcomes.append(await house.admit(ALICE, house.secret))
    shown = repr(outcomes) + repr(sign_in(ALICE, house.secret))
    assert text[4:] not in shown.replace("-", "")


async def test_confirm_refuses_what_is_not_the_same_grant_any_more(house):
    attempt, wanted = house.attempt(), sign_in(ALICE, house.secret)
    grant = await house.gate.admit(wanted, attempt)
    assert await house.gate.confirm(grant, wanted, attempt) is None
    house.store.emails[house.alice] = "alice@example.net"
    house.store.seq += 1
    assert (await house.gate.confirm(grant, wanted, attempt)).reason is Reason.UNAVAILABLE
    other = replace(grant, app_password_id="ap_other")
    assert (await house.gate.confirm(other, wanted, attempt)).reason is Reason.UNAVAILABLE


async def test_while_nothing_changes_confirm_asks_the_feed_alone(house):
    small = house.another_gate(memo_size=1)
    _, other = house.add(house.alice)
    attempt, wanted = house.attempt(), sign_in(ALICE, house.secret)
    grant = await small.admit(wanted, attempt)
    assert isinstance(await small.admit(sign_in(ALICE, other), house.attempt()), Grant)  # fills the memo
    before, asked = house.store.statements, house.store.calls["feed_mark"]
    assert await small.confirm(grant, wanted, attempt) is None
    assert (house.store.statements, house.store.calls["feed_mark"]) == (before, asked + 1)
    assert await small.confirm(replace(grant), wanted, attempt) is None  # not the one that was given
    assert house.store.statements > before
    house.revoke(house.phone, told=False)
    assert (await small.confirm(grant, wanted, attempt)).reason is Reason.REVOKED


async def test_confirm_sees_an_expiry_and_a_vanished_account(house):
    _, secret = house.add(house.alice, expires_at=int(NOW) + 10)
    attempt, wanted = house.attempt(), sign_in(ALICE, secret)
    grant = await house.gate.admit(wanted, attempt)
    house.time.wall = NOW + 11
    assert (await house.gate.confirm(grant, wanted, attempt)).reason is Reason.EXPIRED
    house.store.names.clear()
    house.store.seq += 1
    assert (await house.gate.confirm(grant, wanted, attempt)).reason is Reason.BAD_CREDENTIALS


@pytest.mark.parametrize("wanted", [sign_in(ALICE, "not one"), sign_in("\u200b", generate())])
async def test_confirm_of_what_was_never_admitted_is_a_bug(house, wanted):
    grant = await house.admit(ALICE, house.secret)
    outcome = await house.gate.confirm(grant, wanted, house.attempt())
    assert outcome.reason is Reason.BUG
