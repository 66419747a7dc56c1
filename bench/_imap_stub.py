"""The same trivial mail server behind both gates, and the stub that answers nginx's auth_http.

It takes any sign-in (LOGIN, with or without literals, and AUTHENTICATE PLAIN), answers `GET n` with n octets
in one literal, and LOGOUT. usage: python -m bench._imap_stub TCP-PORT UNIX-PATH AUTH-PORT
"""

from __future__ import annotations

import asyncio
import os
import re
import sys

import uvloop

BLOCK = os.urandom(1 << 18)
LITERAL = re.compile(rb"\{\d+\}$")


async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n")
    try:
        while tag := await converse(reader, writer):
            writer.write(tag + b" OK done\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Serve one command up to its tagged reply; b"" ends the connection."""
    tag, command, rest, *_ = *(await reader.readline()).split(None, 2), b"", b"", b""
    match command.upper():
        case b"LOGIN":
            while LITERAL.search(rest.strip()):
                writer.write(b"+ go on\r\n")
                rest = await reader.readline()
        case b"AUTHENTICATE":
            writer.write(b"+ \r\n")
            await reader.readline()
            writer.write(b"* CAPABILITY IMAP4rev1 IDLE\r\n")
        case b"GET":
            await send(writer, int(rest))
        case b"LOGOUT":
            writer.write(b"* BYE\r\n" + tag + b" OK done\r\n")
            return b""
    return tag


async def send(writer: asyncio.StreamWriter, left: int) -> None:
    writer.write(b"* 1 FETCH {%d}\r\n" % left)
    while left:
        part = BLOCK[:left]
        writer.write(part)
        await writer.drain()
        left -= len(part)
    writer.write(b"\r\n")


async def main(port: int, path: str, auth_port: int) -> None:
    async def allow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            pass
        writer.write(
            b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: %d\r\n\r\n" % port
        )
        writer.close()

    for server in (
        await asyncio.start_unix_server(mail, path),
        await asyncio.start_server(mail, "127.0.0.1", port, backlog=1_024),
        await asyncio.start_server(allow, "127.0.0.1", auth_port, backlog=1_024),
    ):
        await server.start_serving()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
