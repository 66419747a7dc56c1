"""The words of `auth.accounts`: who acts, what is asked for, what comes back, and what may be wrong.

Values only. Messages of errors are written for people and name accounts and labels; no secret is ever in one.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from auth.secret import Secret
from auth.store.rows import AccountRow, AppPasswordRow, AuditEntry, ChangeKind, FeedMark, Stage
from scopes.model import Limits, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something, for the audit trail."""

    kind: Literal["owner", "operator"]
    name: str
    where: str
    """From where: an IP address, or a word like `command line`. Failures are counted by address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an owner shows: the primary password, and a code of the authenticator or a recovery code."""

    primary: Secret
    code: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What an owner shows who is signed in at the portal, and proved both halves there minutes ago."""

    token: Secret
    """Of the session (`auth.portal_sessions`)."""


class Problem(StrEnum):
    """Everything that may be wrong with a deed."""

    BAD_NAME = "bad name"
    NAME_TAKEN = "name taken"
    NO_SUCH_ACCOUNT = "no such account"
    ACCOUNT_DISABLED = "account disabled"
    SERVICE_ACCOUNT = "service account"
    BAD_PRIMARY = "bad primary password"
    PRIMARY_ELSEWHERE = "primary password elsewhere"
    PRIMARY_HERE = "primary password here"
    NO_SUCH_ALIAS = "no such alias"
    BAD_SENDER = "bad sender"
    SENDER_LISTED = "sender listed"
    NO_SUCH_SENDER = "no such sender"
    TOO_MANY_SENDERS = "too many senders"
    BAD_LOGIN = "bad login"
    BAD_UPSTREAM_SECRET = "bad upstream secret"  # noqa: S105 - a problem, not a secret
    NO_SUCH_IDENTITY = "no such identity"
    NOT_AUTHORISED = "not authorised"
    UPSTREAM_REFUSED = "refused by the server behind"
    UPSTREAM_AWAY = "server behind does not answer"
    PROOF_NEEDED = "proof needed"
    WRONG_PROOF = "wrong proof"
    """Primary password or code: which one is not said."""
    TOO_MANY_TRIES = "too many tries"
    SESSION_ENDED = "session ended"
    INVITATION_ENDED = "invitation ended"
    CHANGED_MEANWHILE = "changed meanwhile"
    WRONG_NEW_CODE = "wrong new code"
    ALREADY_ENROLLED = "already enrolled"
    NO_SECOND_FACTOR = "no second factor"
    BAD_LABEL = "bad label"
    LABEL_TAKEN = "label taken"
    NO_SCOPES = "no scopes"
    BAD_LIMITS = "bad limits"
    BAD_EXPIRY = "bad expiry"
    TOO_MANY_APP_PASSWORDS = "too many app passwords"
    NO_SUCH_APP_PASSWORD = "no such app password"  # noqa: S105
    AMBIGUOUS = "ambiguous"
    NOT_RENEWABLE = "not renewable"


class AccountError(Exception):
    """A deed that was not done, why, and what to do about it."""

    def __init__(
        self, problem: Problem, message: str, hint: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.hint = hint
        self.retry_after_s = retry_after_s
        """Seconds until a new try is looked at; set for TOO_MANY_TRIES."""
        self.tried = ""
        """The name that was typed in the half before, for the log; never shown."""


def to_type(*words: str) -> str:
    """Write a command for a hint, as it can be typed."""
    return shlex.join(("wicketgate", *words))


def elsewhere(email: str) -> AccountError:
    """Refuse because the primary password is one of a mail server."""
    return AccountError(
        Problem.PRIMARY_ELSEWHERE,
        f"the primary password of {email} is that of the mailbox, and is not kept here",
        "change it at the mail server; the app passwords end when it is next used here",
    )


def session_ended() -> AccountError:
    """Refuse because there is no such session (any more)."""
    return AccountError(Problem.SESSION_ENDED, "this sign-in has ended", "sign in again")


def proof_needed() -> AccountError:
    """Refuse because an owner has shown nothing, or not lately."""
    return AccountError(
        Problem.PROOF_NEEDED,
        "the primary password and a code are needed",
        "give both; only an operator is spared the proof",
    )


def disabled(email: str) -> AccountError:
    """Refuse because the account is disabled."""
    return AccountError(
        Problem.ACCOUNT_DISABLED,
        f"{email} is disabled",
        f"enable it first: {to_type('account', 'enable', email)}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What a deed ended."""

    change: FeedMark | None
    """The mark of the change; None when nothing was changed."""
    app_password_ids: tuple[str, ...] = ()
    """Those that were not revoked before, expired ones included."""
    app_password: AppPasswordRow | None = None
    """The one that was meant, where one was; as it stood before."""
    opened: Opened | None = None
    """The session of an owner who did it in the portal, under its new token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session of the portal, one step further, under a new token."""

    token: Secret
    """What the cookie holds; the one before is worth nothing any more."""
    stage: Stage
    revocation: Revocation | None = None
    """What ended because the primary password was found to be changed elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintRequest:
    """What an app password is to be."""

    label: str
    scopes: Collection[Scope]
    expires_at: int | None = None
    """Seconds since 1970-01-01 UTC; None never expires."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A new app password. `password` is shown once, in groups, and is stored nowhere."""

    id: str
    label: str
    selector: str
    scopes: frozenset[Scope]
    limits: Limits
    expires_at: int | None
    password: Secret
    old_ends_at: int | None = None
    """Of a successor: when the one it replaces ends at the latest."""
    revocation: Revocation | None = None
    """What ended before it, because the primary password was found to be changed elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """An authenticator on its way in: nothing is stored until a code made from the seed comes back."""

    account_id: str
    seed: Secret
    uri: Secret
    """The `otpauth://` address for a QR code; it holds the seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Beside actor and account, what an audit line says."""

    deed: ChangeKind
    app_password_id: str | None = None
    label: str | None = None
    detail: str = ""


def audit_entry(actor: Actor, account: AccountRow, at: int, mark: Mark) -> AuditEntry:
    """Write the audit line of a deed."""
    return AuditEntry(
        at=at,
        actor_kind=actor.kind,
        actor_name=actor.name,
        where=actor.where,
        deed=mark.deed,
        account_id=account.id,
        email=account.email,
        app_password_id=mark.app_password_id,
        label=mark.label,
        detail=mark.detail,
    )
