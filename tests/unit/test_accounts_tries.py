"""How often a primary password or a code may be wrong, by name, account and address."""

import asyncio

import pytest

from auth.accounts import AccountError, Actor, Problem, Proof
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store.proofs import Failures, set_failures
from auth.throttle import PER_ACCOUNT, PER_ADDRESS
from support.office import ALICE, OPERATOR, OWNER, failures, office, refusal, wish

WRONG = Secret("wrong horse battery")


async def test_failures_make_wait_and_a_right_proof_clears_them(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        wrong = Proof(primary=WRONG, code=Secret("123456"))
        for _ in range(PER_ACCOUNT.free):
            assert await refusal(here.accounts.mint(ALICE, wish(), OPERATOR, wrong)) is Problem.WRONG_PROOF
        here.hasher.calls.clear()
        with pytest.raises(AccountError) as refused:
            await here.accounts.mint(ALICE, wish(), OPERATOR, here.proof())
        assert refused.value.problem is Problem.TOO_MANY_TRIES
        assert 0 < refused.value.retry_after_s <= 1
        assert refused.value.hint == "try again in 1 second"
        assert here.hasher.calls == {}
        here.clock.now += 1
        await here.accounts.mint(ALICE, wish(), OPERATOR, here.proof())
        assert await failures(here) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 second"), (1.0, "1 second"), (1.1, "2 seconds"), (89.5, "90 seconds"), (90.0, "2 minutes")],
)
async def test_a_wait_is_told_in_words_and_never_too_short(tmp_path, seconds, words):
    async with office(tmp_path) as here:
        await here.enrolled()
        subject = here.accounts._prover.tries._name(ALICE)
        last_at = here.clock.now - (PER_ACCOUNT.lock_s - seconds)
        locked = Failures(count=PER_ACCOUNT.lock_after, last_at=last_at)
        await here.store.write(lambda tx: set_failures(tx, subject.digest, "k1", locked))
        with pytest.raises(AccountError) as refused:
            await here.accounts.mint(ALICE, wish(), OPERATOR, here.proof())
        assert refused.value.hint == f"try again in {words}"


