"""Who may be the sender of a message: the rule and the comparison; `from_field` reads a header.

Pure, but for the port that lists an account's addresses. Addresses are compared in the canonical form of
`auth.names`; one that has none (a quoted local part, an address literal) is nobody's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from auth import names
from auth.deed import to_type
from proxy.limits import SMTP_REPLY_LINE_OCTETS
from proxy.smtp.from_field import BadFrom
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


# --- replies --------------------------------------------------------------------------------------------


def not_own(address: str, grant: Grant, *, utf8: bool) -> bytes:
    """Give the refusal of an address: what it is, and the command that adds it. RFC 6409 §6.1.

    `utf8`: the client takes UTF-8 in replies.
    """
    address, email = _shown(address, utf8=utf8), _shown(grant.email, utf8=utf8)
    first, last = (
        f"{code}5.7.1 {text}".encode()[: SMTP_REPLY_LINE_OCTETS - len("\r\n")].decode("utf-8", "ignore")
        for code, text in (
            ("550-", f"{address} is not an address of {email} to send as"),
            ("550 ", f"to add it: {to_type('account', 'sender', 'add', email, address)}"),
        )
    )
    return f"{first}\r\n{last}\r\n".encode()


def bad_from(why: BadFrom) -> bytes:
    """Give the refusal of a header."""
    return f"550 5.7.1 the message has {why}\r\n".encode("ascii")


def _shown(address: str, *, utf8: bool) -> str:
    return "".join(char if char.isprintable() and (utf8 or char.isascii()) else "?" for char in address)


def first_foreign(addresses: Iterable[str], own: Own) -> str | None:
    """Give the first of `addresses` that is not the account's own; None when all are."""
    return next((address for address in addresses if not own.has(address)), None)
