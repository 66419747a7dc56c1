"""What the store gives back: plain values, one class a kind of row.

Times are whole seconds since 1970-01-01 UTC. Nothing here is a secret in clear: hashes and sealed values are
kept out of every repr all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from auth.seal import Sealed
from scopes.model import Limits, Scope


class RevokedWhy(StrEnum):
    """What ended an app password."""

    BY_OWNER = "revoked by its owner"
    BY_OPERATOR = "revoked by the operator"
    ALL_REVOKED = "all revoked"
    PRIMARY_CHANGED = "primary password changed"
    DISABLED = "account disabled"
    SECOND_FACTOR_RESET = "second factor reset"
    ACCOUNT_REMOVED = "account removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One account, with its names."""

    id: str
    email: str
    aliases: tuple[str, ...]
    is_service: bool
    """A printer or script: no primary password, only the operator mints for it."""
    created_at: int
    disabled_at: int | None
    primary_hash: str | None = field(repr=False)
    primary_key_id: str | None
    seed: Sealed | None = field(repr=False)
    """The confirmed TOTP seed, sealed."""
    last_step: int | None
    """The last accepted TOTP step; a code of this step or an earlier one is a replay."""
    version: int

    @property
    def has_second_factor(self) -> bool:
        """Whether an authenticator was enrolled and confirmed."""
        return self.seed is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPasswordRow:
    """One app password, active or a tombstone."""

    id: str
    account_id: str
    selector: str
    verifier_hash: str = field(repr=False)
    key_id: str
    label: str
    scopes: frozenset[Scope]
    limits: Limits
    created_at: int
    created_by: str
    shown_at: int | None
    """When the password was printed; None says that perhaps it never was."""
    expires_at: int | None
    revoked_at: int | None
    revoked_why: RevokedWhy | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a sign-in name and a selector lead: identifiers only, nothing that authorises."""

    account_id: str
    app_password_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that authorises a sign-in, read in one statement."""

    email: str
    disabled: bool
    app_password: AppPasswordRow
