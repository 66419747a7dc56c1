"""Connections of load balancers: believed where the config says so, and counted as their clients."""

from __future__ import annotations

import asyncio
import logging
import socket
from ipaddress import ip_address, ip_network

import pytest

from proxy.net.accept import AcceptLoop, listen
from proxy.net.balancers import Balancers
from proxy.net.connection import Connection, ConnectionLost
from proxy.net.proxy_header import Ends, write_v1, write_v2
from proxy.net.strangers import Caps, Strangers
from support.sockets import Tls, on_both_loops, reset, turns, until

BALANCER, ANYONE = "127.0.0.2", "127.0.0.3"
GATE = (ip_address("198.51.100.1"), 993)


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def header(client: str = "192.0.2.7", port: int = 40_000, *, write=write_v2) -> bytes:
    return write(Ends(client=(ip_address(client), port), gate=GATE))


class House:
    """An accept loop behind the balancer; its handler notes whom it serves, and echoes."""

    def __init__(self, *, caps: Caps | None = None, header_s: float = 30, tls: Tls | None = None) -> None:
        self.strangers = Strangers(caps)
        self.served: list[Connection] = []
        self.tls = tls
        networks = (ip_network(f"{BALANCER}/32"),)
        balancers = Balancers(networks=networks, header_s=header_s)
        self.loop = AcceptLoop(listen("127.0.0.1", 0), self.serve, self.strangers, balancers=balancers)
        self.loop.start()

    async def serve(self, connection: Connection) -> None:
        self.served.append(connection)
        if self.tls is not None:
            await connection.secure_as_server(self.tls.server, timeout_s=30)
        while octets := await connection.receive():
            await connection.send(octets)

    async def call(self, source: str, first: bytes = b"") -> Connection:
        sock = socket.create_connection(("127.0.0.1", self.loop.port), source_address=(source, 0))
        connection = Connection(sock)
        await connection.send(first)
        return connection

    async def ended(self, *guests: Connection) -> None:
        for guest in guests:
            guest.abort()
        await self.loop.finish(5)
        assert len(self.strangers) == 0


@on_both_loops
@pytest.mark.parametrize("write", [write_v1, write_v2])
async def test_the_client_is_whom_the_balancer_names(write):
    house = House()
    guest = await house.call(BALANCER, header(write=write) + b"a1 NOOP\r\n")
    assert await guest.receive() == b"a1 NOOP\r\n"
    [served] = house.served
    assert (served.peer, served.unannounced) == (ip_address("192.0.2.7"), False)
    assert served.announced == Ends(client=(ip_address("192.0.2.7"), 40_000), gate=GATE)
    await house.ended(guest)


@on_both_loops
async def test_what_follows_the_header_is_left_for_tls(tls):
    house = House(tls=tls)
    guest = await house.call(BALANCER, header("2001:db8::7", write=write_v1))
    await guest.secure_as_client(tls.client, "localhost", timeout_s=30)
    await guest.send(b"a1")
    assert await guest.receive() == b"a1"
    assert house.served[0].peer == ip_address("2001:db8::7")
    await house.ended(guest)


@on_both_loops
async def test_a_health_check_keeps_the_balancers_own_address():
    house = House()
    guest = await house.call(BALANCER, b"PROXY UNKNOWN\r\nx")
    assert await guest.receive() == b"x"
    assert (house.served[0].peer, house.served[0].announced) == (ip_address(BALANCER), None)
    await house.ended(guest)


@on_both_loops
async def test_a_balancer_without_a_header_is_closed_and_a_line_says_so(caplog):
    house = House()
    with caplog.at_level(logging.INFO):
        guest = await house.call(BALANCER, b"a1 LOGIN alice hunter2\r\n")
        with pytest.raises(ConnectionLost):  # what it sent was not read
            await guest.receive()
        await until(lambda: not house.loop.connections)
    assert house.served == []
    assert f"from load balancer {BALANCER} closed: no PROXY header" in caplog.text
    assert "hunter2" not in caplog.text
    await house.ended(guest)


