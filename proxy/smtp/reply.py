"""Replies of an SMTP server (RFC 5321 §4.2): octets in, whole replies out, bounded, and safe to say again.

A reply of an upstream reaches a client only as `Reply.wire` writes it: the same code and words, but printable
ASCII (or UTF-8 where the client asked for it), CRLF at the ends of lines and nowhere else, no line over 512
octets (RFC 5321 §4.5.3.1.5). What is no reply is a `ReplyFault`: lines without CRLF, codes that are none or
that differ within one reply, too much of it. Nobody can know then which answer belongs to which command, so
the connection is of no use any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from proxy.limits import SMTP_REPLY_LINE_OCTETS, SMTP_REPLY_LINES, SMTP_REPLY_READ_OCTETS

_LINE: Final = re.compile(rb"([2-5][0-5][0-9])(?:([ -])(.*))?", re.DOTALL)
_STATUS: Final = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?: |\Z)")
"""RFC 3463 §2."""
_UNFIT: Final = re.compile(rb"[^ -~]")
_STATUS_ROOM: Final = len(b"2.0.0 ")
_TEXT_OCTETS: Final = SMTP_REPLY_LINE_OCTETS - len(b"250 \r\n") - _STATUS_ROOM


class ReplyFault(Exception):  # noqa: N818 - a fact about the upstream
    """What the upstream said is no reply. The text is ours alone and may be logged."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole reply; `lines` are the texts behind the codes, as they came but for their CRLF."""

    code: int
    lines: tuple[bytes, ...] = field(default=(b"",))

    @property
    def positive(self) -> bool:
        """Whether what was asked is done."""
        return 200 <= self.code < 300

    @property
    def negative(self) -> bool:
        """Whether it is refused, for now or for good; 421 refuses nothing but to go on."""
        return 400 <= self.code < 600 and self.code != 421

    @property
    def wire(self) -> bytes:
        """The reply as a client may hear it, CRLF included.

        We promise ENHANCEDSTATUSCODES, so every 2xx, 4xx and 5xx has a status (RFC 2034 §4); where the
        upstream gives none it is the one that says nothing more than the code.
        """
        return self._written(_in_ascii)

    @property
    def wire_utf8(self) -> bytes:
        """The same for a client that takes UTF-8 here (RFC 6531 §3.7.4)."""
        return self._written(_in_utf8)

    def _written(self, fit: Callable[[bytes], bytes]) -> bytes:
        texts = [self._with_status(fit(text)) for text in self.lines]
        *before, last = texts
        lines = [b"%d-%b\r\n" % (self.code, text) for text in before]
        return b"".join((*lines, b"%d %b\r\n" % (self.code, last)))

    def _with_status(self, text: bytes) -> bytes:
        kind = self.code // 100
        if kind == 3 or _STATUS.match(text):
            return text
        return b"%d.0.0 %b" % (kind, text)


class ReplyReader:
    """Puts replies together from what an upstream sends."""

    def __init__(self) -> None:
        self._input = bytearray()
        self._spent = 0  # octets of the reply that has begun
        self._code = 0
        self._lines: list[bytes] = []

    @property
    def empty(self) -> bool:
        """Whether nothing has come that was not given as a reply."""
        return not self._input and not self._lines

    def feed(self, data: bytes) -> None:
        """Take octets of the upstream."""
        self._input += data

    def rest(self) -> bytes:
        """Give what came behind the last reply, and forget it."""
        rest = bytes(self._input)
        self._input.clear()
        return rest

    def next(self) -> Reply | None:
        """Give the next whole reply, None when more octets are needed. Raises `ReplyFault`."""
        while (line := self._next_line()) is not None:
            if self._take(line):
                reply = Reply(self._code, tuple(self._lines))
                self._lines.clear()
                self._spent = 0
                return reply
        return None

    def _next_line(self) -> bytes | None:
        end = self._input.find(b"\n") + 1
        if self._spent + (end or len(self._input)) > SMTP_REPLY_READ_OCTETS:
            raise ReplyFault(f"sent a reply of more than {SMTP_REPLY_READ_OCTETS} octets")
        if not end:
            return None
        line = bytes(self._input[:end])
        del self._input[:end]
        self._spent += end
        if not line.endswith(b"\r\n"):
            raise ReplyFault("sent a line that ends without CRLF")
        return line[:-2]

    def _take(self, line: bytes) -> bool:
        """Add a line to the reply; True when it was the last one."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise ReplyFault("sent what is no reply")
        code = int(found[1])
        if self._lines and code != self._code:
            raise ReplyFault("sent one reply with two codes")
        if len(self._lines) >= SMTP_REPLY_LINES:
            raise ReplyFault(f"sent a reply of more than {SMTP_REPLY_LINES} lines")
        self._code = code
        self._lines.append(found[3] or b"")
        return found[2] != b"-"


def _in_ascii(text: bytes) -> bytes:
    return _UNFIT.sub(b"?", text)[:_TEXT_OCTETS]


def _in_utf8(text: bytes) -> bytes:
    """Keep what can be seen, and cut no character in two."""
    said = text.decode("utf-8", "replace").replace("\ufffd", "?")
    seen = "".join(each if each.isprintable() else "?" for each in said)
    return seen.encode()[:_TEXT_OCTETS].decode("utf-8", "ignore").encode()
