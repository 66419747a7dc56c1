"""What is remembered: whose it is, when it holds, and that work asked for twice is done once."""

import asyncio

import pytest

from auth.apppassword import generate
from auth.memo import Claim, Memo, Shared
from auth.refusal import Reason
from scopes.model import Grant, Scope, Service
from support.gatehouse import Gatehouse, turns_until

ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture
async def house():
    house = Gatehouse()
    house.alice = house.add_account(ALICE, "al@example.org")
    house.phone, house.secret = house.add(house.alice, scopes=(Scope.MAIL, Scope.EVENTS))
    yield house
    house.close()


async def held(house, count):
    """Wait until the hasher holds `count` checks and every other task has come to rest."""
    await turns_until(lambda: house.hasher.waiting >= count)
    for _ in range(50):
        await asyncio.sleep(0)
    assert house.hasher.waiting == count


async def test_argon2_is_paid_once_and_then_only_the_feed_is_asked(house):
    for service in (Service.IMAP, Service.DAV, Service.SUBMISSION) * 5:
        assert isinstance(await house.admit(ALICE, house.secret, service), Grant)
    assert house.hasher.calls["app"] == 1
    assert house.store.statements == 2
    assert house.store.calls["feed_mark"] == 2 + 14


async def test_a_change_elsewhere_reads_the_rows_again_without_argon2(house):
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    house.add(house.alice)
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert (house.hasher.calls["app"], house.store.statements) == (1, 4)
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert (house.hasher.calls["app"], house.store.statements) == (1, 4)


async def test_another_form_of_the_name_shares_the_proof_and_falls_with_it(house):
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert isinstance(await house.admit("AL@example.org", house.secret), Grant)
    assert house.hasher.calls["app"] == 1
    house.revoke(house.phone)
    for name in (ALICE, "al@example.org", "Alice@EXAMPLE.org"):
        assert (await house.admit(name, house.secret)).reason is Reason.REVOKED


async def test_one_accounts_proof_is_nothing_for_another(house):
    bob = house.add_account(BOB)
    house.add(bob, password=None)
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert (await house.admit(BOB, house.secret)).reason is Reason.BAD_CREDENTIALS
    bobs, _ = house.add(bob, password=house.secret)
    grant = await house.admit(BOB, house.secret)
    assert (grant.account_id, grant.app_password_id) == (bob, bobs)
    assert (await house.admit(ALICE, house.secret)).account_id == house.alice
    assert house.hasher.calls["app"] == 3, "nor do they displace each other"
    house.revoke(bobs)
    assert (await house.admit(BOB, house.secret)).reason is Reason.REVOKED
    assert isinstance(await house.admit(ALICE, house.secret), Grant)


async def test_another_secret_with_the_same_selector_is_hashed_and_refused(house):
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    for _ in range(3):
        other = generate()
        near = type(other)(selector=house.secret.selector, verifier=other.verifier)
        assert (await house.admit(ALICE, near)).reason is Reason.BAD_CREDENTIALS
    assert house.hasher.calls["app"] == 4, "wrong secrets are not remembered"
    assert isinstance(await house.admit(ALICE, house.secret), Grant)
    assert house.hasher.calls["app"] == 4


async def test_the_memo_has_an_end_and_forgetting_costs_only_a_hash():
    house = Gatehouse(memo_size=2)
    account = house.add_account(ALICE)
    secrets = [house.add(account)[1] for _ in range(5)]
    for _ in range(2):
        for secret in secrets:
            assert isinstance(await house.admit(ALICE, secret), Grant)
    assert house.hasher.calls["app"] == 10
    house.close()


async def test_every_process_has_its_own_key():
    password = generate()
    digests = {Memo(1).digest("proof", "ac_1", password) for _ in range(3)}
    assert len(digests) == 3
    memo = Memo(1)
    assert memo.digest("proof", "ac_1", password) == memo.digest("proof", "ac_1", password)
    assert memo.digest("proof", "ac_1", password) != memo.digest("failure", "ac_1", password)
    assert memo.recall(Claim(name=ALICE, acts_as=ALICE, password=password)) is None


async def test_first_checks_at_the_same_time_share_one_hash(house):
    house.hasher.held.clear()
    tasks = [asyncio.create_task(house.admit(ALICE, house.secret)) for _ in range(5)]
    await held(house, 1)
    house.hasher.held.set()
    assert all(isinstance(outcome, Grant) for outcome in await asyncio.gather(*tasks))
    assert house.hasher.calls["app"] == 1


async def test_different_secrets_do_not_share(house):
    _, other = house.add(house.alice)
    bob = house.add_account(BOB)
    house.add(bob, password=house.secret)
    house.hasher.held.clear()
    tasks = [
        asyncio.create_task(house.admit(name, secret))
        for name, secret in ((ALICE, house.secret), (ALICE, other), (BOB, house.secret))
    ]
    await held(house, 3)
    house.hasher.held.set()
    emails = [grant.email for grant in await asyncio.gather(*tasks)]
    assert emails == [ALICE, ALICE, BOB]


async def test_one_who_vanishes_leaves_the_shared_hash_to_the_others(house):
    house.hasher.held.clear()
    gone, stays = (asyncio.create_task(house.admit(ALICE, house.secret)) for _ in range(2))
    await held(house, 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await held(house, 1)
    house.hasher.held.set()
    assert isinstance(await stays, Grant)
    assert house.hasher.calls["app"] == 1


async def test_when_all_vanish_the_place_is_free(house):
    house.hasher.held.clear()
    tasks = [asyncio.create_task(house.admit(ALICE, house.secret)) for _ in range(3)]
    await held(house, 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert house.hasher.waiting == 0


async def test_shared_work_passes_on_what_it_raises_and_starts_anew():
    shared = Shared()
    runs = []

    async def fails():
        runs.append(1)
        await asyncio.sleep(0)
        raise KeyError("x")

    outcomes = await asyncio.gather(*(shared.run(b"k", fails) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [KeyError] * 3
    assert len(runs) == 1
    with pytest.raises(KeyError):
        await shared.run(b"k", fails)
    assert len(runs) == 2
    assert shared._running == {}


async def test_work_begun_while_cancelled_work_ends_is_its_own():
    shared, started, release = Shared(), [], asyncio.Event()

    async def work():
        started.append(1)
        await release.wait()
        return len(started)

    first = asyncio.create_task(shared.run(b"k", work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(shared.run(b"k", work))
    await asyncio.sleep(0)
    release.set()
    assert await second == 2
    await asyncio.sleep(0)
    assert shared._running == {}
