"""One non-blocking socket, bare or under TLS in memory BIOs: what can be done now, and nothing that waits.

A channel never waits, never registers with a loop and knows no protocol. Octets that the kernel does not take
at once are the only ones copied and kept; whoever sends sees False, and sends no more before `flush` is True.
`BlockingIOError` means "nothing to read yet", `ConnectionLost` that the peer is gone, in words safe to log.

Raw input of all channels of a thread goes through one shared buffer. It holds nothing between two calls, so
an idle connection costs its socket and, under TLS, its TLS object.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from typing import Final, Protocol

from proxy import limits

_NOTHING: Final = memoryview(b"")


class ConnectionLost(Exception):  # noqa: N818 - a fact about the peer, as ConnectionResetError is
    """The connection cannot go on. The text names the cause and holds nothing the peer chose."""


class Truncated(ConnectionLost):
    """The peer closed a TLS connection without saying so (no close_notify, RFC 8446 §6.1)."""

    def __init__(self) -> None:
        super().__init__("closed without close_notify")


def lost(error: OSError) -> ConnectionLost:
    """Put an operating system's or OpenSSL's error into words that may be logged."""
    match error:
        case ssl.SSLCertVerificationError():
            return ConnectionLost(f"certificate refused: {error.verify_message}")
        case ssl.SSLError():
            return ConnectionLost(f"TLS: {(error.reason or 'protocol error').replace('_', ' ').lower()}")
        case socket.gaierror():
            return ConnectionLost("name not found")
        case OSError():
            return ConnectionLost(errno.errorcode.get(error.errno or 0, "socket error"))


class _Shared(threading.local):
    """The receive buffer of this thread."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(limits.RELAY_BUFFER_OCTETS))


_SHARED: Final = _Shared()


def shared_buffer() -> memoryview:
    """The one receive buffer of this thread; what is in it is gone at the next read of any channel."""
    return _SHARED.view


class Channel(Protocol):
    """What the relay and `Connection` need of a socket, bare or under TLS."""

    @property
    def sock(self) -> socket.socket:
        """The socket below."""

    def receive_into(self, view: memoryview) -> int:
        """Put what has come into `view`; 0 is the clean end. BlockingIOError, ConnectionLost."""

    def send(self, data: memoryview) -> bool:
        """Give octets to the kernel; False when some are kept for `flush`. ConnectionLost."""

    def flush(self) -> bool:
        """Give the kernel what was kept; True when nothing is left. ConnectionLost."""

    def finish(self, *, clean: bool) -> bool:
        """Send the end of our octets behind all that was sent; False when `flush` must come first."""


