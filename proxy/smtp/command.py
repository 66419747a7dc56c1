"""What a client may say before sign-in: one table of commands by state, and their meaning.

`verdict` looks a command up, `understand` turns its argument into a request. RFC 5321 §4.1.1, RFC 3207
(STARTTLS), RFC 4954 (AUTH). Whatever else there is waits for sign-in (RFC 6409 §4.3) and reaches no upstream.
Nothing here knows a socket, a reply or an account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from proxy.dialog import ClientState, client_name
from proxy.smtp.grammar import BadCommand, Command, Why


class Verdict(StrEnum):
    """What becomes of a command before its argument is looked at."""

    TAKEN = "taken"
    TLS_FIRST = "starttls first"
    """530 5.7.0 (RFC 3207 §4)."""
    AUTH_NEEDS_TLS = "auth needs tls"
    """538 5.7.11 (RFC 4954 §6), and no 334 that would ask for a secret."""
    SIGN_IN_FIRST = "sign in first"
    """530 5.7.0 (RFC 4954 §6)."""
    TLS_ALREADY = "tls already"
    """503 5.5.1 (RFC 3207 §4.2)."""


_ALWAYS: Final = dict.fromkeys((b"HELO", b"EHLO", b"NOOP", b"RSET", b"HELP", b"QUIT"), Verdict.TAKEN)

LEGAL: Final[Mapping[ClientState, Mapping[bytes, Verdict]]] = MappingProxyType(
    {
        ClientState.CLEAR: {**_ALWAYS, b"STARTTLS": Verdict.TAKEN, b"AUTH": Verdict.AUTH_NEEDS_TLS},
        ClientState.SECURE: {**_ALWAYS, b"STARTTLS": Verdict.TLS_ALREADY, b"AUTH": Verdict.TAKEN},
    }
)
"""In every other state no command is read at all."""


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO, or with `extended` False HELO (RFC 5321 §4.1.1.1)."""

    extended: bool
    client_name: str
    """What the client calls itself: a host name, a NetBIOS name, an address literal, or anything at all."""


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 5321 §4.1.1.9."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RFC 5321 §4.1.1.5."""


@dataclass(frozen=True, slots=True)
class Help:
    """RFC 5321 §4.1.1.8."""


@dataclass(frozen=True, slots=True)
class Quit:
    """RFC 5321 §4.1.1.10."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 3207 §4."""


@dataclass(frozen=True, slots=True)
class Auth:
    """RFC 4954 §4. `initial` is None without an initial response; `=` is left as it came."""

    mechanism: bytes
    initial: bytes | None = field(repr=False)


Request = Hello | Noop | Reset | Help | Quit | StartTls | Auth


def verdict(state: ClientState, verb: bytes) -> Verdict:
    """Say what becomes of the command `verb`, given in upper case."""
    rest = Verdict.TLS_FIRST if state is ClientState.CLEAR else Verdict.SIGN_IN_FIRST
    return LEGAL.get(state, {}).get(verb, rest)


def understand(command: Command) -> Request:
    """Give the meaning of a command that `verdict` has taken. Raises `BadCommand` for a wrong argument."""
    match command.verb, command.argument:
        case b"EHLO" | b"HELO", name:
            return Hello(command.verb == b"EHLO", client_name(name))
        case b"NOOP", _:
            return Noop()
        case b"HELP", _:
            return Help()
        case b"RSET", b"":
            return Reset()
        case b"QUIT", b"":
            return Quit()
        case b"STARTTLS", b"":
            return StartTls()
        case b"AUTH", argument:
            return _auth(argument.split())
        case _:
            raise BadCommand(Why.BAD_ARGUMENT)


def _auth(words: list[bytes]) -> Auth:
    match words:
        case [mechanism]:
            return Auth(mechanism, None)
        case [mechanism, initial]:
            return Auth(mechanism, initial)
        case _:
            raise BadCommand(Why.BAD_ARGUMENT)
