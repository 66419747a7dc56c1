"""The accept loop: counted from the first moment, released however it ends, alive without descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from proxy import limits
from proxy.net.accept import AcceptLoop, listen
from proxy.net.connection import Connection, ConnectionLost
from proxy.net.strangers import Caps, Strangers
from support.sockets import Tls, on_both_loops, read_exactly, reset, turns, until


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


class House:
    """An accept loop whose handler greets, and answers each octet."""

    def __init__(self, *, caps: Caps | None = None, handler=None, accept=None) -> None:
        self.strangers = Strangers(caps)
        self.served: list[Connection] = []
        self.listener = listen("127.0.0.1", 0)
        take = accept(self.listener) if accept else None
        self.loop = AcceptLoop(self.listener, handler or self.serve, self.strangers, accept=take)
        self.loop.start()

    async def serve(self, connection: Connection) -> None:
        self.served.append(connection)
        await connection.send(b"* OK ready\r\n")
        while octets := await connection.receive():
            await connection.send(octets)

    async def call(self) -> Connection:
        return await Connection.open_tcp("127.0.0.1", self.loop.port, timeout_s=10)

    async def guest(self) -> Connection:
        """A caller who has been greeted."""
        connection = await self.call()
        assert await read_exactly(connection, 12) == b"* OK ready\r\n"
        return connection

    async def emptied(self) -> None:
        await until(lambda: not self.loop.connections)


@on_both_loops
async def test_a_connection_is_served_and_counted_until_it_ends():
    house = House()
    guest = await house.guest()
    assert (len(house.strangers), house.loop.connections) == (1, 1)
    assert house.served[0].peer == ip_address("127.0.0.1")
    assert house.served[0].channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await guest.send(b"a1")
    assert await guest.receive() == b"a1"
    guest.abort()
    await house.emptied()
    assert len(house.strangers) == 0
    await house.loop.finish(0)


@on_both_loops
async def test_one_who_has_signed_in_is_no_stranger():
    house = House(caps=Caps(per_address=2))
    guests = []
    for _ in range(5):
        guests.append(await house.guest())
        house.strangers.release(house.served[-1])
    assert (len(house.strangers), house.loop.connections) == (0, 5)
    for guest in guests:
        await guest.send(b"x")
        assert await guest.receive() == b"x"
        guest.abort()
    await house.loop.finish(5)


@on_both_loops
async def test_a_peer_that_never_shakes_hands_is_counted_and_timed_out(tls):
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def secure(connection: Connection) -> None:
        try:
            await connection.secure_as_server(tls.server, timeout_s=0.05)
        except ConnectionLost as cause:
            outcome.set_result(str(cause))
            raise

    house = House(handler=secure)
    guest = await house.call()
    await until(lambda: len(house.strangers) == 1)
    assert await outcome == "TLS handshake timed out"
    assert await guest.receive() == b""
    await house.emptied()
    assert len(house.strangers) == 0
    guest.abort()
    await house.loop.finish(0)


@on_both_loops
async def test_a_crowd_of_idle_strangers_keeps_nobody_out(tls):
    """300 connections from one address that say nothing; then an honest one is served at once."""

    async def secure_and_echo(connection: Connection) -> None:
        await connection.secure_as_server(tls.server, timeout_s=10)
        while octets := await connection.receive():
            await connection.send(octets)

    house = House(handler=secure_and_echo, caps=Caps(per_address=20))
    crowd = [await house.call() for _ in range(300)]
    honest = await house.call()
    await honest.secure_as_client(tls.client, "localhost", timeout_s=10)
    await honest.send(b"a1 LOGIN")
    assert await honest.receive() == b"a1 LOGIN"
    assert len(house.strangers) == 20
    assert house.loop.connections == 20
    for connection in [*crowd, honest]:
        connection.abort()
    await house.loop.finish(5)


@on_both_loops
async def test_a_crowd_that_is_being_worked_on_turns_a_newcomer_away():
    released = asyncio.Event()

    async def work(connection: Connection) -> None:
        await connection.receive()
        await released.wait()

    house = House(handler=work, caps=Caps(per_address=3))
    busy = [await house.call() for _ in range(3)]
    for connection in busy:
        await connection.send(b"x")
    await turns()
    newcomer = await house.call()
    with contextlib.suppress(ConnectionLost):
        assert await newcomer.receive() == b""
    assert len(house.strangers) == 3
    released.set()
    await house.emptied()
    for connection in [*busy, newcomer]:
        connection.abort()
    await house.loop.finish(0)


@on_both_loops
async def test_a_fault_of_the_handler_is_logged_without_its_text(caplog):
    async def broken(connection: Connection) -> None:
        await connection.receive()
        raise ValueError("hunter2")

    house = House(handler=broken)
    with caplog.at_level(logging.DEBUG):
        guest = await house.call()
        await guest.send(b"x")
        assert await guest.receive() == b""
    assert "ValueError at " in caplog.text
    assert "test_net_accept.py" in caplog.text
    assert "hunter2" not in caplog.text
    assert len(house.strangers) == 0
    guest.abort()
    await house.loop.finish(0)


@on_both_loops
async def test_finish_waits_and_then_cancels():
    house = House()
    patient, leaving = await house.guest(), await house.guest()
    finishing = asyncio.create_task(house.loop.finish(0.05))
    leaving.abort()
    await finishing
    assert house.loop.connections == 0
    assert len(house.strangers) == 0
    assert await patient.receive() == b""
    with pytest.raises(ConnectionLost, match="ECONNREFUSED"):
        await house.call()
    patient.abort()


@on_both_loops
async def test_a_task_cancelled_before_it_began_gives_everything_back():
    house = House()
    near, far = socket.socketpair()
    house.loop._welcome(near, "")
    assert (len(house.strangers), house.loop.connections) == (1, 1)
    for task in house.loop._tasks:
        task.cancel()
    await house.emptied()
    await house.loop.finish(0)
    assert (house.served, len(house.strangers), house.loop.connections) == ([], 0, 0)
    assert far.recv(1) == b""
    far.close()


@on_both_loops
async def test_callers_who_left_in_the_backlog_do_no_harm():
    house = House()
    for leave in (socket.socket.close, reset) * 10:
        leave(socket.create_connection(("127.0.0.1", house.loop.port)))
    guest = await house.guest()
    guest.abort()
    await house.loop.finish(5)


def scarce(failures: list[int]):
    """An accept that fails with these errors first, and counts."""

    def of(listener: socket.socket):
        def accept():
            if failures:
                raise OSError(failures.pop(0), "")
            return listener.accept()

        return accept

    return of


@on_both_loops
async def test_without_descriptors_it_pauses_drops_the_oldest_stranger_and_goes_on(caplog):
    failures: list[int] = []
    house = House(accept=scarce(failures))
    oldest = await house.guest()
    failures += [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]
    loop = asyncio.get_running_loop()
    started = loop.time()
    with caplog.at_level(logging.WARNING):
        newcomer = await house.guest()
    assert loop.time() - started >= 3 * limits.ACCEPT_BACKOFF_S - 0.02
    assert len([r for r in caplog.records if "cannot accept" in r.message]) == 1
    assert await oldest.receive() == b""
    oldest.abort()
    newcomer.abort()
    await house.loop.finish(5)


@on_both_loops
async def test_an_error_about_one_caller_is_no_pause(caplog):
    failures: list[int] = [errno.ECONNABORTED, errno.EPROTO] * 5
    house = House(accept=scarce(failures))
    guest = await house.guest()
    assert failures == []
    assert "cannot accept" not in caplog.text, "which goes with a pause"
    guest.abort()
    await house.loop.finish(5)


@on_both_loops
async def test_it_can_be_stopped_while_it_pauses():
    failures = [errno.EMFILE] * 1000
    house = House(accept=scarce(failures))
    guest = await house.call()
    await until(lambda: len(failures) < 1000)
    house.loop.stop()
    house.loop.stop()
    await house.loop.finish(0)
    guest.abort()


CROWDED = """
import asyncio, resource, socket, sys, time
from proxy.net.accept import AcceptLoop, listen
from proxy.net.connection import Connection
from proxy.net.strangers import Caps, Strangers

