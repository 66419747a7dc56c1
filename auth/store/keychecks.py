"""Which master keys the store's secrets were made with: for each key id a value only that very key gives.

Every column that names a key refers to this table, so nothing is ever stored under a key that was not written
down here first. A check value says nothing about its key. What it is for is decided in `auth.keycheck`.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import exists, insert, or_, select

from auth.store.engine import Tx
from auth.store.schema import (
    account,
    app_password,
    master_key,
    oauth_token,
    recovery_code,
    upstream_login,
)


def check_values(tx: Tx) -> dict[str, bytes]:
    """Give the check value of every key that new values were ever made with, by key id."""
    return {row.id: row.check_value for row in tx.execute(select(master_key))}


def insert_check_value(tx: Tx, key_id: str, value: bytes) -> None:
    """Write down a key that is used from now on."""
    tx.execute(insert(master_key).values(id=key_id, check_value=value))


def in_use(tx: Tx, key_ids: Collection[str]) -> set[str]:
    """Give those of `key_ids` that some row needs, tombstones included.

    Counted failures need none: without their key they are merely forgotten.
    """
    if not key_ids:
        return set()
    columns = (
        app_password.c.key_id,
        account.c.primary_key_id,
        account.c.seed_key_id,
        recovery_code.c.key_id,
        upstream_login.c.key_id,
        oauth_token.c.key_id,
    )
    needed = or_(*(exists().where(column == master_key.c.id) for column in columns))
    rows = tx.execute(select(master_key.c.id).where(master_key.c.id.in_(key_ids), needed))
    return {row.id for row in rows}
