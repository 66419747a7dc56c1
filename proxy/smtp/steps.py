"""What is to be done about a line of a signed-in client: what `transaction` gives and `session` does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proxy.smtp.grammar import Bdat


class Verb(StrEnum):
    """Commands that the upstream gets."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    RSET = "RSET"
    NOOP = "NOOP"
    VRFY = "VRFY"
    QUIT = "QUIT"


@dataclass(frozen=True, slots=True)
class Say:
    """Answer the client ourselves."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """Say this, and end the session."""

    words: bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """Send this upstream; its reply is the client's."""

    verb: Verb
    command: bytes
    sender: str | None = None
    """To be checked."""
    utf8: bool = False
    """Whether the client takes UTF-8 in the reply (RFC 6531 §3.7.4)."""


@dataclass(frozen=True, slots=True)
class Introduce:
    """Answer EHLO or HELO ourselves; the upstream gets RSET where a transaction was open there."""

    extended: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """Take a message, DATA going upstream when its time has come."""


@dataclass(frozen=True, slots=True)
class TakeChunk:
    """Take a piece of a message, and pass it on with its BDAT."""

    bdat: Bdat


@dataclass(frozen=True, slots=True)
class SkipChunk:
    """Throw so many octets of the client away, and then say this.

    With `resets` the client takes its message for ended, and what is open upstream is ended too.
    """

    octets: int
    reply: bytes
    resets: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """The client says goodbye."""


Step = Say | HangUp | Forward | Introduce | TakeMessage | TakeChunk | SkipChunk | Leave
