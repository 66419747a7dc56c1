"""The body of a request cut out of the stream: so many octets, or chunks. RFC 9112 §6 and §7.1.

Octets in, the body's octets out, constant memory. A chunk that two readers could end at two places is
refused; trailers are checked and dropped. What comes behind the end is `rest`: the next request, if one may
follow. Chunks are read here and not by llhttp, which does not tell where in its input a message ended. Pure.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, Protocol

from proxy.limits import DAV_CHUNK_LINE_OCTETS, DAV_TRAILER_OCTETS


class BadBody(Exception):  # noqa: N818 - a fact about the octets, not a failure of ours
    """Not a body that has exactly one end. Holds nothing the client sent."""


class Body(Protocol):
    """One request's body; used once."""

    done: bool
    """Whether all of it has come."""
    rest: bytes
    """What came behind it."""

    def feed(self, octets: bytes) -> bytes:
        """Take what came, give what of it is the body's. Raises `BadBody`. Not called once it is done."""


def body_of(length: int | None) -> Body:
    """Give the reader of a body by its length; None is one in chunks."""
    return Chunked() if length is None else Counted(length)


class Counted:
    """A body with Content-Length, or none."""

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length
        self.rest = b""

    def feed(self, octets: bytes) -> bytes:
        """See `Body`."""
        if len(octets) > self._left:
            octets, self.rest = octets[: self._left], octets[self._left :]
        self._left -= len(octets)
        self.done = not self._left
        return octets


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


_NAME: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
# RFC 9112 §7.1.1 without white space around the signs: nobody sends it, and readers differ.
_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,8})(?:;" + _NAME + rb"(?:=(?:" + _NAME + rb"|" + _QUOTED + rb"))?)*"
)
_TRAILER: Final = re.compile(_NAME + rb":[\t\x20-\x7e\x80-\xff]*")
_LONE: Final = re.compile(rb"[\0\n]|\r[^\n]")
"""In what has no CRLF yet."""


class Chunked:
    """A body in chunks."""

    __slots__ = ("_at", "_held", "_left", "_trailer", "done", "rest")

    def __init__(self) -> None:
        self._at = _At.SIZE
        self._held = b""
        """The begin of a line, bounded; never data."""
        self._left = 0
        self._trailer = 0
        self.done = False
        self.rest = b""

    def feed(self, octets: bytes) -> bytes:
        """See `Body`."""
        octets = self._held + octets if self._held else octets
        self._held = b""
        data: list[bytes] = []
        at = 0
        while at < len(octets) and not self.done:
            if self._at is _At.DATA:
                data.append(octets[at : at + self._left])
                at += len(data[-1])
                self._left -= len(data[-1])
                self._at = _At.DATA if self._left else _At.DATA_END
            elif (end := octets.find(b"\r\n", at)) >= 0:
                self._line(octets[at:end])
                at = end + 2
            else:
                self._hold(octets[at:])
                break
        if self.done:
            self.rest = octets[at:]
        return b"".join(data)

    def _hold(self, begun: bytes) -> None:
        """Keep the begin of a line, if it can become one; a CR that came last may yet get its LF."""
        match self._at:
            case _At.DATA_END:
                bad = begun != b"\r"
            case _At.TRAILER:
                bad = len(begun) >= DAV_TRAILER_OCTETS - self._trailer
            case _:
                bad = len(begun) > DAV_CHUNK_LINE_OCTETS
        if bad or _LONE.search(begun):
            raise BadBody("bad chunk")
        self._held = begun

    def _line(self, line: bytes) -> None:
        match self._at:
            case _At.DATA_END:
                if line:
                    raise BadBody("bad end of a chunk")
                self._at = _At.SIZE
            case _At.TRAILER:
                self._trailer += len(line) + 2
                if self._trailer > DAV_TRAILER_OCTETS or (line and not _TRAILER.fullmatch(line)):
                    raise BadBody("bad trailer")
                self.done = not line
            case _:
                found = None if len(line) >= DAV_CHUNK_LINE_OCTETS else _SIZE.fullmatch(line)
                if found is None:
                    raise BadBody("bad size of a chunk")
                self._left = int(found[1], 16)
                self._at = _At.DATA if self._left else _At.TRAILER
