"""Who may be the sender of a message: the rule, the comparison, and what a header's From says.

Pure, but for the port that lists an account's addresses. Addresses are compared in the canonical form of
`auth.names`; one that has none (a quoted local part, an address literal) is nobody's own. Whatever cannot be
read without doubt is refused: a From that two readers may read in two ways lets one of them be deceived.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.errors import ObsoleteHeaderDefect
from email.headerregistry import HeaderRegistry
from enum import StrEnum
from typing import Any, Final, Protocol

from auth import names
from auth.deed import to_type
from proxy.limits import SMTP_FROM_OCTETS, SMTP_REPLY_LINE_OCTETS
from scopes.model import Grant


class SenderRule(StrEnum):
    """`policy.sender` of the config."""

    UPSTREAM = "upstream"
    """The server behind decides; it knows its aliases."""
    OWN = "own"
    """The account's own addresses alone, in the envelope and in the header's From."""
    REPORT = "report"
    """As `own`, but what would be refused is only logged."""


class Senders(Protocol):
    """Lists what accounts may send as: `auth.store.store.Store`."""

    async def sender_addresses(self, account_id: str) -> tuple[str, ...]:
        """Give email, aliases, listed addresses and patterns as `*@example.net`, in their canonical form.

        Raises `StoreUnavailable` when they are not known now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What one account may send as."""

    email: str
    listed: frozenset[str]
    """Addresses and patterns; the email too while it is the account's."""

    def has(self, address: str) -> bool:
        """Tell whether the account may send as `address`."""
        known = names.email_address(address)
        if known is None:
            return False
        local, _, domain = known.rpartition("@")
        own_local, _, own_domain = self.email.rpartition("@")
        tagged = local.startswith(f"{own_local}+") and domain == own_domain and self.email in self.listed
        return tagged or known in self.listed or f"*@{domain}" in self.listed


async def own_of(senders: Senders, grant: Grant) -> Own:
    """Ask what the grant's account may send as. Raises `StoreUnavailable`."""
    return Own(email=grant.email, listed=frozenset(await senders.sender_addresses(grant.account_id)))


# --- the header's From, RFC 5322 §3.6.2 -----------------------------------------------------------------


class BadFrom(StrEnum):
    """Why no address is read from a header. The words are said to clients."""

    SEVERAL = "more than one From field"
    UNREADABLE = "a From field that cannot be read"


_NAME: Final = re.compile(rb"[^:]*")
_NOT_LETTERS: Final = re.compile(rb"[^a-z-]")
_PLAIN: Final = re.compile(rb"(?i:from)[ \t]*\Z")
_HARMLESS: Final = "period in"
"""Of the parser's complaints the one about `Alice B. Example <alice@example.org>`, which is everywhere."""
_PARSE: Final = HeaderRegistry()


def from_addresses(header: bytes) -> tuple[str, ...] | BadFrom:
    """Give the addresses of the From field in a header, none when it has none.

    The header ends before its first empty line. Field names that another reader could take for `From` count
    as one that cannot be read.
    """
    fields = [field for field in _fields(header) if _is_from(field)]
    if not fields:
        return ()
    if len(fields) > 1:
        return BadFrom.SEVERAL
    name, _, value = fields[0].partition(b":")
    if not _PLAIN.match(name) or len(value) > SMTP_FROM_OCTETS:
        return BadFrom.UNREADABLE
    return _parsed(value.decode("utf-8", "replace"))


def _fields(header: bytes) -> list[bytes]:
    """Unfold the header: what begins with white space goes on with the line before (RFC 5322 §2.2.3)."""
    fields: list[bytes] = []
    for line in header.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            if _is_from(fields[-1]):
                fields[-1] += line
        else:
            fields.append(line)
    return fields


def _is_from(field: bytes) -> bool:
    """Tell whether anybody could take a field for From."""
    name = _NAME.match(field)
    return name is not None and b":" in field and _NOT_LETTERS.sub(b"", name[0].lower()) == b"from"


def _parsed(value: str) -> tuple[str, ...] | BadFrom:
    """Read an address list (RFC 5322 §3.4)."""
    try:
        field: Any = _PARSE("From", value)
        found: tuple[str, ...] = tuple(address.addr_spec for address in field.addresses)
    except Exception:  # noqa: BLE001 - the parser of the standard library fails in many ways on odd input
        return BadFrom.UNREADABLE
    if not all(map(_is_harmless, field.defects)):
        return BadFrom.UNREADABLE
    if not found or not all(address in value for address in found):  # nothing decoded, nothing put together
        return BadFrom.UNREADABLE
    return found


def _is_harmless(defect: Exception) -> bool:
    return isinstance(defect, ObsoleteHeaderDefect) and _HARMLESS in str(defect)


# --- replies --------------------------------------------------------------------------------------------


def not_own(address: str, grant: Grant) -> bytes:
    """Give the refusal of an address: what it is, and the command that adds it. RFC 6409 §6.1."""
    lines = (
        f"5.7.1 {_shown(address)} is not an address of {_shown(grant.email)} to send as",
        f"5.7.1 to add it: {to_type('account', 'sender', 'add', _shown(grant.email), _shown(address))}",
    )
    room = SMTP_REPLY_LINE_OCTETS - len("550 \r\n")
    first, last = (line[:room] for line in lines)
    return f"550-{first}\r\n550 {last}\r\n".encode("ascii")


def bad_from(why: BadFrom) -> bytes:
    """Give the refusal of a header."""
    return f"550 5.7.1 the message has {why}\r\n".encode("ascii")


def _shown(address: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in address)


def first_foreign(addresses: Iterable[str], own: Own) -> str | None:
    """Give the first of `addresses` that is not the account's own; None when all are."""
    return next((address for address in addresses if not own.has(address)), None)
