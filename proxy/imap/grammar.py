"""IMAP commands from frames: the tag and the name, then the arguments. RFC 9051 §9.

`split` reads the first words of a frame and leaves the rest as it came, `parse` reads astrings and lists of
them too. Both are pure and take their limits as arguments. Which commands exist and what they mean is decided
in `command`; how octets become frames in `framing`, whose names are given here as well: one import is enough.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from proxy.imap.framing import (
    FOREIGN,
    TAG,
    BadCommand,
    Continue,
    Frame,
    Framed,
    FrameLimits,
    Framer,
    Literal,
    NeedData,
    Piece,
    Rejected,
    SaslLine,
    Why,
)

__all__ = [
    "Argument",
    "Atom",
    "BadCommand",
    "Command",
    "Continue",
    "Frame",
    "FrameLimits",
    "Framed",
    "Framer",
    "Head",
    "Literal",
    "NeedData",
    "Piece",
    "Rejected",
    "SaslLine",
    "String",
    "Why",
    "parse",
    "split",
]

_NAME: Final = re.compile(rb" ([!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)(?= |\Z)")
_TOKEN: Final = re.compile(
    rb'(?P<space> )|(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\n]|\\["\\])*+)"'
    rb"|(?P<atom>[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)"
)
_ESCAPE: Final = re.compile(rb'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Atom:
    """An atom or an astring without quotes (so `]` may be in it); numbers and NIL too."""

    octets: bytes = field(repr=False)


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
    tag = TAG.match(first)
    if tag is None:
        raise BadCommand(None, Why.NO_TAG)
    if any(isinstance(piece, bytes) and FOREIGN.search(piece) for piece in frame.pieces):
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


class _Unparsable(Exception):  # noqa: N818
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
