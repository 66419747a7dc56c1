"""How app passwords end, in words: when, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auth.store.rows import AppPasswordRow, RevokedWhy
from proxy.portal.sentences import Sentence, day

_ENDED: Final[Mapping[RevokedWhy, str]] = MappingProxyType(
    {
        RevokedWhy.BY_OWNER: "you revoked it on ",
        RevokedWhy.BY_OPERATOR: "the administrator revoked it on ",
        RevokedWhy.ALL_REVOKED: "it was revoked with all the others on ",
        RevokedWhy.PRIMARY_CHANGED: "the primary password was changed on ",
        RevokedWhy.DISABLED: "your account was disabled on ",
        RevokedWhy.SECOND_FACTOR_RESET: "the second factor was reset on ",
        RevokedWhy.ACCOUNT_REMOVED: "the account was removed on ",
        RevokedWhy.RESTORED: "the server was restored from a backup on ",
        RevokedWhy.REPLACED: "the one you renewed it with took its place on ",
    }
)
"""A day follows, and a full stop."""
_WHICH_ENDED: Final[Mapping[RevokedWhy, str]] = MappingProxyType(
    {
        RevokedWhy.BY_OWNER: "which you revoked on ",
        RevokedWhy.BY_OPERATOR: "which the administrator revoked on ",
        RevokedWhy.ALL_REVOKED: "which was revoked with all the others on ",
        RevokedWhy.PRIMARY_CHANGED: "which ended when the primary password was changed on ",
        RevokedWhy.DISABLED: "which ended when your account was disabled on ",
        RevokedWhy.SECOND_FACTOR_RESET: "which ended when the second factor was reset on ",
        RevokedWhy.ACCOUNT_REMOVED: "which ended when the account was removed on ",
        RevokedWhy.RESTORED: "which ended when the server was restored from a backup on ",
        RevokedWhy.REPLACED: "which ended when the one you renewed it with took its place on ",
    }
)


def end_of(row: AppPasswordRow, now: float) -> tuple[int, RevokedWhy | None] | None:
    """Give when an app password ended, and why; None for the reason: it expired. None while it is active.

    What was revoked has ended whatever the clock says now; where it had expired before that, that is its end.
    """
    if row.expires_at is not None and row.expires_at <= (now if row.revoked_at is None else row.revoked_at):
        return row.expires_at, None
    return None if row.revoked_at is None else (row.revoked_at, row.revoked_why)


def why_ended(row: AppPasswordRow, now: float) -> Sentence:
    """Say what ended an app password: `You revoked it on 3 May.`; nothing while it is active."""
    if (end := end_of(row, now)) is None:
        return Sentence()
    at, why = end
    words = "it expired on " if why is None else _ENDED[why]
    return Sentence(words[0].upper() + words[1:], day(at, now), ".")


def which_ended(row: AppPasswordRow, now: float) -> Sentence:
    """Say the same behind its name: `, which you revoked on 3 May`."""
    if (end := end_of(row, now)) is None:
        return Sentence()
    at, why = end
    return Sentence(", " + ("which expired on " if why is None else _WHICH_ENDED[why]), day(at, now))
