"""How an upstream is told who the client is: the words, and never the gate's own address in their place."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from config.address import AddressKind
from proxy.imap.introduction import id_command
from proxy.imap.upstream import ImapUpstream
from proxy.net.connection import Connection, ConnectionLost
from proxy.net.proxy_header import Ends
from proxy.net.ready import writable
from proxy.smtp.upstream import SmtpUpstream
from proxy.smtp.xclient import Xclient, xtext
from proxy.upstreams.login import Logins
from proxy.upstreams.origin import Origin, origin_of
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.telling import Telling, header_for
from support.imap_server import ScriptedUpstream
from support.imap_stage import GRANT
from support.sockets import Tls, on_both_loops, reset, tcp_pair

CLIENT, GATE = (ip_address("192.0.2.7"), 40_000), (ip_address("198.51.100.1"), 993)
ORIGIN = Origin(connection_id="0a1b2c3d", client=CLIENT, gate=GATE)
UNKNOWN = Origin(connection_id="0a1b2c3d")
ALL = ["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"]


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("telling", "header"),
    [
        (Telling.PROXY_V1, b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 993\r\n"),
        (Telling.PROXY_V2, bytes.fromhex("0d0a0d0a000d0a515549540a2111000cc0000207c63364019c4003e1")),
        (Telling.ID, b""),
        (Telling.XCLIENT, b""),
        (None, b""),
    ],
)
def test_the_header_goes_first_where_it_is_asked_for(telling, header):
    first = header_for(telling, ORIGIN)
    assert (b"" if first is None else first(None)) == header


LOCAL = bytes.fromhex("0d0a0d0a000d0a515549540a20000000")


@on_both_loops
async def test_where_there_is_no_client_the_gate_speaks_for_itself():
    near, far = (Connection(end) for end in tcp_pair())
    here, there = (end.channel.sock.getsockname()[1] for end in (near, far))
    words = f"PROXY TCP4 127.0.0.1 127.0.0.1 {here} {there}\r\n".encode()
    assert header_for(Telling.PROXY_V1, None)(near) == words
    assert header_for(Telling.PROXY_V2, None)(near) == LOCAL
    near.abort()
    far.abort()


@on_both_loops
async def test_version_1_has_one_word_where_there_are_no_addresses():
    near, far = (Connection(end) for end in socket.socketpair())
    assert header_for(Telling.PROXY_V1, None)(near) == b"PROXY UNKNOWN\r\n"
    near.abort()
    far.abort()


@on_both_loops
async def test_a_connection_that_is_lost_at_once_is_an_outage():
    near, far = tcp_pair()
    reset(far)
    await writable(near.fileno())
    near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # the kernel tells once, and forgets the peer
    connection = Connection(near)
    with pytest.raises(ConnectionLost):
        header_for(Telling.PROXY_V1, None)(connection)
    connection.abort()


@pytest.mark.parametrize("tell", [lambda: header_for(Telling.PROXY_V1, UNKNOWN), lambda: id_command(UNKNOWN)])
def test_a_client_without_an_address_is_no_guise_of_ours(tell):
    with pytest.raises(UpstreamFailure, match="to be told the client's address"):
        tell()


def test_id_says_what_dovecot_reads():
    assert id_command(ORIGIN) == (
        b'ID ("x-session-id" "0a1b2c3d" "x-originating-ip" "192.0.2.7" "x-originating-port" "40000" '
        b'"x-connected-ip" "198.51.100.1" "x-connected-port" "993")'
    )


@pytest.mark.parametrize(
    ("address", "login", "offered", "command"),
    [
        ("192.0.2.7", "", ALL, b"XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=1 PROTO=ESMTP"),
        ("2001:db8::7", "", ["ADDR"], b"XCLIENT ADDR=IPV6:2001:db8::7"),
        ("192.0.2.7", "a+b=c@x", ["ADDR", "LOGIN"], b"XCLIENT ADDR=192.0.2.7 LOGIN=a+2Bb+3Dc@x"),
    ],
)
def test_xclient_says_what_is_offered(address, login, offered, command):
    assert Xclient(client=(ip_address(address), 1), login=login).command(offered) == command


def test_xclient_needs_the_address_and_the_login_where_nobody_signs_in():
    assert Xclient(client=CLIENT).missing(["NAME", "PROTO"]) == "ADDR"
    assert Xclient(client=CLIENT).missing(["ADDR"]) == ""
    assert Xclient(client=CLIENT, login="alice").missing(["ADDR"]) == "LOGIN"
    assert Xclient(client=CLIENT, login="alice").missing(ALL) == ""


def test_nothing_gets_out_of_xtext():
    assert xtext("a b\r\nQUIT\0é") == "a+20b+0D+0AQUIT+00+C3+A9"


# --- whose connection it is -------------------------------------------------------------------------------


@on_both_loops
async def test_the_origin_is_the_sockets_or_what_a_balancer_said():
    near, far = tcp_pair()
    here, there = near.getsockname(), near.getpeername()
    connection, other = Connection(near, peer=ip_address("127.0.0.1")), Connection(far)
    origin = origin_of(connection)
    assert origin == Origin(
        connection_id=connection.id,
        client=(ip_address(there[0]), there[1]),
        gate=(ip_address(here[0]), here[1]),
    )
    connection.announce(Ends(client=CLIENT, gate=GATE))
    assert origin_of(connection) == Origin(connection_id=connection.id, client=CLIENT, gate=GATE)
    connection.abort()
    other.abort()


# --- on the wire ------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize("kind", [AddressKind.SMTPS, AddressKind.SMTP_STARTTLS, AddressKind.UNIX])
async def test_a_header_goes_before_tls_and_greeting(tls, kind):
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 993"
    hello = [("S", b"220 mx\r\n"), ("C", b"EHLO localhost")]
    starttls = [*hello, ("S", b"250-mx\r\n250 STARTTLS\r\n"), ("C", b"STARTTLS"), ("S", b"220 go\r\n"), "TLS"]
    begin = {
        AddressKind.SMTPS: ["TLS", *hello],
        AddressKind.SMTP_STARTTLS: [*starttls, hello[1]],
        AddressKind.UNIX: hello,
    }[kind]
    script = [("C", header), *begin, ("S", b"250 mx\r\n")]
    async with ScriptedUpstream(tls, kind, script).running() as server:
        upstream = SmtpUpstream(place=server.place, sign_in_as=None, client_address=Telling.PROXY_V1)
        signed_in = await upstream.sign_in(GRANT, ORIGIN)
        signed_in.connection.abort()


@on_both_loops
async def test_xclient_tells_the_login_where_nobody_signs_in(tls):
    script = [
        ("S", b"220 mx\r\n"),
        ("C", b"EHLO localhost"),
        ("S", b"250-mx\r\n250 XCLIENT ADDR LOGIN\r\n"),
        ("C", b"XCLIENT ADDR=192.0.2.7 LOGIN=alice"),
        ("S", b"220 mx\r\n"),
        ("C", b"EHLO localhost"),
        ("S", b"250-mx\r\n250 SIZE 7\r\n"),
    ]
    async with ScriptedUpstream(tls, AddressKind.UNIX, script).running() as server:
        upstream = SmtpUpstream(
            place=server.place,
            sign_in_as=None,
            client_address=Telling.XCLIENT,
            logins=Logins(template="{user}"),
        )
        signed_in = await upstream.sign_in(GRANT, ORIGIN)
        assert dict(signed_in.extensions) == {"SIZE": "7"}, "what was offered before XCLIENT is forgotten"
        signed_in.connection.abort()


@on_both_loops
@pytest.mark.parametrize("telling", Telling)
async def test_who_cannot_be_told_of_is_not_let_in(tls, telling):
    async with ScriptedUpstream(tls, AddressKind.UNIX, []).running() as server:
        kind = ImapUpstream if telling is Telling.ID else SmtpUpstream
        with pytest.raises(UpstreamFailure, match="to be told the client's address"):
            await kind(place=server.place, sign_in_as=None, client_address=telling).sign_in(GRANT, UNKNOWN)
        assert server.heard == []
