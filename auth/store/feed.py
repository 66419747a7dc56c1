"""The change feed: the number of the last committed change, and what each change ended.

A change takes its number from the feed's one row as the last thing its transaction does, so numbers are
committed in their order, and who reads number N sees every change up to N. The check runs before every use of
anything remembered: on a plain connection of its own that waits for nobody, on the event loop's thread, in
about 15 microseconds.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select, update

from auth.store.engine import Tx, cause_of
from auth.store.errors import StoreUnavailable, understood
from auth.store.rows import Change, ChangeKind
from auth.store.schema import change, feed

_READ: Final = "SELECT seq FROM feed"


class FeedCheck:
    """Reads the feed's number. Make it and use it on one thread only; making it raises StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        try:
            self._file = self._identity()
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None
            )
            self._connection.execute("PRAGMA query_only=ON")
        except (sqlite3.Error, OSError) as error:
            cause = cause_of(error)
        else:
            return
        raise StoreUnavailable(f"change feed: {cause}")

    def number(self) -> int:
        """Give the number of the last committed change; raises StoreUnavailable, also when merely busy.

        Also when another file has taken the store's place: changes are then written where we do not look.
        """
        try:
            rows = self._connection.execute(_READ).fetchall()  # to the end: no read transaction stays open
            same_file = self._identity() == self._file
        except (sqlite3.Error, OSError) as error:
            cause = cause_of(error)
        else:
            match rows:
                case [(int(seq),)] if same_file:
                    return seq
            cause = "no number" if same_file else "the file was replaced"
        raise StoreUnavailable(f"change feed: {cause}")

    def close(self) -> None:
        """Close the connection; a later check fails."""
        self._connection.close()

    def _identity(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116 - on the hot path
        return status.st_dev, status.st_ino


def advance(tx: Tx, kind: ChangeKind, account_id: str, app_password_ids: tuple[str, ...]) -> int:
    """Number a change and write it down. The last two statements of its transaction."""
    seq = tx.execute(update(feed).values(seq=feed.c.seq + 1).returning(feed.c.seq)).scalar_one()
    tx.execute(
        insert(change).values(
            seq=seq, kind=kind.value, account_id=account_id, app_password_ids=" ".join(app_password_ids)
        )
    )
    return int(seq)


def changes_since(tx: Tx, seq: int) -> list[Change]:
    """Give the changes after number `seq`, in their order."""
    rows = tx.execute(select(change).where(change.c.seq > seq).order_by(change.c.seq))
    with understood("a change"):
        return [
            Change(
                seq=row.seq,
                kind=ChangeKind(row.kind),
                account_id=row.account_id,
                app_password_ids=tuple(row.app_password_ids.split()),
            )
            for row in rows
        ]
