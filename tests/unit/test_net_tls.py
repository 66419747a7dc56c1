"""TLS: the right certificate by name, nothing from before the handshake, every failure a loss."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.net.connection import Connection, ConnectionLost, Truncated
from proxy.net.tls import CertificateFiles, CertificateProblem, client_context, server_context
from support.sockets import Tls, connections, make_certificate, on_both_loops, read_exactly, reset, turns


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def shake(client: Connection, server: Connection, *, with_context, of, name="localhost", timeout_s=5.0):
    """Both sides of a handshake; the outcome of each."""
    return await asyncio.gather(
        client.secure_as_client(with_context, name, timeout_s=timeout_s),
        server.secure_as_server(of, timeout_s=timeout_s),
        return_exceptions=True,
    )


@on_both_loops
async def test_a_handshake_protects_and_tells_what_was_agreed(tls):
    client, server = connections()
    assert (client.secure, client.tls_version, client.tls_cipher, client.alpn) == (False, None, None, None)
    await tls.secure(client, server)
    assert server.secure
    assert server.tls_version == "TLSv1.3"
    assert server.tls_cipher == client.tls_cipher
    client.abort()
    server.abort()


@on_both_loops
async def test_a_protocol_is_chosen_when_it_is_offered(tls):
    for offer, chosen in ((["imap"], "imap"), (["h2", "imap"], "imap"), (["h2"], None)):
        client, server = connections()
        context = client_context(tls.files.certificate)
        context.set_alpn_protocols(offer)
        assert await shake(client, server, with_context=context, of=tls.server) == [None, None]
        assert (client.alpn, server.alpn) == (chosen, chosen)
        client.abort()
        server.abort()


@on_both_loops
async def test_the_certificate_follows_the_name_asked_for(tmp_path):
    first = make_certificate(tmp_path, "mail.example.org")
    second = make_certificate(tmp_path, "*.example.net", "example.net")
    server_side = server_context([first, second])
    for name, files in (
        ("mail.example.org", first),
        ("example.net", second),
        ("imap.example.net", second),
        ("IMAP.Example.NET", second),
    ):
        client, server = connections()
        trust = client_context(files.certificate)
        assert await shake(client, server, with_context=trust, of=server_side, name=name) == [None, None]
        client.abort()
        server.abort()


@on_both_loops
async def test_a_name_in_the_subject_alone_is_no_name(tmp_path):
    files = make_certificate(tmp_path, "localhost", san=["127.0.0.1"])
    client, server = connections()
    trust = client_context(files.certificate)
    mine, _ = await shake(client, server, with_context=trust, of=server_context([files]))
    assert str(mine).startswith("certificate refused: ")
    server.abort()


@on_both_loops
async def test_a_name_that_no_certificate_is_for_gets_the_first(tmp_path):
    first = make_certificate(tmp_path, "mail.example.org")
    second = make_certificate(tmp_path, "*.example.net")
    server_side = server_context([first, second])
    for name in ("other.example", "a.b.example.net", "127.0.0.1"):
        client, server = connections()
        trust = client_context(first.certificate)
        trust.check_hostname = False
        assert await shake(client, server, with_context=trust, of=server_side, name=name) == [None, None]
        client.abort()
        server.abort()


@on_both_loops
async def test_the_wrong_name_and_an_unknown_authority_are_refused(tls, tmp_path):
    stranger = make_certificate(tmp_path, "localhost")
    for trust, name, cause in (
        (tls.client, "mail.example.org", "certificate refused: Hostname mismatch"),
        (client_context(stranger.certificate), "localhost", "certificate refused: self"),
    ):
        client, server = connections()
        refused, at_server = await shake(client, server, with_context=trust, of=tls.server, name=name)
        assert isinstance(refused, ConnectionLost)
        assert str(refused).startswith(cause)
        assert client.closed
        if at_server is None:  # TLS 1.3: the server is done before the client has looked
            with pytest.raises(ConnectionLost):
                await server.receive()
        server.abort()


@on_both_loops
async def test_an_address_is_a_name_too(tls):
    client, server = connections()
    assert await shake(client, server, with_context=tls.client, of=tls.server, name="127.0.0.1") == [
        None,
        None,
    ]
    client.abort()
    server.abort()


@on_both_loops
async def test_what_was_sent_in_clear_before_the_handshake_breaks_it(tls):
    client, server = connections()
    await client.send(b"a2 LOGIN alice injected\r\n")
    with pytest.raises(ConnectionLost, match="TLS"):
        await server.secure_as_server(tls.server, timeout_s=5)
    assert server.closed
    client.abort()


@on_both_loops
async def test_a_silent_peer_is_timed_out(tls):
    client, server = connections()
    with pytest.raises(ConnectionLost, match="timed out"):
        await server.secure_as_server(tls.server, timeout_s=0.02)
    assert server.closed
    client.abort()
    client, server = connections()
    with pytest.raises(ConnectionLost, match="timed out"):
        await client.secure_as_client(tls.client, "localhost", timeout_s=0.02)
    assert client.closed
    server.abort()


@on_both_loops
async def test_a_peer_that_leaves_in_mid_handshake_is_a_loss(tls):
    for leave in (socket.socket.close, reset):
        client, server = connections()
        shaking = asyncio.create_task(server.secure_as_server(tls.server, timeout_s=5))
        await client.send(b"\x16\x03\x01\x02\x00\x01")
        await turns()
        leave(client.channel.sock)
        with pytest.raises(ConnectionLost):
            await shaking
        assert server.closed
        client.abort()


@on_both_loops
async def test_a_cancelled_handshake_leaves_nothing(tls):
    client, server = connections()
    shaking = asyncio.create_task(server.secure_as_server(tls.server, timeout_s=5))
    await turns()
    shaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shaking
    assert server.closed
    client.abort()


@on_both_loops
async def test_tls_inside_tls_is_refused(tls):
    client, server = connections()
    await tls.secure(client, server)
    with pytest.raises(ConnectionLost, match="TLS inside TLS"):
        await server.secure_as_server(tls.server, timeout_s=5)
    client.abort()


@on_both_loops
async def test_a_clean_end_is_told_from_a_cut_one(tls):
    client, server = connections()
    await tls.secure(client, server)
    await client.send(b"the last command\r\n")
    client.channel.sock.shutdown(socket.SHUT_WR)  # FIN without close_notify
    assert await server.receive() == b"the last command\r\n"
    with pytest.raises(Truncated):
        await server.receive()
    with pytest.raises(Truncated):
        await server.receive()
    client.abort()
    server.abort()


@on_both_loops
async def test_one_side_may_end_while_the_other_goes_on(tls):
    client, server = connections()
    await tls.secure(client, server)
    await server.send(b"answer to the first command\r\n")
    await turns()
    assert client.channel.finish(clean=True)  # with octets of the peer still unread
    assert await server.receive() == b""
    await server.send(b"and to the second\r\n")
    assert await read_exactly(client, 48) == b"answer to the first command\r\nand to the second\r\n"
    await asyncio.gather(server.close(), client.close())


@on_both_loops
async def test_octets_read_ahead_of_the_end_are_kept(tls):
    client, server = connections()
    await tls.secure(client, server)
    await server.send(b"x" * 50_000)
    await turns()
    assert await client.receive(10) == b"x" * 10  # the rest lies decrypted or in the memory BIO
    assert client.channel.finish(clean=True)
    assert await read_exactly(client, 49_990) == b"x" * 49_990
    server.abort()
    client.abort()


@on_both_loops
async def test_a_broken_record_is_a_loss(tls):
    client, server = connections()
    await tls.secure(client, server)
    client.channel.sock.send(b"\x17\x03\x03\x00\x20" + b"0" * 32)
    with pytest.raises(ConnectionLost, match="bad record mac"):
        await server.receive()
    client.abort()
    server.abort()


@on_both_loops
async def test_connections_take_turns_and_never_mix(tls):
    """Handshakes, words, faults and ends of many connections in one thread, interleaved."""
    pairs = [connections() for _ in range(12)]
    broken, closing, abandoned = pairs[0], pairs[1], pairs[2]
    await asyncio.gather(*(tls.secure(*pair) for pair in pairs if pair is not abandoned))
    half = asyncio.create_task(abandoned[0].secure_as_client(tls.client, "localhost", timeout_s=5))
    for turn in range(5):
        for number, (client, server) in enumerate(pairs[3:]):
            await client.send(b"%d.%d up" % (turn, number))
            await server.send(b"%d.%d down" % (turn, number) * 2_000)
        match turn:
            case 1:
                broken[0].channel.sock.send(b"\x17\x03\x03\x00\x20" + b"0" * 32)
                with pytest.raises(ConnectionLost):
                    await broken[1].receive()
            case 2:
                await asyncio.gather(closing[0].close(), closing[1].close())
            case 3:
                half.cancel()
        for number, (client, server) in enumerate(pairs[3:]):
            assert await server.receive() == b"%d.%d up" % (turn, number)
            down = b"%d.%d down" % (turn, number) * 2_000
            assert await read_exactly(client, len(down)) == down
    with pytest.raises(asyncio.CancelledError):
        await half
    for client, server in pairs:
        client.abort()
        server.abort()


@on_both_loops
async def test_a_fault_reaches_the_peer_as_an_alert(tls):
    client, server = connections()
    await tls.secure(client, server)
    client.channel.sock.send(b"\x17\x03\x03\x00\x20" + b"0" * 32)
    with pytest.raises(ConnectionLost):
        await server.receive()
    with pytest.raises(ConnectionLost, match="alert bad record mac"):
        await client.receive()
    client.abort()
    server.abort()


@on_both_loops
async def test_octets_right_behind_the_handshake_are_kept(tls):
    """A client may send its first command in one flight with its Finished."""
    client, server = connections()
    held, sock = [], client.channel.sock

    class Held:
        """Sends nothing until it is let go."""

        def __getattr__(self, name: str):
            return getattr(sock, name)

        def send(self, data: memoryview) -> int:
            held.append(bytes(data))
            return len(data)

    shaking = asyncio.create_task(server.secure_as_server(tls.server, timeout_s=5))
    first = asyncio.create_task(client.secure_as_client(tls.client, "localhost", timeout_s=5))
    await asyncio.sleep(0)  # the ClientHello is out
    client.channel._wire.sock = Held()
    await first
    await client.send(b"a1 CAPABILITY\r\n" * 3_000)
    sock.setblocking(True)
    sending = asyncio.create_task(asyncio.to_thread(sock.sendall, b"".join(held)))
    await shaking
    assert await server.receive(5) == b"a1 CA"
    assert await read_exactly(server, 44_995) == (b"a1 CAPABILITY\r\n" * 3_000)[5:]
    await sending
    client.abort()
    server.abort()


@on_both_loops
async def test_a_session_ticket_resumes(tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tickets: list[ssl.SSLSession] = []

        context = ssl.create_default_context(cafile=tls.files.certificate)

        def client() -> bool:
            plain = socket.create_connection(listener.getsockname())
            session = tickets[0] if tickets else None
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
                sock.send(b"x")
                assert sock.recv(1) == b"y"
                tickets.append(sock.session)
                return bool(sock.session_reused)

        reused = []
        for _ in range(2):
            connecting = asyncio.create_task(asyncio.to_thread(client))
            server = Connection((await asyncio.to_thread(listener.accept))[0])
            await server.secure_as_server(tls.server, timeout_s=5)
            assert await server.receive() == b"x"
            await server.send(b"y")
            reused.append(await connecting)
            server.abort()
        assert reused == [False, True]
    await asyncio.get_running_loop().shutdown_default_executor()


def test_contexts_are_strict(tls):
    for context in (tls.server, tls.client):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION
        assert not context.options & ssl.OP_NO_TICKET
    assert tls.client.verify_mode is ssl.CERT_REQUIRED
    assert tls.client.check_hostname
    assert client_context().get_ca_certs() is not None


def problem(*certificates: CertificateFiles) -> str:
    with pytest.raises(CertificateProblem) as raised:
        server_context(certificates)
    return str(raised.value)


def test_a_certificate_that_cannot_be_used_is_named(tls, tmp_path):
    def files(certificate: Path, key: Path) -> CertificateFiles:
        return CertificateFiles(names=("localhost",), certificate=certificate, key=key)

    other, empty, locked = make_certificate(tmp_path, "other"), tmp_path / "empty", tmp_path / "locked.key"
    empty.touch()
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    good = tls.files
    assert "missing: No such file" in problem(files(tmp_path / "missing", good.key))
    assert "missing: No such file" in problem(files(good.certificate, tmp_path / "missing"))
    assert "empty with" in problem(files(empty, good.key))
    assert "unencrypted PEM" in problem(files(good.certificate, locked))
    assert "key values mismatch" in problem(files(good.certificate, other.key))
    assert "no certificate" in problem()
    with pytest.raises(CertificateProblem, match="empty"):
        client_context(empty)
    with pytest.raises(CertificateProblem, match="No such file"):
        client_context(tmp_path / "missing")
