"""The whole DAV front-end before a real Radicale, for tests that ask and look, one request after another.

TLS, head check, wall and the way upstream are real; the gate is played and grants what a request says. Its
loop runs during requests alone, so that a matrix of hundreds of them reads as plain calls.
"""

import asyncio
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from config import address
from config.address import Speaks
from proxy.dav.front_end import DavFrontEnd
from proxy.dav.settings import Settings
from proxy.dav.upstream import DavUpstream
from proxy.dav.wall import Wall
from proxy.failures import House
from proxy.net.connection import Connection
from proxy.ports import Ports
from proxy.sessions import Registry
from proxy.upstreams.place import Place
from scopes.model import Grant, Scope
from support.dav_stage import Client, Got
from support.imap_stage import PASSWORD, PlayedGate
from support.radicale_server import Radicale, Reply
from support.sockets import GIVE_UP_S, Tls, tcp_pair
from support.wall_stage import HOST, grant

_SIGNED = "Basic " + b64encode(f"alice@example.org:{PASSWORD}".encode()).decode()


class _Nobody:
    """Takes records and strangers, and keeps neither."""

    def record(self, record: object) -> None: ...
    def release(self, guest: Connection) -> None: ...
    def doubt(self, guest: Connection) -> None: ...


class Door:
    """The front-end and one client of it."""

    def __init__(self, server: Radicale, tls: Tls, runner: asyncio.Runner) -> None:
        behind = address.parse(f"unix:{server.socket_path}", speaks=Speaks.DAV)
        self.upstream = DavUpstream(
            Place(address=behind), header="X-Remote-User", login=lambda who: who.email
        )
        self.wall = Wall(self.upstream.ask, authorities=(HOST,))
        self._tls = tls
        self._runner = runner
        self._gate = PlayedGate()
        self._client: Client | None = None
        nobody = _Nobody()
        ports = Ports(gate=self._gate, registry=Registry(), recorder=nobody, strangers=nobody)
        settings = Settings(house=House(host=HOST), tls=lambda: tls.server, is_ours={HOST}.__contains__)
        self._front_end = DavFrontEnd(ports, self.upstream, self.wall, settings)

    def request(
        self,
        scopes: frozenset[Scope] | Grant,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Do one request as an app password with these scopes, on the last one's connection if it stands."""
        self._gate.answer = scopes if isinstance(scopes, Grant) else grant(*scopes)
        sent = {"host": HOST, "authorization": _SIGNED, **(fields or {})}
        if body:
            sent.setdefault("content-length", str(len(body)))
        lines = [
            f"{method} {target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in sent.items() if value),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        got = self._runner.run(self._ask(head + body, method))
        return Reply(got.status, got.fields, got.body)

    def raw(self, octets: bytes) -> Reply:
        """Send these octets as they are."""
        got = self._runner.run(self._ask(octets, "RAW"))
        return Reply(got.status, got.fields, got.body)

    def close(self) -> None:
        """End the client, and the connections upstream."""
        self._runner.run(self._leave())
        self.upstream.close()

    async def _ask(self, octets: bytes, method: str) -> Got:
        client = self._client or await self._enter()
        got = await client.ask(octets, method=method.encode())
        if got.fields.get("connection", "").lower() == "close":
            await self._leave()
        return got

    async def _enter(self) -> Client:
        far, near = tcp_pair()
        connection = Connection(near)
        serving = asyncio.create_task(self._front_end.handle(connection))
        self._client = Client(Connection(far), connection, serving)
        await self._client.connection.secure_as_client(self._tls.client, "localhost", timeout_s=GIVE_UP_S)
        return self._client

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.connection.abort()
            await asyncio.wait({client.task}, timeout=GIVE_UP_S)
            assert client.task.done()


@contextmanager
def door(server: Radicale, tls: Tls) -> Iterator[Door]:
    """Open the door of a server until the block ends."""
    with asyncio.Runner() as runner:
        opened = Door(server, tls, runner)
        try:
            yield opened
        finally:
            opened.close()
