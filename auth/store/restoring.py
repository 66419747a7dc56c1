"""Steps of a restore, inside the restored copy: what the present store knows is written into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import delete, func, insert, select, update

from auth.store import identities, keychecks
from auth.store.deeds import update_account
from auth.store.engine import Tx
from auth.store.known import Line, RecoveryCode
from auth.store.rows import ChangeKind
from auth.store.schema import account, audit, gate, invitation, portal_session, recovery_code

_DEEDS: Final = frozenset(kind.value for kind in ChangeKind)


def remember_key(tx: Tx, key_id: str, check_value: bytes) -> None:
    """Write a master key down that came to be used after the copy was made."""
    if key_id not in keychecks.check_values(tx):
        keychecks.insert_check_value(tx, key_id, check_value)


def put_codes(tx: Tx, account_id: str, codes: Iterable[RecoveryCode]) -> None:
    """Give the account these recovery codes, used ones as used, in place of those it has."""
    tx.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))
    rows = [
        {"account_id": account_id, "digest": each.digest, "key_id": each.key_id, "used_at": each.used_at}
        for each in codes
    ]
    if rows:
        tx.execute(insert(recovery_code), rows)


def spend_codes(tx: Tx, account_id: str, at: int) -> int:
    """Mark every recovery code of the account as used; give how many were not."""
    unused = (recovery_code.c.account_id == account_id) & recovery_code.c.used_at.is_(None)
    number: int = tx.execute(select(func.count()).select_from(recovery_code).where(unused)).scalar_one()
    tx.execute(update(recovery_code).where(unused).values(used_at=at))
    return number


def spend_steps(tx: Tx, account_id: str, step: int) -> None:
    """Take no code of a TOTP step up to `step` any more; without a second factor there is none."""
    seeded = select(account.c.last_step).where(account.c.id == account_id, account.c.seed_box.is_not(None))
    row = tx.execute(seeded).one_or_none()
    if row is not None and (row.last_step is None or row.last_step < step):
        update_account(tx, account_id, last_step=step)


def end_ways_in(tx: Tx) -> None:
    """Let no session of the portal be good any more, and no invitation that was not used."""
    tx.execute(delete(portal_session))
    tx.execute(delete(invitation).where(invitation.c.used_at.is_(None)))


def put_upstream(tx: Tx, account_id: str, lines: Iterable[Line]) -> None:
    """Let the account be at the servers behind who these rows say, with their secrets and tokens."""
    identities.bury(tx, account_id)
    for line in lines:
        tx.execute(insert(gate.tables[line.table]).values(**line.values))


def append_audit(tx: Tx, trail: Sequence[Line]) -> None:
    """Append what `trail` says after the last line of this one; where the two are not one trail, nothing.

    Deeds that a newer version wrote are left out: this one could not read its trail any more.
    """
    last = tx.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).mappings().one_or_none()
    if last is not None and dict(last) not in (line.values for line in trail):
        return
    reached = 0 if last is None else last["id"]
    rows = [
        dict(line.values) for line in trail if line.values["id"] > reached and line.values["deed"] in _DEEDS
    ]
    if rows:
        tx.execute(insert(audit), rows)
