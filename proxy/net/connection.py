"""One connection for one coroutine: receive, send, TLS, close, with every wait bounded by whoever waits.

`Connection` joins a `Channel` to the running loop's readers and writers. It knows no protocol and keeps no
octets of its own: what was not received stays in the kernel or in the TLS object, so nothing is lost when a
`receive` is cancelled and nothing needs to be carried over to the relay. One coroutine receives and one sends
at a time. `abort` is always safe, at any time and from anywhere on the loop; after it no descriptor is left.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Self

from proxy import limits
from proxy.net import dial
from proxy.net.channel import Channel, ConnectionLost, PlainChannel, Truncated, shared_buffer
from proxy.net.proxy_header import Ends, Header
from proxy.net.ready import wake
from proxy.net.tls import asked_name
from proxy.net.tls_channel import TlsChannel
from scopes.model import IPAddress

__all__ = ["Connection", "ConnectionLost", "Truncated", "address_of"]


def address_of(host: str) -> IPAddress:
    """The address of a peer as the kernel names it; an IPv4 one that came over IPv6 as IPv4. ValueError."""
    address = ip_address(host)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


class Connection:
    """One stream connection. Made on the loop that serves it."""

    __slots__ = (
        "_fd",
        "_heard",
        "_loop",
        "_reading",
        "_unrested",
        "_writing",
        "announced",
        "channel",
        "id",
        "on_abort",
        "peer",
        "unannounced",
        "working",
    )

    def __init__(self, sock: socket, *, peer: IPAddress | None = None) -> None:
        """Take over a connected socket; `peer` is None on a Unix socket."""
        self._loop = asyncio.get_running_loop()
        self._fd = sock.fileno()
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._heard = False
        self._unrested = 0
        self.channel: Channel = PlainChannel(sock)
        self.id = secrets.token_hex(4)
        """Short and random, for logs."""
        self.on_abort: Callable[[], None] | None = None
        """Called once by `abort`, for whoever has taken over reading and writing."""
        self.announced: Ends | None = None
        """The ends of the client's connection, where a load balancer stands between and has told them."""
        self.peer = peer
        """The client's address, where its load balancer has told it; else that of the socket's other end."""
        self.unannounced = False
        """Whether that is a load balancer that has not told yet for whom it connects."""
        self.working = False
        """Whether it is our turn though it is listened to: a sign-in that watches for the client's end."""

    @classmethod
    async def open_tcp(cls, host: str, port: int, *, timeout_s: float) -> Self:
        """Connect to a host by name or address. ConnectionLost."""
        sock = await dial.tcp(host, port, timeout_s=timeout_s)
        try:
            return cls(sock, peer=address_of(sock.getpeername()[0]))
        except OSError:
            sock.close()
            raise ConnectionLost("closed by the peer") from None

    @classmethod
    async def open_unix(cls, path: Path, *, timeout_s: float) -> Self:
        """Connect to a Unix socket. ConnectionLost."""
        return cls(await dial.unix(path, timeout_s=timeout_s))

    def announce(self, header: Header) -> None:
        """Be the connection of whom the load balancer has named from now on, or its own."""
        self.unannounced = False
        if isinstance(header, Ends):
            self.announced = header
            self.peer = header.client[0]

    @property
    def secure(self) -> bool:
        """Whether TLS protects it."""
        return isinstance(self.channel, TlsChannel)

    @property
    def local(self) -> bool:
        """Whether it is a Unix socket."""
        return self.channel.sock.family == AF_UNIX

    @property
    def alpn(self) -> str | None:
        """The application protocol chosen by TLS (RFC 7301)."""
        return self.channel.tls.selected_alpn_protocol() if isinstance(self.channel, TlsChannel) else None

    @property
    def asked_for(self) -> str | None:
        """The server's name that the client asked for in TLS (RFC 6066 §3), in lower case."""
        return asked_name(self.channel.tls) if isinstance(self.channel, TlsChannel) else None

    @property
    def tls_version(self) -> str | None:
        """Such as `TLSv1.3`, for logs and for the upstream."""
        return self.channel.tls.version() if isinstance(self.channel, TlsChannel) else None

    @property
    def tls_cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite, for logs and for the upstream."""
        cipher = self.channel.tls.cipher() if isinstance(self.channel, TlsChannel) else None
        return cipher[0] if cipher else None

    @property
    def closed(self) -> bool:
        """Whether the descriptor is given back."""
        return self._fd < 0

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""
        return self._fd

    @property
    def waiting(self) -> bool:
        """Whether it is the peer's turn: to say its first word, to say more, or to read what was sent."""
        if self.working:
            return False
        return not self._heard or self._reading is not None or self._writing is not None

    async def receive(self, limit: int = 65_536) -> bytes:
        """Give 1 to `limit` octets as soon as there are any; b"" is the peer's clean end.

        Raises ConnectionLost; `Truncated` when TLS ended without close_notify. Cancelled, it loses nothing.
        """
        if self._unrested > limits.RELAY_BUFFER_OCTETS:  # a peer that never pauses must not own the loop
            self._unrested = 0
            await asyncio.sleep(0)
        while True:
            self._check()
            view = shared_buffer()[:limit]
            try:
                got = self.channel.receive_into(view)
            except BlockingIOError:
                await self._readable()
                continue
            self._heard = True
            self._unrested += got
            return bytes(view[:got])

    async def send(self, data: bytes) -> None:
        """Send all of `data`; returns when the kernel has it. ConnectionLost.

        Cancelled, it may have sent a part: the rest goes out before anything sent later.
        """
        self._check()
        if not self.channel.send(memoryview(data)):
            await self._flush()

    async def secure_as_server(self, context: ssl.SSLContext, *, timeout_s: float) -> None:
        """Go over to TLS as its server. ConnectionLost, and the connection is gone.

        No octet received in clear is kept here; what the peer sent in clear and nobody received is read as a
        part of the handshake and breaks it (RFC 9051 §6.2.1: nothing from before the handshake is executed).
        """
        await self._secure(context, None, timeout_s)

    async def secure_as_client(self, context: ssl.SSLContext, server_name: str, *, timeout_s: float) -> None:
        """Go over to TLS as its client and check the certificate for `server_name`. Fails alike."""
        await self._secure(context, server_name, timeout_s)

    def abort(self) -> None:
        """Close now: nothing more is sent, every waiter gets ConnectionLost. Idempotent."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._fd = -1
        self.channel.sock.close()
        for waiter in (self._reading, self._writing):
            if waiter is not None:
                wake(waiter)
        told, self.on_abort = self.on_abort, None
        if told is not None:
            told()

    async def finish(self) -> None:
        """Send what is kept, then the end; the peer may still send. ConnectionLost."""
        await self._flush()
        while not self.channel.finish(clean=True):
            await self._writable()
            self._check()

    async def close(self, timeout_s: float = limits.CLOSE_S) -> None:
        """Send what is kept, then the end, and let the peer read it: at most `timeout_s`. Never raises.

        What the peer still sends is thrown away, `CLOSE_OCTETS` at most: a socket closed with octets unread
        is reset by the kernel, and the reset may overtake our last words.
        """
        left = limits.CLOSE_OCTETS
        try:
            async with asyncio.timeout(timeout_s):
                await self.finish()
                while left > 0 and (thrown_away := await self.receive()):
                    left -= len(thrown_away)
        except (ConnectionLost, TimeoutError):
            pass
        finally:
            self.abort()

    def _check(self) -> None:
        if self._fd < 0:
            raise ConnectionLost("closed here")

    def _plain(self) -> PlainChannel:
        if isinstance(self.channel, PlainChannel):
            return self.channel
        raise ConnectionLost("TLS inside TLS")

    async def _secure(self, context: ssl.SSLContext, server_name: str | None, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._flush()
                self.channel = tls = TlsChannel(self._plain(), context, server_name)
                tls.handshake()
                await self._flush()
                while not await self._shake(tls):
                    await self._flush()
                await self._flush()
        except TimeoutError:
            self.abort()
            raise ConnectionLost("TLS handshake timed out") from None
        except BaseException:
            self.abort()
            raise

    async def _shake(self, tls: TlsChannel) -> bool:
        while True:
            try:
                done = tls.shake()
            except BlockingIOError:
                await self._readable()
                self._check()
            else:
                self._heard = True
                return done

    async def _flush(self) -> None:
        self._check()
        while not self.channel.flush():
            await self._writable()
            self._check()

    async def _readable(self) -> None:
        if self._reading is not None:
            raise RuntimeError("two coroutines receive from one connection")
        self._reading = waiter = self._loop.create_future()
        self._loop.add_reader(self._fd, wake, waiter)
        try:
            await waiter
        finally:
            self._reading = None
            if self._fd >= 0:
                self._loop.remove_reader(self._fd)

    async def _writable(self) -> None:
        if self._writing is not None:
            raise RuntimeError("two coroutines send on one connection")
        self._writing = waiter = self._loop.create_future()
        self._loop.add_writer(self._fd, wake, waiter)
        try:
            await waiter
        finally:
            self._writing = None
            if self._fd >= 0:
                self._loop.remove_writer(self._fd)
