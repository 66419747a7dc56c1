"""What an owner proves with, and how often it went wrong: second factor, recovery codes, counted failures.

Steps of a deed, like those in `auth.store.deeds`. A code is taken by an UPDATE that finds it unused, so of
two uses in parallel one finds nothing. Failures are counted by a keyed digest of what was guessed at: the
table never holds a name someone typed, its rows are of one size, and their number has an end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from auth.seal import Sealed
from auth.store.deeds import update_account
from auth.store.engine import Tx
from auth.store.schema import account, failure, recovery_code

MOST_SUBJECTS: Final = 10_000
"""Accounts and addresses whose failures are remembered; beyond it the least guessed-at go first."""
FORGET_AFTER_S: Final = 2 * 86_400
"""A failure older than this has long ceased to delay anyone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often a proof went wrong, and when last (seconds since 1970-01-01 UTC)."""

    count: int
    last_at: float


def set_seed(tx: Tx, account_id: str, seed: Sealed | None, last_step: int | None) -> None:
    """Store a confirmed seed with the step that confirmed it, or take the second factor away with None."""
    update_account(
        tx,
        account_id,
        seed_key_id=None if seed is None else seed.key_id,
        seed_box=None if seed is None else seed.box,
        last_step=last_step,
    )


def take_step(tx: Tx, account_id: str, step: int) -> bool:
    """Accept a TOTP step once: False when this step or a later one was accepted before (RFC 6238 §5.2)."""
    taken = tx.execute(
        update(account)
        .where(account.c.id == account_id, or_(account.c.last_step.is_(None), account.c.last_step < step))
        .values(last_step=step)
    )
    return taken.rowcount == 1


def replace_recovery_codes(tx: Tx, account_id: str, key_id: str, digests: Iterable[bytes]) -> None:
    """Store new recovery codes; all earlier ones, used or not, are gone."""
    tx.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))
    rows = [{"account_id": account_id, "digest": digest, "key_id": key_id} for digest in digests]
    if rows:
        tx.execute(insert(recovery_code), rows)


def recovery_codes(tx: Tx, account_id: str) -> list[tuple[str, bytes]]:
    """Give the account's unused recovery codes, each as the id of its key and its digest."""
    rows = tx.execute(
        select(recovery_code.c.key_id, recovery_code.c.digest).where(
            recovery_code.c.account_id == account_id, recovery_code.c.used_at.is_(None)
        )
    )
    return [(row.key_id, row.digest) for row in rows]


def take_recovery_code(tx: Tx, account_id: str, digest: bytes, at: int) -> bool:
    """Use a recovery code up; False when it is unknown or used."""
    taken = tx.execute(
        update(recovery_code)
        .where(
            recovery_code.c.account_id == account_id,
            recovery_code.c.digest == digest,
            recovery_code.c.used_at.is_(None),
        )
        .values(used_at=at)
    )
    return taken.rowcount == 1


def failures_of(tx: Tx, subject: bytes) -> Failures | None:
    """Read what was counted against `subject`; None when nothing was."""
    row = tx.execute(select(failure).where(failure.c.subject == subject)).one_or_none()
    return None if row is None else Failures(count=row.failures, last_at=row.last_at)


def adopt_failures(tx: Tx, subject: bytes, key_id: str, earlier: Collection[bytes]) -> None:
    """Count against `subject` what was counted against the same one under other keys (`earlier`)."""
    if not earlier:
        return
    under_any = failure.c.subject.in_([subject, *earlier])
    rows = tx.execute(select(failure).where(under_any)).all()
    if any(row.subject != subject for row in rows):
        tx.execute(delete(failure).where(under_any))
        whole = Failures(count=sum(row.failures for row in rows), last_at=max(row.last_at for row in rows))
        set_failures(tx, subject, key_id, whole)


def set_failures(tx: Tx, subject: bytes, key_id: str, failures: Failures) -> None:
    """Store what is now counted against `subject`, a digest made with this key."""
    counted = upsert(failure).values(
        subject=subject, key_id=key_id, failures=failures.count, last_at=failures.last_at
    )
    tx.execute(
        counted.on_conflict_do_update(
            index_elements=[failure.c.subject],
            set_={"failures": counted.excluded.failures, "last_at": counted.excluded.last_at},
        )
    )
    tx.execute(delete(failure).where(failure.c.last_at < failures.last_at - FORGET_AFTER_S))
    surplus = tx.execute(select(func.count()).select_from(failure)).scalar_one() - MOST_SUBJECTS
    if surplus > 0:
        least = (
            select(failure.c.subject)
            .where(failure.c.subject != subject)
            .order_by(failure.c.failures, failure.c.last_at)
            .limit(surplus)
        )
        tx.execute(delete(failure).where(failure.c.subject.in_(least)))


def forgive(tx: Tx, subject: bytes, *, all_of_them: bool) -> None:
    """Take back one failure counted against `subject`, or all."""
    if not all_of_them:
        tx.execute(
            update(failure).where(failure.c.subject == subject).values(failures=failure.c.failures - 1)
        )
    spent = delete(failure).where(failure.c.subject == subject)
    tx.execute(spent if all_of_them else spent.where(failure.c.failures <= 0))
