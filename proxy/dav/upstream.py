"""The DAV server behind: connections kept for the next request, and questions of our own.

Every request says whom it is for (sign-in kind `trusted-header`), so connections are shared between accounts.
One that was kept may be closed by the server in the same moment: a request that changes nothing and has no
body is then sent once more on a new one.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from config.address import Address, joined
from proxy.dav.exchange import Exchange, request_head
from proxy.dav.ports import Fields, UpstreamAnswer
from proxy.dav.turns import Turns
from proxy.limits import (
    DAV_ASK_OCTETS,
    DAV_ASK_S,
    DAV_UPSTREAM_CONNECTIONS,
    DAV_UPSTREAM_IDLE_S,
    DAV_UPSTREAM_OF_ONE,
    UPSTREAM_CONNECT_S,
)
from proxy.net.connection import Connection
from proxy.upstreams.place import Place, UpstreamFailure
from scopes.model import Grant

_CHANGES_NOTHING: Final = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHead:
    """What a request to the server behind begins with."""

    method: str
    path: str
    """Canonical."""
    fields: Fields
    """Of the allow-lists, without those of framing, Host and identity."""


class DavUpstream:
    """One server behind."""

    def __init__(
        self,
        place: Place,
        *,
        header: str,
        login: Callable[[Grant], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`header` names the field that it trusts; `login` gives an account's name there."""
        self._place = place
        self._header = header
        self._login = login
        self._monotonic = monotonic
        self._kept: deque[tuple[float, Connection]] = deque()
        self._closed = False
        self._turns = Turns(most=DAV_UPSTREAM_CONNECTIONS, of_one=DAV_UPSTREAM_OF_ONE)
        self._whose: dict[Exchange, str] = {}
        """The exchanges that were begun, by account."""
        self._host = _host_field(place.address)

    async def begin(self, grant: Grant, head: UpstreamHead, *, length: int | None = 0) -> Exchange:
        """Send a head as the account. `length` of the body; None: it is sent in chunks. UpstreamFailure.

        Close what is given with `end`.
        """
        framing: Fields = ()
        if length is None:
            framing = (("transfer-encoding", "chunked"),)
        elif length or head.method in ("PUT", "POST"):
            framing = (("content-length", str(length)),)
        fields = (("host", self._host), *head.fields, *framing)
        request = request_head(head.method, head.path, fields, (self._header, self._identity(grant)))
        await self._turns.take(grant.account_id)
        try:
            exchange = await self._begin(head.method, request, length)
        except BaseException:
            self._turns.give(grant.account_id)
            raise
        self._whose[exchange] = grant.account_id
        return exchange

    def end(self, exchange: Exchange) -> None:
        """Keep the connection of an exchange for the next one, or close it; call it once."""
        self._turns.give(self._whose.pop(exchange))
        now = self._monotonic()
        if exchange.done():
            self._kept.append((now, exchange.connection))
        if self._closed:
            self.close()
        while self._kept and (
            now - self._kept[0][0] > DAV_UPSTREAM_IDLE_S or len(self._kept) > DAV_UPSTREAM_CONNECTIONS
        ):
            self._kept.popleft()[1].abort()

    async def ask(self, grant: Grant, method: str, path: str, fields: Fields, body: bytes) -> UpstreamAnswer:
        """Ask a question of our own as the account; see `proxy.dav.ports.Ask`."""
        try:
            async with asyncio.timeout(DAV_ASK_S):
                return await self._ask(grant, UpstreamHead(method=method, path=path, fields=fields), body)
        except TimeoutError:
            raise UpstreamFailure("the DAV server did not answer in time") from None

    def close(self) -> None:
        """Close what is kept, and keep nothing any more; who has a client left may go on."""
        self._closed = True
        while self._kept:
            self._kept.pop()[1].abort()

    async def _begin(self, method: str, request: bytes, length: int | None) -> Exchange:
        kept = self._take()
        connection = kept or await self._open()
        repeatable = kept is not None and length == 0 and method in _CHANGES_NOTHING
        exchange = Exchange(
            connection, request, method=method, length=length, again=self._open if repeatable else None
        )
        try:
            await exchange.start()
        except BaseException:
            connection.abort()
            raise
        return exchange

    async def _ask(self, grant: Grant, head: UpstreamHead, body: bytes) -> UpstreamAnswer:
        exchange = await self.begin(grant, head, length=len(body))
        try:
            await exchange.send(body)
            await exchange.finish()
            answered = await exchange.answer()
            whole = bytearray()
            while octets := await exchange.read():
                whole += octets
                if len(whole) > DAV_ASK_OCTETS:
                    raise UpstreamFailure("the DAV server says more than was asked")
            return UpstreamAnswer(status=answered.status, fields=dict(answered.fields), body=bytes(whole))
        finally:
            self.end(exchange)

    def _identity(self, grant: Grant) -> str:
        """Give the account's name there, which a header must be able to carry unchanged."""
        login = self._login(grant)
        if not login or not login.isascii() or not login.isprintable() or login != login.strip():
            raise UpstreamFailure("the account's login cannot be sent in a header")
        return login

    async def _open(self) -> Connection:
        return await self._place.open(timeout_s=UPSTREAM_CONNECT_S)

    def _take(self) -> Connection | None:
        """Give the connection that was kept last, if the server has not closed it."""
        while self._kept:
            since, connection = self._kept.pop()
            if self._monotonic() - since < DAV_UPSTREAM_IDLE_S and _is_quiet(connection):
                return connection
            connection.abort()
        return None


def _host_field(address: Address) -> str:
    """Give what Host says to the server (RFC 9110 §7.2); a Unix socket has no name."""
    if not address.over_tcp:
        return "localhost"
    host, port = joined(address.host, address.port), f":{443 if address.over_tls else 80}"
    return host.removesuffix(port)


def _is_quiet(connection: Connection) -> bool:
    """Whether nothing has come since: neither its end, nor octets that nobody asked for."""
    if connection.closed or connection.channel.holds:
        return False
    try:
        connection.channel.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
