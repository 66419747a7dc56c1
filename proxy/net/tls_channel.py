"""TLS on a non-blocking socket, by way of memory BIOs that all TLS objects of a thread use in turn.

A memory BIO never gives back what it has grown to, so one pair serves all. Both are empty between two calls:
what comes in is decrypted at once, the little that finds no room is kept as plain octets, what goes out is
handed to the socket at once. So an idle connection costs its TLS object and no buffer. Renegotiation is
refused by the contexts of `proxy.net.tls`; key updates and session tickets are dealt with while receiving.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Final

from proxy import limits
from proxy.net.channel import NOTHING, ConnectionLost, PlainChannel, Truncated, lost, shared_buffer


class _Bios(threading.local):
    """The memory BIOs of this thread."""

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()


_BIOS: Final = _Bios()


class TlsChannel:
    """TLS over a bare channel; see `Channel` for what its methods promise."""

    __slots__ = ("_ended", "_goodbye_said", "_incoming", "_later", "_outgoing", "_stash", "_wire", "tls")

    def __init__(self, wire: PlainChannel, context: ssl.SSLContext, server_name: str | None) -> None:
        """Client with a server name, server without. Nothing is sent before `handshake`."""
        self._wire = wire
        self._incoming = _BIOS.incoming
        self._outgoing = _BIOS.outgoing
        self._later = NOTHING
        self._stash = NOTHING
        self._ended = False
        self._goodbye_said = False
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )

    @property
    def sock(self) -> socket.socket:
        """See `Channel`."""
        return self._wire.sock

    @property
    def holds(self) -> bool:
        """See `Channel`: octets that the reader had no room for, or the end that came right behind others."""
        return bool(self._stash) or self._ended

    def handshake(self) -> None:
        """Begin: the client's first words. `flush`, then `shake` until it is done."""
        self._claim()
        self._step()

    def shake(self) -> bool:
        """Go on with what has come; True when the keys stand, `flush` after either.

        BlockingIOError when nothing has come, ConnectionLost.
        """
        view = shared_buffer()[: limits.TLS_CHUNK_OCTETS]
        got = self._wire.receive_into(view)
        if not got:
            raise ConnectionLost("closed during the TLS handshake")
        self._claim()
        self._incoming.write(view[:got])
        if not self._step():
            return False
        self._keep_rest()
        self._pass_on()
        return True

    def receive_into(self, view: memoryview) -> int:
        """See `Channel`; `Truncated` is a `ConnectionLost`."""
        if self._stash:
            return self._from_stash(view)
        if self._ended:
            return 0
        raw = self._wire.receive_into(view[: limits.TLS_CHUNK_OCTETS])
        if not raw:
            raise Truncated
        self._claim()
        self._incoming.write(view[:raw])
        try:
            got = self._decrypt(view)
            if self._incoming.pending or self.tls.pending():
                self._keep_rest()
        finally:
            if self._outgoing.pending:  # an alert, or the answer to a key update or to a wish to renegotiate
                self._answer()
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
        later, self._later = self._later, NOTHING
        return self._encrypt(later, owned=True)

    def finish(self, *, clean: bool) -> bool:
        """See `Channel`: close_notify when clean, then FIN; reading goes on (RFC 8446 §6.1)."""
        if not self.flush():
            return False
        if clean and not self._goodbye_said:
            self._goodbye_said = True
            self._claim()
            with contextlib.suppress(
                ssl.SSLError
            ):  # it looks for the peer's close_notify too, in an empty BIO
                self.tls.unwrap()
            self._pass_on()
        return self._wire.finish(clean=clean)

    def _claim(self) -> None:
        """Make sure that nothing of another connection is in the BIOs, whatever became of it."""
        for bio in (self._incoming, self._outgoing):
            if bio.pending:
                bio.read()

    def _step(self) -> bool:
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

    def _keep_rest(self) -> None:
        """Keep what the reader had no room for; at most one chunk, and one record begun before it."""
        rest = bytearray(limits.TLS_CHUNK_OCTETS + limits.TLS_RECORD_OCTETS)
        got = self._decrypt(memoryview(rest))
        self._stash = memoryview(bytes(rest[:got]))

    def _answer(self) -> None:
        """Send what OpenSSL has to say of its own; a peer that asks and asks and never reads is cut off."""
        if self._wire.unsent > limits.TLS_UNREAD_OCTETS:
            raise ConnectionLost("asks without reading the answers")
        with contextlib.suppress(ConnectionLost):  # the next send tells
            self._pass_on()

    def _from_stash(self, view: memoryview) -> int:
        got = min(len(view), len(self._stash))
        view[:got] = self._stash[:got]
        self._stash = self._stash[got:] if got < len(self._stash) else NOTHING
        return got

    def _encrypt(self, data: memoryview, *, owned: bool) -> bool:
        """Encrypt and pass on piece by piece; what is not yet encrypted when the kernel is full is kept."""
        self._claim()
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