@on_both_loops
async def test_a_header_from_anyone_else_is_never_believed():
    house = House()
    octets = header(write=write_v1) + b"a1 NOOP\r\n"
    guest = await house.call(ANYONE, octets)
    assert await guest.receive() == octets, "it goes to the protocol, where it is garbage"
    assert (house.served[0].peer, house.served[0].announced) == (ip_address(ANYONE), None)
    await house.ended(guest)


@on_both_loops
async def test_a_header_must_come_in_time(caplog):
    house = House(header_s=0.05)
    with caplog.at_level(logging.INFO):
        guest = await house.call(BALANCER, header()[:20])
        assert await guest.receive() == b""
    assert "no whole header in time" in caplog.text
    assert house.served == []
    await house.ended(guest)


@on_both_loops
async def test_a_look_whether_we_listen_is_no_event(caplog):
    house = House()
    with caplog.at_level(logging.INFO):
        for leave in (Connection.abort, lambda guest: reset(guest.channel.sock.dup())):
            guest = await house.call(BALANCER)
            await until(lambda: house.loop.connections == 1)
            leave(guest)
            guest.abort()
            await until(lambda: not house.loop.connections)
    assert (caplog.text, house.served) == ("", [])
    await house.ended()


@on_both_loops
async def test_a_header_that_ends_too_early_is_told(caplog):
    house = House()
    with caplog.at_level(logging.INFO):
        guest = await house.call(BALANCER, header()[:20])
        guest.abort()
        await until(lambda: "closed within the header" in caplog.text)
    await house.ended()


@on_both_loops
async def test_many_clients_of_one_balancer_have_a_cap_each():
    house = House(caps=Caps(per_address=2, unannounced=2))
    guests = []
    for number in range(6):
        guests.append(await house.call(BALANCER, header(f"192.0.2.{number}") + b"x"))
        assert await guests[-1].receive() == b"x"
    greedy = []
    for _ in range(3):
        greedy.append(await house.call(BALANCER, header("203.0.113.7") + b"x"))
        assert await greedy[-1].receive() == b"x"
    assert await greedy[0].receive() == b"", "the third of one address drops its oldest"
    assert len(house.strangers) == 8
    await house.ended(*guests, *greedy)


@on_both_loops
async def test_a_client_that_is_too_many_is_refused_by_its_own_address(caplog):
    released = asyncio.Event()
    house = House(caps=Caps(per_address=1))

    async def work(connection: Connection) -> None:
        await connection.receive()
        await released.wait()

    house.loop.handler = work
    busy = await house.call(BALANCER, header() + b"x")
    await until(lambda: len(house.strangers) == 1)
    await turns()
    with caplog.at_level(logging.INFO):
        late = await house.call(BALANCER, header())
        assert await late.receive() == b""
    assert "event=dropped reason=crowded address=192.0.2.7" in caplog.text
    released.set()
    await house.ended(busy, late)


@on_both_loops
async def test_a_stalled_balancer_holds_its_own_places_alone():
    house = House(caps=Caps(in_all=2, unannounced=3))
    stalled = [await house.call(BALANCER) for _ in range(5)]
    direct = [await house.call(ANYONE, b"x") for _ in range(2)]
    for guest in direct:
        assert await guest.receive() == b"x"
    await until(lambda: house.loop.connections == 5)
    assert len(house.strangers) == 5
    for dropped in stalled[:2]:
        assert await dropped.receive() == b""
    await house.ended(*stalled, *direct)


@on_both_loops
async def test_who_waits_for_a_header_leaves_when_the_server_stops():
    house = House()
    guest = await house.call(BALANCER)
    await until(lambda: house.loop.connections == 1)
    await house.loop.finish(0)
    assert (house.loop.connections, len(house.strangers)) == (0, 0)
    assert await guest.receive() == b""
    guest.abort()


def test_addresses_of_another_family_are_no_fault():
    balancers = Balancers(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")))
    assert ip_address("192.0.2.10") in balancers
    assert ip_address("2001:db8::5") in balancers
    for other in (ip_address("192.0.3.10"), ip_address("2001:db8:0:1::5"), None):
        assert other not in balancers
    assert ip_address("127.0.0.1") not in Balancers()
