"""IMAP framing: lines and literals cut out of a stream of octets. RFC 9051 §4.3, RFC 7888.

`Framer` is pure, takes its limits as arguments and holds what was fed and not yet taken, no more. Only CRLF
ends a line; a literal's length, never its content, says where it ends. Whatever leaves the framing in doubt
(a line without end, a refused non-synchronising literal) says `close`, because octets of a secret must never
be taken for commands. What the frames mean is read in `grammar`, which gives all these names too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Why(StrEnum):
    """Why octets are no command. The text is sent to clients."""

    LINE_TOO_LONG = "line too long"
    BARE_LF = "lines must end with CRLF"
    LITERAL_TOO_LARGE = "literal too large"
    TOO_MANY_LITERALS = "too many literals"
    LITERAL_IN_QUOTES = "literal inside a quoted string"
    OPEN_QUOTE = "quoted string without an end"
    BAD_OCTET = "NUL, CR or 8-bit octet outside a literal"
    NUL_IN_LITERAL = "NUL in a literal"
    LINES_IN_LITERAL = "line ends in a literal that is no message"
    NO_TAG = "no tag"
    NO_NAME = "no command"
    BAD_SYNTAX = "bad syntax"
    TOO_DEEP = "lists nested too deep"


class BadCommand(Exception):  # noqa: N818 - a fact about the octets, not a failure of ours
    """A frame that is no command. `tag` is None when none could be read; the reply is then untagged."""

    def __init__(self, tag: bytes | None, why: Why) -> None:
        super().__init__(why.value)
        self.tag = tag
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLimits:
    """All in octets, but for `digits` and `literals`."""

    line: int
    """One command outside its literals, every CRLF included."""
    sasl_line: int
    """One answer to a `+` of AUTHENTICATE, CRLF included."""
    literal: int
    """One synchronising literal, `{n}`."""
    non_sync_literal: int
    """One non-synchronising literal, `{n+}`; LITERAL- promises 4,096 (RFC 7888 §5)."""
    digits: int
    """Digits in the length of a literal."""
    literals: int
    """Literals in one command. Each costs an answer and a look at the command's beginning."""
    command: int
    """One command with all its literals."""


@dataclass(frozen=True, slots=True)
class Literal:
    """The octets of one literal, whatever they are."""

    octets: bytes = field(repr=False)


Piece = bytes | Literal


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole command: text and literals in turn, text first and last, without `{n}` and CRLF."""

    pieces: tuple[Piece, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NeedData:
    """Nothing more can be said before further octets come."""


@dataclass(frozen=True, slots=True)
class Continue:
    """A synchronising literal of `octets` octets is announced; `opening` is the command up to its first one.

    Answer `+` and go on with `Framer.next`, or send a tagged refusal and call `Framer.refuse`.
    """

    opening: Frame
    octets: int


@dataclass(frozen=True, slots=True)
class SaslLine:
    """One line of a SASL exchange, without its CRLF; any octet may be in it."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Octets that are no command: reply BAD, tagged if there is a tag. `close`: framing is lost, hang up."""

    tag: bytes | None
    why: Why
    close: bool


Framed = NeedData | Continue | Frame | SaslLine | Rejected

_NEED_DATA: Final = NeedData()
FOREIGN: Final = re.compile(rb"[\x00\r\x80-\xff]")
"""What no text outside a literal may hold (RFC 9051 §9, TEXT-CHAR)."""
_MARKER: Final = re.compile(rb"\{([0-9]+)(\+?)\}\Z")
# Matches at every quote, to the closing one or, with an empty group, to the end of the text. Linear.
QUOTED_OR_OPEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
# RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">; atom-specials are ( ) { SP CTL % * " \ and, in atoms, ].
TAG: Final = re.compile(rb"([!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)(?= |\Z)")


