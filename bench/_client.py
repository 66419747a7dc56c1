"""A mail client that does as little as possible."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Self


class Session:
    """One connection that is signed in, ended when the block is left."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._unread = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def line(self) -> bytes:
        """The next line of the server."""
        while (end := self._unread.find(b"\r\n")) < 0:
            more = self._sock.recv(65_536)
            if not more:
                raise RuntimeError(f"closed behind {bytes(self._unread[-100:])!r}")
            self._unread += more
        line = bytes(self._unread[:end])
        del self._unread[: end + 2]
        return line

    def command(self, text: str) -> None:
        """Send a command and read up to its OK."""
        self._sock.sendall(f"a {text}\r\n".encode())
        while not (line := self.line()).startswith(b"a "):
            pass
        if not line.startswith(b"a OK"):
            raise RuntimeError(f"the server says {line!r}")

    def fetch(self, octets: int) -> None:
        """Have the stub send so many octets and read them all."""
        self._sock.sendall(b"a GET %d\r\n" % octets)
        while not self.line().startswith(b"* 1 FETCH"):
            pass
        left, buffer = octets - len(self._unread), bytearray(1 << 18)
        self._unread = self._unread[octets:]
        while left > 0:
            got = self._sock.recv_into(buffer, min(left, len(buffer)))
            if not got:
                raise RuntimeError(f"{left} octets are missing")
            left -= got
        while not self.line().startswith(b"a OK"):
            pass


@dataclass(frozen=True)
class Client:
    trust: ssl.SSLContext
    name: str
    password: str
    source: str = "127.0.0.1"

    def signed_in(self, port: int) -> Session:
        sock = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(self.source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self.trust.wrap_socket(sock, server_hostname="localhost"))
        session.line()
        session.command(f'LOGIN "{self.name}" "{self.password}"')
        return session

    def sign_in_and_out(self, port: int) -> None:
        with self.signed_in(port) as session:
            session.command("LOGOUT")
