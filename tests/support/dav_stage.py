"""The DAV front-end on a stage: sockets, TLS, registry, way upstream are real; gate, wall, server played."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from auth.store.rows import SignInRecord
from proxy.dav.front_end import DavFrontEnd
from proxy.dav.passage import Upstream
from proxy.dav.ports import (
    Answer,
    CheckXml,
    FilterAnswer,
    Forward,
    NoBody,
    PassAnswer,
    StreamBody,
    WallRequest,
)
from proxy.dav.settings import Settings
from proxy.dav.upstream import DavUpstream
from proxy.failures import House
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Ports
from proxy.sessions import Registry
from scopes.model import Grant
from support.dav_upstream import SaidDav, said_dav
from support.imap_stage import GRANT, PASSWORD, PlayedGate, closed, open_event
from support.sockets import GIVE_UP_S, Tls, tcp_pair

SIGNED = b"Authorization: Basic " + b64encode(f"alice@example.org:{PASSWORD}".encode()) + b"\r\n"
HOST = b"Host: mail.example.org\r\n"
SAFE = (
    b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    b"Content-Security-Policy: default-src 'none'; sandbox\r\n"
)
HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/vcard\r\nContent-Length: 5\r\n\r\nhello"


def get(*lines: bytes, first: bytes = b"GET /alice/x.vcf HTTP/1.1") -> bytes:
    """A signed-in request without a body."""
    return first + b"\r\n" + HOST + SIGNED + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def put(body: bytes, *lines: bytes, first: bytes = b"PUT /alice/x.vcf HTTP/1.1") -> bytes:
    return get(b"Content-Length: %d" % len(body), *lines, first=first) + body


class Upper:
    """A filter whose work can be seen."""

    def feed(self, octets: bytes) -> bytes:
        return octets.upper()

    def finish(self) -> bytes:
        return b"!"


def _out(octets: bytes) -> bytes:
    return octets.replace(b"in", b"out")


def _fine(octets: bytes) -> None:
    return None


@dataclass
class PlayedWall:
    """Forwards by method, as the real one does; what is set here comes first. A cleared event holds it."""

    outcome: Answer | Forward | Exception | None = None
    without: Answer | None = None
    holds: asyncio.Event = field(default_factory=open_event)
    asked: list[WallRequest] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    after: int = 0
    plan: Callable[[int, tuple[tuple[str, str], ...]], object] | None = None
    check: Callable[[bytes], bytes | Answer] = _out
    sniff: Callable[[bytes], Answer | None] = _fine

    def unsigned(self, request: WallRequest) -> Answer | None:
        return self.without

    async def judge(self, request: WallRequest, grant: Grant) -> Answer | Forward:
        self.asked.append(request)
        self.entered.set()
        await self.holds.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or self._forward(request)

    def _forward(self, request: WallRequest) -> Forward:
        match request.method:
            case "PUT":
                body = StreamBody(content_type="text/vcard; charset=utf-8", first_octets=6, sniff=self.sniff)
            case "PROPFIND":
                body = CheckXml(limit_octets=1_000, check=self.check)
            case _:
                body = NoBody()

        def plan(status, fields):
            if self.plan is not None:
                return self.plan(status, fields)
            return FilterAnswer(fields, Upper()) if request.method == "PROPFIND" else PassAnswer(fields)

        def after() -> None:
            self.after += 1

        fields = tuple((name, request.fields[name]) for name in ("depth", "accept") if name in request.fields)
        return Forward(
            method=request.method, path="/up/x.vcf", fields=fields, body=body, answer=plan, after=after
        )


@dataclass
class Stage:
    """One front-end; `client` gives a connected client."""

    tls: Tls
    upstream: Upstream
    said: SaidDav
    gate: PlayedGate = field(default_factory=PlayedGate)
    wall: PlayedWall = field(default_factory=PlayedWall)
    registry: Registry = field(default_factory=Registry)
    records: list[SignInRecord] = field(default_factory=list)
    released: list[Connection] = field(default_factory=list)
    doubted: list[Connection] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    def record(self, record: SignInRecord) -> None:
        self.records.append(record)

    def release(self, guest: Connection) -> None:
        self.released.append(guest)

    def doubt(self, guest: Connection) -> None:
        self.doubted.append(guest)

    def serve(self, near: Connection) -> asyncio.Task[None]:
        late = dict.fromkeys(
            ("handshake_s", "sign_in_s", "idle_s", "quiet_s", "upstream_s", "watch_s", "judged_s"),
            2 * GIVE_UP_S,
        )
        settings = Settings(
            house=House(host="mail.example.org"),
            tls=lambda: self.tls.server,
            is_ours={"mail.example.org"}.__contains__,
            now=lambda: 1_800_000_000.9,
            **(late | self.times),
        )
        ports = Ports(gate=self.gate, registry=self.registry, recorder=self, strangers=self)
        front_end = DavFrontEnd(ports, self.upstream, self.wall, settings)
        return asyncio.create_task(front_end.handle(near))

    @asynccontextmanager
    async def client(self, *, secure: bool = True) -> AsyncIterator[Client]:
        """A client under TLS; when it leaves, its connection must have left nothing."""
        far, near = tcp_pair()
        connection = Connection(near, peer=ip_address("192.0.2.7"))
        client = Client(Connection(far), connection, self.serve(connection))
        try:
            if secure:
                await client.connection.secure_as_client(self.tls.client, "localhost", timeout_s=GIVE_UP_S)
            yield client
        finally:
            client.connection.abort()
            await asyncio.wait({client.task}, timeout=GIVE_UP_S)
            assert client.task.done()
            assert self.registry.count == 0


@asynccontextmanager
async def stage(tls: Tls, *answers: bytes, **times: float) -> AsyncIterator[Stage]:
    """A stage whose server behind says `answers`; `times` are the settings' own."""
    async with said_dav(*(answers or (HELLO,))) as said:
        upstream = DavUpstream(said.place, header="X-Remote-User", login=lambda grant: grant.email)
        try:
            yield Stage(tls, upstream, said, times=times)
        finally:
            upstream.close()


