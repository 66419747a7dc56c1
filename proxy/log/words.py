"""The closed lists of words in the log: what happened, and why. Machines read them, so they never change.

Each word is one token of small letters and hyphens. Whether a refusal is the client's fault can be told from
its word alone: `COUNTS_AS_GUESS` names those, and the fail2ban filter in examples/ matches no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from auth.refusal import Reason, Refusal

PORTAL: Final = "portal"
"""Stands where a line of a protocol names its service."""


class Event(StrEnum):
    """What a line tells of."""

    SIGN_IN = "sign-in"
    REFUSED = "refused"
    SESSION_END = "session-end"
    DROPPED = "dropped"
    """A connection that ended without any outcome of a sign-in, and not by its client's goodbye."""


class SessionEnd(StrEnum):
    """What began the end of a session."""

    QUIT = "quit"
    """The client said goodbye: QUIT, or `Connection: close`."""
    CLIENT_CLOSED = "client-closed"
    CLIENT_LOST = "client-lost"
    """Reset, timed out, broken TLS, or it did not read what it was sent."""
    UPSTREAM_CLOSED = "upstream-closed"
    UPSTREAM_LOST = "upstream-lost"
    """Reset, timed out or broken TLS; or it answered what makes no sense."""
    IDLE = "idle"
    """Nothing moved for too long."""
    REFUSED = "refused"
    """The client did what we do not go on after."""
    CUT = "cut"
    """Its app password was revoked, or the gate could no longer tell whether it was."""
    EXPIRED = "expired"
    STOPPING = "stopping"
    FAULT = "fault"
    """A fault of ours."""


class Drop(StrEnum):
    """Why a connection ended that had not signed in."""

    CLIENT_LOST = "client-lost"
    TOO_SLOW = "too-slow"
    """No sign-in in the time there is for it."""
    CROWDED = "crowded"
    """Too many others of its address, or of all, had not signed in either."""
    BAD_REQUEST = "bad-request"
    """What it said is no HTTP as we take it."""
    STOPPING = "stopping"
    FAULT = "fault"
    """A fault of ours."""


REASONS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.BAD_CREDENTIALS: "bad-credentials",
        Reason.NOT_APP_PASSWORD: "not-an-app-password",
        Reason.REVOKED: "revoked",
        Reason.EXPIRED: "expired",
        Reason.WRONG_SCOPE: "wrong-scope",
        Reason.READ_ONLY: "read-only",
        Reason.SEND_ONLY: "send-only",
        Reason.ADDRESS_NOT_ALLOWED: "address-not-allowed",
        Reason.TOO_MUCH_WORK: "too-much-work",
        Reason.UNAVAILABLE: "unavailable",
        Reason.UPSTREAM_REFUSED: "upstream-refused",
        Reason.BUG: "bug",
    }
)
"""The word of each reason of refusal."""

DISABLED: Final = "account-disabled"
"""A right secret of an account that is disabled. The client hears what a wrong one does; it is no guess."""

TOO_MANY_TRIES: Final = "too-many-tries"
"""At the portal: too many tries of this name or from this address lately. Nothing was looked at: no guess."""

COUNTS_AS_GUESS: Final = frozenset(
    REASONS[reason] for reason in (Reason.BAD_CREDENTIALS, Reason.NOT_APP_PASSWORD, Reason.TOO_MUCH_WORK)
)
"""The words of refusals whose secret was wrong. Nothing else may ever count towards a ban."""


def word_of(refusal: Refusal) -> str:
    """Give the word of a refusal; an account is named in it only when the whole secret was right."""
    if refusal.reason is Reason.BAD_CREDENTIALS and refusal.account_id is not None:
        return DISABLED
    return REASONS[refusal.reason]
