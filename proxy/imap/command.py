"""What a client may say before sign-in: one table of commands by state, and their meaning.

`verdict` looks a command up, `understand` turns its arguments into a request. RFC 9051 §6.1 and §6.2,
RFC 4959 (initial response), RFC 2971 (ID). Everything that is not in the table is BAD and reaches no
upstream. Nothing here knows a socket, a reply or an account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from auth.secret import Secret
from proxy.dialog import ClientState, client_name
from proxy.imap.grammar import Argument, Atom, BadCommand, Command, String, Why
from proxy.limits import IMAP_ID_PAIRS, IMAP_ID_VALUE_OCTETS


class Verdict(StrEnum):
    """What becomes of a command before its arguments are looked at."""

    TAKEN = "taken"
    NEEDS_TLS = "needs tls"
    """NO [PRIVACYREQUIRED] (RFC 5530 §3), and no `+` for its literals."""
    BAD = "bad"


_ALWAYS: Final = {
    b"CAPABILITY": Verdict.TAKEN,
    b"NOOP": Verdict.TAKEN,
    b"LOGOUT": Verdict.TAKEN,
    b"ID": Verdict.TAKEN,
}

LEGAL: Final[Mapping[ClientState, Mapping[bytes, Verdict]]] = MappingProxyType(
    {
        ClientState.CLEAR: {
            **_ALWAYS,
            b"STARTTLS": Verdict.TAKEN,
            b"LOGIN": Verdict.NEEDS_TLS,
            b"AUTHENTICATE": Verdict.NEEDS_TLS,
        },
        ClientState.SECURE: {
            **_ALWAYS,
            b"LOGIN": Verdict.TAKEN,
            b"AUTHENTICATE": Verdict.TAKEN,
        },
    }
)
"""In every other state no command is read at all."""


@dataclass(frozen=True, slots=True)
class Capability:
    """RFC 9051 §6.1.1."""


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 9051 §6.1.2."""


@dataclass(frozen=True, slots=True)
class Logout:
    """RFC 9051 §6.1.3."""


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971 §3.1: what the client says of itself."""

    client_name: str
    """Its `name` field, as `proxy.dialog.client_name` gives it."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 9051 §6.2.1."""


@dataclass(frozen=True, slots=True)
class Login:
    """RFC 9051 §6.2.3. The name as it came; who reads it decides what its octets mean."""

    name: bytes
    secret: Secret


@dataclass(frozen=True, slots=True)
class Authenticate:
    """RFC 9051 §6.2.2. `initial` is None without an initial response; `=` is left as it came."""

    mechanism: bytes
    """In upper case."""
    initial: bytes | None = field(repr=False)


Request = Capability | Noop | Logout | Id | StartTls | Login | Authenticate


def verdict(state: ClientState, name: bytes) -> Verdict:
    """Say what becomes of the command `name`, given in upper case."""
    return LEGAL.get(state, {}).get(name, Verdict.BAD)


def understand(command: Command) -> Request:
    """Give the meaning of a command that `verdict` has taken. Raises `BadCommand` for wrong arguments."""
    match command.name, command.arguments:
        case b"CAPABILITY", ():
            return Capability()
        case b"NOOP", ():
            return Noop()
        case b"LOGOUT", ():
            return Logout()
        case b"STARTTLS", ():
            return StartTls()
        case b"ID", (parameters,):
            return Id(_client_name(command.tag, parameters))
        case b"LOGIN", (Atom(name) | String(name), Atom(secret) | String(secret)):
            return Login(name, Secret.from_wire(secret))
        case b"AUTHENTICATE", (Atom(mechanism) | String(mechanism),):
            return Authenticate(mechanism.upper(), None)
        case b"AUTHENTICATE", (Atom(mechanism) | String(mechanism), Atom(initial) | String(initial)):
            return Authenticate(mechanism.upper(), initial)
        case _:
            raise BadCommand(command.tag, Why.BAD_SYNTAX)


def _client_name(tag: bytes, parameters: Argument) -> str:
    """Read the parameters of ID: NIL, or a list of at most 30 pairs of strings (RFC 2971 §3.3)."""
    match parameters:
        case Atom(nil) if nil.upper() == b"NIL":
            return ""
        case tuple() if len(parameters) % 2 == 0 and len(parameters) <= 2 * IMAP_ID_PAIRS:
            values = [_id_string(tag, parameter) for parameter in parameters]
            said = {key.lower(): value for key, value in zip(values[::2], values[1::2], strict=True)}
            return client_name(said.get(b"name", b""))
        case _:
            raise BadCommand(tag, Why.BAD_SYNTAX)


def _id_string(tag: bytes, parameter: Argument) -> bytes:
    """Give one string of ID; NIL says nothing."""
    match parameter:
        case Atom(nil) if nil.upper() == b"NIL":
            return b""
        case Atom(octets) | String(octets) if len(octets) <= IMAP_ID_VALUE_OCTETS:
            return octets
        case _:
            raise BadCommand(tag, Why.BAD_SYNTAX)