async def serve(connection):
    await connection.send(b"hello")
    while await connection.receive():
        pass

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    house = AcceptLoop(listen("127.0.0.1", 0), serve, Strangers(Caps(per_address=1000)))
    house.start()
    print(house.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(time.process_time(), flush=True)

asyncio.run(main())
"""


def test_at_the_limit_of_descriptors_it_neither_spins_nor_dies(root: Path):
    """A real limit: 100 callers on 40 descriptors; then one more is served, and little time was spent."""
    with subprocess.Popen(
        [sys.executable, "-c", CROWDED],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as house:
        port = int(house.stdout.readline())
        crowd = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(100)]
        for caller in crowd[:20]:
            caller.close()
        last = socket.create_connection(("127.0.0.1", port), timeout=20)
        assert last.recv(5) == b"hello"
        house.stdin.write("\n")
        house.stdin.flush()
        assert float(house.stdout.readline()) < 2.0, "it spun"
        for caller in [*crowd, last]:
            caller.close()
        assert house.wait(timeout=20) == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 on this machine")
@on_both_loops
async def test_every_address_of_both_families():
    seen = []

    async def note(connection: Connection) -> None:
        seen.append(connection.peer)

    listener = listen("::", 0)
    house = AcceptLoop(listener, note, Strangers())
    house.start()
    for host in ("127.0.0.1", "::1"):
        guest = await Connection.open_tcp(host, house.port, timeout_s=5)
        assert await guest.receive() == b""
        guest.abort()
    assert seen == [ip_address("127.0.0.1"), ip_address("::1")]
    await house.finish(0)


@on_both_loops
async def test_listening_twice_on_a_port_is_an_error():
    with listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1])
