"""The submission front-end on a stage: sockets, TLS and registry are real; gate, upstream, session played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.conversation import Conversation
from proxy.failures import House
from proxy.log.events import Ended
from proxy.log.words import SessionEnd
from proxy.net.connection import Connection
from proxy.ports import Attempt
from proxy.smtp.conversation import conversation
from proxy.smtp.front_end import SubmissionFrontEnd
from proxy.smtp.offer import Offer
from proxy.smtp.ports import NewSession, Settings
from proxy.smtp.upstream import SignedIn
from scopes.model import Grant
from support import imap_stage
from support.imap_stage import Client, PlayedUpstream, closed
from support.sockets import connections

AUTH = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAGs3bXEtMnh3ZC1obnJwLTR0dmMtOXpzYQ==\r\n"
"""alice@example.org, k7mq-2xwd-hnrp-4tvc-9zsa."""
GREETING = b"220 mail.example.org ESMTP Wicketgate\r\n"
SIGNED_IN = b"235 2.7.0 signed in\r\n"
UNAVAILABLE = b"454 4.7.0 sign-in is not possible at the moment, try again later\r\n"
STOPPING = b"421 4.3.2 the server is stopping\r\n"
HOUSE = House(host="mail.example.org")
OFFER = Offer(size_octets=1_000_000)


@dataclass
class PlayedSession:
    """Goes on until it is cut, told to end, or left by the client; then it closes."""

    client: Connection
    upstream: SignedIn
    grant: Grant
    attempt: Attempt
    bug: Exception | None = None
    received: bytes = b""
    cuts: int = 0
    cancelled: bool = False
    when_over: Callable[[Ended], None] = print
    began: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, received: bytes) -> None:
        self.received = received
        self.began.set()
        if self.bug is not None:
            raise self.bug
        ends = {asyncio.create_task(each) for each in (self.over.wait(), closed(self.client))}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            for each in ends:
                each.cancel()
            await asyncio.wait(ends)
        self.when_over(Ended(reason=SessionEnd.QUIT))
        await self.client.close()

    def cut(self) -> None:
        self.cuts += 1
        self.over.set()


class SmtpUpstream(PlayedUpstream):
    """Signs in at once unless held; the far end of the connection it gives is `far`."""

    def reached(self) -> SignedIn:
        near, self.far = connections()
        return SignedIn(connection=near, extensions={"PIPELINING": ""}, rest=self.rest)


@dataclass
class Stage(imap_stage.Stage):
    """One front-end; `client` gives a client that has read the greeting, and EHLO's answer under TLS."""

    upstream: SmtpUpstream = field(default_factory=SmtpUpstream)
    sessions: list[PlayedSession] = field(default_factory=list)
    bug: Exception | None = None
    new_session: NewSession | None = None
    greeting: bytes = GREETING

    @property
    def session(self) -> PlayedSession:
        [only] = self.sessions
        return only

    def settings(self) -> Settings:
        return Settings(
            house=HOUSE,
            offer=OFFER,
            tls=lambda: self.tls.server,
            session=self.new_session or self._new_session,
            now=lambda: 1_800_000_000.9,
            handshake_s=self.handshake_s,
            sign_in_s=self.sign_in_s,
        )

    def serve(self, near: Connection, *, implicit_tls: bool = True) -> asyncio.Task[None]:
        front_end = SubmissionFrontEnd(self.ports(), self.upstream, self.settings())
        return asyncio.create_task(front_end.handle(near, implicit_tls=implicit_tls))

    def conversation(self, near: Connection) -> Conversation[SignedIn]:
        return conversation(near, self.ports(), self.upstream, self.settings(), secure=True)

    def _new_session(
        self, client: Connection, upstream: SignedIn, grant: Grant, attempt: Attempt
    ) -> PlayedSession:
        self.sessions.append(PlayedSession(client, upstream, grant, attempt, self.bug))
        return self.sessions[-1]


async def hello(client: Client, name: bytes = b"my_host") -> list[bytes]:
    """Say EHLO and give the lines of the answer."""
    lines = [await client.ask(b"EHLO " + name + b"\r\n")]
    while lines[-1][3:4] == b"-":
        lines.append(await client.line())
    return lines
