"""Steps of a restore, inside the restored copy: keys, codes and steps that its owner may have used since."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, func, insert, select, update

from auth.store import keychecks
from auth.store.deeds import update_account
from auth.store.engine import Tx
from auth.store.known import RecoveryCode
from auth.store.schema import account, recovery_code


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
