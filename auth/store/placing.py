"""Putting a finished store file where the store is: all of it or nothing, and what stood there is kept.

Over a whole store it is written in one transaction of SQLite, page by page: a process that has the store open
sees the one or the other, waits for its turn to write, and finds by the change feed's token that this is
another history. Where nothing stands it is linked into place, which fails if something stands there by then.
A damaged store cannot be written into: its name is given to the new one. A log that would lie beside a file
it does not belong to is taken away first, for SQLite would play it into that file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from auth.store.copies import connect, copy, sync
from auth.store.engine import cause_of
from auth.store.errors import StoreUnavailable
from auth.store.known import Found
from auth.store.rows import FeedMark

_ONE_PAGE: Final = 1
"""At a time, so that the first step, which takes the lock, is never the last."""
_MARK: Final = "SELECT seq, token FROM feed"


class StoreChanged(StoreUnavailable):
    """The store that is there is not any more as it was looked at; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("somebody changed it meanwhile")


def place(
    staged: Path, path: Path, found: Found, *, kept: Path, seen: FeedMark | None = None, busy_s: float
) -> None:
    """Put the closed file `staged` in the place of `path`, where `found` stands; blocking.

    `staged` lies in a folder of its own on the same disk, where what is half done may be left.
    `kept` gets what stood there. `seen` is the mark at which a whole store was looked at: StoreChanged when
    it is another by now, so that no revocation made since is lost. Raises StoreUnavailable for the rest, and
    OSError. Whenever the process is killed, there is the old store or the new one.
    """
    try:
        _fold(staged, busy_s)
        sync(staged)
        match found:
            case Found.NOTHING:
                _place_new(staged, path, kept)
            case Found.DAMAGED:
                _place_instead(staged, path, kept)
            case Found.WHOLE:
                _keep_and_place_over(staged, path, kept, seen, busy_s)
        sync(path.parent)
    except sqlite3.Error as error:
        cause = cause_of(error)
    else:
        return
    raise StoreUnavailable(cause)


def bring(staged: Path, folder: Path, *, busy_s: float) -> Path:
    """Copy a finished file to another disk, to be placed there. Raises StoreUnavailable and OSError."""
    brought = folder / staged.name
    try:
        copy(staged, brought, busy_s=busy_s)
    except sqlite3.Error as error:
        cause = cause_of(error)
    else:
        return brought
    raise StoreUnavailable(cause)


def _fold(staged: Path, busy_s: float) -> None:
    """Bring what a log may still hold into the file, so that the file alone is all of it."""
    with closing(connect(staged, busy_s)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")


def _place_new(staged: Path, path: Path, kept: Path) -> None:
    if path.exists() and not path.stat().st_size:
        path.unlink()
    _take_log_away(path, kept)
    try:
        os.link(staged, path)
    except FileExistsError:
        raise StoreChanged from None


def _place_instead(staged: Path, path: Path, kept: Path) -> None:
    os.link(path, kept)
    _take_log_away(path, kept)
    sync(path.parent)
    staged.replace(path)


def _take_log_away(path: Path, kept: Path) -> None:
    """Put the log beside the kept file; its index is made anew whenever it is needed."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        log.replace(kept.with_name(f"{kept.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


def _keep_and_place_over(staged: Path, path: Path, kept: Path, seen: FeedMark | None, busy_s: float) -> None:
    copied = staged.with_name(kept.name)
    copy(path, copied, busy_s=busy_s)
    copied.replace(kept)
    try:
        _place_over(staged, path, seen, busy_s)
    except BaseException:
        kept.unlink(missing_ok=True)  # it is still the store, and needs no copy
        raise


def _mark(path: Path, busy_s: float) -> FeedMark:
    with closing(connect(path, busy_s)) as connection:
        [(seq, token)] = connection.execute(_MARK).fetchall()
        return FeedMark(seq, token)


def _place_over(
    staged: Path,
    path: Path,
    seen: FeedMark | None,
    busy_s: float,
    *,
    mark: Callable[[Path, float], FeedMark] = _mark,
) -> None:
    """Write one database over another; the lock is held from the first page to the commit."""
    with closing(connect(staged, busy_s)) as source, closing(connect(path, busy_s)) as target:
        target.execute("PRAGMA journal_mode=WAL")
        target.execute("PRAGMA synchronous=FULL")
        looked = seen is None

        def look(status: int, _left: int, _pages: int) -> None:
            nonlocal looked
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreUnavailable("SQLITE_BUSY")
            if not looked and mark(path, busy_s) != seen:
                raise StoreChanged
            looked = True

        source.backup(target, pages=_ONE_PAGE, progress=look)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
