"""The same trivial DAV server behind both gates, and the one that answers nginx's auth_request.

GET is answered with a contact of 1 KB, PROPFIND with what kind of thing the path is (a collection when it
ends in `/`, an address book when that is `…/book/`), everything else with 204. It reads as little as will do,
so that most of what a request costs is the gate's. usage: python -m bench._dav_stub UNIX-PATH
"""

from __future__ import annotations

import asyncio
import re
import sys

import uvloop

OCTETS = 1_024
_CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Bench\r\nNOTE:%s\r\nEND:VCARD\r\n"
BODY = _CARD % (b"x" * (OCTETS - len(_CARD) + 2))
GET = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/vcard; charset=utf-8\r\n"
    b'ETag: "1"\r\nContent-Length: %d\r\n\r\n' % OCTETS
) + BODY
ALLOWED = b"HTTP/1.1 204 No Content\r\n\r\n"
MULTISTATUS = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav">'
    b"<response><href>%s</href><propstat><prop><resourcetype>%s</resourcetype></prop>"
    b"<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>"
)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
END = b"\r\n\r\n"


class Stub(asyncio.Protocol):
    """One connection: requests one after the other, kept alive."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(END)) >= 0:
            head = self._unread[:end]
            length = LENGTH.search(head)
            whole = end + len(END) + (int(length[1]) if length else 0)
            if len(self._unread) < whole:
                return
            self._unread = self._unread[whole:]
            self._transport.write(answer(head))


def answer(head: bytes) -> bytes:
    method, path, _ = head.split(b" ", 2)
    if method == b"GET" and not path.startswith(b"/allow"):
        return GET
    return multistatus(path) if method == b"PROPFIND" else ALLOWED


def multistatus(path: bytes) -> bytes:
    kind = b""
    if path.endswith(b"/"):
        kind = b"<collection/><C:addressbook/>" if path.endswith(b"/book/") else b"<collection/>"
    body = MULTISTATUS % (path, kind)
    return (
        b"HTTP/1.1 207 Multi-Status\r\nContent-Type: application/xml; charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body


async def main(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Stub, path, backlog=1_024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
