"""One DAV connection from TLS to its end: order, keep-alive, bodies both ways, time limits, a stop."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.dav.ports import Answer, FilterAnswer
from proxy.limits import COMMANDS_PER_CONNECTION, DAV_HOLD_OCTETS, PIPELINED_OCTETS
from proxy.net.connection import Connection
from support.dav_stage import HELLO, HOST, SIGNED, Upper, get, put, stage
from support.imap_stage import closed, soon
from support.sockets import Tls, on_both_loops, turns

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
DENIED = Answer(status=404, fields=(("content-type", "text/plain"),), body=b"not found\n")


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@on_both_loops
async def test_pipelined_requests_are_answered_one_by_one_in_order(tls):
    async with stage(tls) as played, played.client() as client:
        paths = [b"/alice/%d" % number for number in range(5)]
        await client.send(b"".join(get(first=b"GET " + path + b" HTTP/1.1") for path in paths))
        for _ in paths:
            assert (await client.answer()).body == b"hello"
        assert [each.target.encode() for each in played.wall.asked] == paths
        assert played.said.connections == 1


@on_both_loops
async def test_a_body_and_the_next_request_in_one_piece(tls):
    chunks = b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nA: b\r\n\r\n"
    async with stage(tls, CREATED) as played, played.client() as client:
        await client.send(
            get(b"Transfer-Encoding: chunked", first=b"PUT /x HTTP/1.1") + chunks + put(b"second!") + get()
        )
        assert [(await client.answer()).status for _ in range(3)] == [201] * 3
        bodies = [heard.partition(b"\r\n\r\n")[2] for heard in played.said.heard]
        assert bodies == [b"abcdef", b"second!", b""]
        assert b"content-length: 6\r\n" in played.said.heard[0]  # small enough to be known


@on_both_loops
async def test_octet_by_octet(tls):
    async with stage(tls, CREATED) as played, played.client() as client:
        for octet in put(b"hello, world"):
            await client.send(octet.to_bytes())
        assert (await client.answer()).status == 201
        assert played.said.heard[0].endswith(b"\r\n\r\nhello, world")


@pytest.mark.parametrize(
    ("first", "line"), [(b"GET / HTTP/1.0", b"A: b"), (b"GET / HTTP/1.1", b"Connection: close")]
)
@on_both_loops
async def test_the_client_says_that_it_is_the_last(tls, first, line):
    async with stage(tls) as played, played.client() as client:
        await client.send(get(line, first=first) + get())
        got = await client.answer()
        assert (got.body, got.fields["connection"]) == (b"hello", "close")
        await client.ended()
        assert len(played.wall.asked) == 1


@on_both_loops
async def test_http_1_0_gets_no_chunks(tls):
    until_end = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    async with stage(tls, until_end) as played:
        async with played.client() as client:
            got = await client.ask(get())
            assert (got.body, got.fields["transfer-encoding"]) == (b"hello", "chunked")
        async with played.client() as client:
            got = await client.ask(get(first=b"GET / HTTP/1.0"))
            assert got.body == b"hello"
            assert "transfer-encoding" not in got.fields


@on_both_loops
async def test_100_is_ours_and_comes_after_the_decision(tls):
    async with stage(tls, CREATED) as played, played.client() as client:
        body = put(b"hello!!", b"Expect: 100-continue")
        await client.send(body[:-7])
        await soon(played.wall.entered.wait())
        assert (await client.answer()).status == 100
        assert played.said.heard == []
        for octet in body[-7:]:  # one 100 is enough
            await client.send(octet.to_bytes())
            await turns()
        assert (await client.answer()).status == 201
        assert (await client.ask(body)).status == 201  # what has come need not be asked for


@on_both_loops
async def test_no_100_and_no_body_without_good_credentials(tls):
    async with stage(tls) as played, played.client() as client:
        await client.send(b"PUT / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        got = await client.answer()
        assert (got.status, got.fields["connection"]) == (401, "close")
        await client.ended()
        assert not played.wall.asked


@on_both_loops
async def test_no_100_for_what_the_wall_refuses(tls):
    async with stage(tls) as played, played.client() as client:
        played.wall.outcome = DENIED
        got = await client.ask(put(b"hello", b"Expect: 100-continue")[:-5])
        assert (got.status, got.fields["connection"]) == (404, "close")
        await client.ended()


@on_both_loops
async def test_a_refused_request_with_a_small_body_keeps_the_connection(tls):
    async with stage(tls) as played, played.client() as client:
        played.wall.outcome = DENIED
        assert (await client.ask(put(b"GET / HTTP/1.1\r\n\r\n"))).status == 404
        chunked = get(b"Transfer-Encoding: chunked", first=b"PUT /x HTTP/1.1")
        assert (await client.ask(chunked + b"1\r\nx\r\n0\r\n\r\n")).status == 404
        got = await client.ask(put(b"x" * (DAV_HOLD_OCTETS + 1)))
        assert (got.status, got.fields["connection"]) == (404, "close")
        assert len(played.wall.asked) == 3
    async with stage(tls) as played, played.client() as client:
        played.wall.outcome = DENIED
        got = await client.ask(chunked + b"x\r\n")
        assert (got.status, got.fields["connection"]) == (404, "close")


@on_both_loops
async def test_a_request_without_body_that_has_one(tls):
    async with stage(tls) as played, played.client() as client:
        assert (await client.ask(put(b"hello", first=b"DELETE /x HTTP/1.1"))).status == 400
        assert (await client.ask(put(b"", first=b"DELETE /x HTTP/1.1"))).status == 200
        assert len(played.said.heard) == 1


@on_both_loops
async def test_answers_without_a_body(tls):
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        HELLO,
    ]
    async with stage(tls, *answers) as played, played.client() as client:
        got = await client.ask(get(first=b"HEAD /x HTTP/1.1"))
        assert (got.status, got.fields["content-length"], got.fields["etag"]) == (200, "5", "x")
        for status in (204, 304):
            got = await client.ask(get())
            assert got.status == status
            assert not {"content-length", "transfer-encoding"} & set(got.fields)
        assert (await client.ask(get())).body == b"hello"
        assert played.said.connections == 1


@on_both_loops
async def test_a_large_body_streams_both_ways(tls):
    large = bytes(range(256)) * 8_192
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large
    async with stage(tls, CREATED, answer, CREATED) as played, played.client() as client:
        assert (await client.ask(put(large))).status == 201
        assert played.said.heard[0].partition(b"\r\n\r\n")[2] == large
        assert (await client.ask(get())).body == large
        chunked = get(b"Transfer-Encoding: chunked", first=b"PUT /x HTTP/1.1")
        assert (await client.ask(chunked + b"%X\r\n%b\r\n0\r\n\r\n" % (len(large), large))).status == 201
        assert b"transfer-encoding: chunked" in played.said.heard[2]


@on_both_loops
async def test_a_filtered_answer_streams_once_it_is_large(tls):
    large = b"x" * (DAV_HOLD_OCTETS + 1)
    answer = b"HTTP/1.1 207 Multi\r\nContent-Length: %d\r\n\r\n" % len(large) + large
    async with stage(tls, answer) as played, played.client() as client:
        got = await client.ask(put(b"<in/>", first=b"PROPFIND /x HTTP/1.1"))
        assert got.body == large.upper() + b"!"
        assert got.fields["transfer-encoding"] == "chunked"
        assert (await client.ask(put(b"<in/>", first=b"HEAD /x HTTP/1.1"), method=b"HEAD")).status == 400


@on_both_loops
async def test_a_grant_is_recorded_once_and_frees_the_stranger(tls):
    async with stage(tls) as played, played.client() as client:
        for _ in range(3):
            assert (await client.ask(get(b"User-Agent: DAVx5"))).status == 200
        assert played.released == [client.near]
        [record] = played.records
        assert (record.outcome, record.service, record.client_name) == ("granted", "dav", "DAVx5")
        assert len(played.gate.asked) == 3
        assert not played.doubted


@on_both_loops
async def test_a_client_that_says_nothing_has_its_time(tls):
    async with stage(tls, sign_in_s=0.0) as played, played.client() as client:
        await client.ended()
        assert not played.gate.asked


@on_both_loops
async def test_half_a_head_has_its_time(tls):
    async with stage(tls, idle_s=0.05) as played, played.client() as client:
        await client.send(b"GET / HT")
        got = await client.answer()
        assert (got.status, got.fields["connection"]) == (408, "close")
        await client.ended()
        assert not played.gate.asked


@on_both_loops
async def test_an_idle_connection_ends_without_a_word(tls):
    async with stage(tls, idle_s=0.05) as played, played.client() as client:
        assert (await client.ask(get())).status == 200
        await client.ended()
        assert len(played.gate.asked) == 1


@on_both_loops
async def test_half_a_body_has_its_time(tls):
    async with stage(tls, quiet_s=0.05) as played, played.client() as client:
        got = await client.ask(put(b"hello, world")[:-1])
        assert (got.status, got.fields["connection"]) == (408, "close")
        await client.ended()
        assert played.wall.after == 1


@on_both_loops
async def test_a_client_that_does_not_read_has_its_time(tls):
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
    async with stage(tls, large, quiet_s=0.05) as played, played.client() as client:
        await client.send(get())
        await soon(client.task)
        assert client.near.closed
        assert played.wall.after == 1


@on_both_loops
async def test_strangers_have_so_many_requests(tls):
    async with stage(tls) as played, played.client() as client:
        played.wall.without = Answer(status=301, fields=(("location", "/"),))
        for _ in range(COMMANDS_PER_CONNECTION):
            assert (await client.ask(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")).status == 301
        await client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.ended()


@on_both_loops
async def test_plain_http_to_the_tls_port_ends(tls):
    async with stage(tls) as played, played.client(secure=False) as client:
        await client.send(get())
        await closed(client.connection)
        await soon(client.task)
        assert not played.gate.asked


@on_both_loops
async def test_the_preface_of_http_2(tls):
    async with stage(tls) as played, played.client() as client:
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        raw = await client.rest()
        assert raw.startswith(b"HTTP/1.1 505 ")
        assert raw.count(b"\r\nDate: ") == 1


@on_both_loops
async def test_a_stop_finishes_what_is_under_way(tls):
    async with stage(tls) as played, played.client() as client, played.client() as idle:
        played.wall.holds.clear()
        await client.send(get() + get())
        await soon(played.wall.entered.wait())
        assert played.registry.stop() == 0
        await idle.ended()
        assert played.registry.under_way == 1
        played.wall.holds.set()
        got = await client.answer()
        assert (got.body, got.fields["connection"]) == (b"hello", "close")
        assert await client.rest() == b""  # said, not only done
        assert await played.registry.settled(0)
        assert len(played.wall.asked) == 1


@on_both_loops
async def test_an_upstream_that_answers_early_is_heard(tls):
    no = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    near, far = (Connection(end) for end in socket.socketpair())
    async with stage(tls) as played, played.client() as client:

        async def opened() -> Connection:
            return near

        played.upstream._open = opened
        sending = asyncio.create_task(client.send(put(b"x" * 900_000)))
        assert b"\r\n\r\n" in await far.receive()
        await far.send(no)
        far.abort()
        got = await client.answer()
        assert (got.status, got.body, got.fields["connection"]) == (403, b"no", "close")
        await sending
        await client.ended()
        assert near.closed


@on_both_loops
async def test_who_comes_while_it_stops_is_sent_away(tls):
    async with stage(tls) as played:
        played.registry.stop()
        async with played.client(secure=False) as client:
            await client.ended()


@on_both_loops
async def test_a_client_that_goes_on_talking_is_held_up(tls):
    async with stage(tls, watch_s=0.0) as played, played.client() as client:
        played.gate.admits.clear()
        sending = asyncio.create_task(client.send(get() * (PIPELINED_OCTETS // 500)))
        await soon(played.gate.entered.wait())
        await turns()
        played.gate.admits.set()
        for _ in range(PIPELINED_OCTETS // 500):
            assert (await client.answer()).status == 200
        await sending


@on_both_loops
async def test_the_name_is_redacted_in_logs(tls, caplog):
    caplog.set_level("INFO")
    async with stage(tls) as played, played.client() as client:
        assert (await client.ask(get())).status == 200
    assert SIGNED.split()[-1].decode() not in caplog.text
    assert "k7mq" not in caplog.text


@on_both_loops
async def test_a_watched_client_is_let_go_in_peace(tls):
    async with stage(tls, watch_s=0.0) as played, played.client() as client:
        played.wall.holds.clear()
        await client.send(get(b"Connection: close"))
        await soon(played.wall.entered.wait())
        await turns()  # somebody watches by now
        played.wall.holds.set()
        assert (await client.answer()).body == b"hello"
        assert await client.rest() == b""
        client.connection.abort()
        await soon(client.task)


@pytest.mark.parametrize("octets", [b"", b"GET", get(), put(b"hello, world")[:-1]])
@on_both_loops
async def test_a_client_that_says_goodbye(tls, octets):
    async with stage(tls) as played, played.client() as client:
        await client.send(octets)
        await client.connection.close()
        await soon(client.task)
        assert client.near.closed


@on_both_loops
async def test_filtered_answers_without_a_body(tls):
    """To HEAD, and where the status allows none: the filter has nothing to read, and is not asked."""
    no_content = b"HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n"
    async with stage(tls, HELLO[:-5], no_content) as played, played.client() as client:
        played.wall.plan = lambda status, fields: FilterAnswer((("etag", "y"),), Upper())
        for method, status in ((b"HEAD", 200), (b"DELETE", 204)):
            got = await client.ask(get(first=method + b" /x HTTP/1.1"))
            assert (got.status, got.fields["etag"]) == (status, "y")
        assert (await client.ask(get(first=b"HEAD /x HTTP/1.1"))).status == 204


@on_both_loops
async def test_a_fault_outside_of_a_request_ends_this_connection_alone(tls, caplog):
    def broken(request):
        raise RuntimeError("told k7mq")

    async with stage(tls) as played, played.client() as other, played.client() as client:
        played.wall.unsigned = broken
        await client.send(get())
        await client.ended()
        del played.wall.unsigned
        assert (await other.ask(get())).status == 200
    assert "RuntimeError at " in caplog.text
    assert "k7mq" not in caplog.text
