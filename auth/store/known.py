"""What a store knows that must not be forgotten when an older copy of it takes its place.

Read by plain SQL from columns that every revision has, so a store of an older or a newer version tells as
well; nothing in it is changed but that its log may be tidied up. One that is damaged may still tell all of
it: whether the file is whole is asked apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from auth.seal import Sealed
from auth.store.copies import connect
from auth.store.engine import STALE, cause_of
from auth.store.errors import StoreUnavailable, understood
from auth.store.rows import FeedMark, RevokedWhy

_MARK: Final = "SELECT seq, token FROM feed"
_KEYS: Final = "SELECT id, check_value FROM master_key"
_ACCOUNTS: Final = (
    "SELECT id, email, disabled_at, removed_at, primary_hash, primary_key_id, seed_key_id, seed_box, "
    "last_step FROM account"
)
_CODES: Final = "SELECT account_id, digest, key_id, used_at FROM recovery_code"
_AUDIT: Final = (
    "SELECT id, at, actor_kind, actor_name, actor_where, deed, account_id, email, app_password_id, label, "
    "detail FROM audit ORDER BY id"
)
_UPSTREAM: Final[Mapping[str, str]] = MappingProxyType(
    {
        "upstream_login": "SELECT account_id, service, kind, login, provider, key_id, box, updated_at "
        "FROM upstream_login",
        "oauth_token": "SELECT account_id, provider, key_id, box, expires_at, refused_at, updated_at, "
        "version FROM oauth_token",
    }
)
"""Who an account is at the servers behind; these tables came with revision 0003."""
_HAS_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_PASSWORDS: Final = "SELECT id, revoked_at, revoked_why FROM app_password"
_ENDED: Final = "SELECT app_password_ids FROM change WHERE app_password_ids != ''"
_UNUSABLE: Final = STALE | {"SQLITE_ERROR"}
"""A file that is no database, a damaged one, and one with other tables than a store has."""


class Found(Enum):
    """What stands where a store should."""

    NOTHING = "nothing"
    WHOLE = "whole"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """When and why an app password was revoked."""

    at: int
    why: RevokedWhy


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCode:
    """One recovery code, as it is stored."""

    digest: bytes = field(repr=False)
    key_id: str
    used_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row as it is stored, by column."""

    table: str
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAccount:
    """How one account stands, what proves its owner, and who it is at the servers behind."""

    email: str
    ended_at: int | None
    """When it was disabled or removed."""
    removed: bool
    primary_hash: str | None = field(repr=False)
    primary_key_id: str | None
    seed: Sealed | None = field(repr=False)
    last_step: int | None
    codes: tuple[RecoveryCode, ...]
    upstream: tuple[Line, ...] | None
    """Logins and tokens; None in a store that is too old to have any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All of it, of one moment."""

    mark: FeedMark
    check_values: Mapping[str, bytes]
    """By the id of the master key."""
    accounts: Mapping[str, KnownAccount]
    """By id, removed ones included."""
    revoked: Mapping[str, Tombstone]
    """By the id of the app password."""
    unrevoked: frozenset[str]
    """The ids of the other app passwords, expired ones included."""
    ended: frozenset[str]
    """The ids of app passwords that have no row here, and that some change ended: an earlier restore knew."""
    audit: tuple[Line, ...]
    """The audit trail, oldest first."""


def look(path: Path, *, busy_s: float) -> Found:
    """See what stands there; reads the whole file. Raises StoreUnavailable when that cannot be seen now."""
    if not (path.exists() and path.stat().st_size):
        return Found.NOTHING
    try:
        with closing(connect(path, busy_s)) as connection:
            whole = connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
            return Found.WHOLE if whole else Found.DAMAGED
    except (sqlite3.Error, OSError) as error:
        if cause_of(error) in _UNUSABLE:
            return Found.DAMAGED
        cause = cause_of(error)
    raise StoreUnavailable(cause)


def known(path: Path, *, busy_s: float) -> Known | None:
    """Read what the store at `path` knows; None when it cannot tell, because it is damaged or no store.

    Raises StoreUnavailable when it could be asked again: somebody holds it, or this user may not read it.
    """
    try:
        with closing(connect(path, busy_s)) as connection:
            connection.execute("BEGIN")
            return _read(connection)
    except (sqlite3.Error, OSError) as error:
        cause = cause_of(error)
    except StoreUnavailable:
        return None
    if cause in _UNUSABLE:
        return None
    raise StoreUnavailable(cause)


def _read(connection: sqlite3.Connection) -> Known:
    def rows(question: str) -> list[Any]:
        return connection.execute(question).fetchall()

    with understood("a row"):
        [(seq, token)] = rows(_MARK)
        codes: dict[str, list[RecoveryCode]] = {}
        for account_id, digest, key_id, used_at in rows(_CODES):
            code = RecoveryCode(digest=bytes(digest), key_id=key_id, used_at=used_at)
            codes.setdefault(account_id, []).append(code)
        upstream = _upstream(connection)
        passwords = rows(_PASSWORDS)
        ended = {each for (ids,) in rows(_ENDED) for each in ids.split()}
        return Known(
            mark=FeedMark(int(seq), bytes(token)),
            check_values={key_id: bytes(value) for key_id, value in rows(_KEYS)},
            accounts={
                row[0]: _account(
                    row,
                    tuple(codes.get(row[0], ())),
                    None if upstream is None else tuple(upstream.get(row[0], ())),
                )
                for row in rows(_ACCOUNTS)
            },
            revoked={
                row[0]: Tombstone(at=int(row[1]), why=_why(row[2])) for row in passwords if row[1] is not None
            },
            unrevoked=frozenset(row[0] for row in passwords if row[1] is None),
            ended=frozenset(ended - {row[0] for row in passwords}),
            audit=tuple(_lines(connection, "audit", _AUDIT)),
        )


def _upstream(connection: sqlite3.Connection) -> dict[str, list[Line]] | None:
    """Give the rows about servers behind, by account; None where there are no such tables."""
    found: dict[str, list[Line]] = {}
    for table, question in _UPSTREAM.items():
        if connection.execute(_HAS_TABLE, (table,)).fetchone() is None:
            return None
        for line in _lines(connection, table, question):
            found.setdefault(line.values["account_id"], []).append(line)
    return found


def _lines(connection: sqlite3.Connection, table: str, question: str) -> Iterator[Line]:
    asked = connection.execute(question)
    columns = [column[0] for column in asked.description]
    for row in asked:
        yield Line(table=table, values=dict(zip(columns, row, strict=True)))


def _account(row: Any, codes: tuple[RecoveryCode, ...], upstream: tuple[Line, ...] | None) -> KnownAccount:
    _, email, disabled_at, removed_at, primary_hash, primary_key_id, seed_key_id, seed_box, last_step = row
    return KnownAccount(
        email=str(email),
        ended_at=disabled_at if removed_at is None else removed_at,
        removed=removed_at is not None,
        primary_hash=primary_hash,
        primary_key_id=primary_key_id,
        seed=None if seed_box is None else Sealed(key_id=seed_key_id, box=bytes(seed_box)),
        last_step=last_step,
        codes=codes,
        upstream=upstream,
    )


def _why(word: str) -> RevokedWhy:
    """Read a cause; of a word that a newer version wrote only this is known, that it was revoked."""
    try:
        return RevokedWhy(word)
    except ValueError:
        return RevokedWhy.RESTORED
