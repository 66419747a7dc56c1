"""Where one upstream is: open a connection to it, and go over to TLS with its certificate checked.

Over TCP nothing secret goes out before TLS; a Unix socket is the machine's own, and so is its loopback where
the config takes that risk. What protocol is spoken there is not known here. Every failure is an
`UpstreamFailure`, whose text is for the log alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.address import Address, AddressKind
from proxy.net.connection import Connection, ConnectionLost

First = Callable[[Connection], bytes]
"""Makes the octets that go first on a connection."""


class UpstreamFailure(Exception):  # noqa: N818 - an outage of another server, not an error of ours
    """The upstream cannot serve now. The text is printable, names the cause and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An upstream's address and what is needed to get there."""

    address: Address
    tls: ssl.SSLContext | None = None
    """For the TCP kinds; see `proxy.net.tls.client_context`."""
    server_name: str | None = None
    """The name to expect in the certificate; None is the host of the address."""
    embedded_socket: Callable[[], Path] | None = None
    """For the embedded kind: where its Unix socket is now."""

    def __post_init__(self) -> None:
        if self.address.over_tls and self.tls is None:
            raise ValueError(f"{self.address} needs a TLS context")
        if self.address.kind is AddressKind.EMBEDDED and self.embedded_socket is None:
            raise ValueError("the embedded upstream needs its socket")

    @property
    def needs_starttls(self) -> bool:
        """Whether the connection that `open` gives is still in clear and must not stay so."""
        return self.address.starttls

    async def open(self, *, timeout_s: float, first: First | None = None) -> Connection:
        """Connect, with TLS where it begins with the first octet. Raises `UpstreamFailure`.

        What `first` gives goes before everything, TLS too: the header of the PROXY protocol.
        """
        try:
            return await self._open(timeout_s, first)
        except ConnectionLost as lost:
            raise UpstreamFailure(f"cannot connect to {self.address}: {lost}") from None

    async def secure(self, connection: Connection, *, timeout_s: float) -> None:
        """Go over to TLS, certificate and name checked. Raises `UpstreamFailure`; the connection is gone."""
        if self.tls is None:
            connection.abort()
            raise UpstreamFailure(f"{self.address} has no TLS")
        try:
            await connection.secure_as_client(
                self.tls, self.server_name or self.address.host, timeout_s=timeout_s
            )
        except ConnectionLost as lost:
            raise UpstreamFailure(f"no TLS with {self.address}: {lost}") from None

    async def _open(self, timeout_s: float, first: First | None) -> Connection:
        connection = await self._connected(timeout_s)
        try:
            if first is not None:
                await connection.send(first(connection))
            if self.address.over_tls and not self.needs_starttls:
                await self.secure(connection, timeout_s=timeout_s)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _connected(self, timeout_s: float) -> Connection:
        if self.address.over_tcp:
            return await Connection.open_tcp(self.address.host, self.address.port, timeout_s=timeout_s)
        path = self.embedded_socket() if self.embedded_socket is not None else self.address.path
        if path is None:
            raise UpstreamFailure(f"{self.address} has no socket")
        return await Connection.open_unix(path, timeout_s=timeout_s)
