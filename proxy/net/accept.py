"""Listen and accept: one task a connection, counted among the strangers before its first octet is read.

The loop neither spins nor dies when descriptors run out: it pauses and drops idle strangers. When a
connection's task ends, even cancelled before it began, its count is released and its descriptor closed.
A load balancer's connection is counted anew, by the client's address, once its header has come.
What a task raises is a fault of ours and is logged by type and place: its text may hold what a client sent.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from auth.fault import fault
from proxy import limits
from proxy.log.events import Dropped, Visitor, tell
from proxy.log.words import Drop
from proxy.net.balancers import Balancers
from proxy.net.connection import Connection, ConnectionLost, address_of
from proxy.net.dial import tune
from proxy.net.proxy_header import Bad
from proxy.net.strangers import Strangers

Accept = Callable[[], tuple[socket.socket, Any]]
"""What `socket.accept` does."""

_log: Final = logging.getLogger(__name__)

_GONE_ALREADY: Final = frozenset(
    getattr(errno, name)
    for name in ("ECONNABORTED", "EPROTO", "EPERM", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN")
)
"""About the one connection that was to be accepted (accept(2)); the next may be fine."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, or for `::` on every one of both families. Port 0 is any free one. OSError."""
    if host == "::" and socket.has_dualstack_ipv6():
        return socket.create_server(
            (host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=limits.ACCEPT_BACKLOG
        )
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=limits.ACCEPT_BACKLOG)


class AcceptLoop:
    """Accepts on one listening socket and runs `handler` for each connection."""

    def __init__(
        self,
        sock: socket.socket,
        handler: Callable[[Connection], Awaitable[None]],
        strangers: Strangers,
        *,
        balancers: Balancers | None = None,
        accept: Accept | None = None,
    ) -> None:
        """Take over a listening socket; `accept` stands in for its own accept."""
        sock.setblocking(False)
        self._sock = sock
        self.port: int = 0 if sock.family == socket.AF_UNIX else sock.getsockname()[1]
        """The TCP port it listens on."""
        self._accept = accept or sock.accept
        self.handler = handler
        """Serves each new connection; another one may take its place."""
        self.balancers = balancers or Balancers()
        """Whose connections begin with a header."""
        self._strangers = strangers
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._started = False
        self._short = False

    @property
    def connections(self) -> int:
        """How many connections live, before and after sign-in."""
        return len(self._tasks)

    def start(self) -> None:
        """Accept from now on."""
        if not self._started:
            self._started = True
            self._loop.add_reader(self._sock.fileno(), self._accept_some)

    def stop(self) -> None:
        """Accept no more and close the listening socket; connections go on. Idempotent."""
        if self._pause is not None:
            self._pause.cancel()
        elif self._started:
            self._loop.remove_reader(self._sock.fileno())
        self._pause = None
        self._started = False
        self._sock.close()

    async def finish(self, grace_s: float) -> None:
        """Stop, wait for the connections to end, and cancel those that have not in time."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept_some(self) -> None:
        for _ in range(limits.ACCEPT_BATCH):
            try:
                sock, address = self._accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _GONE_ALREADY:
                    continue
                self._back_off(error)
                return
            self._short = False
            self._welcome(sock, address)

    def _welcome(self, sock: socket.socket, address: Any) -> None:
        try:
            tune(sock)
            peer = None if sock.family == socket.AF_UNIX else address_of(address[0])
        except OSError:  # macOS refuses options on a connection that is gone already
            sock.close()
            return
        connection = Connection(sock, peer=peer)
        connection.unannounced = peer in self.balancers
        if not self._counted(connection):
            return
        task = self._loop.create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(done, connection))

    async def _serve(self, connection: Connection) -> None:
        try:
            if not connection.unannounced or await self._announced(connection):
                await self.handler(connection)
        except ConnectionLost as cause:
            _log.debug("connection %s lost: %s", connection.id, cause)

    async def _announced(self, connection: Connection) -> bool:
        """Hear from the load balancer whose connection it is, and count it as theirs. False: it is closed."""
        header = await self.balancers.header_of(connection)
        if header is None or isinstance(header, Bad):
            if header is not None:  # a look whether we listen is closed without a word, every few seconds
                what = "connection %s from load balancer %s closed: %s"
                _log.warning(what, connection.id, connection.peer, header.fault)
            connection.abort()
            return False
        self._strangers.release(connection)
        connection.announce(header)
        return self._counted(connection)

    def _counted(self, connection: Connection) -> bool:
        """Count it among the strangers; closed where that cannot be."""
        if self._strangers.add(connection):
            return True
        visitor = Visitor(service=None, address=connection.peer, connection=connection.id)
        tell(Dropped(visitor=visitor, reason=Drop.CROWDED))
        connection.abort()
        return False

    def _over(self, task: asyncio.Task[None], connection: Connection) -> None:
        self._tasks.discard(task)
        self._strangers.release(connection)
        connection.abort()
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            _log.error("connection %s ended by a fault: %s", connection.id, fault(bug))

    def _back_off(self, error: OSError) -> None:
        """Out of descriptors or memory, most often: what waits in the backlog is taken a little later."""
        dropped = self._strangers.make_room()
        if not self._short:  # once, not ten times a second
            self._short = True
            name = errno.errorcode.get(error.errno or 0, "unknown error")
            _log.warning("cannot accept: %s; idle strangers dropped=%d", name, dropped)
        self._loop.remove_reader(self._sock.fileno())
        self._pause = self._loop.call_later(limits.ACCEPT_BACKOFF_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock.fileno(), self._accept_some)