async def test_enough_failures_lock_for_a_while_by_whatever_name(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled(ALICE, aliases=["al"])
        there.clock.now = here.clock.now
        wrong = Proof(primary=WRONG, code=Secret("123456"))
        for number in range(PER_ACCOUNT.lock_after):
            here.clock.now = there.clock.now = here.clock.now + 64
            desk, name = ((here, ALICE), (there, "al"))[number % 2]
            assert await refusal(desk.accounts.mint(name, wish(), OPERATOR, wrong)) is Problem.WRONG_PROOF
        here.clock.now += PER_ACCOUNT.lock_s - 1
        for name in (ALICE, "al"):
            deed = here.accounts.mint(name, wish(), OPERATOR, here.proof())
            assert await refusal(deed) is Problem.WRONG_PROOF, "as of a name nobody has"
        await here.accounts.set_primary(ALICE, Secret("a new password"), OPERATOR)
        fresh = Proof(primary=Secret("a new password"), code=here.code())
        await here.accounts.mint(ALICE, wish(), OPERATOR, fresh)
        assert await failures(here) == []


async def test_what_was_tried_at_one_name_does_not_show_at_another(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled(ALICE, aliases=["al"])
        wrong = Proof(primary=WRONG, code=Secret("123456"))

        async def told(name: str, proof: Proof) -> tuple[object, ...]:
            here.hasher.calls.clear()
            with pytest.raises(AccountError) as refused:
                await here.accounts.mint(name, wish(), OPERATOR, proof)
            error = refused.value
            return error.problem, error.message, error.hint, dict(here.hasher.calls)

        for _ in range(PER_ACCOUNT.free):
            await told(ALICE, wrong)
        assert (await told(ALICE, wrong))[0] is Problem.TOO_MANY_TRIES
        for proof in (wrong, here.proof(), wrong, wrong):
            assert await told("al", proof) == await told("nobody", proof)
        assert (await told("al", wrong))[0] is Problem.TOO_MANY_TRIES, "at last by its own count"


async def test_a_new_current_key_forgets_no_lock_out(tmp_path):
    old, new = {"k1": bytes(range(32))}, {"k1": bytes(range(32)), "k2": bytes(32)}
    wrong = Proof(primary=WRONG, code=Secret("123456"))
    async with office(tmp_path, keys=KeyRing(old, "k1")) as here:
        await here.enrolled()
        for _ in range(PER_ACCOUNT.free):
            assert await refusal(here.accounts.mint(ALICE, wish(), OWNER, wrong)) is Problem.WRONG_PROOF
        now = here.clock.now
    async with office(tmp_path, keys=KeyRing(new, "k2")) as there:
        there.clock.now, there.seeds = now, here.seeds
        deed = there.accounts.mint(ALICE, wish(), OWNER, there.proof())
        assert await refusal(deed) is Problem.TOO_MANY_TRIES
        there.clock.now += 1
        await there.accounts.mint(ALICE, wish(), OWNER, there.proof())
        assert await failures(there) == [PER_ACCOUNT.free], "the address keeps its own"


async def test_an_operator_clears_what_was_counted_under_an_earlier_key(tmp_path):
    old, new = {"k1": bytes(range(32))}, {"k1": bytes(range(32)), "k2": bytes(32)}
    wrong = Proof(primary=WRONG, code=Secret("123456"))
    async with office(tmp_path, keys=KeyRing(old, "k1")) as here:
        await here.enrolled()
        await refusal(here.accounts.mint(ALICE, wish(), OPERATOR, wrong))
        assert await failures(here) == [1, 1]
    async with office(tmp_path, keys=KeyRing(new, "k2")) as there:
        await there.accounts.set_primary(ALICE, Secret("a new password"), OPERATOR)
        assert await failures(there) == []


async def test_guesses_in_parallel_count_like_guesses_in_a_row(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        wrong = Proof(primary=WRONG, code=Secret("123456"))
        results = await asyncio.gather(
            *(here.accounts.mint(ALICE, wish(), OPERATOR, wrong) for _ in range(20)), return_exceptions=True
        )
        problems = [result.problem for result in results]
        assert problems.count(Problem.WRONG_PROOF) == PER_ACCOUNT.free
        assert problems.count(Problem.TOO_MANY_TRIES) == 20 - PER_ACCOUNT.free


async def test_a_sweep_over_many_accounts_is_stopped_by_its_address(tmp_path):
    def from_(where: str) -> Actor:
        return Actor(kind="owner", name="?", where=where)

    async with office(tmp_path) as here:
        await here.enrolled()
        wrong = Proof(primary=WRONG, code=Secret("123456"))
        for number in range(PER_ADDRESS.free):
            where = from_(f"2001:db8::{number:x}")
            deed = here.accounts.mint(f"u{number}@example.org", wish(), where, wrong)
            assert await refusal(deed) is Problem.WRONG_PROOF
        deed = here.accounts.mint(ALICE, wish(), from_("2001:db8::ffff"), here.proof())
        assert await refusal(deed) is Problem.TOO_MANY_TRIES
        await here.accounts.mint(ALICE, wish(), from_("2001:db9::1"), here.proof())
        assert await failures(here) == [1] * (2 * PER_ADDRESS.free) + [PER_ADDRESS.free]


async def test_what_is_counted_against_is_not_readable(tmp_path):
    async with office(tmp_path) as here:
        wrong = Proof(primary=WRONG, code=Secret("123456"))
        await refusal(here.accounts.mint("typed-into-the-wrong-box", wish(), OWNER, wrong))
        octets = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"typed-into" not in octets
        assert b"192.0.2.7" not in octets
