"""One non-blocking socket: what can be done with it now, and nothing that waits.

A channel never waits, never registers with a loop and knows no protocol. Octets that the kernel does not take
at once are the only ones copied and kept; whoever sends sees False, and sends no more before `flush` is True.
`BlockingIOError` means "nothing to read yet", `ConnectionLost` that the peer is gone, in words safe to log.

Input of all channels of a thread goes through one shared buffer. It holds nothing between two calls, so an
idle connection costs its socket and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from typing import Final, Protocol

from proxy import limits

NOTHING: Final = memoryview(b"")


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

    @property
    def holds(self) -> bool:
        """Whether there is something to receive that no readiness of the socket will announce."""

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

    holds = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._unsent = NOTHING

    @property
    def unsent(self) -> int:
        """Octets that the kernel has not taken yet."""
        return len(self._unsent)

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
        self._unsent = self._unsent[sent:] if sent < len(self._unsent) else NOTHING
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
