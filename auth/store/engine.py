"""One SQLite file under SQLAlchemy: connections, transactions, and the way every error becomes one.

A piece of work is a plain function of a `Tx`. It cannot await, so nothing slow (a hash, the network) ever
happens inside a transaction. Writes take `BEGIN IMMEDIATE`: they queue inside the process on a lock, between
processes on SQLite's, and never find at commit that they were wrong. Reads need no transaction for one
statement and a snapshot for several. Work that has begun goes on to its end when its caller is cancelled, so
a connection never comes back to the pool in the middle of something, and it keeps its turn until then; work
that still waits for its turn is forgotten with its caller.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from sqlalchemy import URL, Connection, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from auth.store.errors import StoreUnavailable
from auth.store.migrate import History, migrate

Tx = Connection
"""What a piece of work gets: a connection, inside the transaction it asked for."""

T = TypeVar("T")
Turn = asyncio.Lock | asyncio.Semaphore

BUSY_S: Final = 5.0
"""How long a statement waits for another process's write; ours take milliseconds."""
STALE: Final = frozenset({"SQLITE_NOTADB", "SQLITE_CORRUPT"})
"""A damaged file. A connection keeps the pages it has read until the next commit, also of a mended file."""
_CONNECTIONS: Final = 5
"""Threads of one file in one process: reads are short, writes come one by one."""
_FAILURES: Final = (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError, OverflowError, MemoryError)


def path_of(url: str) -> Path:
    """Give the file of `sqlite:///relative` or `sqlite:////absolute`; raises ValueError for all else."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("not the address of a store") from None
    if parsed.drivername != "sqlite" or parsed.host or parsed.query or not parsed.database:
        raise ValueError("a store is named by sqlite:/// and a path")
    if parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise ValueError("a store in memory forgets every account")
    return Path(parsed.database)


def tells_owners(tx: Tx) -> bool:
    """Tell whether deeds in this transaction write down what owners are to be told."""
    return bool(tx.get_execution_options().get("tell_owners", False))


def cause_of(error: BaseException) -> str:
    """Say what went wrong in words that hold neither SQL nor values."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(driver, "sqlite_errorname", None)
    return name if isinstance(name, str) else type(driver).__name__


class Database:
    """One open file of the store."""

    def __init__(self, path: Path, *, synchronous: str, busy_s: float, tell_owners: bool = False) -> None:
        self.path = path
        self.statements = 0
        """SQL statements sent so far, `BEGIN` included, `COMMIT` not."""
        self._busy_s = busy_s
        self._engine = _engine(path, synchronous, busy_s)
        self._in_snapshot = self._engine.execution_options(opening="BEGIN")
        self._in_write = self._engine.execution_options(opening="BEGIN IMMEDIATE", tell_owners=tell_owners)
        self._one_write = asyncio.Lock()
        self._reading = asyncio.Semaphore(_CONNECTIONS - 1)  # one is left for the write
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        event.listen(self._engine.sync_engine, "before_cursor_execute", self._count)

    @classmethod
    async def open(
        cls,
        path: Path,
        history: History,
        *,
        create: bool = True,
        busy_s: float = BUSY_S,
        tell_owners: bool = False,
    ) -> Self:
        """Migrate the file and open it; raises StoreUnavailable, without `create` StoreMissing too.

        `tell_owners`: deeds of this process write down what owners are to be told.
        """
        try:
            await asyncio.to_thread(migrate, path, history, create=create, busy_s=busy_s)
        except _FAILURES as error:
            cause = cause_of(error)
        else:
            synchronous = "FULL" if history is History.GATE else "NORMAL"
            return cls(path, synchronous=synchronous, busy_s=busy_s, tell_owners=tell_owners)
        raise StoreUnavailable(f"the {history.value[0]} store cannot be opened: {cause}")

    async def read(self, work: Callable[[Tx], T], *, snapshot: bool = False) -> T:
        """Run `work`; `snapshot` is for work of several statements that must see one moment."""
        await self._wait_for(self._reading, "reads")
        return await self._finish(self._in_snapshot if snapshot else self._engine, work, self._reading)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction of its own and commit; what `work` raises rolls back and passes on."""
        await self._wait_for(self._one_write, "writes")
        return await self._finish(self._in_write, work, self._one_write)

    async def close(self) -> None:
        """Let running work end, then close every connection. Idempotent."""
        self._closed = True
        while self._running:
            await asyncio.wait(self._running)
        await self._engine.dispose()

    async def _wait_for(self, turn: Turn, what: str) -> None:
        """Wait for a turn, first come first served; whoever is cancelled meanwhile gives up the place."""
        try:
            async with asyncio.timeout(self._busy_s):
                await turn.acquire()
        except TimeoutError:
            raise StoreUnavailable(f"too many {what} are waiting") from None

    async def _finish(self, engine: AsyncEngine, work: Callable[[Tx], T], turn: Turn) -> T:
        """Do the work whatever becomes of the caller, and give the turn back when it is over."""
        if self._closed:
            turn.release()
            raise StoreUnavailable("the store is closed")
        task = asyncio.create_task(self._transact(engine, work))
        self._running.add(task)
        task.add_done_callback(lambda done: self._over(done, turn))
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Any], turn: Turn) -> None:
        self._running.discard(task)
        turn.release()
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits for it any more

    async def _transact(self, engine: AsyncEngine, work: Callable[[Tx], T]) -> T:
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        except _FAILURES as error:
            cause = cause_of(error)
        raise StoreUnavailable(cause)  # outside the handler: the driver's error holds SQL and values

    def _count(self, *_: object) -> None:
        self.statements += 1


logging.getLogger("aiosqlite").setLevel(logging.INFO)
"""Below that it writes every statement with its values: names, hashes, sealed seeds."""


def _engine(path: Path, synchronous: str, busy_s: float) -> AsyncEngine:
    """Make the pool. `mode=rw`: a file that was taken away is an error, not a new empty store."""
    url = URL.create(
        "sqlite+aiosqlite", database=path.absolute().as_uri(), query={"mode": "rw", "uri": "true"}
    )
    engine = create_async_engine(
        url,
        connect_args={"isolation_level": None, "timeout": busy_s},
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=busy_s,
        hide_parameters=True,
    )

    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()

    def begin(connection: Connection) -> None:
        opening = connection.get_execution_options().get("opening")
        if opening is not None:
            connection.exec_driver_sql(opening)

    def renew(context: ExceptionContext) -> None:
        if cause_of(context.original_exception) in STALE:
            context.is_disconnect = True  # every connection of the pool is replaced before its next use

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "handle_error", renew)
    event.listen(engine.sync_engine, "begin", begin)
    return engine
