"""The words of authorisation: scopes, services, limits and grants.

Values only. Nothing here decides (that is `scopes.decide`) and nothing here can be changed once made.
Times are whole or fractional seconds since 1970-01-01 UTC, addresses are `ipaddress` objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What an app password opens. There are exactly these three."""

    MAIL = "mail"
    CONTACTS = "contacts"
    EVENTS = "events"


def in_order(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Give scopes in the one order they are written in: mail, contacts, events."""
    held = frozenset(scopes)
    return tuple(scope for scope in Scope if scope in held)


class Service(StrEnum):
    """What a client speaks to the gate."""

    IMAP = "imap"
    SUBMISSION = "submission"
    DAV = "dav"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What narrows an app password beyond its scopes."""

    networks: tuple[Network, ...] = ()
    """Where the client may come from; empty means anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who came in, by which app password, with which scopes and limits."""

    account_id: str
    email: str
    """The account's primary email, whatever name was used to sign in."""
    app_password_id: str
    label: str
    scopes: frozenset[Scope]
    limits: Limits = field(default_factory=Limits)
    expires_at: int | None = None
    """Seconds since 1970-01-01 UTC; None never expires."""
