"""What a client is told when it is not let in: one table a protocol, from `Reason` to reply.

A table is total over `Reason`. What is temporary says so, because clients throw a password away that was
called wrong (RFC 5530 §3). Nothing of an upstream's text, of an exception or of a version is ever in a reply;
beyond fixed words only the label and the scopes of an app password appear, and those only to the holder of
the whole secret (`auth.refusal`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from auth.refusal import Reason, Refusal
from proxy.limits import RETRY_AFTER_S
from scopes.model import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What replies say about this server."""

    host: str
    """The name clients know it by."""
    portal_url: str | None = None
    """Where a person makes app passwords; None when there is no such page, or it is not known yet."""
    found_at: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """Gives that as soon as the listeners answer, for one at any free port."""

    @property
    def page(self) -> str | None:
        """Where a person makes app passwords, as far as it is known by now."""
        return self.portal_url or self.found_at()


_NOT_NOW: Final = "sign-in is not possible at the moment, try again later"

WORDS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.BAD_CREDENTIALS: "wrong name or app-specific password",
        Reason.NOT_APP_PASSWORD: "app-specific password required: {where}",
        Reason.REVOKED: "{password} was revoked",
        Reason.EXPIRED: "{password} has expired",
        Reason.WRONG_SCOPE: "{password} opens {scopes}, not {wanted}",
        Reason.READ_ONLY: "{password} opens {scopes} for reading only, not for sending",
        Reason.SEND_ONLY: "{password} opens {scopes} for sending only, not for reading",
        Reason.ADDRESS_NOT_ALLOWED: "{password} opens {scopes}, but not from your address",
        Reason.TOO_MUCH_WORK: "too many wrong sign-ins from your address, try again later",
        Reason.UNAVAILABLE: _NOT_NOW,
        Reason.UPSTREAM_REFUSED: _NOT_NOW,
        Reason.BUG: "internal error, please tell whoever runs this server",
    }
)
"""The same on every protocol. `{…}` is filled in by `_said`."""

# RFC 5530 §3 for the codes; RFC 9051 §7.1 for LIMIT and NOPERM.
IMAP: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.BAD_CREDENTIALS: "AUTHENTICATIONFAILED",
        Reason.NOT_APP_PASSWORD: "AUTHENTICATIONFAILED",
        Reason.REVOKED: "AUTHENTICATIONFAILED",
        Reason.EXPIRED: "EXPIRED",
        Reason.WRONG_SCOPE: "NOPERM",
        Reason.READ_ONLY: "NOPERM",
        Reason.SEND_ONLY: "NOPERM",
        Reason.ADDRESS_NOT_ALLOWED: "NOPERM",
        Reason.TOO_MUCH_WORK: "LIMIT",
        Reason.UNAVAILABLE: "UNAVAILABLE",
        Reason.UPSTREAM_REFUSED: "UNAVAILABLE",
        Reason.BUG: "SERVERBUG",
    }
)

_WRONG: Final = "535 5.7.8"
_LATER: Final = "454 4.7.0"

# RFC 4954 §6: 535 and 454; RFC 5321 §4.2.3: 451 is an error of ours. Every 4xx is to be tried again.
SMTP: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.BAD_CREDENTIALS: _WRONG,
        Reason.NOT_APP_PASSWORD: _WRONG,
        Reason.REVOKED: _WRONG,
        Reason.EXPIRED: _WRONG,
        Reason.WRONG_SCOPE: _WRONG,
        Reason.READ_ONLY: _WRONG,
        Reason.SEND_ONLY: _WRONG,
        Reason.ADDRESS_NOT_ALLOWED: _WRONG,
        Reason.TOO_MUCH_WORK: _LATER,
        Reason.UNAVAILABLE: _LATER,
        Reason.UPSTREAM_REFUSED: _LATER,
        Reason.BUG: "451 4.3.0",
    }
)

# RFC 9110 §15.5.2 (401), §15.6.4 (503); RFC 6585 §4 (429).
HTTP: Final[Mapping[Reason, int]] = MappingProxyType(
    {
        Reason.BAD_CREDENTIALS: 401,
        Reason.NOT_APP_PASSWORD: 401,
        Reason.REVOKED: 401,
        Reason.EXPIRED: 401,
        Reason.WRONG_SCOPE: 403,
        Reason.READ_ONLY: 403,
        Reason.SEND_ONLY: 403,
        Reason.ADDRESS_NOT_ALLOWED: 403,
        Reason.TOO_MUCH_WORK: 429,
        Reason.UNAVAILABLE: 503,
        Reason.UPSTREAM_REFUSED: 503,
        Reason.BUG: 500,
    }
)

CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="Wicketgate", charset="UTF-8"')
"""RFC 7617 §2 and §2.1. The realm never changes: clients keep one password for each host and realm."""

UNAVAILABLE: Final = Refusal(reason=Reason.UNAVAILABLE)
UPSTREAM_REFUSED: Final = Refusal(reason=Reason.UPSTREAM_REFUSED)
BUG: Final = Refusal(reason=Reason.BUG)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRefusal:
    """A whole answer but for the fields that every answer has."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    """UTF-8 text for people."""


def imap_no(refusal: Refusal, house: House) -> str:
    """Give `NO [CODE] text` for a refusal, without tag and CRLF, in printable ASCII."""
    return f"NO [{IMAP[refusal.reason]}] {_said(refusal, house, wanted='mail')}"


def smtp_refusal(refusal: Refusal, house: House) -> bytes:
    """Give the reply to AUTH, one line with its CRLF, in printable ASCII."""
    return f"{SMTP[refusal.reason]} {_said(refusal, house, wanted='mail')}\r\n".encode("ascii")


def http_refusal(refusal: Refusal, house: House) -> HttpRefusal:
    """Give the answer to a request."""
    status = HTTP[refusal.reason]
    fields = [("Content-Type", "text/plain; charset=utf-8")]
    match status:
        case 401:
            fields.append(CHALLENGE)
        case 429 | 503:
            fields.append(("Retry-After", str(RETRY_AFTER_S)))
    said = _said(refusal, house, wanted="contacts or events")
    return HttpRefusal(status=status, fields=tuple(fields), body=f"{said}\n".encode())


def _said(refusal: Refusal, house: House, *, wanted: str) -> str:
    """Give the words for people; `wanted` is what the protocol opens."""
    return WORDS[refusal.reason].format(
        where=_where(house), password=_password(refusal), scopes=_scopes(refusal), wanted=wanted
    )


def _where(house: House) -> str:
    page = house.page
    if page and _is_plain(page):
        return page
    return f"ask whoever runs {house.host} for one"


def _password(refusal: Refusal) -> str:
    """Name the app password by its label where IMAP and SMTP text can hold it (RFC 9051 §9)."""
    if refusal.label and _is_plain(refusal.label):
        return f'the app-specific password "{refusal.label}"'
    return "this app-specific password"


def _scopes(refusal: Refusal) -> str:
    return " and ".join(in_order(refusal.scopes)) or "nothing"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
