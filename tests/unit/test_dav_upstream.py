"""The DAV server behind: what is said to it, how its answers are framed, and which connections are kept."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from socket import socketpair
from types import SimpleNamespace

import pytest

from config.address import Speaks, parse
from proxy.dav.fields import for_client, for_upstream, is_encoded
from proxy.dav.upstream import DavUpstream, UpstreamHead, _host_field, _is_quiet
from proxy.limits import DAV_UPSTREAM_CONNECTIONS, DAV_UPSTREAM_IDLE_S, DAV_UPSTREAM_OF_ONE
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant, Scope
from support.dav_upstream import CLOSE, said_dav
from support.sockets import on_both_loops, turns

GRANT = Grant(
    account_id="ac_1",
    email="alice@example.org",
    app_password_id="ap_1",
    label="phone",
    scopes=frozenset({Scope.CONTACTS}),
)
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: x\r\nSet-Cookie: a=b\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 207 Multi\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: x\r\n\r\n"
)
UNTIL_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"


def head(method: str = "GET", *fields: tuple[str, str]) -> UpstreamHead:
    return UpstreamHead(method=method, path="/alice%40example.org/book/", fields=fields)


@asynccontextmanager
async def behind(*answers: bytes, login: str = "alice@example.org"):
    async with said_dav(*answers) as said:
        upstream = DavUpstream(said.place, header="X-Remote-User", login=lambda _: login)
        try:
            yield upstream, said
        finally:
            upstream.close()


async def got(upstream: DavUpstream, asked: UpstreamHead, body: bytes = b"") -> tuple[int, bytes]:
    exchange = await upstream.begin(GRANT, asked, length=len(body))
    try:
        await exchange.send(body)
        await exchange.finish()
        answered = await exchange.answer()
        whole = b""
        while octets := await exchange.read():
            whole += octets
        return answered.status, whole
    finally:
        upstream.end(exchange)


@on_both_loops
async def test_the_identity_stands_last_and_once():
    async with behind(HELLO) as (upstream, said):
        twins = [("x-remote-user", "bob"), ("X_Remote_User", "bob"), ("accept", "*/*")]
        assert await got(upstream, head("GET", *twins)) == (200, b"hello")
    [request] = said.heard
    assert request.endswith(b"accept: */*\r\nX-Remote-User: alice@example.org\r\n\r\n")
    assert b"bob" not in request


@pytest.mark.parametrize("login", ["", "a\r\nb", "a\0b", "gr\u00fc\u00dfe@x.org", " a", "a\x7f"])
async def test_a_login_that_a_header_cannot_carry_is_an_outage(login):
    async with behind(HELLO, login=login) as (upstream, said):
        with pytest.raises(UpstreamFailure, match="cannot be sent"):
            await got(upstream, head())
    assert said.heard == []


@pytest.mark.parametrize("value", ["a\r\nX-Remote-User: bob", "a\nb", "a\rb", "a\0b", "\u20ac"])
async def test_a_field_that_would_be_two_goes_nowhere(value):
    async with behind(HELLO) as (upstream, said):
        with pytest.raises(UpstreamFailure):
            await got(upstream, head("GET", ("accept", value)))
    assert said.heard == []


@pytest.mark.parametrize("answer", [HELLO, CHUNKED, UNTIL_END])
@on_both_loops
async def test_every_way_to_frame_an_answer(answer):
    async with behind(b"HTTP/1.1 100 Continue\r\n\r\n" + answer) as (upstream, _):
        assert (await got(upstream, head()))[1] == b"hello"


@pytest.mark.parametrize(("answer", "connections"), [(HELLO, 1), (CHUNKED, 1), (UNTIL_END, 2)])
@on_both_loops
async def test_a_connection_is_kept_where_the_next_answer_can_begin(answer, connections):
    async with behind(answer) as (upstream, said):
        for _ in range(2):
            assert (await got(upstream, head()))[1] == b"hello"
    assert said.connections == connections


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
@on_both_loops
async def test_answers_without_a_body(method, answer):
    async with behind(answer) as (upstream, said):
        for _ in range(2):
            assert (await got(upstream, head(method)))[1] == b""
    assert said.connections == 1


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n\r\n", b"x"])
@on_both_loops
async def test_octets_behind_an_answer_are_nobodys_answer(more):
    async with behind(HELLO + more) as (upstream, said):
        for _ in range(2):
            try:
                assert await got(upstream, head()) == (200, b"hello")
            except UpstreamFailure:  # llhttp saw them in the same read
                assert more == b"x"
    assert said.connections == 2


@pytest.mark.parametrize("holds", [False, True])
async def test_what_tls_holds_back_is_nobodys_answer(holds):
    # Octets behind an answer, or close_notify, were read with it: the socket knows nothing of them any more.
    far, near = socketpair()
    near.setblocking(False)
    with far, near:
        connection = SimpleNamespace(closed=False, channel=SimpleNamespace(sock=near, holds=holds))
        assert _is_quiet(connection) is not holds


@pytest.mark.parametrize(
    "answer",
    [
        CLOSE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello",
        b"220 mail ESMTP\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n",
    ],
)
@on_both_loops
async def test_what_is_no_answer_is_an_outage(answer):
    async with behind(answer) as (upstream, _):
        with pytest.raises(UpstreamFailure):
            await got(upstream, head())


@on_both_loops
async def test_a_kept_connection_that_the_server_ends_is_no_outage():
    async with behind(HELLO, CLOSE, HELLO) as (upstream, said):
        for _ in range(2):
            assert await got(upstream, head()) == (200, b"hello")
    assert (said.connections, len(said.heard)) == (2, 3)


@pytest.mark.parametrize(("method", "body"), [("PUT", b"BEGIN:VCARD"), ("DELETE", b"")])
@on_both_loops
async def test_what_changes_something_is_never_sent_twice(method, body):
    async with behind(HELLO, CLOSE, HELLO) as (upstream, said):
        await got(upstream, head())
        with pytest.raises(UpstreamFailure):
            await got(upstream, head(method), body)
    assert len(said.heard) == 2


@on_both_loops
async def test_bodies_go_by_length_or_in_chunks():
    async with behind(HELLO) as (upstream, said):
        await got(upstream, head("PUT"), b"12345")
        exchange = await upstream.begin(GRANT, head("PUT"), length=None)
        for octets in (b"123", b"", b"45"):
            await exchange.send(octets)
        await exchange.finish()
        await exchange.answer()
        upstream.end(exchange)
        await got(upstream, head("PUT"))
    by_length, chunked, empty = said.heard
    assert by_length.endswith(b"content-length: 5\r\nX-Remote-User: alice@example.org\r\n\r\n12345")
    assert chunked.endswith(b"\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n")
    assert b"content-length: 0" in empty


@on_both_loops
async def test_a_question_of_our_own():
    async with behind(CHUNKED) as (upstream, said):
        answer = await upstream.ask(GRANT, "PROPFIND", "/a/", (("depth", "0"),), b"<x/>")
    assert (answer.status, answer.body) == (207, b"hello")
    assert said.heard[0].endswith(b"X-Remote-User: alice@example.org\r\n\r\n<x/>")


@on_both_loops
async def test_a_question_given_up_leaves_nothing():
    async with behind(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") as (upstream, said):
        asking = asyncio.create_task(upstream.ask(GRANT, "PROPFIND", "/a/", (), b""))
        await said.heard_one.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


def of(number: int) -> Grant:
    return replace(GRANT, account_id=f"ac_{number}")


@on_both_loops
async def test_so_many_connections_at_a_time():
    async with behind(HELLO) as (upstream, said):
        begun = [await upstream.begin(of(each), head()) for each in range(DAV_UPSTREAM_CONNECTIONS)]
        waiting = asyncio.create_task(got(upstream, head()))
        await turns()
        assert not waiting.done()
        for exchange in begun:
            await exchange.answer()
            upstream.end(exchange)
        assert await waiting == (200, b"hello")
        assert said.connections == DAV_UPSTREAM_CONNECTIONS


@on_both_loops
async def test_nobody_has_every_connection():
    async with behind(HELLO) as (upstream, said):
        begun = [await upstream.begin(of(2), head("PUT"), length=9) for _ in range(DAV_UPSTREAM_OF_ONE)]
        waiting = [asyncio.create_task(upstream.begin(of(2), head())) for _ in range(2)]
        await turns()
        assert said.connections == DAV_UPSTREAM_OF_ONE
        assert await got(upstream, head()) == (200, b"hello")
        waiting[0].cancel()
        upstream.end(begun.pop())
        begun.append(await waiting[1])
        for exchange in begun:
            upstream.end(exchange)
        assert await got(upstream, head()) == (200, b"hello")


@on_both_loops
async def test_a_place_is_given_back_whatever_happens():
    async with behind(HELLO, login="\N{EURO SIGN}") as (upstream, said):
        for _ in range(DAV_UPSTREAM_CONNECTIONS + 1):
            with pytest.raises(UpstreamFailure):
                await got(upstream, head())
    async with behind(HELLO) as (upstream, said):
        said.path.unlink()
        for _ in range(DAV_UPSTREAM_CONNECTIONS + 1):
            with pytest.raises(UpstreamFailure):
                await got(upstream, head())


@on_both_loops
async def test_what_was_kept_too_long_is_closed():
    now = 0.0
    async with said_dav(HELLO) as said:
        upstream = DavUpstream(said.place, header="X-U", login=lambda _: "a", monotonic=lambda: now)
        one, two = await upstream.begin(GRANT, head()), await upstream.begin(GRANT, head())
        for exchange in (one, two):
            await exchange.answer()
            while await exchange.read():
                pass
        upstream.end(one)
        now = DAV_UPSTREAM_IDLE_S + 1
        upstream.end(two)
        assert one.connection.closed
        assert not two.connection.closed
        upstream.close()


async def test_once_closed_it_serves_and_keeps_nothing():
    """Its client came before the configuration was read anew, and stays after."""
    async with behind(HELLO, HELLO) as (upstream, said):
        upstream.close()
        exchange = await upstream.begin(GRANT, head())
        await exchange.finish()
        await exchange.answer()
        while await exchange.read():
            pass
        upstream.end(exchange)
        assert exchange.connection.closed
        assert await got(upstream, head()) == (200, b"hello")
        assert said.connections == 2


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://dav.lan", "dav.lan"),
        ("https://dav.lan:8443", "dav.lan:8443"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
        ("http://127.0.0.1:5232", "127.0.0.1:5232"),
        ("http://localhost", "localhost"),
        ("unix:/run/dav", "localhost"),
    ],
)
def test_the_server_is_called_by_its_name(address, host):
    assert _host_field(parse(address, speaks=Speaks.DAV)) == host


def test_only_what_is_known_passes():
    sent = {"accept": "*/*", "authorization": "Basic x", "cookie": "a", "x-forwarded-for": "1", "prefer": "p"}
    assert for_upstream(sent) == (("accept", "*/*"),)
    said = [("etag", "x"), ("set-cookie", "a"), ("server", "s"), ("www-authenticate", "w"), ("location", "/")]
    assert for_client(said) == (("etag", "x"), ("location", "/"))


def test_a_coded_body_is_seen():
    assert is_encoded([("content-encoding", "gzip")])
    assert not is_encoded([("content-encoding", " identity "), ("etag", "x")])
