"""Who accounts are at the upstreams, as rows: questions and steps, each a plain function of a `Tx`.

Steps are put together into deeds in `auth.identities`. A row that cannot be understood is an unusable store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, delete, insert, select

from auth.seal import Sealed
from auth.store.engine import Tx
from auth.store.errors import understood
from auth.store.schema import oauth_token, upstream_login
from scopes.model import Identity, IdentityKind, Service

_SECRET: Final = select(upstream_login.c.key_id, upstream_login.c.box).where(
    upstream_login.c.account_id == bindparam("account_id"), upstream_login.c.service == bindparam("service")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Who an account is at the upstream of one service."""

    account_id: str
    service: Service
    identity: Identity
    sealed: Sealed | None = field(repr=False)
    """Its secret."""


def identities(tx: Tx, account_id: str) -> dict[Service, Identity]:
    """Give the identities of an account, by service."""
    rows = tx.execute(
        select(upstream_login).where(upstream_login.c.account_id == account_id).order_by("service")
    )
    found = {}
    for row in rows:
        with understood("a login at an upstream"):
            found[Service(row.service)] = identity_of(row.kind, row.login, row.provider)
    return found


def set_at(tx: Tx, account_id: str) -> dict[Service, int]:
    """Give when each identity of an account was last written, by service."""
    rows = tx.execute(
        select(upstream_login.c.service, upstream_login.c.updated_at).where(
            upstream_login.c.account_id == account_id
        )
    )
    with understood("a login at an upstream"):
        return {Service(row.service): row.updated_at for row in rows}


def identity_of(kind: str, login: str, provider: str) -> Identity:
    """Understand the columns of one; ValueError."""
    return Identity(kind=IdentityKind(kind), login=login, provider=provider)


def secret(tx: Tx, account_id: str, service: Service) -> Sealed | None:
    """Give the stored secret for one upstream."""
    row = tx.execute(_SECRET, {"account_id": account_id, "service": service.value}).one_or_none()
    return None if row is None or row.box is None else Sealed(key_id=row.key_id, box=row.box)


def put(
    tx: Tx, account_id: str, service: Service, identity: Identity, sealed: Sealed | None, at: int
) -> None:
    """Write who the account is at one upstream, in place of who it was."""
    put_all(tx, [Kept(account_id=account_id, service=service, identity=identity, sealed=sealed)], at)


def put_all(tx: Tx, rows: Sequence[Kept], at: int) -> None:
    """Write each of these, in place of what there was for the account and the service."""
    if not rows:
        return
    gone = delete(upstream_login).where(
        upstream_login.c.account_id == bindparam("of_account"),
        upstream_login.c.service == bindparam("of_service"),
    )
    tx.execute(gone, [{"of_account": row.account_id, "of_service": row.service.value} for row in rows])
    tx.execute(insert(upstream_login), [_columns(row, at) for row in rows])


def all_kept(tx: Tx) -> list[Kept]:
    """Read who all accounts are, with their sealed secrets."""
    found = []
    for row in tx.execute(select(upstream_login)):
        with understood("a login at an upstream"):
            kept = Kept(
                account_id=row.account_id,
                service=Service(row.service),
                identity=identity_of(row.kind, row.login, row.provider),
                sealed=None if row.box is None else Sealed(key_id=row.key_id, box=row.box),
            )
        found.append(kept)
    return found


def _columns(row: Kept, at: int) -> dict[str, object]:
    return {
        "account_id": row.account_id,
        "service": row.service.value,
        "kind": row.identity.kind.value,
        "login": row.identity.login,
        "provider": row.identity.provider,
        "key_id": None if row.sealed is None else row.sealed.key_id,
        "box": None if row.sealed is None else row.sealed.box,
        "updated_at": at,
    }


def remove(tx: Tx, account_id: str, service: Service) -> bool:
    """Let the account be who the config says again; False when it was."""
    gone = tx.execute(
        delete(upstream_login).where(
            upstream_login.c.account_id == account_id, upstream_login.c.service == service.value
        )
    )
    return gone.rowcount == 1


def bury(tx: Tx, account_id: str) -> None:
    """Take everything away that an account had for upstreams."""
    tx.execute(delete(upstream_login).where(upstream_login.c.account_id == account_id))
    tx.execute(delete(oauth_token).where(oauth_token.c.account_id == account_id))
