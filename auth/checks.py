"""What is looked at before a deed begins: names, primary passwords, labels, scopes, limits. Nearly pure.

Each gives its value as it is stored, or raises AccountError with words for a person. What was typed is
repeated only once it is known to be no secret.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Final

from auth import names
from auth.apppassword import looks_like_one
from auth.deed import AccountError, Problem
from auth.ids import looks_like_id
from auth.secret import Secret
from auth.store import queries
from auth.store.store import Tx
from scopes.model import Limits, Scope, in_order

PRIMARY_CHARS_LEAST: Final = 8
"""NIST SP 800-63B §5.1.1.1; a second factor always stands beside it."""
PRIMARY_CHARS_MOST: Final = 256
LABEL_CHARS: Final = 64
_LABEL_HINT: Final = "name the app or the device it is for, as in phone"


def checked_email(email: str) -> str:
    """Give an account's email in its canonical form."""
    address = None if looks_like_one(email) else names.email_address(email)
    if address is None:
        raise AccountError(
            Problem.BAD_NAME, "this is not an email address", "write it as in alice@example.org"
        )
    return address


def checked_alias(alias: str) -> str:
    """Give an alias in its canonical form: any clean name, an address or not."""
    name = None if looks_like_one(alias) else names.canonical(alias)
    if name is None:
        raise AccountError(
            Problem.BAD_NAME,
            "this cannot be a name to sign in by",
            "use letters, digits and marks without spaces, at most 320 octets",
        )
    return name


def must_be_free(tx: Tx, wanted: Collection[str]) -> None:
    """See that no account signs in by any of these names."""
    taken = queries.taken_names(tx, tuple(wanted))
    if taken:
        raise AccountError(
            Problem.NAME_TAKEN,
            f"{', '.join(taken)} signs in to an account already",
            "choose another: names are unique over the emails and aliases of all accounts",
        )


def check_kind(primary: Secret | None, *, service: bool) -> None:
    """See that a primary password is a good one, and that a service account has none."""
    if service and primary is not None:
        raise AccountError(
            Problem.SERVICE_ACCOUNT,
            "a service account has no primary password",
            "leave the password out, or add a person",
        )
    if primary is not None:
        check_primary(primary)


def check_primary(primary: Secret) -> None:
    """See that a new primary password is long enough and can be typed."""
    text = unicodedata.normalize("NFC", primary.reveal())
    if not PRIMARY_CHARS_LEAST <= len(text) <= PRIMARY_CHARS_MOST:
        raise AccountError(
            Problem.BAD_PRIMARY,
            f"a primary password has {PRIMARY_CHARS_LEAST} to {PRIMARY_CHARS_MOST} characters",
            "a few words in a row are long enough and easy to type",
        )
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise AccountError(
            Problem.BAD_PRIMARY,
            "a primary password holds no control characters",
            "leave line ends and tabs out",
        )


def checked_label(label: str) -> str:
    """Give a label as it is stored: NFC, trimmed."""
    text = unicodedata.normalize("NFC", label).strip()
    if not text or len(text) > LABEL_CHARS or not text.isprintable():
        raise AccountError(
            Problem.BAD_LABEL, f"a label is 1 to {LABEL_CHARS} printable characters", _LABEL_HINT
        )
    if looks_like_one(text):
        raise AccountError(
            Problem.BAD_LABEL, "this label looks like an app password, and labels are no secret", _LABEL_HINT
        )
    if looks_like_id(text):
        raise AccountError(Problem.BAD_LABEL, "this label looks like the id of an app password", _LABEL_HINT)
    return text


def folded(name: str) -> str:
    """Give a label or selector for comparing: people tell names apart by their letters, not their case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def checked_scopes(scopes: Collection[Scope]) -> frozenset[Scope]:
    """Give the scopes, at least one."""
    if not scopes:
        raise AccountError(
            Problem.NO_SCOPES,
            "an app password without a scope opens nothing",
            f"choose at least one of: {', '.join(Scope)}",
        )
    return frozenset(scopes)


def check_limits(limits: Limits, scopes: Collection[Scope]) -> None:
    """See that the limits leave every scope something to open."""
    beyond = in_order(set(scopes) - {Scope.MAIL})
    if limits.send_only and beyond:
        raise AccountError(
            Problem.BAD_LIMITS,
            f"an app password that only sends does not open {' or '.join(beyond)}",
            f"leave {' and '.join(beyond)} out, or let it read too",
        )
