"""Copies of the store for a backup, taken while others serve and write, and what is in them.

The two files are copied one after the other, each of one moment; the activity file may be a little ahead of
the other, which harms nothing. It is left out when it cannot be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from auth.store import keychecks, queries
from auth.store.copies import connect, copy
from auth.store.engine import cause_of
from auth.store.errors import StoreUnavailable

GATE: Final = "gate.db"
ACTIVITY: Final = "activity.db"
_REVISION: Final = "SELECT version_num FROM alembic_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Two files of the store, copied, and what is in them."""

    gate: Path
    gate_revision: str
    activity: Path | None
    activity_revision: str | None
    accounts: int
    app_passwords: int
    """Active ones."""
    keys: Mapping[str, bytes]
    """Check values of the master keys that some row needs, by id."""


def take(gate: Path, activity: Path, folder: Path, *, now: float, busy_s: float) -> Copied:
    """Copy both files into `folder`; blocking. Raises StoreUnavailable, and OSError for the folder."""
    try:
        copy(gate, folder / GATE, busy_s=busy_s)
        facts = _facts(folder / GATE, now, busy_s)
    except (sqlite3.Error, SQLAlchemyError) as error:
        cause = cause_of(error)
    else:
        revision = _copy_activity(activity, folder / ACTIVITY, busy_s)
        return Copied(
            gate=folder / GATE,
            activity=None if revision is None else folder / ACTIVITY,
            activity_revision=revision,
            **facts,
        )
    raise StoreUnavailable(f"it cannot be copied: {cause}")


def _facts(path: Path, now: float, busy_s: float) -> dict[str, Any]:
    engine = create_engine("sqlite://", creator=lambda: connect(path, busy_s), poolclass=NullPool)
    with engine.connect() as tx:
        accounts = queries.all_accounts(tx)
        rows = queries.all_app_passwords(tx)
        values = keychecks.check_values(tx)
        needed = keychecks.in_use(tx, values.keys())
        return {
            "gate_revision": str(tx.exec_driver_sql(_REVISION).scalar_one()),
            "accounts": len(accounts),
            "app_passwords": sum(queries.is_active(row, now) for row in rows),
            "keys": {key_id: value for key_id, value in values.items() if key_id in needed},
        }


def _copy_activity(path: Path, target: Path, busy_s: float) -> str | None:
    """Copy what merely happened and give its revision; None when it cannot be had."""
    if not path.exists():
        return None
    try:
        copy(path, target, busy_s=busy_s)
        with closing(connect(target, busy_s)) as connection:
            (revision,) = connection.execute(_REVISION).fetchone()
            return str(revision)
    except (sqlite3.Error, TypeError):
        target.unlink(missing_ok=True)
        return None
