"""What each notice says, in plain sentences. Pure: facts in, a subject and paragraphs out.

Facts come from the store, but labels in them were typed by people: each is put on one line here, and stands
in quotes. Times are UTC. No letter asks for a password, and none holds one; that of an invitation holds its
link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from auth.secret import Secret
from auth.store.notices import NoticeKind
from auth.store.rows import ChangeKind
from scopes.model import Scope, in_order

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """Who writes."""

    host: str
    """The name people know the gate by."""
    portal_url: str | None = None
    """With its last slash; None where there is no portal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is said; no line ends within."""

    subject: str
    paragraphs: tuple[str, ...] = field(repr=False)


def letter(kind: NoticeKind, facts: Facts, writer: From, email: str) -> Letter:
    """Word a notice for the owner of the account `email`. ValueError and LookupError: facts are missing."""
    subject, paragraphs = _WORDS[kind](facts, writer, email)
    return Letter(subject=one_line(subject), paragraphs=tuple(map(one_line, paragraphs)))


def invitation_link(portal_url: str, token: Secret) -> Secret:
    """Give the address that an invitation opens; `portal_url` with its last slash."""
    return Secret(f"{portal_url}invitation/{token.reveal()}")


def invitation(link: Secret, expires_at: int, writer: From, email: str) -> Letter:
    """Word an invitation. The letter holds the link, so it is as secret as that."""
    return Letter(
        subject=f"Your app-specific passwords for {email}",
        paragraphs=(
            (
                f"You can now make app-specific passwords for {email} at {writer.host}: one for each of your "
                "apps, so that a lost phone is shut out alone."
            ),
            "Open this page to begin:",
            link.reveal(),
            f"It works once, until {moment(expires_at)}. You need an authenticator app on your phone.",
            "If you did not expect this, ask whoever runs your mail server before you open it.",
        ),
    )


def one_line(text: str) -> str:
    """Put text on one line: what cannot be printed becomes a space."""
    return "".join(mark if mark.isprintable() else " " for mark in text)


def day(seconds: int) -> str:
    """Write a date as people do: `3 May 2027`."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%B %Y}"


def moment(seconds: int) -> str:
    """Write a time: `3 May 2027, 08:00 UTC`."""
    return f"{day(seconds)}, {datetime.fromtimestamp(seconds, UTC):%H:%M} UTC"


# --- one a kind ---------------------------------------------------------------------------------------------

_Said = tuple[str, list[str]]


def _minted(facts: Facts, writer: From, email: str) -> _Said:
    one = _only(facts)
    return f"New app password: {one['label']}", [
        f"An app password was made for {email}: {_called(one)}. {_may(one)}",
        f"It was made {_by(facts)}.",
        _otherwise(writer),
    ]


def _renewed(facts: Facts, writer: From, email: str) -> _Said:
    one = _only(facts)
    return f"Renewed app password: {one['label']}", [
        f"The app password {_quoted(one)} of {email} was renewed {_by(facts)}. {_may(one)}",
        (
            "Type the new one into your app. The old one works until the new one is first used, and until "
            f"{moment(one['old_ends_at'])} at the latest."
        ),
        _otherwise(writer),
    ]


def _replaced(facts: Facts, writer: From, email: str) -> _Said:
    one = _only(facts)
    where = f" from {facts['where']}" if facts["where"] else ""
    return f"Old app password ended: {one['label']}", [
        (
            f"The new app password {_quoted(one)} of {email} was used for the first time on "
            f"{moment(facts['at'])}{where}."
        ),
        f"So the old one, {_called(one)}, has ended. An app that still has the old one needs the new one.",
        _otherwise(writer),
    ]


def _revoked(facts: Facts, writer: From, email: str) -> _Said:
    one = _only(facts)
    return f"App password revoked: {one['label']}", [
        f"The app password {_called(one)} of {email} was revoked {_by(facts)}.",
        "It opens nothing any more. An app that had it needs another one.",
        _otherwise(writer),
    ]


def _all_revoked(facts: Facts, writer: From, email: str) -> _Said:
    why = _CAUSES.get(facts["deed"], "")
    ended = [f"- {_called(one)}" for one in facts["app_passwords"]]
    return f"App passwords revoked for {email}", [
        f"App passwords of {email} were revoked{why}, {_by(facts)}:",
        "\n".join(ended),
        "They open nothing any more. Each app needs another one.",
        _otherwise(writer),
    ]


def _expiring(facts: Facts, writer: From, email: str) -> _Said:
    one = _only(facts)
    page = _page(writer)
    if facts["renewed"]:
        todo = "You have renewed it, but the new one was not used yet: type it into your app."
    elif page:
        todo = f"Renew it before: {page}"
    else:
        todo = f"Ask whoever runs {writer.host} for another one before."
    return f"App password expires on {day(one['expires_at'])}: {one['label']}", [
        (
            f"The app password {_called(one)} of {email} expires on {moment(one['expires_at'])}. "
            "From then on the app that has it cannot sign in."
        ),
        todo,
    ]


_WORDS: Final[Mapping[NoticeKind, Callable[[Facts, From, str], _Said]]] = MappingProxyType(
    {
        NoticeKind.MINTED: _minted,
        NoticeKind.RENEWED: _renewed,
        NoticeKind.REPLACED: _replaced,
        NoticeKind.REVOKED: _revoked,
        NoticeKind.ALL_REVOKED: _all_revoked,
        NoticeKind.EXPIRING: _expiring,
    }
)
"""All but the invitation, which needs more than facts."""

_CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ChangeKind.PRIMARY_CHANGED.value: " because the primary password was changed",
        ChangeKind.ACCOUNT_DISABLED.value: " because the account was disabled",
        ChangeKind.ACCOUNT_REMOVED.value: " because the account was removed",
        ChangeKind.SECOND_FACTOR_RESET.value: " because the second factor was reset",
        ChangeKind.RESTORED.value: " because the server was restored from a backup",
    }
)


# --- parts --------------------------------------------------------------------------------------------------


def _only(facts: Facts) -> Facts:
    (one,) = facts["app_passwords"]
    found: Facts = one
    return found


def _quoted(one: Facts) -> str:
    return f'"{one["label"]}"'


def _called(one: Facts) -> str:
    """Name an app password so that two of one label are told apart."""
    return f"{_quoted(one)} ({one['selector']}…)"


def _may(one: Facts) -> str:
    """Say what it opens, and until when."""
    opens = " and ".join(in_order(map(Scope, one["scopes"])))
    end = one["expires_at"]
    return f"It opens {opens}" + (", and does not expire." if end is None else f" until {moment(end)}.")


def _by(facts: Facts) -> str:
    who = "by you" if facts["by"] == "owner" else "by the operator"
    where = facts["where"]
    place = "" if not where else f" at the {where}" if where.startswith("command line") else f" from {where}"
    return f"{who} on {moment(facts['at'])}{place if who == 'by you' else ''}"


def _page(writer: From) -> str:
    return f"{writer.portal_url}app-passwords" if writer.portal_url else ""


def _otherwise(writer: From) -> str:
    """Say what to do about what one did not do oneself."""
    page = _page(writer)
    do = f"look at {page} at once" if page else f"tell whoever runs {writer.host} at once"
    return f"If this was not you, {do}."
