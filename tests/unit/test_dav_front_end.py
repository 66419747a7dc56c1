"""The DAV front-end on real sockets: requests through gate and wall to the server behind, and back."""

from __future__ import annotations

import pytest

from proxy.dav.ports import Answer
from support.dav_stage import HELLO, HOST, SAFE, SIGNED, get, put, stage
from support.sockets import Tls, on_both_loops


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@on_both_loops
async def test_a_get_goes_through(tls):
    async with stage(tls) as played, played.client() as client:
        for _ in range(3):
            got = await client.ask(get(b"User-Agent: DAVx5", b"Accept: text/vcard", b"Cookie: a=b"))
            assert (got.status, got.body) == (200, b"hello")
            assert got.fields["content-type"] == "text/vcard"
            assert "connection" not in got.fields
        assert played.said.heard[0] == (
            b"GET /up/x.vcf HTTP/1.1\r\nhost: localhost\r\nuser-agent: DAVx5\r\naccept: text/vcard\r\n"
            b"X-Remote-User: alice@example.org\r\n\r\n"
        )
        assert played.said.connections == 1
        assert played.wall.after == 3


@on_both_loops
async def test_a_put_goes_through(tls):
    created = (
        b'HTTP/1.1 201 Created\r\nContent-Length: 0\r\nETag: "1"\r\nServer: x\r\nSet-Cookie: a=b\r\n\r\n'
    )
    async with stage(tls, created) as played, played.client() as client:
        got = await client.ask(put(b"BEGIN:VCARD"))
        assert (got.status, got.body, got.fields["etag"]) == (201, b"", '"1"')
        assert not {"server", "set-cookie"} & set(got.fields)
        assert played.said.heard[0].endswith(
            b"content-type: text/vcard; charset=utf-8\r\ncontent-length: 11\r\n"
            b"X-Remote-User: alice@example.org\r\n\r\nBEGIN:VCARD"
        )


@on_both_loops
async def test_a_propfind_goes_through(tls):
    async with stage(tls, HELLO.replace(b"200 OK", b"207 Multi-Status")) as played, played.client() as client:
        got = await client.ask(put(b"<in/>", b"Depth: 1", first=b"PROPFIND /alice/ HTTP/1.1"))
        assert (got.status, got.body) == (207, b"HELLO!")
        assert got.fields["content-length"] == "6"
        assert b"depth: 1\r\n" in played.said.heard[0]
        assert played.said.heard[0].endswith(b"\r\n\r\n<out/>")


@on_both_loops
async def test_no_credentials(tls):
    async with stage(tls) as played, played.client() as client:
        await client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        raw = await client.rest()
        assert raw.startswith(b"HTTP/1.1 401 Unauthorized\r\nDate: ")
        assert b'\r\nWWW-Authenticate: Basic realm="Wicketgate", charset="UTF-8"\r\n' in raw
        assert b"\r\nConnection: close\r\n" + SAFE + b"\r\n" in raw
        assert not played.gate.asked
        assert not played.records


@on_both_loops
async def test_well_known_needs_no_credentials(tls):
    async with stage(tls) as played, played.client() as client:
        played.wall.without = Answer(status=301, fields=(("location", "/"),))
        got = await client.ask(b"GET /.well-known/caldav HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (got.status, got.fields["location"]) == (301, "/")
        played.wall.without = None
        assert (await client.ask(get())).status == 200


@on_both_loops
async def test_a_bad_head_is_answered_and_the_connection_ends(tls):
    async with stage(tls) as played, played.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: evil.example\r\n" + SIGNED + b"\r\n" + get())
        raw = await client.rest()
        assert raw.startswith(b"HTTP/1.1 421 ")
        assert raw.count(b"HTTP/1.1 ") == 1
        assert not played.gate.asked
