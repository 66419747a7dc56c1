"""Upstreams that lie, through a whole front-end over real sockets: each lie is an outage, and a bounded one.

Whoever signs in meanwhile is let in, whoever is in works on, and whoever was told of the outage may try again
on the same connection. Nothing is left of it: no task, no descriptor.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auth.refusal import Reason
from config.authority import issue, make_authority
from proxy import limits
from proxy.imap.upstream import ImapUpstream
from proxy.net.tls import CertificateFiles, client_context, server_context
from proxy.smtp.upstream import SmtpUpstream
from support.imap_stage import Client, Stage, soon
from support.liar import Liar, Script, Secure
from support.lies import IMAP_LIES, QUICK, RESPONSE, SLOW, SMTP_LIES, WIRES, Wire, everywhere, liar
from support.sockets import GIVE_UP_S, Tls, make_certificate, on_both_loops, turns

HURRY_S = 0.2
"""In place of ten seconds, for lies that only our limit ends."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@dataclass
class Scene:
    """A front-end before a liar, and the clients that came to it."""

    wire: Wire
    tls: Tls
    server: Liar
    stage: Stage
    clients: AsyncExitStack
    open: list[Client] = field(default_factory=list)

    async def client(self, *, port: int | None = None, **limits: float) -> Client:
        """A client, and how long its upstream has."""
        patient = {"connect_s": 2 * GIVE_UP_S, "sign_in_s": 2 * GIVE_UP_S}
        self.stage.upstream = self.wire.upstream(self.tls, port or self.server.port, **patient | limits)
        self.open.append(await self.clients.enter_async_context(self.stage.client()))
        return self.open[-1]

    async def honest(self) -> Client:
        """A client that is let in."""
        client = await self.client()
        answer = await soon(self.wire.sign_in(client))
        assert answer != self.wire.unavailable
        assert await soon(self.wire.works(client))
        return client

    async def leave(self) -> None:
        """Close every client's end and see that nothing is served any more."""
        for client in self.open:
            client.connection.abort()
        await soon(asyncio.gather(*(client.task for client in self.open)))


@asynccontextmanager
async def scene(wire: Wire, tls: Tls):
    async with liar(wire, tls).running() as server, AsyncExitStack() as clients:
        now = Scene(wire, tls, server, wire.stage(tls), clients)
        yield now
        await now.leave()


async def is_an_outage(wire: Wire, tls: Tls, lies: list[Script], *, sign_in_s: float) -> Liar:
    """Tell each of these lies to a client of its own, all at once; gives the liar."""
    async with scene(wire, tls) as now:
        before = await now.honest()
        now.server.lies.extend(lies)
        clients = [await now.client(sign_in_s=sign_in_s) for _ in lies]
        answers = [asyncio.create_task(soon(wire.sign_in(client))) for client in clients]
        await soon(lambda: now.server.lied == len(lies))
        await now.honest()
        assert await soon(wire.works(before))
        assert await asyncio.gather(*answers) == [wire.unavailable] * len(lies)
        for client in clients:
            assert await soon(wire.alive(client))
        reasons = {record.outcome for record in now.stage.records} - {"granted"}
        assert reasons <= {Reason.UNAVAILABLE, Reason.UPSTREAM_REFUSED}
        return now.server


@pytest.mark.parametrize("ending", QUICK)
@pytest.mark.parametrize("wire", WIRES)
@on_both_loops
async def test_a_server_that_breaks_off_at_any_turn(tls, wire, ending):
    lies = everywhere(WIRES[wire], tls, QUICK[ending])
    await is_an_outage(WIRES[wire], tls, lies, sign_in_s=2 * GIVE_UP_S)


@pytest.mark.parametrize("ending", SLOW)
@pytest.mark.parametrize("wire", WIRES)
@on_both_loops
async def test_a_server_that_keeps_us_waiting_at_any_turn(tls, wire, ending):
    await is_an_outage(WIRES[wire], tls, everywhere(WIRES[wire], tls, SLOW[ending]), sign_in_s=HURRY_S)


ONE_PLACE = [
    (wire, lie)
    for wire in WIRES
    for lie in (IMAP_LIES if wire.startswith("imap") else SMTP_LIES)
    if (WIRES[wire].starttls or "STARTTLS" not in lie) and "told" not in wire
]


