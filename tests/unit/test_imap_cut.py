"""Revocation and vanishing at every moment of a sign-in: it ends at once, and nothing is left.

"At once" is an order of events, not a time: whatever else could end the sign-in is held for good, and the
stage's own time-outs come later than the test gives up.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from auth.refusal import Reason, Refusal
from support.imap_stage import GRANT, LOGIN, SIGNED_IN, Stage, line, soon
from support.sockets import Tls, on_both_loops, reset

REVOKED = Refusal(reason=Reason.REVOKED, account_id="ac_1", app_password_id="ap_1", label="phone")
WORDS = b'a NO [AUTHENTICATIONFAILED] the app-specific password "phone" was revoked\r\n'
UNAVAILABLE = b"a NO [UNAVAILABLE] sign-in is not possible at the moment, try again later\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@on_both_loops
async def test_a_cut_ends_a_sign_in_that_waits_for_the_upstream(tls):
    stage = Stage(tls)
    stage.upstream.holds.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.upstream.asked.wait())
        stage.gate.confirmation = REVOKED
        assert stage.registry.cut(["ap_1"]) == 1
        assert await client.line() == WORDS
        assert stage.upstream.cancelled == 1
        assert await client.ask(b"b NOOP\r\n") == b"b OK done\r\n"
    assert [record.outcome for record in stage.records] == [Reason.REVOKED]


@on_both_loops
async def test_a_cut_that_the_gate_knows_nothing_of_is_an_outage(tls):
    stage = Stage(tls)
    stage.upstream.holds.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.upstream.asked.wait())
        assert stage.registry.cut_all() == 1
        assert await client.line() == UNAVAILABLE


@on_both_loops
async def test_a_cut_while_the_gate_is_asked_never_reaches_the_upstream(tls):
    stage = Stage(tls)
    stage.gate.admits.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.gate.entered.wait())
        stage.gate.confirmation = REVOKED
        stage.registry.cut(["ap_1"])
        stage.gate.admits.set()
        assert await client.line() == WORDS
    assert not stage.upstream.asked.is_set()


@pytest.mark.parametrize("confirmation", [None, REVOKED])
@on_both_loops
async def test_a_cut_in_the_last_moment_never_becomes_a_session(tls, confirmation):
    stage = Stage(tls)
    stage.gate.confirms.clear()
    stage.gate.confirmation = confirmation
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.gate.confirming.wait())
        stage.registry.cut(["ap_1"])
        stage.gate.confirms.set()
        assert await client.line() == (UNAVAILABLE if confirmation is None else WORDS)
        assert await line(stage.upstream.far) == b""
    assert not stage.released


@on_both_loops
async def test_a_cut_ends_a_session(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        assert await client.ask(LOGIN) == SIGNED_IN
        await client.send(b"b IDLE\r\n")
        await line(stage.upstream.far)
        assert stage.registry.cut(["ap_1"]) == 1
        await soon(client.task)


@on_both_loops
async def test_a_session_ends_when_its_app_password_expires(tls):
    stage = Stage(tls)
    stage.gate.answer = replace(GRANT, expires_at=1_800_000_001)  # a tenth of a second after the stage's now
    async with stage.client() as client:
        assert (await client.ask(LOGIN)).startswith(b"* OK [ALERT] ")
        assert await client.line() == SIGNED_IN
        await soon(client.task)


@pytest.mark.parametrize("end", ["goodbye", "close", "reset"])
@pytest.mark.parametrize("where", ["gate", "upstream"])
@on_both_loops
async def test_a_client_that_vanishes_frees_everything(tls, where, end):
    stage = Stage(tls)
    held, reached = {
        "gate": (stage.gate.admits, stage.gate.entered),
        "upstream": (stage.upstream.holds, stage.upstream.asked),
    }[where]
    held.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(reached.wait())
        if end == "goodbye":
            closing = asyncio.create_task(client.connection.close())
            await soon(client.task)
            await closing
        elif end == "reset":
            sock = client.connection.channel.sock.dup()
            client.connection.abort()
            reset(sock)
        else:
            client.connection.abort()
        await soon(client.task)
        assert stage.gate.cancelled + stage.upstream.cancelled == 1
    assert stage.records == []


@on_both_loops
async def test_a_client_that_vanishes_in_the_last_moment_leaves_no_upstream_behind(tls):
    stage = Stage(tls)
    stage.gate.confirms.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.gate.confirming.wait())
        client.connection.abort()
        stage.gate.confirms.set()
        assert await line(stage.upstream.far) == b""
        stage.upstream.far.abort()
        await soon(client.task)


@pytest.mark.parametrize("where", ["gate", "upstream", "confirm", "session"])
@on_both_loops
async def test_a_server_that_stops_leaves_nothing(tls, where):
    stage = Stage(tls)
    held, reached = {
        "gate": (stage.gate.admits, stage.gate.entered),
        "upstream": (stage.upstream.holds, stage.upstream.asked),
        "confirm": (stage.gate.confirms, stage.gate.confirming),
        "session": (asyncio.Event(), asyncio.Event()),
    }[where]
    held.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        if where == "session":
            await client.line()
        else:
            await soon(reached.wait())
        client.task.cancel()
        await asyncio.wait({client.task})
        assert client.task.cancelled()


@on_both_loops
async def test_an_upstream_that_is_ready_as_the_client_vanishes_is_closed(tls):
    stage = Stage(tls)
    stage.upstream.holds.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.upstream.asked.wait())
        stage.upstream.holds.set()
        client.task.cancel()
        await asyncio.wait({client.task})
