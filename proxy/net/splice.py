"""Move octets between two bare sockets inside the kernel, where it offers that (Linux `splice`).

A pipe stands between the sockets while octets move. It is borrowed from the thread's pool for one move and
goes back empty; only a session whose reader does not read keeps one, with the unsent remainder in it. So an
idle session holds no pipe. Where no pipe is to be had, octets are copied as everywhere else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import threading
from functools import cache
from typing import Final

from proxy import limits
from proxy.net.channel import ConnectionLost, lost

_SPARE_PIPES: Final = 8
"""Empty pipes kept open for the next move."""
_F_SETPIPE_SZ: Final = 1031
"""Linux's number; `fcntl` names it on Linux alone."""


def _splice(source: int, sink: int, count: int) -> int:
    if sys.platform != "linux":
        raise OSError(f"no splice on {sys.platform}: {source}, {sink}, {count}")
    return os.splice(source, sink, count, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)


class Pipe:
    """A pipe with room for one relay buffer, and how much is in it."""

    __slots__ = ("_in", "_out", "held")

    def __init__(self) -> None:
        """Raises OSError at the limit of descriptors."""
        self._out, self._in = os.pipe()  # not inherited (PEP 446)
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self.held = 0
        with contextlib.suppress(OSError):  # over the user's share of pipe memory: the usual 64 KiB do
            fcntl.fcntl(self._in, _F_SETPIPE_SZ, limits.RELAY_BUFFER_OCTETS)

    def fill(self, source: int) -> int:
        """Take from a socket into the empty pipe; 0 is its end. BlockingIOError, ConnectionLost."""
        try:
            self.held = _splice(source, self._in, limits.RELAY_BUFFER_OCTETS)
        except BlockingIOError:
            raise
        except OSError as error:
            raise lost(error) from None
        return self.held

    def drain(self, sink: int) -> bool:
        """Give to a socket what it takes; True when the pipe is empty. ConnectionLost."""
        try:
            while self.held:
                self.held -= _splice(self._out, sink, self.held)
        except BlockingIOError:
            return False
        except OSError as error:
            raise lost(error) from None
        return True

    def close(self) -> None:
        """Give both descriptors back, and what is held."""
        os.close(self._in)
        os.close(self._out)


class PipePool:
    """Empty pipes of one thread."""

    __slots__ = ("_spare",)

    def __init__(self) -> None:
        self._spare: list[Pipe] = []

    @property
    def usable(self) -> bool:
        """Whether a pipe is of use here at all."""
        return available()

    def borrow(self) -> Pipe | None:
        """An empty pipe, or None where there is none to be had."""
        if self._spare:
            return self._spare.pop()
        try:
            return Pipe()
        except OSError:
            return None

    def give_back(self, pipe: Pipe) -> None:
        """Keep the pipe for the next move if it is empty and few are spare, close it otherwise."""
        if pipe.held or len(self._spare) >= _SPARE_PIPES:
            pipe.close()
        else:
            self._spare.append(pipe)

    def close(self) -> None:
        """Close all spare pipes."""
        while self._spare:
            self._spare.pop().close()


class _Pools(threading.local):
    def __init__(self) -> None:
        self.pool = PipePool()


_POOLS: Final = _Pools()


def pipe_pool() -> PipePool:
    """The pool of this thread."""
    return _POOLS.pool


@cache
def available() -> bool:
    """Whether sockets can be spliced here: tried once, since a kernel may have the call and refuse it."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        try:
            pipe = Pipe()
        except OSError:
            return False
        try:
            near.send(b"1")
            return pipe.fill(far.fileno()) == 1 and pipe.drain(far.fileno())
        except (BlockingIOError, ConnectionLost):
            return False
        finally:
            pipe.close()
