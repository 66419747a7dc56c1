"""A connection delivers every octet in order, loses none when cancelled, and leaves no descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from ipaddress import ip_address

import pytest

from proxy import limits
from proxy.net.channel import lost
from proxy.net.connection import Connection, ConnectionLost, address_of
from support.sockets import (
    Tls,
    connections,
    on_both_loops,
    read_all,
    read_exactly,
    reset,
    tcp_pair,
    turns,
)

BIG = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def pair(tls: Tls, kind: str) -> tuple[Connection, Connection]:
    client, server = connections()
    if kind == "tls":
        await tls.secure(client, server)
    return client, server


KINDS = pytest.mark.parametrize("kind", ["plain", "tls"])


@KINDS
@on_both_loops
async def test_what_is_sent_arrives_and_then_the_end(tls, kind):
    client, server = await pair(tls, kind)
    await client.send(b"a1 NOOP\r\n")
    assert await server.receive() == b"a1 NOOP\r\n"
    closing = asyncio.create_task(client.close())
    assert await server.receive() == b""
    assert await server.receive() == b""
    await server.close()
    await closing
    assert client.closed
    assert server.closed


@KINDS
@on_both_loops
async def test_a_limit_leaves_the_rest_for_later(tls, kind):
    client, server = await pair(tls, kind)
    await client.send(b"0123456789" * 5_000)
    await turns()
    assert await server.receive(4) == b"0123"
    assert await read_exactly(server, 49_996) == (b"0123456789" * 5_000)[4:]
    client.abort()
    server.abort()


@KINDS
@on_both_loops
async def test_a_cancelled_receive_loses_nothing(tls, kind):
    client, server = await pair(tls, kind)
    for word in (b"one", b"two", b"three"):
        receiving = asyncio.create_task(server.receive())
        await turns(3)
        await client.send(word)
        receiving.cancel()  # when octets are already on their way to it
        with pytest.raises(asyncio.CancelledError):
            await receiving
        assert await server.receive() == word
    client.abort()
    server.abort()


@KINDS
@on_both_loops
async def test_much_is_sent_to_a_slow_reader_in_order(tls, kind):
    client, server = await pair(tls, kind)
    sending = asyncio.create_task(client.send(BIG))
    await turns()
    assert not sending.done(), "the kernel cannot hold this much"
    assert client.waiting
    assert await read_exactly(server, len(BIG)) == BIG
    await sending
    client.abort()
    server.abort()


@KINDS
@on_both_loops
async def test_a_cancelled_send_leaves_the_stream_whole(tls, kind):
    client, server = await pair(tls, kind)
    sending = asyncio.create_task(client.send(BIG))
    await turns()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    again = asyncio.create_task(client.send(b"behind it"))
    assert await read_exactly(server, len(BIG) + 9) == BIG + b"behind it"
    await again
    client.abort()
    server.abort()


@KINDS
@on_both_loops
async def test_both_ends_send_at_once(tls, kind):
    client, server = await pair(tls, kind)
    _, _, there, back = await asyncio.gather(
        client.send(BIG),
        server.send(BIG[::-1]),
        read_exactly(server, len(BIG)),
        read_exactly(client, len(BIG)),
    )
    assert there == BIG
    assert back == BIG[::-1]
    client.abort()
    server.abort()


@KINDS
@on_both_loops
async def test_abort_wakes_receiver_and_sender(tls, kind):
    client, server = await pair(tls, kind)
    told = []
    client.on_abort = lambda: told.append("aborted")
    waiting = [asyncio.create_task(client.receive()), asyncio.create_task(client.send(BIG))]
    await turns()
    client.abort()
    client.abort()
    for task in waiting:
        with pytest.raises(ConnectionLost):
            await task
    assert told == ["aborted"]
    for use in (client.receive, lambda: client.send(b"x")):
        with pytest.raises(ConnectionLost):
            await use()
    server.abort()


@on_both_loops
async def test_an_aborted_wait_that_is_cancelled_too_ends_quietly():
    client, server = connections()
    receiving = asyncio.create_task(client.receive())
    await turns(3)
    client.abort()
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    server.abort()


@KINDS
@on_both_loops
async def test_a_reset_is_a_loss_with_a_short_cause(tls, kind):
    client, server = await pair(tls, kind)
    reset(client.channel.sock)
    with pytest.raises(ConnectionLost, match="ECONNRESET"):
        await server.receive()
    with pytest.raises(ConnectionLost, match=r"EPIPE|ECONNRESET"):
        await server.send(b"x")
    client.abort()
    server.abort()


@on_both_loops
async def test_two_receivers_are_a_fault():
    client, server = connections()
    first = asyncio.create_task(client.receive())
    await turns(3)
    with pytest.raises(RuntimeError, match="two coroutines"):
        await client.receive()
    client.abort()
    server.abort()
    with pytest.raises(ConnectionLost):
        await first


@KINDS
@on_both_loops
async def test_last_words_reach_a_peer_that_was_still_writing(tls, kind):
    client, server = await pair(tls, kind)
    await client.send(b"ignored " * 10_000)
    await turns()
    await server.send(b"* BYE too many errors\r\n")
    closing = asyncio.create_task(server.close())
    assert await read_all(client) == b"* BYE too many errors\r\n"
    client.abort()
    await closing


@on_both_loops
async def test_close_does_not_wait_for_a_peer_that_never_stops():
    client, server = connections()

    async def flood() -> None:
        with contextlib.suppress(ConnectionLost):
            while True:
                await client.send(BIG)

    flooding = asyncio.create_task(flood())
    try:
        async with asyncio.timeout(30):
            await server.close(timeout_s=60)
        assert server.closed
    finally:
        flooding.cancel()
        await asyncio.wait({flooding})
        client.abort()


@KINDS
@on_both_loops
async def test_close_is_bounded_when_the_peer_does_nothing(tls, kind):
    client, server = await pair(tls, kind)
    sending = asyncio.create_task(client.send(BIG))
    await turns()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await asyncio.gather(client.close(timeout_s=0.02), server.close(timeout_s=0.02))
    assert client.closed
    assert server.closed
    await client.close()


class Endless:
    """A channel that always has more."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def receive_into(self, view: memoryview) -> int:
        return len(view)


