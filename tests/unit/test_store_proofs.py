"""Counted failures and spent codes: bounded, and taken once."""

from contextlib import asynccontextmanager

from auth.store import keychecks, proofs
from auth.store.proofs import Failures
from support.office import ALICE, office, opened

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


def put(subject: bytes, count: int, at: float):
    return lambda tx: proofs.set_failures(tx, subject, "k1", Failures(count=count, last_at=at))


@asynccontextmanager
async def keyed(folder):
    """A store that knows the key everything here is made with, and the next one."""
    async with opened(folder) as store:
        for key_id in ("k1", "k2"):
            await store.write(lambda tx, key_id=key_id: keychecks.insert_check_value(tx, key_id, b""))
        yield store


def get(subject: bytes):
    return lambda tx: proofs.failures_of(tx, subject)


async def test_failures_are_kept_to_the_fraction_of_a_second(tmp_path):
    async with keyed(tmp_path) as store:
        assert await store.read(get(A)) is None
        await store.write(put(A, 1, 1000.25))
        await store.write(put(A, 2, 1000.75))
        assert await store.read(get(A)) == Failures(count=2, last_at=1000.75)
        assert await store.read(get(B)) is None


async def test_forgiving_takes_one_or_all(tmp_path):
    async with keyed(tmp_path) as store:
        await store.write(put(A, 3, 1.0))
        await store.write(lambda tx: proofs.forgive(tx, A, all_of_them=False))
        assert (await store.read(get(A))).count == 2
        await store.write(lambda tx: proofs.forgive(tx, A, all_of_them=True))
        assert await store.read(get(A)) is None
        await store.write(put(A, 1, 1.0))
        await store.write(lambda tx: proofs.forgive(tx, A, all_of_them=False))
        assert await store.read(get(A)) is None
        await store.write(lambda tx: proofs.forgive(tx, B, all_of_them=False))


async def test_what_was_counted_under_another_key_is_counted_on(tmp_path):
    async with keyed(tmp_path) as store:
        await store.write(put(A, 3, 7.0))
        await store.write(lambda tx: proofs.adopt_failures(tx, B, "k2", [A, C]))
        assert await store.read(get(A)) is None
        assert await store.read(get(B)) == Failures(count=3, last_at=7.0)
        await store.write(put(A, 1, 5.0))
        await store.write(lambda tx: proofs.adopt_failures(tx, B, "k2", [A, C]))
        assert await store.read(get(B)) == Failures(count=4, last_at=7.0)


async def test_old_failures_are_forgotten(tmp_path):
    async with keyed(tmp_path) as store:
        await store.write(put(A, 9, 1000.0))
        await store.write(put(B, 9, 1001.0))
        await store.write(put(C, 1, 1000.5 + proofs.FORGET_AFTER_S))
        assert await store.read(get(A)) is None
        assert await store.read(get(B)) is not None


async def test_the_table_is_bounded_and_keeps_those_guessed_at_most(tmp_path):
    def flood(tx):
        proofs.set_failures(tx, A, "k1", Failures(count=5, last_at=1.0))
        for _ in range(proofs.MOST_SUBJECTS // 100):
            tx.exec_driver_sql(
                "INSERT INTO failure SELECT randomblob(32), 'k1', 1, 2.0 + value FROM "
                "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 100) "
                "SELECT value FROM n)"
            )
        proofs.set_failures(tx, B, "k1", Failures(count=1, last_at=3.0))
        return tx.exec_driver_sql("SELECT count(*) FROM failure").scalar_one()

    async with keyed(tmp_path) as store:
        assert await store.write(flood) == proofs.MOST_SUBJECTS
        assert (await store.read(get(A))).count == 5
        assert (await store.read(get(B))).count == 1


async def test_a_step_is_taken_once_and_never_backwards(tmp_path):
    async with office(tmp_path) as here:
        account_id = await here.person()

        def take(step):
            return here.store.write(lambda tx: proofs.take_step(tx, account_id, step))

        assert [await take(step) for step in (7, 7, 6, 8, 7)] == [True, False, False, True, False]
        assert (await here.accounts.find(ALICE)).last_step == 8


async def test_a_recovery_code_is_taken_once(tmp_path):
    async with office(tmp_path) as here:
        account_id = await here.person()
        await here.store.write(lambda tx: proofs.replace_recovery_codes(tx, account_id, "k1", [A, B]))

        def take(digest, whose=account_id):
            return here.store.write(lambda tx: proofs.take_recovery_code(tx, whose, digest, 9))

        assert [await take(A), await take(A), await take(C), await take(B, "ac_other")] == [
            True,
            False,
            False,
            False,
        ]
        assert await here.store.read(lambda tx: proofs.recovery_codes(tx, account_id)) == [("k1", B)]
        await here.store.write(lambda tx: keychecks.insert_check_value(tx, "k2", b"2"))
        await here.store.write(lambda tx: proofs.replace_recovery_codes(tx, account_id, "k2", [C]))
        assert await here.store.read(lambda tx: proofs.recovery_codes(tx, account_id)) == [("k2", C)]
