"""The change feed: a mark for the last committed change, and what each change ended.

A change takes its number from the feed's one row as the last thing its transaction does, so numbers are
committed in their order, and who reads number N sees every change up to N. With the number it stores a token
drawn at random: in a store restored from a backup numbers come again for other changes, tokens do not. The
check runs before every use of anything remembered: on a plain connection of its own that waits for nobody, on
the event loop's thread, in about 15 microseconds.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, update

from auth.store.engine import STALE, Tx, cause_of
from auth.store.errors import StoreUnavailable, understood
from auth.store.rows import Change, ChangeKind, FeedMark
from auth.store.schema import change, feed

_READ: Final = "SELECT seq, token FROM feed"
_CHANGES: Final = (
    "SELECT seq, token, kind, account_id, app_password_ids FROM change WHERE seq > ? ORDER BY seq"
)
_TOKEN_OCTETS: Final = 16


class FeedCheck:
    """Reads the feed. Make it and use it on one thread only; making it raises StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        self._address = f"{path.absolute().as_uri()}?mode=rw"
        self._closed = False
        try:
            self._file = self._identity()
            self._connection = self._connect()
        except (sqlite3.Error, OSError) as error:
            cause = cause_of(error)
        else:
            return
        raise StoreUnavailable(f"change feed: {cause}")

    def mark(self) -> FeedMark:
        """Give the mark of the last committed change; raises StoreUnavailable, also when merely busy."""
        match self._ask(_READ):
            case [(int(seq), bytes(token))]:
                return FeedMark(seq, token)
        raise StoreUnavailable("change feed: no mark")

    def changes_since(self, after: int) -> list[Change]:
        """Give the changes after number `after`, in their order; raises as `mark` does.

        Here and not in the pool of connections: what must be cut never waits behind those who sign in.
        """
        with understood("a change"):
            return [
                Change(
                    mark=FeedMark(seq, token),
                    kind=ChangeKind(kind),
                    account_id=account_id,
                    app_password_ids=tuple(ids.split()),
                )
                for seq, token, kind, account_id, ids in self._ask(_CHANGES, after)
            ]

    def close(self) -> None:
        """Close the connection; a later check fails."""
        self._closed = True
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._address, uri=True, timeout=0, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, question: str, *values: int) -> list[Any]:
        """Ask now. Fails also when another file has taken the store's place: changes are written there."""
        try:
            rows = self._connection.execute(question, values).fetchall()  # all, so no transaction stays open
            same_file = self._identity() == self._file
        except (sqlite3.Error, OSError) as error:
            cause = cause_of(error)
            if cause in STALE and not self._closed:
                self._renew()
        else:
            if same_file:
                return rows
            cause = "the file was replaced"
        raise StoreUnavailable(f"change feed: {cause}")

    def _renew(self) -> None:
        """Take another connection for the next check: this one would go on seeing the pages it has read."""
        with suppress(sqlite3.Error):
            renewed = self._connect()
            self._connection.close()
            self._connection = renewed

    def _identity(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116 - on the hot path
        return status.st_dev, status.st_ino


def advance(
    tx: Tx,
    kind: ChangeKind,
    account_id: str,
    app_password_ids: tuple[str, ...],
    *,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> FeedMark:
    """Number a change, write it down and give its mark. The last two statements of its transaction."""
    token = random(_TOKEN_OCTETS)
    numbered = update(feed).values(seq=feed.c.seq + 1, token=token).returning(feed.c.seq)
    seq = int(tx.execute(numbered).scalar_one())
    tx.execute(
        insert(change).values(
            seq=seq,
            token=token,
            kind=kind.value,
            account_id=account_id,
            app_password_ids=" ".join(app_password_ids),
        )
    )
    return FeedMark(seq, token)
