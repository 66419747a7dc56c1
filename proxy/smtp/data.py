"""The text of a message between DATA and its end: one strict pass over a stream, in constant memory.

Only CRLF.CRLF ends a message, and CR and LF stand together or not at all (RFC 5321 §2.3.8, §4.1.1.4). A bare
CR, a bare LF or a NUL is a fault: servers differ in what they make of them, and where two servers see
different ends one message becomes two (CVE-2023-51764 and its kin). NUL is neither 7bit nor 8bit data
(RFC 2045 §2.7, §2.8), and a server that drops it would see a dot begin a line where we did not.

Where the config says `normalise`, a bare CR or LF is mended instead: it becomes a CRLF for the upstream, but
for us no line ends there, so no end of the message is near it, and a dot behind it is a part of the text.

What is given out is for the upstream: the client's dots are undone and ours are set (RFC 5321 §4.5.2), and
the final dot is never part of it. What may still become an end is kept back, five octets at most. Lines may
be of any length, octets of any value but NUL; nothing is known here of headers, and of sizes but the count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_CRLF: Final = b"\r\n"
_END: Final = b"\r\n.\r\n"
_NUL: Final = re.compile(rb"\0")
_STRAY: Final = re.compile(rb"\0|\r(?!\n)|(?<!\r)\n")
_BARE: Final = re.compile(rb"(?:\r(?!\n)|(?<!\r)\n)(\.?)")
_LINE_DOT: Final = b"\r\n."
_LONE_DOT: Final = re.compile(rb"\r\n\.(?!\.)")
"""A dot the client set before a line that has none of its own; before two dots its dot stands for ours."""
_BEGUN: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
"""What an end begins with, the longest first."""


class BareNewlines(StrEnum):
    """What is done about a CR or LF that stands alone."""

    REFUSE = "refuse"
    NORMALISE = "normalise"


class DataFault(StrEnum):
    """Why a message is refused for its octets. The words are said to clients."""

    BARE_CR = "bare CR"
    BARE_LF = "bare LF"
    NUL = "NUL"


_FAULTS: Final = {b"\r": DataFault.BARE_CR, b"\n": DataFault.BARE_LF, b"\0": DataFault.NUL}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some octets."""

    text: bytes = field(repr=False)
    """For the upstream, as it is to be sent. Empty from a fault on."""
    ended: bool = False
    """The final dot has come; there is nothing more to take."""
    rest: bytes = field(default=b"", repr=False)
    """What came behind the end: commands."""
    fault: DataFault | None = None
    """Nothing of this message may be sent any more; the rest of it is only looked through for its end."""


class DataDecoder:
    """One message. The CRLF of the DATA command counts as the end of a line before it."""

    def __init__(self, bare: BareNewlines = BareNewlines.REFUSE) -> None:
        self._normalises = bare is BareNewlines.NORMALISE
        self._kept = _CRLF
        self._begun = False  # the message has octets of its own: the CRLF of DATA is behind us
        self._fault: DataFault | None = None
        self.octets = 0
        """Of the message so far, without the client's own dots (RFC 1870 §5)."""

    def take(self, data: bytes) -> Taken:
        """Take the next octets of the client."""
        got = self._kept + data
        at = got.find(_END)
        ended = at >= 0
        end = at + len(_CRLF) if ended else len(got) - self._undecided(got)
        text = got[:end]
        self._fault = self._fault or self._new_fault(text)
        rest = got[at + len(_END) :] if ended else b""
        if self._fault is not None:
            self._kept = got[1 - len(_END) :]
            return Taken(b"", ended=ended, rest=rest, fault=self._fault)
        self._kept = got[end:]
        return Taken(self._for_upstream(text), ended=ended, rest=rest)

    def _for_upstream(self, text: bytes) -> bytes:
        if not text:
            return text
        if _LINE_DOT in text:
            text = _LONE_DOT.sub(_CRLF, text)
        if self._normalises and not _is_clean(text):
            text = _BARE.sub(rb"\r\n\1\1", text)
        self.octets += len(text) - text.count(_LINE_DOT)
        if not self._begun:
            self._begun = True
            self.octets -= len(_CRLF)
            text = text[len(_CRLF) :]
        return text

    def _undecided(self, got: bytes) -> int:
        """Give how many octets at the end of `got` may begin an end, or stand before a dot to be set."""
        begun = next((len(begun) for begun in _BEGUN if got.endswith(begun)), 0)
        return begun or (self._normalises and got.endswith(b"\n"))

    def _new_fault(self, text: bytes) -> DataFault | None:
        if b"\0" not in text and (self._normalises or _is_clean(text)):
            return None
        found = (_NUL if self._normalises else _STRAY).search(text)
        return None if found is None else _FAULTS[found[0]]


def _is_clean(text: bytes) -> bool:
    """Tell whether CR and LF stand together; counting is many times faster than a search."""
    return text.count(b"\r") == text.count(_CRLF) == text.count(b"\n")
