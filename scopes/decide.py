"""The only authorisation function: may this grant use this service, from here, now?

Deny by default: a service without a row in `OPENED_BY`, a grant without scopes and a peer that cannot be
placed in a required network are all refused. DAV is decided twice: here for the service as a whole, and
again for every request on its classified path.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Final

from scopes.model import Grant, IPAddress, Network, Scope, Service


class Decision(StrEnum):
    """The outcome of `permits`."""

    PERMITTED = "permitted"
    EXPIRED = "expired"
    WRONG_SCOPE = "wrong scope"
    READ_ONLY = "read only"
    """The service sends, and the grant only reads."""
    SEND_ONLY = "send only"
    """The service reads, and the grant only sends."""
    ADDRESS_NOT_ALLOWED = "address not allowed"


OPENED_BY: Mapping[Service, frozenset[Scope]] = MappingProxyType(
    {
        Service.IMAP: frozenset({Scope.MAIL}),
        Service.SUBMISSION: frozenset({Scope.MAIL}),
        Service.DAV: frozenset({Scope.CONTACTS, Scope.EVENTS}),
    }
)
"""Any one of these scopes opens the service."""
READS: Final = frozenset({Service.IMAP, Service.DAV})
"""Services that a read-only grant may use; each then refuses every change."""
SENDS: Final = frozenset({Service.SUBMISSION})
"""Services that a send-only grant may use."""


def permits(grant: Grant, service: Service, peer: IPAddress | None, now: float) -> Decision:
    """Decide whether `grant` may use `service` from `peer` at `now` (seconds since 1970-01-01 UTC).

    `peer` is None where the client has no address (a Unix socket): allowed only without network limits.
    """
    if grant.expires_at is not None and now >= grant.expires_at:
        return Decision.EXPIRED
    if not grant.scopes & OPENED_BY.get(service, frozenset()):
        return Decision.WRONG_SCOPE
    if grant.limits.read_only and service not in READS:
        return Decision.READ_ONLY
    if grant.limits.send_only and service not in SENDS:
        return Decision.SEND_ONLY
    if grant.limits.networks and not _within(peer, grant.limits.networks):
        return Decision.ADDRESS_NOT_ALLOWED
    return Decision.PERMITTED


def _within(peer: IPAddress | None, networks: tuple[Network, ...]) -> bool:
    """Tell whether `peer` lies in one of `networks`; an IPv4-mapped IPv6 address counts as IPv4."""
    if peer is None:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in network for network in networks)
