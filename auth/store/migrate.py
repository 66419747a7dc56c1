"""Bring one file of the store to the newest schema: an empty one, an old one, or one already there.

The whole way up is one `BEGIN IMMEDIATE` transaction, so of two processes that open an empty file at once one
builds it and the other waits, and a killed migration leaves nothing behind. A file at the newest revision
costs two small reads and does not load Alembic. A file of a newer version is refused: nothing goes down.

Before a store goes up it is copied beside itself, under the same lock, and stays there until the next way up:
who must go back to the version before has the store as it was. No copy, no way up.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from contextlib import closing, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from auth.store.copies import PRIVATE_FILE, PRIVATE_FOLDER, connect, copy_before, drop_older_copies
from auth.store.errors import StoreMissing, StoreUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER: Final = Path(__file__).parent / "migrations"
_OLDEST_SQLITE: Final = (3, 35, 0)
"""`RETURNING`, which numbers the changes, came with SQLite 3.35."""
_WAL_RETRY_S: Final = 0.02
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps its context in globals."""


class History(Enum):
    """The two histories: name of the folder of revisions, and the newest revision in it."""

    GATE = ("gate", "0005")
    ACTIVITY = ("activity", "0001")

    @property
    def folder(self) -> Path:
        """Where the revisions are."""
        return _FOLDER / self.value[0]

    @property
    def head(self) -> str:
        """The revision this version of the program works with."""
        return self.value[1]


def migrate(path: Path, history: History, *, create: bool, busy_s: float) -> None:
    """Make `path` a store of `history` at its head; blocking, up to `busy_s` for each lock.

    With `create` the folder (0700) and the file (0600) are made where they are missing; without, that and an
    empty file are StoreMissing: in an empty store every right password would be wrong. A file open to others
    is closed to them. Raises StoreUnavailable, sqlite3.Error, SQLAlchemyError or OSError.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreUnavailable(f"SQLite {sqlite3.sqlite_version} is too old, 3.35 is needed")
    if not create and not (path.exists() and path.stat().st_size):
        raise StoreMissing(f"{path} is {'empty' if path.exists() else 'not there'}")
    _make_private(path)
    with closing(connect(path, busy_s)) as connection:
        _use_wal(connection, busy_s)
        revision = _revision(connection)
    if revision is None and not create:
        raise StoreMissing(f"{path} holds no store")
    if revision != history.head:
        _upgrade(path, history, busy_s)


def alembic_config(history: History) -> Config:
    """Alembic's view of one history, without an ini file."""
    from alembic.config import Config  # noqa: PLC0415 - only a migration pays for loading it

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(history.folder).replace("%", "%%"))
    return config


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    try:
        path.touch(
            mode=PRIVATE_FILE, exist_ok=False
        )  # an open file is never opened twice: see fcntl(2) locks
    except FileExistsError:
        for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            with suppress(FileNotFoundError):  # the last process to close the store takes the other two away
                if name.stat().st_mode & 0o077:
                    name.chmod(PRIVATE_FILE)


def _use_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Switch to WAL; of two processes that do so at once, one is told BUSY without having waited."""
    deadline = time.monotonic() + busy_s
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_RETRY_S)
            continue
        if mode != "wal":
            raise StoreUnavailable("write-ahead logging does not work on this file system")
        return


def _revision(connection: sqlite3.Connection) -> str | None:
    known = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    if connection.execute(known).fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _upgrade(path: Path, history: History, busy_s: float) -> None:
    from alembic import command  # noqa: PLC0415 - only a migration pays for loading it
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415
    from sqlalchemy import create_engine, event  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    engine = create_engine("sqlite://", creator=lambda: connect(path, busy_s), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    config = alembic_config(history)
    with _ONE_AT_A_TIME, engine.begin() as connection:
        config.attributes["connection"] = connection
        held = connection.connection.driver_connection
        assert isinstance(held, sqlite3.Connection)  # noqa: S101 - it was made two lines above
        revision = _revision(held)  # again: another may have been first
        try:
            if revision is not None:
                ScriptDirectory.from_config(config).get_revision(revision)
            if revision not in (None, history.head):
                _keep_a_copy(path, history, busy_s)
            command.upgrade(config, "head")
        except CommandError:
            raise StoreUnavailable("the store was made by a newer version of Wicketgate") from None
    drop_older_copies(path, history.head)


def _keep_a_copy(path: Path, history: History, busy_s: float) -> None:
    """Copy the file as it is; whoever calls holds its write lock, so nobody changes it meanwhile."""
    try:
        copy_before(path, history.head, busy_s=busy_s)
    except (sqlite3.Error, OSError) as error:
        cause = getattr(error, "sqlite_errorname", None) or _system_cause(error)
    else:
        return
    name = history.value[0]
    raise StoreUnavailable(
        f"the {name} store stays as it is, for it cannot be copied before it changes: {cause}"
    )


def _system_cause(error: Exception) -> str:
    """Name what the system refused: `ENOSPC`, or the kind of exception where it has no such name."""
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, type(error).__name__)