class PlainChannel:
    """A bare non-blocking stream socket."""

    __slots__ = ("_unsent", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._unsent = _NOTHING

    def receive_into(self, view: memoryview) -> int:
        """See `Channel`."""
        try:
            return self.sock.recv_into(view)
        except BlockingIOError:
            raise
        except OSError as error:
            raise lost(error) from None

    def send(self, data: memoryview) -> bool:
        """See `Channel`."""
        if self._unsent and not self.flush():
            self._unsent = memoryview(b"".join((self._unsent, data)))
            return False
        sent = self._push(data)
        if sent == len(data):
            return True
        self._unsent = memoryview(bytes(data[sent:]))
        return False

    def flush(self) -> bool:
        """See `Channel`."""
        if not self._unsent:
            return True
        sent = self._push(self._unsent)
        self._unsent = self._unsent[sent:] if sent < len(self._unsent) else _NOTHING
        return not self._unsent

    def finish(self, *, clean: bool) -> bool:  # noqa: ARG002 - TCP has one way to end
        """See `Channel`: a FIN behind what was sent, while reading goes on."""
        if not self.flush():
            return False
        with contextlib.suppress(OSError):  # the peer may be gone already
            self.sock.shutdown(socket.SHUT_WR)
        return True

    def _push(self, data: memoryview) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise lost(error) from None


class TlsChannel:
    """TLS over a bare channel.

    Records go through the memory BIOs in pieces of `TLS_CHUNK_OCTETS`: a BIO never gives back what it has
    grown to, so the piece bounds what an idle connection keeps of its busiest moment. Renegotiation is
    refused by the contexts of `proxy.net.tls`; `receive_into` deals with key updates and session tickets.
    """

    __slots__ = ("_ended", "_goodbye_said", "_incoming", "_later", "_outgoing", "_stash", "_wire", "tls")

    def __init__(self, wire: PlainChannel, context: ssl.SSLContext, server_name: str | None) -> None:
        """Client with a server name, server without. Nothing is sent before `handshake`."""
        self._wire = wire
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._later = _NOTHING
        self._stash = _NOTHING
        self._ended = False
        self._goodbye_said = False
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )

    @property
    def sock(self) -> socket.socket:
        """See `Channel`."""
        return self._wire.sock

    def handshake(self) -> bool:
        """Go one step; True when the keys stand, False when `feed` is needed. `flush` after either."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
            return False
        except ssl.SSLError as error:
            with contextlib.suppress(ConnectionLost):
                self._pass_on()  # the alert that tells the peer why
            raise lost(error) from None
        self._pass_on()
        return True

    def feed(self) -> None:
        """Take octets of the handshake from the socket. BlockingIOError, ConnectionLost."""
        view = shared_buffer()[: limits.TLS_CHUNK_OCTETS]
        got = self._wire.receive_into(view)
        if not got:
            raise ConnectionLost("closed during the TLS handshake")
        self._incoming.write(view[:got])

    def receive_into(self, view: memoryview) -> int:
        """See `Channel`; `Truncated` is a `ConnectionLost`."""
        if self._stash:
            return self._from_stash(view)
        got = self._decrypt(view)
        if got or self._ended:
            return got
        raw = self._wire.receive_into(view[: limits.TLS_CHUNK_OCTETS])
        if not raw:
            raise Truncated
        self._incoming.write(view[:raw])
        got = self._decrypt(view)
        if self._outgoing.pending:  # the answer to a key update or to a wish to renegotiate
            with contextlib.suppress(ConnectionLost):  # the next send tells
                self._pass_on()
        if not got and not self._ended:
            raise BlockingIOError
        return got

    def send(self, data: memoryview) -> bool:
        """See `Channel`."""
        if self.flush():
            return self._encrypt(data, owned=False)
        self._later = memoryview(b"".join((self._later, data)))
        return False

    def flush(self) -> bool:
        """See `Channel`."""
        if not self._wire.flush():
            return False
        if not self._later:
            return True
        later, self._later = self._later, _NOTHING
        return self._encrypt(later, owned=True)

    def finish(self, *, clean: bool) -> bool:
        """See `Channel`: close_notify when clean, then FIN; reading goes on (RFC 8446 §6.1)."""
        if not self.flush():
            return False
        if clean and not self._goodbye_said:
            self._goodbye_said = True
            self._say_goodbye()
        return self._wire.finish(clean=clean)

    def _say_goodbye(self) -> None:
        # OpenSSL looks for the peer's close_notify at once and takes data found there for a fault.
        stash = bytearray()
        view = shared_buffer()
        while got := self._decrypt(view):
            stash += view[:got]
        self._stash = memoryview(bytes(self._stash) + bytes(stash))
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self._pass_on()

    def _from_stash(self, view: memoryview) -> int:
        got = min(len(view), len(self._stash))
        view[:got] = self._stash[:got]
        self._stash = self._stash[got:] if got < len(self._stash) else _NOTHING
        return got

    def _decrypt(self, view: memoryview) -> int:
        """Decrypt what lies in the BIO, as far as `view` has room."""
        got, room = 0, len(view)
        tls, incoming = self.tls, self._incoming
        try:
            while got < room and (incoming.pending or tls.pending()):
                octets = tls.read(room - got, view[got:])
                if not octets:
                    self._ended = True
                    break
                got += octets  # type: ignore[operator]  # typeshed: a read into a buffer counts
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            raise lost(error) from None
        return got

    def _encrypt(self, data: memoryview, *, owned: bool) -> bool:
        """Encrypt and pass on piece by piece; what is not yet encrypted when the kernel is full is kept."""
        start = 0
        while start < len(data):
            try:
                start += self.tls.write(data[start : start + limits.TLS_CHUNK_OCTETS])
            except ssl.SSLError as error:
                raise lost(error) from None
            if not self._pass_on():
                rest = data[start:]
                self._later = rest if owned else memoryview(bytes(rest))
                return False
        return True

    def _pass_on(self) -> bool:
        return not self._outgoing.pending or self._wire.send(memoryview(self._outgoing.read()))