@on_both_loops
async def test_a_peer_that_never_pauses_does_not_own_the_loop():
    client, server = connections()
    server.channel = Endless(server.channel.sock)
    reading = asyncio.create_task(read_exactly(server, 4 * limits.RELAY_BUFFER_OCTETS))
    await asyncio.sleep(0)
    assert not reading.done()
    await reading
    client.abort()
    server.abort()


@on_both_loops
async def test_it_is_the_peers_turn_until_its_first_octet_and_whenever_we_wait():
    client, server = connections()
    assert server.waiting
    await client.send(b"x")
    assert await server.receive() == b"x"
    assert not server.waiting
    receiving = asyncio.create_task(server.receive())
    await turns(3)
    assert server.waiting
    client.abort()
    assert await receiving == b""
    server.abort()


@on_both_loops
async def test_open_tcp_connects_and_knows_the_peer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = await Connection.open_tcp("127.0.0.1", listener.getsockname()[1], timeout_s=5)
        accepted, _ = listener.accept()
        assert connection.peer == ip_address("127.0.0.1")
        assert connection.channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not connection.local
        accepted.close()
        connection.abort()


@on_both_loops
async def test_open_tcp_refused_or_silent_is_a_loss():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionLost, match="ECONNREFUSED"):
        await Connection.open_tcp("127.0.0.1", port, timeout_s=5)
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = socket.create_connection(full.getsockname())
    with pytest.raises(ConnectionLost, match="connect timed out"):
        await Connection.open_tcp("127.0.0.1", full.getsockname()[1], timeout_s=0.05)
    waiting.close()
    full.close()


@on_both_loops
async def test_open_tcp_tries_every_address_of_a_name():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # localhost may name ::1 first
        connection = await Connection.open_tcp("localhost", listener.getsockname()[1], timeout_s=5)
        connection.abort()


@on_both_loops
async def test_open_unix(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(ConnectionLost, match="ENOENT"):
        await Connection.open_unix(path, timeout_s=5)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        connection = await Connection.open_unix(path, timeout_s=5)
        assert (connection.peer, connection.local, connection.secure) == (None, True, False)
        connection.abort()


@on_both_loops
async def test_a_unix_socket_with_a_full_backlog_is_waited_for(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        queued = []

        async def fill_the_backlog() -> None:
            while True:
                queued.append(await Connection.open_unix(path, timeout_s=0.05))

        with pytest.raises(ConnectionLost, match="connect timed out"):
            await fill_the_backlog()
        late = asyncio.create_task(Connection.open_unix(path, timeout_s=5))
        await turns()
        assert not late.done()
        listener.accept()[0].close()
        (await late).abort()
        for connection in queued:
            connection.abort()


@on_both_loops
async def test_a_cancelled_connect_leaves_nothing():
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = socket.create_connection(full.getsockname())
    connecting = asyncio.create_task(Connection.open_tcp("127.0.0.1", full.getsockname()[1], timeout_s=5))
    await turns()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    waiting.close()
    full.close()


@on_both_loops
async def test_ids_are_short_and_differ():
    near, far = tcp_pair()
    one, two = Connection(near), Connection(far)
    assert one.id != two.id
    assert len(one.id) == 8
    one.abort()
    two.abort()


def test_an_ipv4_peer_on_a_dual_stack_listener_is_an_ipv4_address():
    assert address_of("::ffff:192.0.2.7") == ip_address("192.0.2.7")
    assert address_of("2001:db8::1") == ip_address("2001:db8::1")


def test_causes_are_words_for_a_log():
    assert str(lost(socket.gaierror(-2, "Name or service not known"))) == "name not found"
    assert str(lost(OSError(104, "Connection reset by peer"))) == "ECONNRESET"
    assert str(lost(OSError("something strange"))) == "socket error"
