"""What the store gives back: plain values, one class a kind of row.

Times are whole seconds since 1970-01-01 UTC. Nothing here is a secret in clear: hashes and sealed values are
kept out of every repr all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Self

from auth.seal import Sealed
from scopes.model import Identity, Limits, Scope, Service


class RevokedWhy(StrEnum):
    """What ended an app password."""

    BY_OWNER = "revoked by its owner"
    BY_OPERATOR = "revoked by the operator"
    ALL_REVOKED = "all revoked"
    PRIMARY_CHANGED = "primary password changed"
    DISABLED = "account disabled"
    SECOND_FACTOR_RESET = "second factor reset"
    ACCOUNT_REMOVED = "account removed"
    RESTORED = "restored from a backup"
    REPLACED = "replaced by its successor"


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

    @classmethod
    def person(cls, account_id: str, email: str, at: int) -> Self:
        """Make the row of a person who has nothing yet but a name."""
        return cls(
            id=account_id,
            email=email,
            aliases=(),
            is_service=False,
            created_at=at,
            disabled_at=None,
            primary_hash=None,
            primary_key_id=None,
            seed=None,
            last_step=None,
            version=1,
        )

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
    replaces: str | None = None
    """The id of the one it takes the place of; None again once it was used."""


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
    identities: Mapping[Service, Identity] = field(default_factory=dict)


class Stage(StrEnum):
    """How far somebody is in at the portal."""

    CODE = "code"
    """A primary password was given; whether it was right is told only together with a code."""
    ENROL = "enrol"
    """The primary password was right, and there is no second factor yet."""
    IN = "in"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session of the portal."""

    digest: bytes = field(repr=False)
    """SHA-256 of its token."""
    account_id: str | None
    """None in stage `CODE` where the primary password was wrong."""
    stage: Stage
    created_at: int
    seen_at: int
    proved_at: int | None
    """When both halves were last proved."""
    sealed: Sealed | None = field(default=None, repr=False)


class ChangeKind(StrEnum):
    """Every deed that changes what authorises: the words of the change feed and of the audit trail."""

    ACCOUNT_ADDED = "account added"
    ACCOUNT_DISABLED = "account disabled"
    ACCOUNT_ENABLED = "account enabled"
    ACCOUNT_REMOVED = "account removed"
    ALIAS_ADDED = "alias added"
    ALIAS_REMOVED = "alias removed"
    SENDER_ADDED = "sender added"
    SENDER_REMOVED = "sender removed"
    PRIMARY_CHANGED = "primary password changed"
    PRIMARY_PROVED = "primary password proved"
    """Known from now on; before, only the mail server knew it."""
    SECOND_FACTOR_ENROLLED = "second factor enrolled"
    SECOND_FACTOR_REPLACED = "second factor replaced"
    SECOND_FACTOR_RESET = "second factor reset"
    MINTED = "app password created"
    REVOKED = "app password revoked"
    ALL_REVOKED = "all app passwords revoked"
    UPSTREAM_SET = "upstream login set"
    UPSTREAM_CLEARED = "upstream login removed"
    AUTHORISED = "authorised at a provider"
    TOKEN_REMOVED = "provider's token removed"  # noqa: S105 - a deed, not a secret
    RESTORED = "restored from a backup"
    INVITED = "invited"
    INVITATION_USED = "invitation used"
    RECOVERY_CODES_RENEWED = "recovery codes renewed"
    RENEWED = "app password renewed"
    REPLACED = "app password replaced"


class FeedMark(NamedTuple):
    """Where the change feed stands. Two marks are equal only where all that authorises is the same.

    A tuple, because one is made and compared before every use of what is remembered.
    """

    seq: int
    """The number of the last committed change."""
    token: bytes
    """Drawn for that change: in a restored store a number comes again, its token never does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One committed change of what authorises."""

    mark: FeedMark
    kind: ChangeKind
    account_id: str
    app_password_ids: tuple[str, ...]
    """The app passwords it ended; their attempts and sessions are to be cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, to which account and app password, when and from where."""

    at: int
    actor_kind: str
    """`owner` or `operator`."""
    actor_name: str
    where: str
    deed: ChangeKind
    account_id: str
    email: str
    """The account's primary email at that time; a removed account is still named by it."""
    app_password_id: str | None = None
    label: str | None = None
    detail: str = ""


GRANTED: Final = "granted"
"""The outcome of a sign-in that came in; every other outcome is a reason of refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRecord:
    """One sign-in that was tried, for the history."""

    at: int
    account_id: str | None
    app_password_id: str | None
    service: Service
    peer: str
    """The client's address; empty on a Unix socket."""
    outcome: str
    """`GRANTED`, or the reason of the refusal."""
    client_name: str = ""
    """What the client called itself (IMAP ID, User-Agent), as it said; empty when it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastUse:
    """When an app password last opened a service for one client name."""

    app_password_id: str
    service: Service
    client_name: str
    at: int
    peer: str
