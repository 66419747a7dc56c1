"""What a client is told when it is not let in: one table a protocol, from `Reason` to reply.

A table is total over `Reason`. What is temporary says so, because clients throw a password away that was
called wrong (RFC 5530 §3). Nothing of an upstream's text, of an exception or of a version is ever in a reply;
beyond fixed words only the label and the scopes of an app password appear, and those only to the holder of
the whole secret (`auth.refusal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.refusal import Reason, Refusal
from scopes.model import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What replies say about this server."""

    host: str
    """The name clients know it by."""
    portal_url: str | None = None
    """Where a person makes app passwords; None when there is no such page."""


@dataclass(frozen=True, slots=True)
class ImapNo:
    """A tagged NO: the response code of RFC 5530 and a text. `{…}` is filled in by `imap_no`."""

    code: str
    text: str


# RFC 5530 §3 for the codes; RFC 9051 §7.1 for LIMIT and NOPERM.
IMAP: Final[Mapping[Reason, ImapNo]] = MappingProxyType(
    {
        Reason.BAD_CREDENTIALS: ImapNo("AUTHENTICATIONFAILED", "wrong name or app-specific password"),
        Reason.NOT_APP_PASSWORD: ImapNo("AUTHENTICATIONFAILED", "app-specific password required: {where}"),
        Reason.REVOKED: ImapNo("AUTHENTICATIONFAILED", "{password} was revoked"),
        Reason.EXPIRED: ImapNo("EXPIRED", "{password} has expired"),
        Reason.WRONG_SCOPE: ImapNo("NOPERM", "{password} opens {scopes}, not mail"),
        Reason.ADDRESS_NOT_ALLOWED: ImapNo("NOPERM", "{password} opens {scopes}, but not from your address"),
        Reason.TOO_MUCH_WORK: ImapNo("LIMIT", "too many wrong sign-ins from your address, try again later"),
        Reason.UNAVAILABLE: ImapNo("UNAVAILABLE", "sign-in is not possible at the moment, try again later"),
        Reason.BUG: ImapNo("SERVERBUG", "internal error, please tell whoever runs this server"),
    }
)

UNAVAILABLE: Final = Refusal(reason=Reason.UNAVAILABLE)
BUG: Final = Refusal(reason=Reason.BUG)


def imap_no(refusal: Refusal, house: House) -> str:
    """Give `NO [CODE] text` for a refusal, without tag and CRLF, in printable ASCII."""
    row = IMAP[refusal.reason]
    text = row.text.format(where=_where(house), password=_password(refusal), scopes=_scopes(refusal))
    return f"NO [{row.code}] {text}"


def _where(house: House) -> str:
    if house.portal_url and _is_plain(house.portal_url):
        return house.portal_url
    return f"ask whoever runs {house.host} for one"


def _password(refusal: Refusal) -> str:
    """Name the app password by its label where IMAP text can hold the label (7 bits, RFC 9051 §9)."""
    if refusal.label and _is_plain(refusal.label):
        return f'the app-specific password "{refusal.label}"'
    return "this app-specific password"


def _scopes(refusal: Refusal) -> str:
    return " and ".join(in_order(refusal.scopes)) or "nothing"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
