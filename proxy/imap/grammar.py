"""IMAP commands from octets: framing (lines and literals), then tokens. RFC 9051 §4 and §9, RFC 7888.

`Framer` cuts a byte stream into frames and asks before a synchronising literal is taken in; `split` reads the
tag and the name of a frame, `parse` its arguments too. All three are pure, take their limits as arguments and
hold a bounded number of octets as long as the caller stops feeding while a frame waits.

Rules: only CRLF ends a line; a literal's length, never its content, says where it ends; whatever leaves the
framing in doubt (a line without end, a refused non-synchronising literal) says `close`, because octets of a
secret must never be taken for commands. Which commands exist and what they mean is decided in `command`.
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
    LITERAL_IN_QUOTES = "literal inside a quoted string"
    BAD_OCTET = "NUL, CR or 8-bit octet outside a literal"
    NUL_IN_LITERAL = "NUL in a literal"
    NO_TAG = "no tag"
    NO_NAME = "no command"
    BAD_SYNTAX = "bad syntax"
    TOO_DEEP = "lists nested too deep"


class BadCommand(Exception):
    """A frame that is no command. `tag` is None when none could be read; the reply is then untagged."""

    def __init__(self, tag: bytes | None, why: Why) -> None:
        super().__init__(why.value)
        self.tag = tag
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLimits:
    """All in octets, but for `digits`."""

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
    """A synchronising literal of `octets` octets is announced behind `opening`, the command so far.

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
_MARKER: Final = re.compile(rb"\{([0-9]+)(\+?)\}\Z")
# Matches at every quote, to the closing one or, with an empty group, to the end of the text. Linear.
_QUOTED_OR_OPEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+("?)', re.DOTALL)
# RFC 9051 §9: tag = 1*<any ASTRING-CHAR except "+">; atom-specials are ( ) { SP CTL % * " \ and, in atoms, ].
_TAG: Final = re.compile(rb"([!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)(?= |\Z)")
_NAME: Final = re.compile(rb" ([!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)(?= |\Z)")
_FOREIGN: Final = re.compile(rb"[\x00\r\x80-\xff]")
_TOKEN: Final = re.compile(
    rb'(?P<space> )|(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\n]|\\["\\])*+)"'
    rb"|(?P<atom>[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)"
)
_ESCAPE: Final = re.compile(rb'\\(["\\])')


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
        if any(not quoted[1] for quoted in _QUOTED_OR_OPEN.finditer(text)):
            return self._reject(text, Why.LITERAL_IN_QUOTES, close=not sync)
        limits = self._limits
        most = min(limits.literal if sync else limits.non_sync_literal, limits.command - self._spent)
        if len(digits) > limits.digits or int(digits) > most:
            return self._reject(text, Why.LITERAL_TOO_LARGE, close=not sync)
        self._pieces.append(text)
        self._literal = int(digits)
        self._spent += self._literal
        return Continue(Frame(tuple(self._pieces)), self._literal) if sync else None

    def _reject(self, text: bytes, why: Why, *, close: bool) -> Rejected:
        first = self._pieces[0] if self._pieces else text
        tag = None if self._sasl or isinstance(first, Literal) else _TAG.match(first.rstrip(b"\r\n"))
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
        self._spent = self._spent_on_lines = 0
        self._literal = None


@dataclass(frozen=True, slots=True)
class Atom:
    """An atom or an astring without quotes (so `]` may be in it); numbers and NIL too."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class String:
    """A quoted string, its escapes undone, or a literal."""

    octets: bytes = field(repr=False)


Argument = Atom | String | tuple["Argument", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The tag and the name of a command, and what follows, without the one space between."""

    tag: bytes
    name: bytes
    """In upper case."""
    rest: tuple[Piece, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command with its arguments; a list is a tuple of arguments."""

    tag: bytes
    name: bytes
    """In upper case."""
    arguments: tuple[Argument, ...] = field(repr=False)


def split(frame: Frame) -> Head:
    """Read the tag and the name; works on the opening of an unfinished command too.

    Raises `BadCommand` without a tag or a name, and for NUL, CR and 8-bit octets outside literals.
    """
    first = frame.pieces[0]
    assert isinstance(first, bytes)  # noqa: S101 - a frame begins with text
    tag = _TAG.match(first)
    if tag is None:
        raise BadCommand(None, Why.NO_TAG)
    if any(isinstance(piece, bytes) and _FOREIGN.search(piece) for piece in frame.pieces):
        raise BadCommand(tag[1], Why.BAD_OCTET)
    name = _NAME.match(first, tag.end())
    if name is None:
        raise BadCommand(tag[1], Why.NO_NAME)
    behind = first[name.end() :]
    if not behind and len(frame.pieces) > 1:
        raise BadCommand(tag[1], Why.BAD_SYNTAX)  # a literal glued to the name
    return Head(tag=tag[1], name=name[1].upper(), rest=(behind[1:], *frame.pieces[1:]))


def parse(frame: Frame, *, nesting: int) -> Command:
    """Read a whole command whose arguments are astrings and lists of them, at most `nesting` lists deep.

    Arguments are parted by exactly one space; spaces at the end are ignored. Flags, sets, sections and list
    patterns are not astrings and are refused: `split` leaves them to the caller. Raises `BadCommand`.
    """
    head = split(frame)
    arguments = _Arguments(nesting)
    try:
        for piece in _without_trailing_space(head.rest):
            if isinstance(piece, Literal):
                arguments.literal(piece)
            else:
                arguments.text(piece)
        return Command(tag=head.tag, name=head.name, arguments=arguments.finish())
    except _Unparsable as error:
        raise BadCommand(head.tag, error.why) from None


def _without_trailing_space(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    last = pieces[-1]
    return (*pieces[:-1], last.rstrip(b" ")) if isinstance(last, bytes) else pieces


class _Unparsable(Exception):
    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class _Arguments:
    """Builds the tree of arguments, token by token."""

    def __init__(self, nesting: int) -> None:
        self._nesting = nesting
        self._stack: list[list[Argument]] = [[]]
        self._may_start = True  # an argument may start here: at the beginning, behind a space or a "("
        self._after_space = False

    def text(self, text: bytes) -> None:
        at = 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise _Unparsable(Why.BAD_SYNTAX)
            self._token(token)
            at = token.end()

    def literal(self, literal: Literal) -> None:
        if b"\0" in literal.octets:
            raise _Unparsable(Why.NUL_IN_LITERAL)
        self._value(String(literal.octets))

    def finish(self) -> tuple[Argument, ...]:
        if len(self._stack) > 1:
            raise _Unparsable(Why.BAD_SYNTAX)
        return tuple(self._stack[0])

    def _token(self, token: re.Match[bytes]) -> None:
        match token.lastgroup:
            case "space":
                self._space()
            case "open":
                self._open()
            case "close":
                self._close()
            case "quoted":
                self._value(String(_ESCAPE.sub(rb"\1", token["quoted"])))
            case _:
                self._value(Atom(token["atom"]))

    def _space(self) -> None:
        if self._may_start:
            raise _Unparsable(Why.BAD_SYNTAX)
        self._may_start = self._after_space = True

    def _open(self) -> None:
        if not self._may_start:
            raise _Unparsable(Why.BAD_SYNTAX)
        if len(self._stack) > self._nesting:
            raise _Unparsable(Why.TOO_DEEP)
        self._stack.append([])
        self._after_space = False

    def _close(self) -> None:
        if len(self._stack) == 1 or self._after_space:
            raise _Unparsable(Why.BAD_SYNTAX)
        inner = tuple(self._stack.pop())
        self._may_start = True
        self._value(inner)

    def _value(self, value: Argument) -> None:
        if not self._may_start:
            raise _Unparsable(Why.BAD_SYNTAX)
        self._stack[-1].append(value)
        self._may_start = self._after_space = False
