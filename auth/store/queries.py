"""What is asked of the gate store, one function a question, each a plain function of a `Tx`.

The two questions of a sign-in are one statement each, by unique index, whatever the number of accounts and
app passwords. A row that cannot be understood (a scope we do not know, broken limits) is an unusable store,
never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Any, Final

from sqlalchemy import Row, Select, and_, bindparam, case, exists, literal, or_, select

from auth.names import sends_as_itself
from auth.seal import Sealed
from auth.store.engine import Tx
from auth.store.errors import understood
from auth.store.identities import identity_of
from auth.store.rows import (
    AccountRow,
    AppPasswordRow,
    AuditEntry,
    ChangeKind,
    Located,
    RevokedWhy,
    Standing,
)
from auth.store.schema import account, account_name, account_sender, app_password, audit, upstream_login
from scopes.model import Identity, Limits, Scope, Service

_LOCATE: Final = (
    select(app_password.c.account_id, app_password.c.id)
    .join(account_name, account_name.c.account_id == app_password.c.account_id)
    .where(account_name.c.name == bindparam("name"), app_password.c.selector == bindparam("selector"))
)
_UPSTREAM: Final = {
    service: upstream_login.alias(service.value) for service in (Service.IMAP, Service.SUBMISSION)
}
_STANDING = (
    select(
        app_password,
        account.c.email,
        account.c.disabled_at,
        account.c.removed_at,
        *(
            each.c[column].label(f"{service}_{column}")
            for service, each in _UPSTREAM.items()
            for column in ("kind", "login", "provider")
        ),
    )
    .join(account, account.c.id == app_password.c.account_id)
    .where(app_password.c.id == bindparam("app_password_id"))
)
for _service, _login in _UPSTREAM.items():
    _STANDING = _STANDING.outerjoin(
        _login, and_(_login.c.account_id == account.c.id, _login.c.service == _service.value)
    )
_MAILBOX: Final = (
    select(account.c.email)
    .join(account_name, account_name.c.account_id == account.c.id)
    .where(account_name.c.name == bindparam("address"))
)
_LISTED: Final = 2
"""Ranks an address behind email and aliases."""
_SENDERS: Final = (
    select(account_name.c.name.label("address"), case((account_name.c.is_email, 0), else_=1).label("rank"))
    .where(account_name.c.account_id == bindparam("account_id"))
    .union_all(
        select(account_sender.c.address, literal(_LISTED)).where(
            account_sender.c.account_id == bindparam("account_id")
        )
    )
    .order_by("rank", "address")
)


def locate(tx: Tx, name: str, selector: str) -> Located | None:
    """Find the app password a sign-in means; says nothing about whether it may sign in."""
    row = tx.execute(_LOCATE, {"name": name, "selector": selector}).one_or_none()
    return None if row is None else Located(account_id=row.account_id, app_password_id=row.id)


def standing(tx: Tx, app_password_id: str) -> Standing | None:
    """Read all that authorises a sign-in by this app password; None when there is no such row."""
    row = tx.execute(_STANDING, {"app_password_id": app_password_id}).one_or_none()
    if row is None:
        return None
    return Standing(
        email=row.email,
        disabled=row.disabled_at is not None or row.removed_at is not None,
        app_password=app_password_of(row),
        identities=_identities(row),
    )


def find_account(tx: Tx, name: str) -> AccountRow | None:
    """Find the account that signs in by `name` (canonical); locks the row where the engine has row locks."""
    owner = select(account_name.c.account_id).where(account_name.c.name == name).scalar_subquery()
    found = _accounts(tx, select(account).where(account.c.id == owner).with_for_update())
    return found[0] if found else None


def account_by_id(tx: Tx, account_id: str) -> AccountRow | None:
    """Read one account that was not removed."""
    wanted = select(account).where(account.c.id == account_id, account.c.removed_at.is_(None))
    found = _accounts(tx, wanted.with_for_update())
    return found[0] if found else None


def all_accounts(tx: Tx) -> list[AccountRow]:
    """Read every account that was not removed, by email."""
    return _accounts(tx, select(account).where(account.c.removed_at.is_(None)).order_by(account.c.email))


def accounts_ever(tx: Tx, name: str) -> list[str]:
    """Give the ids of every account that signs in by `name` or had it as its email before it was removed."""
    owner = select(account_name.c.account_id).where(account_name.c.name == name)
    rows = tx.execute(
        select(account.c.id)
        .where(or_(account.c.email == name, account.c.id.in_(owner)))
        .order_by("created_at")
    )
    return [row.id for row in rows]


def taken_names(tx: Tx, names: Sequence[str]) -> list[str]:
    """Give those of `names` that sign in to some account already."""
    rows = tx.execute(select(account_name.c.name).where(account_name.c.name.in_(names)))
    return sorted(row.name for row in rows)


def senders(tx: Tx, account_id: str) -> list[str]:
    """Give the listed addresses and patterns of an account, in their order."""
    rows = tx.execute(
        select(account_sender.c.address)
        .where(account_sender.c.account_id == account_id)
        .order_by(account_sender.c.address)
    )
    return [row.address for row in rows]


def sender_addresses(tx: Tx, account_id: str) -> tuple[str, ...]:
    """Give all an account may send as: its email, those aliases that are addresses, what is listed.

    A removed account has nothing. A name such as `*@example.org` signs in, and never becomes a pattern here.
    """
    rows = tx.execute(_SENDERS, {"account_id": account_id})
    return tuple(row.address for row in rows if row.rank == _LISTED or sends_as_itself(row.address))


def mailbox(tx: Tx, address: str) -> str | None:
    """Give the email of the account, disabled or not, that has `address` (canonical) as email or alias."""
    found: str | None = tx.execute(_MAILBOX, {"address": address}).scalar_one_or_none()
    return found


def serves_domain(tx: Tx, domain: str) -> bool:
    """Tell whether a name of some account ends in `@` and `domain` (canonical)."""
    names = account_name.c.name.endswith(f"@{domain}", autoescape=True)
    return bool(tx.execute(select(exists().where(names))).scalar_one())


def app_passwords(tx: Tx, account_ids: Iterable[str]) -> list[AppPasswordRow]:
    """Read every app password of these accounts, tombstones included, oldest first."""
    rows = tx.execute(
        select(app_password)
        .where(app_password.c.account_id.in_(list(account_ids)))
        .order_by(app_password.c.created_at, app_password.c.label, app_password.c.id)
    )
    return [app_password_of(row) for row in rows]


def all_app_passwords(tx: Tx) -> list[AppPasswordRow]:
    """Read every app password there is, tombstones included."""
    return [app_password_of(row) for row in tx.execute(select(app_password))]


def any_unrevoked(tx: Tx, account_id: str) -> bool:
    """Tell whether the account has an app password that was never revoked, expired or not."""
    unrevoked = select(app_password.c.id).where(
        app_password.c.account_id == account_id, app_password.c.revoked_at.is_(None)
    )
    return tx.execute(unrevoked.limit(1)).first() is not None


def audit_entries(tx: Tx, account_ids: Sequence[str] | None, since: int | None) -> list[AuditEntry]:
    """Read the audit trail, oldest first; None asks for all accounts, or for all times."""
    wanted = select(audit).order_by(audit.c.id)
    if account_ids is not None:
        wanted = wanted.where(audit.c.account_id.in_(account_ids))
    if since is not None:
        wanted = wanted.where(audit.c.at >= since)
    return [_audit_entry(row) for row in tx.execute(wanted)]


def is_active(row: AppPasswordRow, now: float) -> bool:
    """Tell whether an app password is neither revoked nor expired."""
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def limits_text(limits: Limits) -> str:
    """Write limits as they are stored: every one by name, those that do not narrow too."""
    return json.dumps(
        {
            "networks": [str(network) for network in limits.networks],
            "read_only": limits.read_only,
            "send_only": limits.send_only,
        }
    )


def _limits(text: str) -> Limits:
    """Read limits; a limit that is not known here, or one that is missing, is never taken for none."""
    match json.loads(text):
        case {
            "networks": [*networks],
            "read_only": bool(read_only),
            "send_only": bool(send_only),
            **rest,
        } if not rest:
            within = tuple(ip_network(network) for network in networks)
            return Limits(networks=within, read_only=read_only, send_only=send_only)
        case _:
            raise ValueError


def _accounts(tx: Tx, wanted: Select[Any]) -> list[AccountRow]:
    """Read accounts with their names; one nobody has costs as many statements as one that is there."""
    rows = tx.execute(wanted).all()
    aliases: dict[str, list[str]] = {row.id: [] for row in rows}
    named = select(account_name.c.name, account_name.c.account_id).where(~account_name.c.is_email)
    if len(rows) <= 1:
        named = named.where(account_name.c.account_id == (rows[0].id if rows else ""))
    for each in tx.execute(named.order_by(account_name.c.name)):
        aliases.setdefault(each.account_id, []).append(each.name)
    return [_account(row, tuple(aliases[row.id])) for row in rows]


def _account(row: Row[Any], aliases: tuple[str, ...]) -> AccountRow:
    return AccountRow(
        id=row.id,
        email=row.email,
        aliases=aliases,
        is_service=row.is_service,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        primary_hash=row.primary_hash,
        primary_key_id=row.primary_key_id,
        seed=None if row.seed_box is None else Sealed(key_id=row.seed_key_id, box=row.seed_box),
        last_step=row.last_step,
        version=row.version,
    )


def app_password_of(row: Row[Any]) -> AppPasswordRow:
    """Understand the columns of an app password; StoreUnavailable."""
    with understood("an app password"):
        return AppPasswordRow(
            id=row.id,
            account_id=row.account_id,
            selector=row.selector,
            verifier_hash=row.verifier_hash,
            key_id=row.key_id,
            label=row.label,
            scopes=frozenset(Scope(word) for word in row.scopes.split()),
            limits=_limits(row.limits),
            created_at=row.created_at,
            created_by=row.created_by,
            shown_at=row.shown_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            revoked_why=None if row.revoked_why is None else RevokedWhy(row.revoked_why),
            version=row.version,
            replaces=row.replaces,
        )


def _identities(row: Row[Any]) -> dict[Service, Identity]:
    found = {}
    for service in _UPSTREAM:
        kind, login, provider = (getattr(row, f"{service}_{each}") for each in ("kind", "login", "provider"))
        if kind is not None:
            with understood("a login at an upstream"):
                found[service] = identity_of(kind, login, provider)
    return found


def _audit_entry(row: Row[Any]) -> AuditEntry:
    with understood("a line of the audit trail"):
        return AuditEntry(
            at=row.at,
            actor_kind=row.actor_kind,
            actor_name=row.actor_name,
            where=row.actor_where,
            deed=ChangeKind(row.deed),
            account_id=row.account_id,
            email=row.email,
            app_password_id=row.app_password_id,
            label=row.label,
            detail=row.detail,
        )
