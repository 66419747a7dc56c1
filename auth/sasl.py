"""SASL PLAIN (RFC 4616) and LOGIN as pure steps, shared by IMAP and SMTP.

An exchange takes base64 lines as they stand on the wire, without CRLF, and answers with a `Challenge` to send
or with the `Credentials` the client gave. Base64 is strict: the plain alphabet, no white space, a canonical
tail. A name that is not UTF-8 becomes one that is no account's; CR, LF and NUL in a name or secret are
refused, so nothing decoded here can break a line that is later written to an upstream.

Lengths are bounded by the framing before. Nothing is verified here, nor whom a client may act as: that is
the gate's part.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from auth.secret import Secret

CANCEL: Final = b"*"
"""RFC 9051 §6.2.2, RFC 4954 §4: the client gives up."""
EMPTY: Final = b"="
"""RFC 4959 §3, RFC 4954 §4: an initial response of no octets."""
USERNAME: Final = b"VXNlcm5hbWU6"
PASSWORD: Final = b"UGFzc3dvcmQ6"
"""draft-murchison-sasl-login-00 §2; printers and old Outlooks compare them octet by octet."""
_BREAKS: Final = re.compile(rb"[\r\n\0]")


class SaslProblem(StrEnum):
    """Why an exchange ended without credentials."""

    BAD_BASE64 = "bad base64"
    CANCELLED = "cancelled"
    MALFORMED = "malformed"


class SaslError(Exception):
    """The exchange is over. The message is a fixed text and holds nothing the client sent."""

    def __init__(self, problem: SaslProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What to send next, behind `+ ` (IMAP) or `334 ` (SMTP)."""

    line: bytes
    """Base64 already, without CRLF; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the client gave; nothing is known of it but its form."""

    name: str
    """As the client wrote it, with U+FFFD for what was not UTF-8 (which no account's name contains)."""
    secret: Secret
    authzid: str | None = None
    """Whom the client wants to act as (RFC 4616 §2), likewise; None when it does not say."""


class Mechanism(Protocol):
    """One exchange; used once."""

    def start(self, initial: bytes | None) -> Challenge | Credentials:
        """Begin, with the initial response as it stood on the wire or None. Raises SaslError."""

    def step(self, line: bytes) -> Challenge | Credentials:
        """Take the client's next line. Raises SaslError."""


class Plain:
    """PLAIN: `[authzid] NUL authcid NUL password` in one message (RFC 4616 §2)."""

    def start(self, initial: bytes | None) -> Challenge | Credentials:
        """Begin; see `Mechanism`."""
        return Challenge(line=b"") if initial is None else _plain(decode_initial(initial))

    def step(self, line: bytes) -> Challenge | Credentials:
        """Take the message; see `Mechanism`."""
        return _plain(decode_base64(line))


class Login:
    """LOGIN: name, then password, each asked for; the name may come as the initial response."""

    def __init__(self) -> None:
        self._name: str | None = None

    def start(self, initial: bytes | None) -> Challenge | Credentials:
        """Begin; see `Mechanism`."""
        return Challenge(line=USERNAME) if initial is None else self._named(decode_initial(initial))

    def step(self, line: bytes) -> Challenge | Credentials:
        """Take the name, then the password; see `Mechanism`."""
        octets = decode_base64(line)
        if self._name is None:
            return self._named(octets)
        return credentials(self._name, octets)

    def _named(self, octets: bytes) -> Challenge:
        self._name = _name(octets)
        return Challenge(line=PASSWORD)


MECHANISMS: Final[Mapping[str, Callable[[], Mechanism]]] = MappingProxyType({"PLAIN": Plain, "LOGIN": Login})
"""By name as it is announced; `mechanism` finds them in any case."""


def mechanism(name: bytes) -> Mechanism | None:
    """Begin an exchange of the mechanism the client named, in any case (RFC 4422 §3.1); None: not ours."""
    make = MECHANISMS.get(name.decode("ascii", "replace").upper())
    return None if make is None else make()


def credentials(name: str | bytes, secret: bytes) -> Credentials:
    """Check a name and a secret that came side by side (IMAP's LOGIN command too). Raises SaslError."""
    decoded = _name(name.encode() if isinstance(name, str) else name)
    if _breaks_lines(secret):
        raise SaslError(SaslProblem.MALFORMED)
    return Credentials(name=decoded, secret=Secret.from_wire(secret))


def decode_initial(response: bytes) -> bytes:
    """Decode an initial response, where `=` alone stands for no octets. Raises SaslError."""
    return b"" if response == EMPTY else decode_base64(response)


def decode_base64(line: bytes) -> bytes:
    """Decode one line of a client (RFC 4648 §4, strict: §3.3, §3.5); `*` cancels. Raises SaslError."""
    if line == CANCEL:
        raise SaslError(SaslProblem.CANCELLED)
    try:
        octets = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError(SaslProblem.BAD_BASE64) from None
    if base64.b64encode(octets) != line:  # trailing bits, or more after the padding
        raise SaslError(SaslProblem.BAD_BASE64)
    return octets


def _plain(message: bytes) -> Credentials:
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise SaslError(SaslProblem.MALFORMED)
    authzid, authcid, password = parts
    return replace(credentials(authcid, password), authzid=_name(authzid) if authzid else None)


def _name(octets: bytes) -> str:
    if not octets or _breaks_lines(octets):
        raise SaslError(SaslProblem.MALFORMED)
    return octets.decode("utf-8", "replace")


def _breaks_lines(octets: bytes) -> bool:
    return _BREAKS.search(octets) is not None