@dataclass(frozen=True)
class Got:
    """One answer."""

    status: int
    fields: dict[str, str]
    body: bytes


@dataclass
class Client:
    """The client's end, our end, and the task that serves it."""

    connection: Connection
    near: Connection
    task: asyncio.Task[None]
    received: bytes = b""

    async def send(self, octets: bytes) -> None:
        await self.connection.send(octets)

    async def ask(self, octets: bytes, *, method: bytes | None = None) -> Got:
        await self.send(octets)
        return await self.answer(head=(method or octets.split(b" ")[0]) == b"HEAD")

    async def answer(self, *, head: bool = False) -> Got:
        """Read one answer, framed as it says."""
        raw = await self._until(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        pairs = [line.split(": ", 1) for line in lines]
        fields = {name.lower(): value for name, value in pairs}
        assert len(fields) == len(pairs), "a field came twice"
        status = int(first[9:12])
        if head or status in (100, 204, 304):
            return Got(status, fields, b"")
        return Got(status, fields, await self._body(fields))

    async def _body(self, fields: dict[str, str]) -> bytes:
        if "content-length" in fields:
            return await self._exactly(int(fields["content-length"]))
        if "transfer-encoding" not in fields:
            return await self.rest()
        body = b""
        while size := int((await self._until(b"\r\n"))[:-2], 16):
            body += await self._exactly(size)
            assert await self._exactly(2) == b"\r\n"
        assert await self._exactly(2) == b"\r\n"
        return body

    async def more(self) -> bool:
        """Whether another answer begins before the end."""
        if not self.received:
            with contextlib.suppress(ConnectionLost):
                self.received = await self.connection.receive()
        return bool(self.received)

    async def rest(self) -> bytes:
        """Everything to the clean end."""
        while part := await self.connection.receive():
            self.received += part
        got, self.received = self.received, b""
        return got

    async def ended(self) -> None:
        """Wait for our end to close, however it does."""
        with contextlib.suppress(ConnectionLost):
            assert await self.rest() == b""
        self.connection.abort()
        await asyncio.wait_for(asyncio.wait({self.task}), GIVE_UP_S)

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            part = await self.connection.receive()
            assert part, f"ended after {self.received!r}"
            self.received += part
        got, mark, self.received = self.received.partition(mark)
        return got + mark

    async def _exactly(self, octets: int) -> bytes:
        while len(self.received) < octets:
            part = await self.connection.receive()
            assert part, f"ended after {self.received!r}"
            self.received += part
        got, self.received = self.received[:octets], self.received[octets:]
        return got


__all__ = ["GRANT", "PASSWORD", "Client", "Got", "Stage", "closed", "get", "put", "stage"]
