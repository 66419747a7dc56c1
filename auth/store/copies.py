"""Copies of one file of the store: of one moment, though others write meanwhile; whole or not there; private.

SQLite's VACUUM INTO reads one snapshot and writes a file of its own without a log beside it. It leaves out
the pages of what was deleted, so nothing goes along that a query would not show. This module knows files and
no table; it does not load SQLAlchemy, for every command that opens the store comes by here.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open a file that is there; it waits `busy_s` seconds for another's lock. Raises sqlite3.Error."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=busy_s, isolation_level=None
    )


def copy(source: Path, target: Path, *, busy_s: float) -> None:
    """Write what is committed in `source` now to `target`, replacing what stands there; blocking.

    When it returns the copy is on the disk under its name; when it raises sqlite3.Error or OSError, what
    stood there before stands there still.
    """
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        fresh.touch(mode=PRIVATE_FILE, exist_ok=False)
        with closing(connect(source, busy_s)) as connection:
            connection.execute("VACUUM INTO ?", (os.fspath(fresh.absolute()),))
        sync(fresh)
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    sync(target.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_before(path: Path, revision: str, *, busy_s: float) -> None:
    """Copy the store file at `path` beside itself, for it is about to become `revision`; raises as `copy`.

    `gate.db` becomes `gate.db.before-0003`.
    """
    copy(path, _kept(path, revision), busy_s=busy_s)


def drop_older_copies(path: Path, revision: str) -> None:
    """Remove the copies made before earlier revisions than this one."""
    for kept in path.parent.glob(f"{path.name}.before-*"):
        if kept != _kept(path, revision):
            kept.unlink(missing_ok=True)


def _kept(path: Path, revision: str) -> Path:
    return path.with_name(f"{path.name}.before-{revision}")
