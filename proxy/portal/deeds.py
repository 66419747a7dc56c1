"""The audit trail of an account as sentences for its owner: who did what, when, from where. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from auth.store.rows import AuditEntry, ChangeKind
from proxy.portal.sentences import Moment, Name, Sentence, moment

_LABEL: Final = "{label}"
_DETAIL: Final = "{detail}"
_SUBJECT: Final = "{who}"
_ENDED_ALL: Final = ", which ended all app passwords"

_DEEDS: Final[Mapping[ChangeKind, tuple[str, ...]]] = MappingProxyType(
    {
        ChangeKind.ACCOUNT_ADDED: (_SUBJECT, " added your account"),
        ChangeKind.ACCOUNT_DISABLED: (_SUBJECT, " disabled your account", _ENDED_ALL),
        ChangeKind.ACCOUNT_ENABLED: (_SUBJECT, " enabled your account again"),
        ChangeKind.ACCOUNT_REMOVED: (_SUBJECT, " removed the account", _ENDED_ALL),
        ChangeKind.ALIAS_ADDED: (_SUBJECT, " gave you the other name ", _DETAIL),
        ChangeKind.ALIAS_REMOVED: (_SUBJECT, " took the other name ", _DETAIL, " away"),
        ChangeKind.SENDER_ADDED: (_SUBJECT, " let you send as ", _DETAIL),
        ChangeKind.SENDER_REMOVED: (_SUBJECT, " let you send as ", _DETAIL, " no more"),
        ChangeKind.PRIMARY_CHANGED: (_SUBJECT, " changed the primary password", _ENDED_ALL),
        ChangeKind.PRIMARY_PROVED: (_SUBJECT, " signed in with the mailbox password for the first time"),
        ChangeKind.SECOND_FACTOR_ENROLLED: (_SUBJECT, " set up the second factor"),
        ChangeKind.SECOND_FACTOR_REPLACED: (_SUBJECT, " replaced the authenticator"),
        ChangeKind.SECOND_FACTOR_RESET: (_SUBJECT, " reset the second factor", _ENDED_ALL),
        ChangeKind.MINTED: (_SUBJECT, " generated ", _LABEL),
        ChangeKind.REVOKED: (_SUBJECT, " revoked ", _LABEL),
        ChangeKind.ALL_REVOKED: (_SUBJECT, " revoked all app passwords"),
        ChangeKind.UPSTREAM_SET: (_SUBJECT, " set how Wicketgate signs in for you at a server"),
        ChangeKind.UPSTREAM_CLEARED: (_SUBJECT, " took away how Wicketgate signed in for you at a server"),
        ChangeKind.AUTHORISED: (_SUBJECT, " let Wicketgate in at a provider for you"),
        ChangeKind.TOKEN_REMOVED: (_SUBJECT, " removed what let Wicketgate in at a provider for you"),
        ChangeKind.RESTORED: ("The server was restored from a backup",),
        ChangeKind.INVITED: (_SUBJECT, " invited you"),
        ChangeKind.INVITATION_USED: (_SUBJECT, " accepted the invitation"),
        ChangeKind.RECOVERY_CODES_RENEWED: (_SUBJECT, " made new recovery codes"),
        ChangeKind.RENEWED: (_SUBJECT, " renewed ", _LABEL),
        ChangeKind.REPLACED: (_LABEL, " gave way to the one it was renewed with"),
    }
)


class Deed(NamedTuple):
    """One line of the audit trail."""

    when: Moment
    what: Sentence


def told(entries: Iterable[AuditEntry], now: float) -> tuple[Deed, ...]:
    """Tell deeds, the newest first; `entries` are the oldest first, as the audit trail gives them."""
    return tuple(Deed(moment(entry.at, now), _what(entry)) for entry in reversed(list(entries)))


def _what(entry: AuditEntry) -> Sentence:
    by_owner = entry.actor_kind == "owner"
    filled: dict[str, str | Name] = {
        _SUBJECT: "You" if by_owner else "The administrator",
        _LABEL: Name(entry.label) if entry.label else "an app password",
        _DETAIL: Name(entry.detail),
    }
    parts = [filled.get(part, part) for part in _DEEDS[entry.deed]]
    if isinstance(parts[0], str):
        parts[0] = parts[0][:1].upper() + parts[0][1:]
    return Sentence(*parts, f", from {entry.where}." if by_owner and entry.where else ".")
