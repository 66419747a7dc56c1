"""A submission session on a stage: sockets, TLS, registry and session are real, the two peers are played."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from auth.store.errors import StoreUnavailable
from proxy.failures import House
from proxy.net.connection import Connection, ConnectionLost
from proxy.sessions import Attempt, Live, Registry
from proxy.smtp.offer import AUTH, Offer
from proxy.smtp.session import SessionSettings, Submission
from proxy.smtp.sides import Times
from proxy.smtp.upstream import SignedIn
from scopes.model import Grant, Service
from support.imap_stage import GRANT, line, soon
from support.smtp_sink import Sink
from support.sockets import GIVE_UP_S, Tls, connections, read_all

HOUSE = House(host="mail.example.org")
OFFER = Offer(size_octets=1_000_000)
EHLO = OFFER.ehlo(HOUSE, AUTH)
HELO = b"250 mail.example.org\r\n"
EXTENSIONS = {"PIPELINING": "", "8BITMIME": "", "SIZE": "1000000", "ENHANCEDSTATUSCODES": ""}
NEVER = 2 * GIVE_UP_S
PATIENT = Times(**dict.fromkeys(Times.__slots__, NEVER))
"""No time limit comes before a test gives up."""
OK = b"250 2.0.0 Ok\r\n"
OPEN = b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
GO_ON = b"354 go on\r\n"
FAILED = b"451 4.3.0 the server behind failed, try again later\r\n"
CLOSING = b"421 4.3.0 closing, connect again\r\n"


def message(number: int, body: bytes = b"hello") -> bytes:
    """One with an id of its own, and its final dot."""
    return b"From: alice@example.org\r\nMessage-Id: <%d>\r\n\r\n%b\r\n.\r\n" % (number, body)


@dataclass
class Addresses:
    """What accounts may send as; `None` is an outage."""

    listed: tuple[str, ...] | None = ("alice@example.org", "sales@example.org", "*@example.net")
    asked: list[str] = field(default_factory=list)

    async def sender_addresses(self, account_id: str) -> tuple[str, ...]:
        self.asked.append(account_id)
        if self.listed is None:
            raise StoreUnavailable("the store is gone")
        return self.listed


@dataclass
class Stage:
    """What one session is made of; `session` runs it."""

    tls: Tls | None = None
    grant: Grant = GRANT
    extensions: dict[str, str] = field(default_factory=lambda: dict(EXTENSIONS))
    rest: bytes = b""
    settings: SessionSettings = field(
        default_factory=lambda: SessionSettings(
            house=HOUSE, offer=OFFER, now=lambda: 1_800_000_000.9, times=PATIENT
        )
    )
    signed_in: SignedIn | None = None
    """An upstream in place of the sink."""
    cut_first: bool = False
    """A cut comes between the 235 and the session."""
    sink_options: dict[str, Any] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry)
    sink: Sink = None  # type: ignore[assignment]  # there once `session` runs
    attempt: Attempt = None  # type: ignore[assignment]
    submission: Submission = None  # type: ignore[assignment]

    def set(self, **changes: Any) -> Stage:
        """Change settings."""
        self.settings = replace(self.settings, **changes)
        return self

    @asynccontextmanager
    async def session(self, received: bytes = b"") -> AsyncIterator[Client]:
        """Run a session; when the block ends, the client goes, and nothing may be left."""
        client, near_client = connections()
        near_upstream, upstream = connections()
        if self.tls is not None:
            await self.tls.secure(client, near_client)
            await self.tls.secure(near_upstream, upstream)
        self.sink = Sink(upstream, **self.sink_options)
        played = SignedIn(connection=near_upstream, extensions=self.extensions, rest=self.rest)
        signed_in = self.signed_in or played
        task = asyncio.create_task(self._run(near_client, signed_in, received))
        serving = asyncio.create_task(self.sink.serve())
        try:
            yield Client(client, task)
        finally:
            client.abort()
            await asyncio.wait({task}, timeout=GIVE_UP_S)
            assert task.done(), "the session goes on without its client"
            self.sink.reads.set()
            if self.signed_in is not None:
                near_upstream.abort()
            await asyncio.wait({serving}, timeout=GIVE_UP_S)
            assert serving.done(), "the upstream was not closed"
            serving.result()
            near_client.abort()  # as the front-end does
            assert signed_in.connection.closed
            assert self.registry.count == 0
        if not task.cancelled():
            task.result()

    def _cut(self) -> None:
        self.submission.cut()

    async def _run(self, near: Connection, signed_in: SignedIn, received: bytes) -> None:
        with self.registry.attempt(self._cut) as self.attempt:
            self.attempt.enter(self.grant.app_password_id)
            self.attempt.become_session(Live(Service.SUBMISSION, "client", "192.0.2.1", 0.0))
            self.submission = Submission(near, signed_in, self.grant, self.attempt, self.settings)
            if self.cut_first:
                self.registry.cut_all()
            await self.submission.run(received)


@dataclass
class Client:
    """The client's end, and the task of its session."""

    connection: Connection
    task: asyncio.Task[None]

    async def send(self, octets: bytes) -> None:
        await self.connection.send(octets)

    async def lines(self, count: int = 1) -> bytes:
        """That many lines of replies."""
        return b"".join([await soon(line(self.connection)) for _ in range(count)])

    async def ask(self, octets: bytes, lines: int = 1) -> bytes:
        """Send, and read the reply."""
        await self.send(octets)
        return await self.lines(lines)

    async def open_data(self) -> None:
        """Begin a message."""
        assert await self.ask(OPEN, 3) == OK + OK + GO_ON

    async def rest(self) -> bytes:
        """All that is still said before the session closes."""
        got = await soon(read_all(self.connection))
        self.connection.abort()
        await soon(asyncio.wait({self.task}))
        return got

    async def vanish(self) -> None:
        """Go without a word."""
        with contextlib.suppress(ConnectionLost):
            self.connection.abort()
        await soon(asyncio.wait({self.task}))
