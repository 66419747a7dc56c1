"""What happened, as opposed to what is allowed: history of sign-ins, last use, workers' reports.

It lives in a file of its own that may be lost without harm: `ActivityLog` opens it when first needed, and
again when another file is in its place, so a broken or lost one disturbs neither the start of the server nor
a sign-in. Its calls raise `StoreUnavailable`; who calls decides to do without. History is bounded in age and
in number: each account's, that of all accounts, and apart from them that of strangers (whoever holds no right
secret), so that nobody's sign-ins can push out another's. What was not granted is counted apart everywhere:
whoever holds a revoked app password may be refused without end, and must not wipe out who came in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, insert, literal_column, select
from sqlalchemy.dialects.sqlite import insert as upsert

from auth.refusal import OUTAGES
from auth.store.engine import Database, Tx
from auth.store.errors import StoreUnavailable, understood
from auth.store.migrate import History
from auth.store.rows import GRANTED, FeedMark, LastUse, SignInRecord
from auth.store.schema import last_use, report, sign_in
from scopes.model import Service

T = TypeVar("T")

_NOT_REFUSED: Final = (GRANTED, *sorted(OUTAGES))
CLIENT_NAME_CHARS: Final = 100
"""A client says what it likes; enough to tell a phone from a laptop."""
LAST_USES: Final = 10
"""Kept for one app password, by service and client name."""
HISTORY_S: Final = 30 * 86_400
HISTORY_ROWS: Final = 200_000
"""Granted to all accounts together, some 30 MB."""
HISTORY_REFUSED_ROWS: Final = 50_000
"""Refused to all accounts together."""
ACCOUNT_ROWS: Final = 2_000
"""Granted to one account: a phone that asks every twenty minutes for 30 days."""
ACCOUNT_REFUSED_ROWS: Final = 500
"""Refused to one account; a hundred a second can be had with a right secret that is revoked."""
STRANGER_ROWS: Final = 20_000
"""Of sign-ins that belong to no account; anyone can make them, at a hundred a second."""
REPORTS_S: Final = 86_400
"""Whoever waited for a report has gone after two seconds."""
_AT_ONCE: Final = 500
"""Values in one IN list; SQLite's oldest limit is 999."""
_CAME_IN: Final = sign_in.c.outcome == GRANTED
_KEPT_OUT: Final = sign_in.c.outcome != literal_column(f"'{GRANTED}'")
"""Refusals and outages. Spelt out: SQLite would not take the index of just these rows for a bound value."""


