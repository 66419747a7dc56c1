"""Revocation and vanishing at every moment of a DAV request: it ends at once, and nothing is left.

"At once" is an order of events, not a time: whatever else could end the request is held for good, and the
stage's own time limits come later than the test gives up.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from auth.refusal import Reason, Refusal
from proxy.net.connection import Connection
from support.dav_stage import get, put, stage
from support.imap_stage import GRANT, closed, soon
from support.sockets import Tls, connections, on_both_loops, reset, turns

REVOKED = Refusal(reason=Reason.REVOKED, account_id="ac_1", app_password_id="ap_1", label="phone")
NEVER = b"HTTP/1.1 100 Continue\r\n\r\n"  # and nothing more
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("confirmation", [None, REVOKED])
@pytest.mark.parametrize("where", ["wall", "upstream", "body", "first octets"])
@on_both_loops
async def test_a_cut_where_nothing_was_sent_is_a_refusal(tls, where, confirmation):
    async with stage(tls, NEVER) as played, played.client() as client:
        request = get()
        match where:
            case "wall":
                played.wall.holds.clear()
            case "body":
                request = put(b"x" * 100_000)[:-1]
            case "first octets":
                request = put(b"BEGIN:VCARD")[:-10]
        await client.send(request)
        await soon(played.wall.entered.wait())
        if where in ("upstream", "body"):
            await soon(lambda: played.said.connections == 1)
        assert (played.registry.sessions, played.registry.under_way) == (1, 1)
        played.gate.confirmation = confirmation
        assert played.registry.cut(["ap_1"]) == 1
        got = await client.answer()
        assert (got.status, got.fields["connection"]) == (503 if confirmation is None else 401, "close")
        await client.ended()
        assert played.wall.after == (where != "wall")
        reason = Reason.UNAVAILABLE if confirmation is None else Reason.REVOKED
        assert [each.outcome for each in played.records] == ["granted", reason]


@on_both_loops
async def test_a_cut_while_the_gate_is_asked_goes_no_further(tls):
    async with stage(tls) as played, played.client() as client:
        played.gate.admits.clear()
        await client.send(get())
        await soon(played.gate.entered.wait())
        played.registry.cut(["ap_1"])
        played.gate.confirmation = REVOKED
        played.gate.admits.set()
        assert (await client.answer()).status == 401
        await client.ended()


@pytest.mark.parametrize("confirmation", [None, REVOKED])
@on_both_loops
async def test_a_cut_in_the_last_moment_lets_nothing_out(tls, confirmation):
    async with stage(tls) as played, played.client() as client:
        played.gate.confirms.clear()
        await client.send(get())
        await soon(played.gate.confirming.wait())
        played.gate.confirmation = confirmation
        played.registry.cut(["ap_1"])
        played.gate.confirms.set()
        got = await client.answer()
        assert got.status == (503 if confirmation is None else 401)
        assert b"hello" not in got.body


@on_both_loops
async def test_a_cut_within_an_answer_ends_the_connection(tls):
    async with stage(tls, HALF) as played, played.client() as client:
        await client.send(get())
        while b"\r\n\r\nx" not in client.received:
            client.received += await client.connection.receive()
        assert played.registry.cut(["ap_1"]) == 1
        await closed(client.connection)
        await soon(client.task)
        assert client.near.closed
        assert played.wall.after == 1


@on_both_loops
async def test_an_app_password_that_expires_meanwhile(tls):
    expired = Refusal(reason=Reason.EXPIRED, account_id="ac_1", app_password_id="ap_1", label="phone")
    async with stage(tls, NEVER) as played, played.client() as client:
        played.gate.answer = replace(GRANT, expires_at=1_800_000_001)  # a tenth after the stage's now
        played.gate.confirmation = expired
        got = await client.ask(get())
        assert (got.status, got.fields["connection"]) == (401, "close")
        assert b"expired" in got.body


@on_both_loops
async def test_a_cut_between_requests_is_heard_at_the_next(tls):
    async with stage(tls) as played, played.client() as client:
        assert (await client.ask(get())).status == 200
        assert not client.near.working
        assert played.registry.cut(["ap_1"]) == 0
        played.gate.answer = REVOKED
        got = await client.ask(get())
        assert (got.status, got.fields["connection"]) == (401, "close")
        await client.ended()


@on_both_loops
async def test_a_cut_ends_the_request_it_is_about_and_no_other(tls):
    async with stage(tls) as played, played.client() as client:
        played.wall.holds.clear()
        await client.send(get())
        await soon(played.wall.entered.wait())
        assert played.registry.cut(["ap_2"]) == 0
        played.wall.holds.set()
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("end", ["goodbye", "close", "reset"])
@pytest.mark.parametrize("where", ["gate", "wall", "upstream", "upstream, with a body"])
@on_both_loops
async def test_a_client_that_vanishes_frees_everything(tls, where, end):
    async with stage(tls, NEVER, watch_s=0.0) as played, played.client() as client:
        reached = {
            "gate": played.gate.entered,
            "wall": played.wall.entered,
            "upstream": played.said.heard_one,
        }
        held = {"gate": played.gate.admits, "wall": played.wall.holds}.get(where)
        if held is not None:
            held.clear()
        if "body" in where:
            await client.send(put(b"hello, world")[:-1])
            await soon(played.wall.entered.wait())
            await turns()
            await client.send(b"d")
        else:
            await client.send(get())
        await soon(reached[where[:8]].wait())
        assert client.near.working  # strangers who wait give way, this one does not
        if end == "goodbye":
            closing = asyncio.create_task(client.connection.close())
            await soon(client.task)
            await closing
        elif end == "reset":
            reset(client.connection.channel.sock.dup())
            client.connection.abort()
        else:
            client.connection.abort()
        await soon(client.task)
        assert client.near.closed
        assert played.registry.count == 0
        assert played.gate.cancelled == (where == "gate")


@pytest.mark.parametrize("octets", [b"", b"GET", put(b"hello, world")[:-1], get() + b"GET"])
@on_both_loops
async def test_a_client_that_vanishes_within_what_it_says(tls, octets):
    async with stage(tls) as played, played.client() as client:
        await client.send(octets)
        client.connection.abort()
        await soon(client.task)
        assert played.registry.count == 0


@on_both_loops
async def test_a_client_that_vanishes_within_an_answer(tls):
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
    async with stage(tls, large) as played, played.client() as client:
        await client.send(get())
        await client.connection.receive()
        client.connection.abort()
        await soon(client.task)
        assert played.wall.after == 1


@on_both_loops
async def test_a_stop_that_waits_no_longer_ends_what_is_under_way(tls):
    async with stage(tls, NEVER) as played, played.client() as client:
        await client.send(get())
        await soon(played.said.heard_one.wait())
        assert played.registry.stop() == 0
        assert played.registry.cut_all() == 1
        assert (await client.answer()).status == 503
        await client.ended()


@pytest.mark.parametrize("where", ["before", "gate", "wall", "upstream", "answer", "idle"])
@on_both_loops
async def test_cancelled_anywhere_it_leaves_nothing(tls, where):
    async with stage(tls, HALF if where == "answer" else NEVER) as played, played.client() as client:
        held = {"gate": played.gate.admits, "wall": played.wall.holds}.get(where)
        if held is not None:
            held.clear()
        if where != "before":
            await client.send(b"GET" if where == "idle" else get())
        reached = {
            "gate": played.gate.entered,
            "wall": played.wall.entered,
            "upstream": played.said.heard_one,
        }
        if where in reached:
            await soon(reached[where].wait())
        if where == "answer":
            await client.connection.receive()
        client.task.cancel()
        await soon(asyncio.wait({client.task}))
        assert client.task.cancelled()
        assert client.near.closed


@asynccontextmanager
async def stuck():
    """A server that takes no octets once its window is full."""
    near, far = connections()
    try:
        yield near
    finally:
        far.abort()


@on_both_loops
async def test_a_server_that_takes_nothing_is_an_outage(tls):
    async with stage(tls, upstream_s=0.0) as played, stuck() as near, played.client() as client:

        async def opened() -> Connection:
            return near

        played.upstream._open = opened
        sending = asyncio.create_task(client.send(put(b"x" * 5_000_000)))
        got = await client.answer()
        assert (got.status, got.fields["connection"]) == (503, "close")
        sending.cancel()
        await asyncio.wait({sending})
        assert near.closed
