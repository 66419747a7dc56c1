"""How answers to DAV clients are written: status line, fields, and how the body ends. RFC 9112 §4 to §7.

Every answer has our own security fields: what is here is one person's, and nothing of it is ever to be run in
a browser. Nothing says what software serves. Also the few answers that the front-end gives of its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from proxy.dav.ports import Answer, Fields
from proxy.failures import CHALLENGE
from proxy.limits import DAV_HOLD_OCTETS, RETRY_AFTER_S
from scopes.davrules import OFFERED

# RFC 9111 §5.2.2.5; CSP 3 and HTML for the sandbox; Fetch for nosniff.
_ALWAYS: Final = (
    "Cache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; sandbox\r\n"
)
_BODILESS: Final = frozenset({204, 304})
_SPLITS: Final = re.compile(r"[\r\n\0]")
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
_SPELT: Final = {"dav": "DAV", "etag": "ETag", "www-authenticate": "WWW-Authenticate"}
_LATER: Final = ("retry-after", str(RETRY_AFTER_S))

Send = Callable[[bytes], Awaitable[None]]


class Answering:
    """Writes one answer. `keep` may be made False until it begins; a body without known end makes it so."""

    def __init__(self, send: Send, *, method: str, modern: bool, keep: bool) -> None:
        self.keep = keep
        self.begun = False
        """Whether an octet of it may have gone out."""
        self._send = send
        self._is_head = method == "HEAD"
        self._modern = modern
        self._chunked = False
        self._head = b""
        """Written, but not sent yet: it goes out with the first octets of the body."""

    async def whole(self, answer: Answer) -> None:
        """Send an answer of ours."""
        self.start(answer.status, answer.fields, len(answer.body))
        await self.piece(answer.body)
        await self.finish()

    def start(self, status: int, fields: Fields, length: int | None) -> None:
        """Write the head; `length` of the body: None is not known."""
        framing = ""
        if status not in _BODILESS and (length is not None or not self._is_head):
            if length is not None:
                framing = f"Content-Length: {length}\r\n"
            elif self._modern:
                self._chunked = True
                framing = "Transfer-Encoding: chunked\r\n"
            else:
                self.keep = False
        closing = "" if self.keep else "Connection: close\r\n"
        named = "".join([_field(name, value) for name, value in fields])
        head = (
            f"{_status_line(status)}Date: {_date(int(time.time()))}\r\n{named}{framing}{closing}{_ALWAYS}\r\n"
        )
        self._head = head.encode("latin-1")

    async def piece(self, octets: bytes) -> None:
        """Send the next octets of the body; nothing where the answer can have none.

        Not too many at once: a slow reader has its time for each part, and only that is held once more.
        """
        if self._is_head:
            return
        for at in range(0, len(octets), DAV_HOLD_OCTETS):
            part = octets[at : at + DAV_HOLD_OCTETS]
            await self._out(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)

    async def finish(self) -> None:
        """Send what is left."""
        if self._chunked and not self._is_head:
            await self._out(b"0\r\n\r\n")
        elif self._head:
            await self._out(b"")

    async def _out(self, octets: bytes) -> None:
        head, self._head = self._head, b""
        self.begun = True
        await self._send(head + octets if head else octets)


def text(status: int, words: str, *more: tuple[str, str]) -> Answer:
    """Give an answer of ours for people."""
    return Answer(status=status, fields=(_TEXT, *more), body=f"{words}\n".encode())


ASK: Final = text(401, "sign in with your address and an app-specific password", CHALLENGE)
UNAVAILABLE: Final = text(503, "not possible at the moment, try again later", _LATER)
BAD_GATEWAY: Final = text(502, "the server behind gave no usable answer")
FULL: Final = text(507, "no room left")
BUG: Final = text(500, "internal error, please tell whoever runs this server")
TOO_SLOW: Final = text(408, "the request took too long")
TOO_LARGE: Final = text(413, "too large")
NO_BODY: Final = text(400, "no body belongs here")
BAD_BODY: Final = text(400, "bad body")


def bad_head(status: int, words: str) -> Answer:
    """Give the answer to a head that is refused. RFC 9110 §15.5.6: 405 says what is offered."""
    return text(status, words, *((("allow", ", ".join(OFFERED)),) if status == 405 else ()))


def for_upstream_fault(status: int) -> Answer:
    """Give what a client hears of a 5xx of the server behind: its kind, and nothing of its text."""
    match status:
        case 503:
            return UNAVAILABLE
        case 507:  # RFC 4918 §11.5: clients tell the user
            return FULL
        case _:
            return BAD_GATEWAY


@lru_cache(maxsize=100)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _field(name: str, value: str) -> str:
    if _SPLITS.search(value):
        raise ValueError("a field of an answer holds CR, LF or NUL")
    return f"{_spelt(name)}: {value}\r\n"


@lru_cache(maxsize=200)
def _spelt(name: str) -> str:
    return _SPELT.get(name.lower()) or name.title()
