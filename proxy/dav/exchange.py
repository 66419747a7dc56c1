"""One request to the DAV server behind and its answer, on one connection. RFC 9112.

The head is written by us from fields of an allow-list; the identity field stands last, once. Answers are
framed by llhttp; what it does not decide is decided here: no body after HEAD, and a body of no given length
ends with the connection. Whatever the server does wrong is an `UpstreamFailure` for the log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httptools

from proxy.dav.ports import Fields
from proxy.limits import DAV_UPSTREAM_ANSWER_S, DAV_UPSTREAM_HEAD_OCTETS
from proxy.net.connection import Connection, ConnectionLost
from proxy.upstreams.place import UpstreamFailure

_SPLITS: Final = re.compile(r"[\r\n\0]")
_BODILESS: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """The final status of the server behind, and its fields."""

    status: int
    fields: Fields
    """All of them, names in lower case; none is fit for a client yet (`proxy.dav.fields`)."""
    length: int | None
    """Octets of the body; None when only its end tells."""


class Exchange:
    """One request and its answer. `done` must be called in the end, whatever happened."""

    def __init__(
        self,
        connection: Connection,
        request: bytes,
        *,
        method: str,
        length: int | None,
        again: Callable[[], Awaitable[Connection]] | None = None,
    ) -> None:
        """`length`: of the request's body; None sends chunks. `again` connects anew, once."""
        self.connection = connection
        self._request = request
        self._chunked = length is None
        self._sent = length == 0
        self._again = again
        self._reading = _Reading(method)

    async def start(self) -> None:
        """Send the head."""
        try:
            await self.connection.send(self._request)
        except ConnectionLost as lost:
            if self._again is None:
                raise UpstreamFailure(f"the DAV server was lost: {lost}") from None

    async def send(self, octets: bytes) -> None:
        """Send the next octets of the request's body. UpstreamFailure."""
        if not octets:
            return
        if self._chunked:
            octets = b"%x\r\n%b\r\n" % (len(octets), octets)
        await self._send(octets)

    async def finish(self) -> None:
        """Send the end of the request's body. UpstreamFailure."""
        if self._chunked:
            await self._send(b"0\r\n\r\n")
        self._sent = True

    async def answer(self) -> ResponseHead:
        """Wait for the final status; 1xx are passed over. It may come before the request's end."""
        try:
            return await self._answer()
        except _GoneError as gone:
            if self._again is None or self._reading.heard:
                raise UpstreamFailure(str(gone)) from None
        again, self._again = self._again, None
        self.connection.abort()
        self.connection = await again()
        await self.start()
        try:
            return await self._answer()
        except _GoneError as gone:
            raise UpstreamFailure(str(gone)) from None

    async def read(self) -> bytes:
        """Give the next octets of the answer's body; b"" at its end. UpstreamFailure when it is cut short."""
        reading = self._reading
        while not reading.pieces:
            if reading.complete:
                return b""
            try:
                await self._receive()
            except _GoneError as gone:
                if reading.until_end and gone.clean:
                    reading.complete, reading.keep_alive = True, False
                    return b""
                raise UpstreamFailure(str(gone)) from None
        if len(reading.pieces) == 1:
            return reading.pieces.pop()
        octets = b"".join(reading.pieces)
        reading.pieces.clear()
        return octets

    def done(self) -> bool:
        """End it. True: the connection can be used again; else it is closed."""
        if self._sent and self._reading.reusable and not self.connection.closed:
            return True
        self.connection.abort()
        return False

    async def _send(self, octets: bytes) -> None:
        try:
            await self.connection.send(octets)
        except ConnectionLost as lost:
            raise UpstreamFailure(f"the DAV server was lost: {lost}") from None

    async def _answer(self) -> ResponseHead:
        while (head := self._reading.head) is None:
            await self._receive()
        return head

    async def _receive(self) -> None:
        try:
            async with asyncio.timeout(DAV_UPSTREAM_ANSWER_S):
                octets = await self.connection.receive()
        except TimeoutError:
            raise UpstreamFailure("the DAV server did not answer in time") from None
        except ConnectionLost as lost:
            raise _GoneError(f"the DAV server was lost: {lost}", clean=False) from None
        if not octets:
            raise _GoneError("the DAV server closed the connection", clean=True)
        self._reading.feed(octets)


class _GoneError(Exception):
    """The server ended the connection; `clean` is an end that was meant."""

    def __init__(self, what: str, *, clean: bool) -> None:
        super().__init__(what)
        self.clean = clean


class _Reading:
    """What has come of the answer. Its `on_…` methods are llhttp's callbacks."""

    def __init__(self, method: str) -> None:
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.complete = False
        self.keep_alive = False
        self.heard = False
        """Whether a single octet has come."""
        self.until_end = False
        """Whether the body ends with the connection."""
        self._bodiless = method == "HEAD"
        self._fields: list[tuple[str, str]] = []
        self._octets = 0
        self._extra = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def reusable(self) -> bool:
        """Whether the connection stands where the next answer begins."""
        return self.complete and self.keep_alive and not self._extra

    def feed(self, octets: bytes) -> None:
        """Take what came. UpstreamFailure."""
        self.heard = True
        if self.head is None:
            self._octets += len(octets)
        try:
            self._parser.feed_data(octets)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise UpstreamFailure("the DAV server does not speak HTTP/1.1") from None
        if self.head is None and self._octets > DAV_UPSTREAM_HEAD_OCTETS:
            raise UpstreamFailure("the DAV server says more than a head may hold")

    def on_message_begin(self) -> None:
        """See llhttp."""
        self._extra = self.complete
        if not self.complete:
            self._fields.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See llhttp."""
        if self.head is None:
            self._fields.append((name.decode("ascii", "replace").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """See llhttp."""
        status = self._parser.get_status_code()
        if self.head is not None or status < 200:  # interim, RFC 9110 §15.2
            return
        fields = tuple(self._fields)
        lengths = [int(value) for name, value in fields if name == "content-length"]
        chunked = any(name == "transfer-encoding" for name, _ in fields)
        self._bodiless = self._bodiless or status in _BODILESS
        self.until_end = not (self._bodiless or lengths or chunked)
        self.keep_alive = self._parser.should_keep_alive() and not self.until_end
        self.complete = self._bodiless
        length = 0 if self._bodiless else lengths[0] if lengths and not chunked else None
        self.head = ResponseHead(status=status, fields=fields, length=length)

    def on_body(self, octets: bytes) -> None:
        """See llhttp."""
        if self._bodiless:
            self._extra = True
        elif not self.complete:
            self.pieces.append(octets)

    def on_message_complete(self) -> None:
        """See llhttp; an interim answer completes too."""
        if self.head is not None:
            self.complete = True


def request_head(method: str, path: str, fields: Fields, identity: tuple[str, str]) -> bytes:
    """Write a request's head; the identity field comes last, and no other of its name. UpstreamFailure."""
    twin = identity[0].lower()
    lines = [f"{method} {path} HTTP/1.1"]
    for name, value in fields:
        if name.lower().replace("_", "-") != twin:
            lines.append(f"{name}: {value}")
    lines.append(f"{identity[0]}: {identity[1]}")
    if _SPLITS.search("\t".join(lines)):
        raise UpstreamFailure("a field for the DAV server holds CR, LF or NUL")
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError:
        raise UpstreamFailure("a field for the DAV server holds what HTTP cannot carry") from None
