"""A DAV client that does as little as possible: the same GET again and again on one connection."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import dataclass
from typing import Self


class Session:
    """One connection, ended when the block is left."""

    def __init__(self, sock: ssl.SSLSocket, request: bytes, octets: int) -> None:
        self._sock = sock
        self._request = request
        self._octets = octets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def get(self, count: int = 1) -> None:
        """Send the request and read its answer, which must be 200 with the octets that are expected."""
        for _ in range(count):
            self._get()

    def _get(self) -> None:
        self._sock.sendall(self._request)
        answer = self._sock.recv(65_536)
        while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + self._octets:
            more = self._sock.recv(65_536)
            if not more:
                raise RuntimeError(f"closed behind {answer!r}")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200 ") or len(answer) != end + 4 + self._octets:
            raise RuntimeError(f"the server says {answer!r}")


@dataclass(frozen=True)
class DavClient:
    trust: ssl.SSLContext
    name: str
    password: str
    path: str
    octets: int

    def connected(self, port: int) -> Session:
        """A connection that has had its first answer."""
        credentials = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
        request = (
            f"GET {self.path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: bench\r\n"
            f"Authorization: Basic {credentials}\r\nAccept: */*\r\n\r\n"
        )
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self.trust.wrap_socket(sock, server_hostname="localhost")
        session = Session(tls, request.encode(), self.octets)
        session.get()
        return session
