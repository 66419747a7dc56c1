"""Sessions of the portal as rows: steps of a deed, each a plain function of a `Tx`.

What a session may do, and until when, is decided in `auth.portal_sessions` and `auth.lifetimes`. A row that
cannot be understood is an unusable store.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_, delete, func, insert, or_, select, update

from auth.lifetimes import ABSOLUTE_S, CODE_S, IDLE_S
from auth.seal import Sealed
from auth.store.engine import Tx
from auth.store.errors import understood
from auth.store.rows import SessionRow, Stage
from auth.store.schema import portal_session

MOST_WAITING: Final = 10_000
"""Sign-ins that wait for their code; beyond it the oldest go first. Each has cost a slow hash."""


def find(tx: Tx, digest: bytes) -> SessionRow | None:
    """Read the session of a token's digest, dead or alive."""
    row = tx.execute(select(portal_session).where(portal_session.c.digest == digest)).one_or_none()
    if row is None:
        return None
    with understood("a session of the portal"):
        return SessionRow(
            digest=row.digest,
            account_id=row.account_id,
            stage=Stage(row.stage),
            created_at=row.created_at,
            seen_at=row.seen_at,
            proved_at=row.proved_at,
            sealed=None if row.box is None else Sealed(key_id=row.key_id, box=row.box),
        )


def put(tx: Tx, row: SessionRow) -> None:
    """Write a new session."""
    tx.execute(insert(portal_session).values(**_columns(row)))


def put_in_place(tx: Tx, digest: bytes, row: SessionRow) -> None:
    """Write `row` in the place of the session of `digest`, which was read in this transaction."""
    tx.execute(update(portal_session).where(portal_session.c.digest == digest).values(**_columns(row)))


def touch(tx: Tx, digest: bytes, at: int) -> None:
    """Remember that a page was asked for."""
    tx.execute(update(portal_session).where(portal_session.c.digest == digest).values(seen_at=at))


def remove(tx: Tx, digest: bytes) -> None:
    """End a session."""
    tx.execute(delete(portal_session).where(portal_session.c.digest == digest))


def end(tx: Tx, account_id: str, keep: bytes | None = None) -> int:
    """End every session of an account, but the one of the digest `keep`; give how many there were."""
    those = portal_session.c.account_id == account_id
    if keep is not None:
        those = and_(those, portal_session.c.digest != keep)
    return tx.execute(delete(portal_session).where(those)).rowcount


def tidy(tx: Tx, at: int) -> None:
    """Remove what has ended by itself at `at`, and the oldest of too many that wait for a code."""
    here = portal_session.c
    waits = here.stage == Stage.CODE.value
    over = or_(
        and_(waits, here.created_at < at - CODE_S),
        and_(~waits, here.seen_at < at - IDLE_S),
        here.created_at < at - ABSOLUTE_S,
    )
    tx.execute(delete(portal_session).where(over))
    surplus = tx.execute(select(func.count()).select_from(portal_session).where(waits)).scalar_one()
    if surplus > MOST_WAITING:
        oldest = (select(here.digest).where(waits).order_by(here.created_at, here.digest)).limit(
            surplus - MOST_WAITING
        )
        tx.execute(delete(portal_session).where(here.digest.in_(oldest)))


def _columns(row: SessionRow) -> dict[str, object]:
    return {
        "digest": row.digest,
        "account_id": row.account_id,
        "stage": row.stage.value,
        "created_at": row.created_at,
        "seen_at": row.seen_at,
        "proved_at": row.proved_at,
        "key_id": None if row.sealed is None else row.sealed.key_id,
        "box": None if row.sealed is None else row.sealed.box,
    }
