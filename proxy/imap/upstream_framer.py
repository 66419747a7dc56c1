"""An upstream's responses after sign-in, cut where one ends and the next begins, and passed on as they come.

Pure. `feed`, then `next` until it gives None. What is given is what the client is sent: unchanged but for
lists of capabilities, which `shown` rewrites wherever they stand (RFC 9051 §7.1 and §7.2.2). A line is held
only until it is known what it is; long ones and literals go on in parts. Between two responses, and nowhere
else, words of our own may be put in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from proxy.limits import IMAP_RESPONSE_HEAD_OCTETS


class Kind(StrEnum):
    """What a response is (RFC 9051 §7)."""

    DATA = "data"
    """Untagged; the only one that may hold literals, unless it is a status."""
    STATUS = "status"
    """Untagged OK, NO, BAD, BYE, PREAUTH."""
    QUESTION = "question"
    """`+`: the upstream waits for octets of the client."""
    ANSWER = "answer"
    """Tagged: a command is done."""


@dataclass(frozen=True, slots=True)
class Part:
    """Octets for the client; with `ends`, the last ones of a response."""

    octets: bytes = field(repr=False)
    ends: Kind | None = None
    tag: bytes = b""
    """Of the command that an ANSWER is to."""


class BadResponse(Exception):  # noqa: N818 - a fact about the upstream, not a failure of ours
    """The upstream cannot be followed any more. The text is for the log."""


_STATUS: Final = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)(?=[ \r\n])", re.IGNORECASE)
_CAPABILITIES: Final = re.compile(
    rb"(\* CAPABILITY |[^ \r\n]+ (?:(?:OK|NO|BAD|BYE|PREAUTH) )?\[CAPABILITY )([^]\r\n]*)", re.IGNORECASE
)
_MARK: Final = re.compile(rb"\{([0-9]{1,19})\+?\}\r?\n\Z")
"""RFC 9051 §4.3: a literal that a server sends may have a number of 63 bits."""
_MARK_OCTETS: Final = 24
"""The longest mark with its CRLF."""


class UpstreamFramer:
    """Cuts responses. `shown` gives of a list of capabilities, parted by spaces, what may be seen."""

    def __init__(self, shown: Callable[[bytes], bytes]) -> None:
        self._shown = shown
        self._buffer = bytearray()
        self._scanned = 0  # octets of the buffer known to hold no LF
        self._literal = 0  # octets of a literal still to come
        self._kind: Kind | None = None  # of the response under way
        self._tag = b""
        self.between = True
        """Whether all that was given so far is whole responses."""

    def feed(self, data: bytes) -> None:
        """Take octets as they came."""
        self._buffer += data

    def next(self) -> Part | None:
        """Give what comes next, or None when more octets are needed. Raises `BadResponse`."""
        if not self._buffer:
            return None
        if self._literal:
            octets = self._take(min(self._literal, len(self._buffer)))
            self._literal -= len(octets)
            return Part(octets)
        end = self._buffer.find(b"\n", self._scanned) + 1
        if end:
            return self._line(self._take(end))
        self._scanned = len(self._buffer)
        if len(self._buffer) < IMAP_RESPONSE_HEAD_OCTETS:
            return None
        return self._long(len(self._buffer) - _MARK_OCTETS)

    def _line(self, line: bytes) -> Part:
        """Pass on a line, or the end of one."""
        if self._kind is None:
            self._begin(line)
            line = _CAPABILITIES.sub(self._rewritten, line, count=1) if _CAPABILITIES.match(line) else line
        kind, tag = self._kind, self._tag
        mark = _MARK.search(line) if kind is Kind.DATA else None
        if mark is not None:
            self._literal = int(mark[1])
            self.between = False
            return Part(line)
        self._kind, self._tag = None, b""
        self.between = True
        return Part(line, kind, tag)

    def _long(self, octets: int) -> Part:
        """Pass on the beginning of a long line, but for what might be a mark."""
        head = self._take(octets)
        if self._kind is None:
            if head.startswith(b"+") or _CAPABILITIES.match(head):
                raise BadResponse("sent a line that is too long for what it is")
            self._begin(head)
        self.between = False
        return Part(head)

    def _begin(self, head: bytes) -> None:
        """See what a response is by its first octets."""
        if head.startswith(b"* "):
            self._kind = Kind.STATUS if _STATUS.match(head) else Kind.DATA
        elif head.startswith(b"+"):
            self._kind = Kind.QUESTION
        else:
            self._kind = Kind.ANSWER
            self._tag = head.split(b" ", 1)[0]

    def _rewritten(self, found: re.Match[bytes]) -> bytes:
        return found[1] + self._shown(found[2])

    def _take(self, octets: int) -> bytes:
        taken = bytes(self._buffer[:octets])
        del self._buffer[:octets]
        self._scanned = 0
        return taken