class ActivityLog:
    """The activity file, open or not."""

    def __init__(self, path: Path, *, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._opening = asyncio.Lock()
        self._database: Database | None = None
        self._file: tuple[int, int] | None = None
        self._closed = False

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work`; raises StoreUnavailable."""
        return await (await self._open()).read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction; raises StoreUnavailable."""
        return await (await self._open()).write(work)

    async def close(self) -> None:
        """Close the file. Idempotent."""
        async with self._opening:
            self._closed = True
            if self._database is not None:
                await self._database.close()

    async def _open(self) -> Database:
        async with self._opening:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._database is not None and self._identity() != self._file:
                await self._database.close()  # what it would write, no other process would find
                self._database = None
            if self._database is None:
                self._database = await Database.open(self._path, History.ACTIVITY, busy_s=self._busy_s)
                self._file = self._identity()
            return self._database

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def record_sign_ins(tx: Tx, records: Sequence[SignInRecord]) -> None:
    """Write a batch into the history, note last uses, and drop what is too old."""
    if not records:
        return
    tx.execute(insert(sign_in), [_history(record) for record in records])
    uses = [_use(record) for record in records if record.outcome == GRANTED and record.app_password_id]
    if uses:
        noted = upsert(last_use)
        tx.execute(
            noted.on_conflict_do_update(
                index_elements=[last_use.c.app_password_id, last_use.c.service, last_use.c.client_name],
                set_={"at": noted.excluded.at, "peer": noted.excluded.peer},
                where=noted.excluded.at >= last_use.c.at,
            ),
            uses,
        )
        _keep_newest_uses(tx, {str(use["app_password_id"]) for use in uses})
    _prune(tx, max(record.at for record in records), {record.account_id for record in records})


def last_used(tx: Tx, app_password_ids: Iterable[str]) -> dict[str, list[LastUse]]:
    """Give the last uses of each app password that was used, newest first."""
    wanted = sorted(set(app_password_ids))
    found: dict[str, list[LastUse]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        rows = tx.execute(
            select(last_use)
            .where(last_use.c.app_password_id.in_(wanted[start : start + _AT_ONCE]))
            .order_by(last_use.c.at.desc(), last_use.c.service, last_use.c.client_name)
        )
        for row in rows:
            found.setdefault(row.app_password_id, []).append(_last_use(row))
    return found


def sign_ins(tx: Tx, account_id: str, most: int) -> list[SignInRecord]:
    """Give the newest sign-ins of one account, newest first."""
    rows = tx.execute(
        select(sign_in)
        .where(sign_in.c.account_id == account_id)
        .order_by(sign_in.c.at.desc(), sign_in.c.id.desc())
        .limit(most)
    )
    return [_sign_in(row) for row in rows]


def last_refused(tx: Tx, account_ids: Iterable[str]) -> dict[str, SignInRecord]:
    """Give the last refused sign-in by each app password of these accounts; an outage refuses nobody."""
    found: dict[str, SignInRecord] = {}
    for account_id in sorted(set(account_ids)):
        rows = tx.execute(select(sign_in).where(sign_in.c.id.in_(_last_refusals(account_id))))
        found.update((row.app_password_id, _sign_in(row)) for row in rows)
    return found


def write_report(tx: Tx, worker: str, change: FeedMark, cut: int, at: int) -> None:
    """Note how many sessions a worker cut for a change.

    By the change's token: its number comes again in a restored store, and this file is not restored with it.
    """
    noted = upsert(report).values(token=change.token, worker=worker, cut=cut, at=at)
    tx.execute(
        noted.on_conflict_do_update(
            index_elements=[report.c.token, report.c.worker], set_={"cut": cut, "at": at}
        )
    )
    tx.execute(delete(report).where(report.c.at < at - REPORTS_S))


def reports(tx: Tx, change: FeedMark) -> dict[str, int]:
    """Give the sessions cut for a change, by worker."""
    rows = tx.execute(select(report.c.worker, report.c.cut).where(report.c.token == change.token))
    return {row.worker: row.cut for row in rows}


def _last_use(row: Row[Any]) -> LastUse:
    with understood("a last use"):
        return LastUse(
            app_password_id=row.app_password_id,
            service=Service(row.service),
            client_name=row.client_name,
            at=row.at,
            peer=row.peer,
        )


def _sign_in(row: Row[Any]) -> SignInRecord:
    with understood("a sign-in"):
        return SignInRecord(
            at=row.at,
            account_id=row.account_id,
            app_password_id=row.app_password_id,
            service=Service(row.service),
            peer=row.peer,
            outcome=row.outcome,
            client_name=row.client_name,
        )


def _history(record: SignInRecord) -> dict[str, object]:
    return {
        "at": record.at,
        "account_id": record.account_id,
        "app_password_id": record.app_password_id,
        "service": record.service.value,
        "peer": record.peer,
        "outcome": record.outcome,
        "client_name": _client_name(record),
    }


def _use(record: SignInRecord) -> dict[str, object]:
    return {
        "app_password_id": record.app_password_id,
        "service": record.service.value,
        "client_name": _client_name(record),
        "at": record.at,
        "peer": record.peer,
    }


def _client_name(record: SignInRecord) -> str:
    """Keep what can be shown on one line; a client may send anything, control characters too."""
    shown = "".join(char if char.isprintable() else " " for char in record.client_name[:CLIENT_NAME_CHARS])
    return " ".join(shown.split())


def _keep_newest_uses(tx: Tx, app_password_ids: set[str]) -> None:
    for app_password_id in sorted(app_password_ids):
        mine = last_use.c.app_password_id == app_password_id
        older = (
            select(last_use.c.service, last_use.c.client_name)
            .where(mine)
            .order_by(last_use.c.at.desc(), last_use.c.service, last_use.c.client_name)
            .limit(-1)
            .offset(LAST_USES)
        )
        for service, client_name in tx.execute(older).all():
            tx.execute(
                delete(last_use).where(
                    mine, last_use.c.service == service, last_use.c.client_name == client_name
                )
            )


def _last_refusals(account_id: str) -> Select[tuple[int]]:
    """Select the id of the last refusal by each app password of the account."""
    return (
        select(func.max(sign_in.c.id))
        .where(sign_in.c.account_id == account_id, sign_in.c.outcome.not_in(_NOT_REFUSED))
        .where(sign_in.c.app_password_id.is_not(None))
        .group_by(sign_in.c.app_password_id)
    )


def _prune(tx: Tx, now: int, came: set[str | None]) -> None:
    """Drop what is too old or too much; `came` are the accounts of the new rows, None for strangers."""
    tx.execute(delete(sign_in).where(sign_in.c.at < now - HISTORY_S))
    if None in came:
        strangers = sign_in.c.account_id.is_(None)
        _drop_oldest(tx, strangers, _number(tx, strangers) - STRANGER_ROWS)
    for account_id, granted, refused in _crowded(tx, sorted(each for each in came if each is not None)):
        mine = sign_in.c.account_id == account_id
        _drop_oldest(tx, and_(mine, _CAME_IN), granted - ACCOUNT_ROWS)
        told_of = sign_in.c.id.in_(_last_refusals(account_id))  # one app password hides no other's refusal
        _drop_oldest(tx, and_(mine, _KEPT_OUT, ~told_of), refused - ACCOUNT_REFUSED_ROWS)
    of_accounts = sign_in.c.account_id.is_not(None)
    refused = _number(tx, and_(of_accounts, _KEPT_OUT))
    granted = _number(tx, of_accounts) - refused
    _drop_oldest(tx, and_(of_accounts, _CAME_IN), granted - HISTORY_ROWS)
    _drop_oldest(tx, and_(of_accounts, _KEPT_OUT), refused - HISTORY_REFUSED_ROWS)


def _crowded(tx: Tx, account_ids: Sequence[str]) -> list[tuple[str, int, int]]:
    """Give those of the accounts that have too many rows, and how many are of granted and of refused ones.

    Asked for many at once: they are few.
    """
    found: list[tuple[str, int, int]] = []
    for start in range(0, len(account_ids), _AT_ONCE):
        mine = sign_in.c.account_id.in_(account_ids[start : start + _AT_ONCE])
        rows = func.count().label("rows")
        number = select(sign_in.c.account_id, rows).where(mine).group_by(sign_in.c.account_id)
        of_refused = {row.account_id: row.rows for row in tx.execute(number.where(_KEPT_OUT))}
        for account_id, both in tx.execute(number):
            refused = of_refused.get(account_id, 0)
            if both - refused > ACCOUNT_ROWS or refused > ACCOUNT_REFUSED_ROWS:
                found.append((account_id, both - refused, refused))
    return found


def _number(tx: Tx, which: ColumnElement[bool]) -> int:
    return tx.execute(select(func.count()).where(which)).scalar_one()


def _drop_oldest(tx: Tx, which: ColumnElement[bool], surplus: int) -> None:
    if surplus > 0:
        oldest = select(sign_in.c.id).where(which).order_by(sign_in.c.at, sign_in.c.id).limit(surplus)
        tx.execute(delete(sign_in).where(sign_in.c.id.in_(oldest)))