class Framer:
    """Cuts octets into frames. `feed`, then `next` until it says `NeedData`.

    Holds at most what was fed and not yet taken, so feed no more while enough waits.
    """

    def __init__(self, limits: FrameLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer known to hold no LF
        self._pieces: list[Piece] = []  # of the command in progress
        self._spent = 0  # octets of the command in progress, literals included
        self._spent_on_lines = 0
        self._literals = 0  # of the command in progress
        self._literal: int | None = None  # octets of the literal that comes next
        self._sasl = False
        self._lost = False  # after a Rejected that says close: nothing is read any more

    @property
    def held(self) -> int:
        """Octets fed and not yet taken."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take octets as they came; forgotten once framing is lost."""
        if not self._lost:
            self._buffer += data

    def expect_sasl(self) -> None:
        """Read the next line as an answer to a SASL challenge, not as a command."""
        self._sasl = True

    def refuse(self) -> None:
        """After `Continue`: forget the command in progress; its literal will not come."""
        self._forget_command()

    def unread(self) -> bytes:
        """Give and forget every octet not yet taken, and the command in progress."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        self._sasl = False
        self._forget_command()
        return rest

    def next(self) -> Framed:
        """Give what the octets fed so far say, one event a call."""
        while not self._lost:
            if self._literal is not None:
                if len(self._buffer) < self._literal:
                    break
                self._pieces.append(Literal(self._take(self._literal)))
                self._literal = None
            line = self._next_line()
            if line is None:
                break
            if isinstance(line, Rejected):
                return line
            event = self._sasl_line(line) if self._sasl else self._command_line(line)
            if event is not None:
                return event
        return _NEED_DATA

    def _next_line(self) -> bytes | Rejected | None:
        """Give the next line with its LF, or None when it has not ended yet."""
        limit = self._limits.sasl_line if self._sasl else self._limits.line - self._spent_on_lines
        end = self._buffer.find(b"\n", self._scanned, limit)
        if end >= 0:
            return self._take(end + 1)
        if len(self._buffer) >= limit:
            return self._reject(bytes(self._buffer[:limit]), Why.LINE_TOO_LONG, close=True)
        self._scanned = len(self._buffer)
        return None

    def _sasl_line(self, line: bytes) -> SaslLine | Rejected:
        self._sasl = False
        if not line.endswith(b"\r\n"):
            return Rejected(None, Why.BARE_LF, close=False)
        return SaslLine(line[:-2])

    def _command_line(self, line: bytes) -> Continue | Frame | Rejected | None:
        """Take one line of a command; None when a non-synchronising literal follows."""
        self._spent += len(line)
        self._spent_on_lines += len(line)
        if not line.endswith(b"\r\n"):
            return self._reject(line, Why.BARE_LF, close=_MARKER.search(line[:-1]) is not None)
        text = line[:-2]
        marker = _MARKER.search(text)
        if marker is None:
            frame = Frame((*self._pieces, text))
            self._forget_command()
            return frame
        return self._announced(text[: marker.start()], marker[1], sync=not marker[2])

    def _announced(self, text: bytes, digits: bytes, *, sync: bool) -> Continue | Rejected | None:
        """Decide about a literal; a refused `{n+}` is on its way already and costs the connection."""
        if any(not quoted[1] for quoted in QUOTED_OR_OPEN.finditer(text)):
            return self._reject(text, Why.LITERAL_IN_QUOTES, close=not sync)
        if sync and not text.endswith((b" ", b"(")):  # glued to another word; nobody shall send it
            return self._reject(text, Why.BAD_SYNTAX, close=False)
        if sync and FOREIGN.search(text):
            return self._reject(text, Why.BAD_OCTET, close=False)
        limits = self._limits
        if self._literals == limits.literals:
            return self._reject(text, Why.TOO_MANY_LITERALS, close=not sync)
        most = min(limits.literal if sync else limits.non_sync_literal, limits.command - self._spent)
        if len(digits) > limits.digits or int(digits) > most:
            return self._reject(text, Why.LITERAL_TOO_LARGE, close=not sync)
        self._pieces.append(text)
        self._literals += 1
        self._literal = int(digits)
        self._spent += self._literal
        return Continue(Frame((self._pieces[0],)), self._literal) if sync else None

    def _reject(self, text: bytes, why: Why, *, close: bool) -> Rejected:
        first = self._pieces[0] if self._pieces else text
        tag = None if self._sasl or isinstance(first, Literal) else TAG.match(first.rstrip(b"\r\n"))
        self._forget_command()
        if close:
            self._lost = True
            self._buffer.clear()
        return Rejected(tag[1] if tag else None, why, close=close)

    def _take(self, octets: int) -> bytes:
        taken = bytes(self._buffer[:octets])
        del self._buffer[:octets]
        self._scanned = 0
        return taken

    def _forget_command(self) -> None:
        self._pieces = []
        self._spent = self._spent_on_lines = self._literals = 0
        self._literal = None
