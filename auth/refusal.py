"""Why a sign-in was refused: one closed enum, mapped to wire replies in `proxy.failures`.

A reason that says more than "wrong" (revoked, expired, wrong scope, limits) is given only when the whole
secret matched, so that only its holder hears it. The `OUTAGES` are temporary: they say
nothing about the secret, and no client may take them for a wrong password.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scopes.model import Scope


class Reason(StrEnum):
    """Every reason there is."""

    BAD_CREDENTIALS = "bad credentials"
    """Unknown account, unknown selector, wrong verifier or disabled account: one reply for all."""
    NOT_APP_PASSWORD = "not an app password"  # noqa: S105 - a reason, not a password
    """The secret has not the shape of an app password; most often it is the primary password."""
    REVOKED = "revoked"
    EXPIRED = "expired"
    WRONG_SCOPE = "wrong scope"
    READ_ONLY = "read only"
    """It only reads, and was used to send."""
    SEND_ONLY = "send only"
    """It only sends, and was used to read."""
    ADDRESS_NOT_ALLOWED = "address not allowed"
    TOO_MUCH_WORK = "too much work"
    """A wrong secret from an address that has failed too often."""
    UNAVAILABLE = "unavailable"
    """Store, change feed, hash queue or upstream cannot serve now."""
    UPSTREAM_REFUSED = "upstream refused"
    """The upstream answers but does not take our sign-in there: a stale secret or token of ours."""
    BUG = "bug"


OUTAGES: Final = frozenset({Reason.UNAVAILABLE, Reason.UPSTREAM_REFUSED, Reason.BUG})
"""They say nothing about the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refused sign-in. The fields beside `reason` are set only when the whole secret matched."""

    reason: Reason
    account_id: str | None = None
    email: str | None = None
    """The account's primary email, whatever name was used."""
    app_password_id: str | None = None
    label: str | None = None
    scopes: frozenset[Scope] = frozenset()
    cause: str = ""
    """For the log alone: a short text of ours, never a secret and never sent to a client."""

    @property
    def is_outage(self) -> bool:
        """Whether it says nothing about the secret."""
        return self.reason in OUTAGES
