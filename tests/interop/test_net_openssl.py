"""OpenSSL's own client against a connection: key updates, a wish to renegotiate, old versions, a bare end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import DEVNULL, PIPE, Popen

import pytest

from proxy import limits
from proxy.net.channel import PlainChannel
from proxy.net.connection import Connection, ConnectionLost, Truncated
from proxy.net.relay import RelayEnd, relay
from support.programs import program
from support.sockets import Tls, connections, on_both_loops, read_exactly


class FullChannel(PlainChannel):
    """To a peer that reads no more."""

    def _push(self, data):
        return 0


BIG = os.urandom(400_000).replace(b"\n", b"n").replace(b"Q", b"q")


@pytest.fixture(scope="module", autouse=True)
def openssl() -> str:
    return program("openssl", "openssl")


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def s_client(*options: str) -> AsyncIterator[tuple[Popen[bytes], Connection]]:
    """`openssl s_client`, and the connection it has made to us, before the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        command = ("openssl", "s_client", "-connect", where, *options)
        process = Popen(command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, bufsize=0)  # noqa: ASYNC220
        connection = Connection((await asyncio.to_thread(listener.accept))[0])
    try:
        yield process, connection
    finally:
        connection.abort()
        process.kill()
        process.communicate()


async def obey(client: Popen[bytes], letter: bytes, *, saying: bytes) -> None:
    """Give one of its commands and wait until it says that it does it."""
    client.stdin.write(letter + b"\n")
    said = b""
    while saying not in said:
        said += await asyncio.to_thread(client.stderr.read, 1_000)


async def read_on(connection: Connection) -> None:
    """Read until the end, whatever it is."""
    while await connection.receive():
        pass


@pytest.mark.parametrize("letter", [b"k", b"K"])
@on_both_loops
async def test_key_updates_are_followed(tls, letter):
    async with s_client("-tls1_3") as (client, server):
        await server.secure_as_server(tls.server, timeout_s=10)
        for number in range(3):
            await obey(client, letter, saying=b"KEYUPDATE")
            client.stdin.write(b"a%d\n" % number)
            assert await server.receive() == b"a%d\n" % number
            await server.send(b"under the new keys too\n")


@on_both_loops
async def test_who_asks_for_key_updates_and_never_reads_the_answers_is_cut_off(tls):
    async with s_client("-tls1_3") as (client, server):
        await server.secure_as_server(tls.server, timeout_s=10)
        wire = server.channel._wire = FullChannel(server.channel.sock)
        for _ in range(3):
            await obey(client, b"K", saying=b"KEYUPDATE")
            client.stdin.write(b"more\n")
            assert await server.receive() == b"more\n"
        assert 0 < wire.unsent < 200
        assert not wire.send(memoryview(bytes(limits.TLS_UNREAD_OCTETS)))
        await obey(client, b"K", saying=b"KEYUPDATE")
        client.stdin.write(b"more\n")
        with pytest.raises(ConnectionLost, match="without reading"):
            await read_on(server)


@on_both_loops
async def test_key_updates_are_followed_in_the_relay(tls):
    async with s_client("-tls1_3") as (client, near_client):
        await near_client.secure_as_server(tls.server, timeout_s=10)
        near_upstream, upstream = connections()
        relaying = asyncio.create_task(relay(near_client, near_upstream, idle_s=30))
        for number in range(3):
            await obey(client, b"K", saying=b"KEYUPDATE")
            client.stdin.write(b"a%d\n" % number)
            assert await upstream.receive() == b"a%d\n" % number
            await upstream.send(BIG)
        client.stdin.write(b"Q\n")
        await read_on(upstream)
        upstream.abort()
        assert (await relaying).end is RelayEnd.CLIENT_CLOSED


@on_both_loops
async def test_a_wish_to_renegotiate_is_refused(tls):
    async with s_client("-tls1_2") as (client, server):
        await server.secure_as_server(tls.server, timeout_s=10)
        assert server.tls_version == "TLSv1.2"
        client.stdin.write(b"before\n")
        assert await server.receive() == b"before\n"
        await obey(client, b"R", saying=b"RENEGOTIATING")
        with pytest.raises(ConnectionLost, match="alert handshake failure"):  # refused, it leaves
            await read_on(server)


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
@on_both_loops
async def test_old_versions_are_refused(tls, version):
    async with s_client(version, "-cipher", "DEFAULT@SECLEVEL=0") as (_, server):
        with pytest.raises(ConnectionLost, match="TLS: unsupported protocol"):
            await server.secure_as_server(tls.server, timeout_s=10)


@on_both_loops
async def test_a_clean_end(tls):
    async with s_client() as (client, server):
        await server.secure_as_server(tls.server, timeout_s=10)
        client.stdin.write(b"Q\n")
        assert await server.receive() == b""


@on_both_loops
async def test_a_killed_client_is_no_clean_end(tls):
    async with s_client() as (client, server):
        await server.secure_as_server(tls.server, timeout_s=10)
        client.stdin.write(b"hello\n")
        assert await read_exactly(server, 6) == b"hello\n"
        client.kill()
        with pytest.raises(Truncated):
            await server.receive()
