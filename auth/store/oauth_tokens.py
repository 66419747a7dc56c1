"""Refresh tokens of OAuth 2 providers, as rows: questions and steps, each a plain function of a `Tx`.

A row authorises nobody here, so that replacing it takes no number of the change feed. It has a version of its
own, and is replaced or marked only by whoever has read the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, insert, select, update

from auth.seal import Sealed
from auth.store.engine import Tx
from auth.store.schema import oauth_token


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """What an account's owner has authorised at one provider."""

    provider: str
    sealed: Sealed
    expires_at: int | None
    """When the provider said that the refresh token ends; None where it said nothing."""
    refused_at: int | None
    """When the provider last refused it; None when it never did."""
    updated_at: int
    """When it was authorised or last replaced."""
    version: int


def of_account(tx: Tx, account_id: str) -> list[TokenRow]:
    """Give all of an account, by provider."""
    wanted = select(oauth_token).where(oauth_token.c.account_id == account_id).order_by("provider")
    return [
        TokenRow(
            provider=row.provider,
            sealed=Sealed(key_id=row.key_id, box=row.box),
            expires_at=row.expires_at,
            refused_at=row.refused_at,
            updated_at=row.updated_at,
            version=row.version,
        )
        for row in tx.execute(wanted)
    ]


def put(tx: Tx, account_id: str, row: TokenRow) -> None:
    """Write a new authorisation in place of the one there was; the caller has stepped the version."""
    remove(tx, account_id, row.provider)
    tx.execute(
        insert(oauth_token).values(
            account_id=account_id,
            provider=row.provider,
            key_id=row.sealed.key_id,
            box=row.sealed.box,
            expires_at=row.expires_at,
            refused_at=row.refused_at,
            updated_at=row.updated_at,
            version=row.version,
        )
    )


def remove(tx: Tx, account_id: str, provider: str) -> bool:
    """Take an authorisation away; False when there is none."""
    gone = tx.execute(
        delete(oauth_token).where(oauth_token.c.account_id == account_id, oauth_token.c.provider == provider)
    )
    return gone.rowcount == 1


def replace(tx: Tx, account_id: str, before: int, row: TokenRow) -> bool:
    """Write a token that the provider gave for version `before`; False when that is not the newest."""
    done = tx.execute(
        update(oauth_token)
        .where(_still(account_id, row.provider, before))
        .values(
            key_id=row.sealed.key_id,
            box=row.sealed.box,
            expires_at=row.expires_at,
            refused_at=row.refused_at,
            updated_at=row.updated_at,
            version=row.version,
        )
    )
    return done.rowcount == 1


def mark_refused(tx: Tx, account_id: str, provider: str, version: int, at: int) -> bool:
    """Remember that the provider refused this version; False when it is not the newest."""
    done = tx.execute(
        update(oauth_token)
        .where(_still(account_id, provider, version))
        .values(refused_at=at, version=version + 1)
    )
    return done.rowcount == 1


def _still(account_id: str, provider: str, version: int) -> ColumnElement[bool]:
    return and_(
        oauth_token.c.account_id == account_id,
        oauth_token.c.provider == provider,
        oauth_token.c.version == version,
    )
