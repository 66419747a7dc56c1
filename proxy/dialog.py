"""What the client's side of a mail protocol has in common on IMAP and SMTP, before sign-in.

Where a client stands, the events that a client leg gives its shell, what is counted of a client, what a
browser's first line looks like, and what is kept of the name that a client calls itself. No protocol is
spoken here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from proxy.entrance import Asked


class ClientState(StrEnum):
    """Where a client stands. The words appear in logs."""

    CLEAR = "clear"
    """Before STARTTLS: nothing secret may be said."""
    SWITCHING = "switching"
    """STARTTLS is answered; only a TLS handshake can follow."""
    SECURE = "secure"
    """Under TLS, not signed in."""
    SASL = "sasl"
    """In the middle of a SASL exchange."""
    SIGNING_IN = "signing in"
    """The gate and the upstream are being asked; what the client sends waits."""
    SIGNED_IN = "signed in"
    """Octets pass through; nothing is read here any more."""
    CLOSING = "closing"
    """The last word is said."""


@dataclass(frozen=True, slots=True)
class SwitchToTls:
    """Send the output, do the TLS handshake, then call the leg's `secured`."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Send the output, then close."""


Event = SwitchToTls | Asked | HangUp
"""At `Asked` the gate is asked, and then the leg's `granted` or `refused` called."""


class Ending(StrEnum):
    """Why we end a connection that did nothing wrong. The text is sent to the client."""

    STOPPING = "the server is stopping"
    TOO_SLOW = "sign-in took too long"
    FAULT = "internal error"


@dataclass(slots=True)
class Counts:
    """Of one connection before sign-in; TLS begins no new count."""

    commands: int = 0
    errors: int = 0
    refused: int = 0


HTTP_VERBS: Final = frozenset(
    b"CONNECT COPY DELETE GET HEAD LOCK MKCALENDAR MKCOL MOVE OPTIONS PATCH POST PRI PROPFIND PROPPATCH PUT"
    b" REPORT SEARCH TRACE UNLOCK".split()
)
"""A line that begins so comes from a browser that was sent here by another site (ALPACA, RFC 9325 §3.7)."""

CLIENT_NAME_CHARACTERS: Final = 100
"""Kept of what a client calls itself; enough to tell one app from another."""


def client_name(octets: bytes) -> str:
    """Give what is kept of a client's own name: printable characters only, not to be trusted."""
    name = octets.decode("utf-8", "replace")[:CLIENT_NAME_CHARACTERS]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
