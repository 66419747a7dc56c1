"""The words of authorisation: scopes, services, limits and grants.

Values only. Nothing here decides (that is `scopes.decide`) and nothing here can be changed once made.
Times are whole or fractional seconds since 1970-01-01 UTC, addresses are `ipaddress` objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    read_only: bool = False
    """It reads and changes nothing: no submission, no write by IMAP or DAV."""
    send_only: bool = False
    """It hands in messages and reads nothing: submission alone."""

    def __post_init__(self) -> None:
        """Refuse what would open nothing at all."""
        if self.read_only and self.send_only:
            raise ValueError("an app password cannot be for reading alone and for sending alone")


class IdentityKind(StrEnum):
    """How an account of its own way signs in at an upstream."""

    LOGIN = "login"
    """As the config says, under a login of its own."""
    STORED = "stored"
    """With a stored secret of its own."""
    OAUTH2 = "oauth2"
    """With a token that its owner authorised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an account is at the upstream of one service, where that was set for it alone."""

    login: str
    kind: IdentityKind = IdentityKind.LOGIN
    provider: str = ""
    """Whose token it is, by its name in the config; for `oauth2` alone."""


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
    identities: Mapping[Service, Identity] = field(default_factory=dict)
    """Who the account is upstream, for the services where it is not what the config says."""
