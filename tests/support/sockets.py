"""Socket pairs, throw-away certificates and the two event loops, for tests of what lives on sockets."""

from __future__ import annotations

import asyncio
import datetime
import functools
import gc
import inspect
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.net import splice
from proxy.net.connection import Connection
from proxy.net.tls import CertificateFiles, client_context, server_context

LOOPS = pytest.mark.parametrize(
    "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
GIVE_UP_S = 30.0
"""A test that takes longer hangs; nothing is measured by it."""
KERNEL_OCTETS = 65_536


def descriptors() -> int:
    """How many descriptors this process has open, those of what an earlier test dropped not counted."""
    gc.collect()
    return len(list(Path("/dev/fd").iterdir()))


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on asyncio's own loop and on uvloop; it must leave no descriptor behind."""

    @functools.wraps(test)
    def run(loop_factory, **arguments):
        splice.available()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.sleep(0))
            before = descriptors()
            runner.run(asyncio.wait_for(test(**arguments), GIVE_UP_S))
            splice.pipe_pool().close()
            gc.collect()
            runner.run(asyncio.sleep(0))
            assert descriptors() == before, "a descriptor was left behind"

    own = inspect.signature(test)
    added = inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = own.replace(parameters=[added, *own.parameters.values()], return_annotation=None)
    return LOOPS(run)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one loopback TCP connection, with so little room in the kernel that a test can fill it."""
    near = socket.socket()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for end in (near, listener):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_OCTETS)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_OCTETS)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)  # small windows need small segments
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    for end in (near, far):
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def connections() -> tuple[Connection, Connection]:
    """The same as `Connection`s."""
    near, far = tcp_pair()
    return Connection(near), Connection(far)


def reset(sock: socket.socket) -> None:
    """Close so that the peer gets a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class ReadsAhead(Connection):
    """A client's end that takes all that has come. Octet by octet, TLS turns the loop for each."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._ahead = b""

    async def receive(self, limit: int = 65_536) -> bytes:
        """See `Connection`; in clear nothing is taken before it is wanted, for a handshake may follow."""
        if not self.secure:
            return await super().receive(limit)
        octets = self._ahead or await super().receive()
        self._ahead = octets[limit:]
        return octets[:limit]


async def read_all(connection: Connection) -> bytes:
    """Everything up to the clean end."""
    parts = []
    while part := await connection.receive():
        parts.append(part)
    return b"".join(parts)


async def read_exactly(connection: Connection, octets: int) -> bytes:
    """That many octets; fewer at the end."""
    got = b""
    while len(got) < octets and (part := await connection.receive(octets - len(got))):
        got += part
    return got


async def turns(count: int = 20) -> None:
    """Let the loop go round: whatever is ready runs."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(there: Callable[[], bool]) -> None:
    """Let the loop go round until something is so."""
    while not there():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0)


def make_certificate(folder: Path, *names: str, san: Sequence[str] = ()) -> CertificateFiles:
    """A self-signed certificate for names and addresses, good for a day; `san` is for these instead."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    subjects = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in san or names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    stem = names[0].replace("*", "any")
    files = CertificateFiles(names=names, certificate=folder / f"{stem}.crt", key=folder / f"{stem}.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


class Tls:
    """Contexts of both sides that trust each other, for `localhost` and 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.files = make_certificate(folder, "localhost", "127.0.0.1")
        self.server: ssl.SSLContext = server_context([self.files], ["imap"])
        self.client: ssl.SSLContext = client_context(self.files.certificate)

    async def secure(self, client: Connection, server: Connection) -> None:
        """Take both ends of one connection over to TLS."""
        async with asyncio.TaskGroup() as both:
            both.create_task(server.secure_as_server(self.server, timeout_s=GIVE_UP_S))
            both.create_task(client.secure_as_client(self.client, "localhost", timeout_s=GIVE_UP_S))


@functools.cache
def tls_for(folder: Path) -> Tls:
    """One pair of contexts a folder: a key pair takes longer than a test."""
    return Tls(folder)
