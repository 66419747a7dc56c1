"""SMTP lines cut out of a stream of octets, and their verbs. RFC 5321 §2.3.8, §4.1.1, §4.5.3.1.

Only CRLF ends a line. A bare CR, a bare LF, a NUL or too much of a line is refused once, and the rest up to
the next CRLF is dropped: nothing in it is ever taken for a command. Pure; limits are arguments. Addresses and
parameters are read in `grammar`, which gives all these names too; which commands exist is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Why(StrEnum):
    """Why octets are no command. The text is sent to clients."""

    LINE_TOO_LONG = "line too long"
    BARE_END = "lines end with CRLF, and no CR or LF stands alone"
    NUL = "NUL in a line"
    NO_COMMAND = "no command"
    BAD_ARGUMENT = "bad argument"
    BAD_SENDER = "bad syntax of the sender address"
    BAD_RECIPIENT = "bad syntax of the recipient address"
    SENDER_NOT_ASCII = "a sender beyond ASCII needs SMTPUTF8"
    RECIPIENT_NOT_ASCII = "a recipient beyond ASCII needs SMTPUTF8 at MAIL"
    NOBODY = "whom?"
    BAD_PARAMETER = "bad parameter"


# RFC 5321 §4.2.2; RFC 3463 §3.2, §3.6; RFC 6531 §3.5 for what is not ASCII.
_CODES: Final[Mapping[Why, str]] = MappingProxyType(
    {
        Why.LINE_TOO_LONG: "500 5.5.2",
        Why.BARE_END: "500 5.5.2",
        Why.NUL: "500 5.5.2",
        Why.NO_COMMAND: "500 5.5.2",
        Why.BAD_ARGUMENT: "501 5.5.4",
        Why.BAD_SENDER: "501 5.1.7",
        Why.BAD_RECIPIENT: "501 5.1.3",
        Why.SENDER_NOT_ASCII: "550 5.6.7",
        Why.RECIPIENT_NOT_ASCII: "553 5.6.7",
        Why.NOBODY: "501 5.5.4",
        Why.BAD_PARAMETER: "501 5.5.4",
    }
)


class BadCommand(Exception):  # noqa: N818 - a fact about the octets, not a failure of ours
    """A line that is no command. Holds nothing the client sent."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why

    @property
    def reply(self) -> bytes:
        """The reply, one line with its CRLF."""
        return reply(self.why)


def reply(why: Why) -> bytes:
    """Give the reply to what is no command, one line with its CRLF."""
    return f"{_CODES[why]} {why}\r\n".encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLimits:
    """In octets, CRLF included."""

    command: int
    """Any command but AUTH."""
    sasl: int
    """The command AUTH, and a line of the exchange behind it (RFC 4954 §4)."""


@dataclass(frozen=True, slots=True)
class NeedData:
    """Nothing more can be said before further octets come."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its CRLF, with no CR, LF or NUL in it; any other octet may be."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that was refused; its rest is dropped. Reply once, and go on."""

    why: Why
    verb: bytes
    """The word it begins with, in upper case; empty when there is none, and within a SASL exchange."""


_NEED_DATA: Final = NeedData()
_END: Final = re.compile(rb"\r\n|[\r\n\x00]")
_VERB: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,31}(?= |\Z)")


class Framer:
    """Cuts octets into lines. `feed`, then `next` until it says `NeedData`.

    Holds at most what was fed and not yet taken, so feed no more while enough waits.
    """

    def __init__(self, limits: LineLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer known to hold no end
        self._dropping = False  # up to the next CRLF
        self._sasl = False

    @property
    def held(self) -> int:
        """Octets fed and not yet taken."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take octets as they came."""
        self._buffer += data

    def expect_sasl(self) -> None:
        """Read the next line as an answer to a SASL challenge: it may be longer, and has no verb."""
        self._sasl = True

    def unread(self) -> bytes:
        """Give and forget every octet not yet taken; the next one fed begins a line."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        self._dropping = self._sasl = False
        return rest

    def take(self, most: int) -> bytes:
        """Give up to `most` octets that follow the line given last, and are no line."""
        taken = bytes(self._buffer[:most])
        self._drop_octets(len(taken))
        return taken

    def next(self) -> Line | Rejected | NeedData:
        """Give what the octets fed so far say, one event a call."""
        if self._dropping and not self._drop():
            return _NEED_DATA
        limit = self._limits.sasl if self._sasl or self._begins_auth() else self._limits.command
        found = _END.search(self._buffer, self._scanned, limit)
        if found is None or (found.end() == len(self._buffer) and found[0] == b"\r"):
            if len(self._buffer) >= limit:
                return self._reject(Why.LINE_TOO_LONG, limit)
            self._scanned = len(self._buffer) if found is None else found.start()
            return _NEED_DATA
        if found[0] == b"\0":
            return self._reject(Why.NUL, found.start())
        if found[0] != b"\r\n":
            too_long = found[0] == b"\r" and found.end() == limit  # its LF may stand behind the limit
            return self._reject(Why.LINE_TOO_LONG if too_long else Why.BARE_END, found.start())
        line = bytes(self._buffer[: found.start()])
        self._drop_octets(found.end())
        self._sasl = False
        return Line(line)

    def _begins_auth(self) -> bool:
        return self._buffer[:5].upper() == b"AUTH "

    def _reject(self, why: Why, at: int) -> Rejected:
        verb = None if self._sasl else _VERB.match(self._buffer[:at])
        self._sasl = False
        self._dropping = True
        self._scanned = 0
        self._drop()
        return Rejected(why, bytes(verb[0]).upper() if verb else b"")

    def _drop(self) -> bool:
        """Drop the rest of a refused line; False when its end has not come."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            self._drop_octets(len(self._buffer) - self._buffer.endswith(b"\r"))
            return False
        self._drop_octets(end + 2)
        self._dropping = False
        return True

    def _drop_octets(self, octets: int) -> None:
        del self._buffer[:octets]
        self._scanned = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A verb in upper case, and what stands behind it, without the spaces around."""

    verb: bytes
    argument: bytes = field(repr=False)


def split(line: bytes) -> Command:
    """Read the verb of a line. Raises BadCommand. White space at the end is tolerated (RFC 5321 §4.1.1)."""
    line = line.rstrip(b" \t")
    verb = _VERB.match(line)
    if verb is None:
        raise BadCommand(Why.NO_COMMAND)
    return Command(verb[0].upper(), line[verb.end() :].lstrip(b" "))
