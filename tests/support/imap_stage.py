"""The IMAP front-end on a stage: sockets, TLS, relay and registry are real, gate and upstream are played."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from auth.ports import SignIn
from auth.refusal import Refusal
from auth.store.rows import SignInRecord
from proxy.failures import House
from proxy.imap.front_end import ImapFrontEnd
from proxy.imap.ports import Settings
from proxy.imap.upstream import SignedIn
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Ports
from proxy.sessions import Registry
from proxy.upstreams.origin import Origin
from scopes.model import Grant, Scope
from support.sockets import GIVE_UP_S, ReadsAhead, Tls, connections, tcp_pair, turns

GRANT = Grant(
    account_id="ac_1",
    email="alice@example.org",
    app_password_id="ap_1",
    label="phone",
    scopes=frozenset({Scope.MAIL}),
)
PASSWORD = "k7mq-2xwd-hnrp-4tvc-9zsa"
LOGIN = b"a LOGIN alice@example.org " + PASSWORD.encode() + b"\r\n"
GREETING = b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- ID AUTH=PLAIN AUTH=LOGIN] Wicketgate is ready\r\n"
SIGNED_IN = b"a OK [CAPABILITY IMAP4rev1 IDLE] signed in\r\n"


def open_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class PlayedGate:
    """Answers what it is told to; an exception is raised. Cleared events hold it."""

    answer: Grant | Refusal | Exception = GRANT
    confirmation: Refusal | Exception | None = None
    admits: asyncio.Event = field(default_factory=open_event)
    confirms: asyncio.Event = field(default_factory=open_event)
    asked: list[SignIn] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    confirming: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0

    async def admit(self, sign_in: SignIn, attempt) -> Grant | Refusal:
        self.asked.append(sign_in)
        attempt.enter(GRANT.app_password_id)
        self.entered.set()
        await self._wait(self.admits)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def confirm(self, grant: Grant, sign_in: SignIn, attempt) -> Refusal | None:
        assert (grant, sign_in) == (self.answer, self.asked[-1])
        self.confirming.set()
        await self._wait(self.confirms)
        if isinstance(self.confirmation, Exception):
            raise self.confirmation
        return self.confirmation

    async def _wait(self, event: asyncio.Event) -> None:
        try:
            await event.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@dataclass
class PlayedUpstream:
    """Signs in at once unless held; the far end of the connection it gives is `far`."""

    failure: Exception | None = None
    holds: asyncio.Event = field(default_factory=open_event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    rest: bytes = b""
    can_unauthenticate: bool = False
    far: Connection | None = None
    cancelled: int = 0

    async def sign_in(self, grant: Grant, origin: Origin) -> Any:
        self.asked.set()
        try:
            await self.holds.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return self.reached()

    def reached(self) -> Any:
        near, self.far = connections()
        return SignedIn(
            connection=near,
            capabilities=b"IMAP4rev1 IDLE COMPRESS=DEFLATE" if self.can_unauthenticate else b"IMAP4rev1 IDLE",
            rest=self.rest,
            can_unauthenticate=self.can_unauthenticate,
        )


@dataclass
class Stage:
    """One front-end; `client` gives a connected client."""

    tls: Tls
    sign_in_s: float = 2 * GIVE_UP_S
    handshake_s: float = 2 * GIVE_UP_S
    idle_s: float = 2 * GIVE_UP_S
    gate: PlayedGate = field(default_factory=PlayedGate)
    upstream: PlayedUpstream = field(default_factory=PlayedUpstream)
    registry: Registry = field(default_factory=Registry)
    records: list[SignInRecord] = field(default_factory=list)
    record: Callable[[SignInRecord], None] | None = None
    released: list[Connection] = field(default_factory=list)
    doubted: list[Connection] = field(default_factory=list)
    greeting: bytes = GREETING

    @property
    def far(self) -> Connection | None:
        """The played upstream's end, if there is one."""
        return getattr(self.upstream, "far", None)

    def ports(self) -> Ports:
        if self.record is None:
            self.record = self.records.append
        return Ports(
            gate=self.gate,
            registry=self.registry,
            recorder=self,
            strangers=self,
        )

    def release(self, guest: Connection) -> None:
        self.released.append(guest)

    def doubt(self, guest: Connection) -> None:
        self.doubted.append(guest)

    def settings(self) -> Settings:
        return Settings(
            house=House(host="mail.example.org"),
            tls=lambda: self.tls.server,
            now=lambda: 1_800_000_000.9,
            handshake_s=self.handshake_s,
            sign_in_s=self.sign_in_s,
            idle_s=self.idle_s,
        )

    def serve(self, near: Connection, *, implicit_tls: bool = True) -> asyncio.Task[None]:
        front_end = ImapFrontEnd(self.ports(), self.upstream, self.settings())
        return asyncio.create_task(front_end.handle(near, implicit_tls=implicit_tls))

    @asynccontextmanager
    async def client(self, *, implicit_tls: bool = True) -> AsyncIterator[Client]:
        """A client that has read the greeting; when it leaves, its connection must have left nothing."""
        far, near = tcp_pair()
        task = self.serve(Connection(near, peer=ip_address("192.0.2.7")), implicit_tls=implicit_tls)
        client = Client(ReadsAhead(far), task)
        try:
            if implicit_tls:
                await client.secure(self.tls)
                assert await client.line() == self.greeting
            yield client
        finally:
            client.connection.abort()
            if self.far is not None:
                await asyncio.wait_for(closed(self.far), GIVE_UP_S)
            await asyncio.wait({task}, timeout=GIVE_UP_S)
            assert task.done()
            if self.far is not None:  # the sign-in may have been done just now
                self.far.abort()
            assert self.registry.count == 0


@dataclass
class Client:
    """The client's end, and the task that serves it."""

    connection: Connection
    task: asyncio.Task[None]

    async def secure(self, tls: Tls) -> None:
        await self.connection.secure_as_client(tls.client, "localhost", timeout_s=GIVE_UP_S)

    async def send(self, octets: bytes) -> None:
        await self.connection.send(octets)

    async def line(self) -> bytes:
        return await line(self.connection)

    async def ask(self, octets: bytes) -> bytes:
        """Send, and read one line."""
        await self.send(octets)
        return await self.line()


async def line(connection: Connection) -> bytes:
    """One line with its CRLF, or what there was before the end."""
    octets = b""
    while not octets.endswith(b"\n") and (octet := await connection.receive(1)):
        octets += octet
    return octets


async def closed(connection: Connection) -> None:
    """Wait until the other end has closed, and close this one."""
    with contextlib.suppress(ConnectionLost):
        while await connection.receive():
            pass
    connection.abort()


async def soon(condition: Callable[[], bool] | Awaitable[Any]) -> Any:
    """Wait until something is so, and give what is awaited; the limit only keeps a test from hanging."""
    async with asyncio.timeout(GIVE_UP_S):
        if not callable(condition):
            return await condition
        while not condition():
            await turns(1)
        return None