@pytest.mark.parametrize(("wire", "lie"), ONE_PLACE)
@on_both_loops
async def test_a_server_that_says(tls, wire, lie):
    lies = IMAP_LIES if wire.startswith("imap") else SMTP_LIES
    script = lies[lie](WIRES[wire], tls)
    server = await is_an_outage(WIRES[wire], tls, [script], sign_in_s=2 * GIVE_UP_S)
    if "STARTTLS" in lie:
        assert all(RESPONSE not in said for said in server.heard)


# --- a certificate that is not right ------------------------------------------------------------------------


class Household(Tls):
    """The gate trusts an authority; `wrong` are servers that have no certificate of it for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        make_authority(folder / "trusted")
        make_authority(folder / "other")
        here = ["localhost", "127.0.0.1"]
        (folder / "own").mkdir()
        self.files = _issued(folder / "trusted", here)
        self.server = server_context([self.files], [])
        self.client = client_context(folder / "trusted" / "ca.pem")
        self.wrong: dict[str, ssl.SSLContext] = {
            "another name": server_context([_issued(folder / "trusted", ["imap.example.org"])], []),
            "expired": server_context([_issued(folder / "trusted", here, now - timedelta(days=900))], []),
            "not yet valid": server_context([_issued(folder / "trusted", here, now + timedelta(days=2))], []),
            "another authority": server_context([_issued(folder / "other", here)], []),
            "signed by itself": server_context([make_certificate(folder / "own", *here)], []),
        }


def _issued(folder: Path, names: list[str], now: datetime | None = None) -> CertificateFiles:
    certificate, key = issue(folder, names, now=now)
    return CertificateFiles(names=tuple(names), certificate=certificate, key=key)


@pytest.fixture(scope="module")
def household(tmp_path_factory) -> Household:
    return Household(tmp_path_factory.mktemp("household"))


@pytest.mark.parametrize("wire", WIRES)
@on_both_loops
async def test_a_server_whose_certificate_is_not_right_hears_no_secret(household, wire):
    truth = WIRES[wire].truth(household)
    lies = [
        [Secure(wrong) if isinstance(step, Secure) else step for step in truth]
        for wrong in household.wrong.values()
    ]
    server = await is_an_outage(WIRES[wire], household, lies, sign_in_s=2 * GIVE_UP_S)
    assert all(RESPONSE not in said for said in server.heard)


# --- a server that is not there -----------------------------------------------------------------------------


@asynccontextmanager
async def full_backlog():
    """A port that takes no connection any more: the kernel drops what asks for one."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            while not waiting or await _taken(waiting[-1]):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


async def _taken(sock: socket.socket) -> bool:
    """Whether a connection is there after a few turns of the loop; on loopback it is there at once."""
    await turns(5)
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


@asynccontextmanager
async def nobody():
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize(
    ("there", "more"),
    [(nobody, {}), (full_backlog, {"connect_s": HURRY_S}), (full_backlog, {"sign_in_s": HURRY_S})],
    ids=["refuses", "takes no connection in time", "takes longer than the whole sign-in may"],
)
@pytest.mark.parametrize("wire", WIRES)
@on_both_loops
async def test_a_server_that_is_not_there(tls, wire, there, more):
    async with scene(WIRES[wire], tls) as now, there() as port:
        before = await now.honest()
        client = await now.client(port=port, **more)
        assert await soon(WIRES[wire].sign_in(client)) == WIRES[wire].unavailable
        assert await soon(WIRES[wire].alive(client))
        assert await soon(WIRES[wire].works(before))


# --- how long it may take -----------------------------------------------------------------------------------


def test_a_client_hears_of_the_outage_within_ten_seconds():
    """The limit of a whole sign-in holds connecting and handshake: the tests above wait for nothing else."""
    assert limits.UPSTREAM_CONNECT_S <= limits.UPSTREAM_SIGN_IN_S < 10.0
    for make in (ImapUpstream, SmtpUpstream):
        defaults = {each.name: each.default for each in fields(make)}
        assert defaults["sign_in_s"] == limits.UPSTREAM_SIGN_IN_S
        assert defaults["connect_s"] == limits.UPSTREAM_CONNECT_S
