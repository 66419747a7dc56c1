"""Rows as the store gives them, with what a test of words does not care about filled in."""

from __future__ import annotations

from typing import Any

from auth.store.rows import GRANTED, AppPasswordRow, AuditEntry, ChangeKind, SignInRecord
from scopes.model import Limits, Scope, Service

NOW = 1_777_989_900
"""5 May 2026, 14:05 UTC."""
HOUR = 3_600
DAY = 86_400


def app_password(app_password_id: str = "ap_1", label: str = "Old iPhone", **known: Any) -> AppPasswordRow:
    """An active one for mail, made four days ago, never to expire."""
    return AppPasswordRow(
        **{
            "id": app_password_id,
            "account_id": "ac_1",
            "selector": "k7mq",
            "verifier_hash": "",
            "key_id": "k",
            "label": label,
            "scopes": frozenset({Scope.MAIL}),
            "limits": Limits(),
            "created_at": NOW - 4 * DAY,
            "created_by": "owner alice@example.org",
            "shown_at": NOW - 4 * DAY,
            "expires_at": None,
            "revoked_at": None,
            "revoked_why": None,
            "version": 1,
        }
        | known
    )


def sign_in(at: int = NOW, outcome: str = GRANTED, client: str = "Thunderbird", **known: Any) -> SignInRecord:
    """One by IMAP from 192.0.2.7, with the first app password."""
    return SignInRecord(
        **{
            "at": at,
            "account_id": "ac_1",
            "app_password_id": "ap_1",
            "service": Service.IMAP,
            "peer": "192.0.2.7",
            "outcome": outcome,
            "client_name": client,
        }
        | known
    )


def deed(kind: ChangeKind, at: int = NOW, **known: Any) -> AuditEntry:
    """One of the owner, from 192.0.2.7."""
    return AuditEntry(
        **{
            "at": at,
            "actor_kind": "owner",
            "actor_name": "alice@example.org",
            "where": "192.0.2.7",
            "deed": kind,
            "account_id": "ac_1",
            "email": "alice@example.org",
        }
        | known
    )
