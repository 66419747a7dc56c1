"""A client's commands after sign-in, cut into lines and literals that are passed on as they come.

Pure. `feed`, then `next` until it gives None; of every literal that a line announces somebody decides first:
`accept` it, or `refuse` the command. A line is held until its CRLF, a literal never. RFC 9051 §4.3, RFC 7888,
RFC 3516 (`~{n}`).

What servers might read in two ways is read in none: a bare CR or LF, NUL, an open quote, a mark of a literal
that is not exactly one, and behind a literal anything but a space, a closing bracket or the line's end, so
that what follows a literal is no command to a server that lost count. All this is `Broken`, and nothing is
read after it. The rest of a refused command whose octets come unasked (`{n+}`) is dropped: `Dropped`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from proxy.imap.framing import QUOTED_OR_OPEN, Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A literal that comes next."""

    octets: int
    asks: bool
    """`{n}`: the client waits for `+`. Otherwise the octets are on their way, `{n+}`."""
    prefix: bytes = b""
    """`~` for a literal8."""

    @property
    def question(self) -> bytes:
        """The mark that makes a server answer before the octets come, whatever the client wrote."""
        return self.prefix + b"{%d}" % self.octets


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A command, or the next part of one; without CRLF and without the literal's mark."""

    text: bytes = field(repr=False)
    begins: bool
    """Whether a command begins here; its last line announces no literal."""
    literal: Announced | None = None


@dataclass(frozen=True, slots=True)
class Octets:
    """Some octets of an accepted literal."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A refused command has come to its end."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Framing is lost: hang up."""

    why: Why


Event = Line | Octets | Dropped | Broken

_MARK: Final = re.compile(rb"[ (](~?)\{([0-9]{1,10})(\+?)\}\Z")
"""Ten digits: more than 4 GiB is no message (RFC 3501 §9 has numbers of 32 bits)."""
_LIKE_A_MARK: Final = re.compile(rb"\{[^{}\"]*+\}?+[ \t]*+\Z")
"""At the end of a line some server may take this for a mark. Linear: no octet is looked at twice."""
_STRAY: Final = re.compile(rb"[\x00\r]")


class ClientFramer:
    """Cuts commands. `line`: octets of the longest line, CRLF included; of a command no more is held."""

    def __init__(self, *, line: int) -> None:
        self._most = line
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer known to hold no LF
        self._begins = True  # the next line begins a command
        self._undecided: Announced | None = None
        self._literal = 0  # octets of a literal still to come
        self._dropping = False  # the command under way was refused
        self._lost = False

    @property
    def held(self) -> int:
        """Octets fed and not yet taken."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take octets as they came; forgotten once framing is lost."""
        if not self._lost:
            self._buffer += data

    def accept(self) -> None:
        """Read the announced literal."""
        announced, self._undecided = self._undecided, None
        self._literal = announced.octets if announced else 0

    def refuse(self) -> None:
        """Drop the command under way: at once where the client waits, else with all that it sends of it."""
        announced, self._undecided = self._undecided, None
        if announced is None or announced.asks:
            self._begins = True
        else:
            self._literal = announced.octets
            self._dropping = True

    def next(self) -> Event | None:
        """Give what comes next, or None when more octets or a decision are needed."""
        while self._undecided is None and not self._lost:
            if self._literal:
                if not self._buffer:
                    return None
                octets = self._take(min(self._literal, len(self._buffer)))
                self._literal -= len(octets)
                if self._dropping:
                    continue
                return Octets(octets)
            line = self._next_line()
            if line is None:
                return None
            event = self._line(line)
            if event is not None:
                return event
        return None

    def _next_line(self) -> bytes | None:
        """Give the next line with its LF, or too long a piece of one without."""
        end = self._buffer.find(b"\n", self._scanned, self._most) + 1
        if not end and len(self._buffer) < self._most:
            self._scanned = len(self._buffer)
            return None
        return self._take(end or self._most)

    def _line(self, line: bytes) -> Event | None:
        """Read one line; None for one that is dropped."""
        if not line.endswith(b"\n"):
            return self._break(Why.LINE_TOO_LONG)
        text = line[:-2]
        if not line.endswith(b"\r\n"):
            return self._break(Why.BARE_LF)
        if _STRAY.search(text):
            return self._break(Why.BAD_OCTET)
        if not (self._begins or text[:1] in (b" ", b")", b"")):
            return self._break(Why.BAD_SYNTAX)
        mark = _MARK.search(text)
        if mark is None and _LIKE_A_MARK.search(text):
            return self._break(Why.BAD_SYNTAX)
        if mark is not None:
            text = text[: mark.start(1)]
        if any(not quoted[1] for quoted in QUOTED_OR_OPEN.finditer(text)):
            return self._break(Why.LITERAL_IN_QUOTES if mark else Why.OPEN_QUOTE)
        literal = None if mark is None else _announced(mark)
        return self._dropped(literal) if self._dropping else self._passed(text, literal)

    def _passed(self, text: bytes, literal: Announced | None) -> Line:
        line = Line(text=text, begins=self._begins, literal=literal)
        self._undecided = literal
        self._begins = literal is None
        return line

    def _dropped(self, literal: Announced | None) -> Dropped | None:
        """Go on dropping while more comes unasked."""
        if literal is not None and not literal.asks:
            self._literal = literal.octets
            return None
        self._dropping = False
        self._begins = True
        return Dropped()

    def _break(self, why: Why) -> Broken:
        self._lost = True
        self._buffer.clear()
        return Broken(why)

    def _take(self, octets: int) -> bytes:
        taken = bytes(self._buffer[:octets])
        del self._buffer[:octets]
        self._scanned = 0
        return taken


def _announced(mark: re.Match[bytes]) -> Announced:
    return Announced(octets=int(mark[2]), asks=not mark[3], prefix=mark[1])
