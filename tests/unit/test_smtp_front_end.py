"""The submission front-end on real sockets: sign-in, TLS, outcome, and the session it is left to."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from auth.refusal import OUTAGES, Reason, Refusal
from proxy.dialog import ClientState
from proxy.failures import House, smtp_refusal
from proxy.limits import PIPELINED_OCTETS
from proxy.net.connection import ConnectionLost
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Service
from support.imap_stage import GRANT, PASSWORD, closed, line, soon
from support.smtp_front_stage import AUTH, GREETING, SIGNED_IN, STOPPING, UNAVAILABLE, Stage, hello
from support.sockets import Tls, connections, on_both_loops, read_all, turns

BUG = b"451 4.3.0 internal error, please tell whoever runs this server\r\n"
DONE = b"250 2.0.0 done\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@on_both_loops
async def test_a_sign_in_becomes_a_session(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        assert (await hello(client))[-1] == b"250 AUTH PLAIN LOGIN\r\n"
        await client.send(AUTH + b"MAIL FROM:<alice@example.org>\r\nRC")
        assert await client.line() == SIGNED_IN
        await soon(stage.session.began.wait())
        assert stage.session.received == b"MAIL FROM:<alice@example.org>\r\nRC"
        assert stage.session.grant == GRANT
        assert stage.session.upstream.extensions == {"PIPELINING": ""}
        assert stage.session.attempt.is_session
        assert stage.registry.sessions == 1
        assert len(stage.released) == 1
        stage.session.over.set()
        assert await client.line() == b""
    [asked] = stage.gate.asked
    assert (asked.name, asked.secret.reveal(), asked.service, str(asked.peer), asked.authzid) == (
        "alice@example.org",
        PASSWORD,
        Service.SUBMISSION,
        "192.0.2.7",
        None,
    )
    [record] = stage.records
    assert (record.service, record.outcome, record.client_name) == (Service.SUBMISSION, "granted", "my_host")


@on_both_loops
async def test_starttls(tls):
    stage = Stage(tls)
    async with stage.client(implicit_tls=False) as client:
        assert await client.line() == GREETING
        assert (await hello(client))[-1] == b"250 STARTTLS\r\n"
        assert (await client.ask(AUTH)).startswith(b"538 5.7.11 ")
        assert not stage.gate.asked
        assert await client.ask(b"STARTTLS\r\n") == b"220 2.0.0 begin TLS now\r\n"
        await client.secure(tls)
        assert (await hello(client))[-1] == b"250 AUTH PLAIN LOGIN\r\n"
        assert await client.ask(AUTH) == SIGNED_IN


@on_both_loops
async def test_what_is_sent_in_clear_behind_starttls_is_dropped(tls):
    stage = Stage(tls)
    async with stage.client(implicit_tls=False) as client:
        await client.line()
        assert await client.ask(b"STARTTLS\r\nEHLO eve\r\n" + AUTH) == b"220 2.0.0 begin TLS now\r\n"
        await client.secure(tls)
        assert await client.ask(b"NOOP\r\n") == DONE
        assert await client.ask(AUTH) == b"503 5.5.1 EHLO comes first\r\n"
    assert not stage.gate.asked


@pytest.mark.parametrize("reason", Reason)
@on_both_loops
async def test_every_refusal_is_told_and_recorded_and_all_but_one_leave_the_connection_open(tls, reason):
    stage = Stage(tls)
    refusal = Refusal(reason=reason, account_id="ac_1", app_password_id="ap_1", label="phone")
    stage.gate.answer = refusal
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == smtp_refusal(refusal, House(host="mail.example.org"))
        assert len(stage.doubted) == (0 if reason in OUTAGES else 1)
        stage.gate.answer = GRANT
        if reason is Reason.TOO_MUCH_WORK:
            assert (await client.ask(AUTH)).startswith(b"421 4.7.0 ")
            assert await client.line() == b""
        else:
            assert await client.ask(AUTH) == SIGNED_IN
    assert [record.outcome for record in stage.records][:1] == [reason]
    assert stage.records[0].app_password_id == "ap_1"


@on_both_loops
async def test_an_upstream_that_fails_is_an_outage(tls, caplog):
    stage = Stage(tls)
    stage.upstream.failure = UpstreamFailure("smtps://x refused our sign-in: 'no such user'")
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == UNAVAILABLE
        assert await client.ask(b"NOOP\r\n") == DONE
    assert "no such user" in caplog.text
    [record] = stage.records
    assert (record.outcome, record.app_password_id) == (Reason.UNAVAILABLE, "ap_1")


@pytest.mark.parametrize("part", ["gate", "confirm", "upstream"])
@on_both_loops
async def test_a_fault_of_ours_is_a_fixed_text_and_no_secret_in_the_log(tls, caplog, part):
    stage = Stage(tls)
    bug = RuntimeError(f"told {PASSWORD}")
    match part:
        case "gate":
            stage.gate.answer = bug
        case "confirm":
            stage.gate.confirmation = bug
        case "upstream":
            stage.upstream.failure = bug
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == BUG
        assert await client.ask(b"NOOP\r\n") == DONE
    assert "RuntimeError at " in caplog.text
    assert PASSWORD not in caplog.text
    assert stage.records[0].outcome == Reason.BUG


@on_both_loops
async def test_a_fault_in_the_session_ends_this_connection_alone_and_is_told(tls, caplog):
    stage = Stage(tls, bug=RuntimeError(f"told {PASSWORD}"))
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == SIGNED_IN
        assert await client.line() == b"421 4.3.0 internal error\r\n"
        assert await client.line() == b""
    assert "RuntimeError at " in caplog.text
    assert PASSWORD not in caplog.text


@on_both_loops
async def test_the_last_word_of_the_gate_counts(tls):
    stage = Stage(tls)
    stage.gate.confirmation = Refusal(reason=Reason.REVOKED, label="phone")
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == b'535 5.7.8 the app-specific password "phone" was revoked\r\n'
        assert await line(stage.upstream.far) == b""
    assert not stage.sessions
    assert not stage.released


@on_both_loops
async def test_nothing_secret_or_forged_is_logged(tls, caplog):
    caplog.set_level(logging.DEBUG)
    stage = Stage(tls)
    stage.gate.answer = Refusal(reason=Reason.BAD_CREDENTIALS)
    async with stage.client() as client:
        await hello(client, b"a\x1bb")
        await client.ask(b"AUTH LOGIN azdtcS0yeHdkLWhucnAtNHR2Yy05enNh\r\n")  # the password as the name
        assert (await client.ask(b"d3Jvbmctc2VjcmV0\r\n")).startswith(b"535 ")  # wrong-secret
        assert (await client.ask(b"AUTH PLAIN AGHigK5iG2MAeA==\r\n")).startswith(b"535 ")  # a U+202E b ESC c
        stage.gate.answer = GRANT
        assert await client.ask(AUTH) == SIGNED_IN
    assert "redacted" in caplog.text
    assert "\\u202e" in caplog.text
    for unwanted in (PASSWORD, "azdtcS0y", "wrong-secret", "d3Jvbmct", "\u202e", "\x1b"):
        assert unwanted not in caplog.text


@on_both_loops
async def test_no_more_is_held_than_there_is_room_for(tls):
    stage = Stage(tls)
    stage.upstream.holds.clear()
    far, near = connections()
    talk = stage.conversation(near)
    async with asyncio.timeout(10) as limit:
        running = asyncio.create_task(talk.run(limit))
        sending = asyncio.create_task(far.send(b"EHLO x\r\n" + AUTH + b"x" * 3_000_000))
        await soon(lambda: talk.leg.room == 0)
        await turns(200)
        assert talk.leg.state is ClientState.SIGNING_IN
        assert not sending.done(), "the gate has read more than it may hold"
        stage.upstream.holds.set()
        await soon(lambda: stage.sessions)
        assert len(stage.session.received) == PIPELINED_OCTETS
        assert limit.when() is None, "the time for sign-in does not bound the session"
    running.cancel()
    sending.cancel()
    await asyncio.wait({running, sending})
    for each in (near, far, stage.upstream.far):
        each.abort()


@on_both_loops
async def test_quit_is_answered_and_closed_cleanly(tls):
    async with Stage(tls).client() as client:
        assert await client.ask(b"QUIT\r\n") == b"221 2.0.0 see you\r\n"
        assert await read_all(client.connection) == b""


@pytest.mark.parametrize("where", ["client", "gate", "upstream", "confirm"])
@on_both_loops
async def test_the_time_for_sign_in_is_bounded_wherever_it_waits(tls, where):
    stage = Stage(tls, sign_in_s=0.3)
    held = {"gate": stage.gate.admits, "upstream": stage.upstream.holds, "confirm": stage.gate.confirms}
    held.get(where, asyncio.Event()).clear()
    async with stage.client() as client:
        await hello(client)
        if where != "client":
            await client.send(AUTH)
        assert await client.line() == b"421 4.4.2 sign-in took too long\r\n"
        assert await client.line() == b""


@pytest.mark.parametrize("signing_in", [False, True])
@on_both_loops
async def test_when_the_server_stops_who_has_not_signed_in_hears_it_at_once(tls, signing_in):
    stage = Stage(tls)
    stage.gate.admits.clear()
    async with stage.client() as client:
        await hello(client)
        if signing_in:
            await client.send(AUTH)
            await soon(lambda: stage.gate.asked)
        stage.registry.stop()
        assert await client.line() == STOPPING
        assert await client.line() == b""
    assert not stage.records


@on_both_loops
async def test_when_the_server_stops_a_message_under_way_is_finished_first(tls):
    stage = Stage(tls)
    async with stage.client() as client, stage.client() as other:
        await hello(client)
        assert await client.ask(AUTH) == SIGNED_IN
        stage.session.attempt.under_way = True
        stage.registry.stop()
        assert await other.line() == STOPPING
        await closed(other.connection)
        await asyncio.wait({other.task})
        assert (stage.session.cuts, stage.session.cancelled) == (0, False)
        stage.session.attempt.under_way = False
        assert stage.session.cuts == 1
        await closed(client.connection)


@on_both_loops
async def test_a_session_that_outlasts_the_grace_is_cancelled_and_hears_it(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        await hello(client)
        assert await client.ask(AUTH) == SIGNED_IN
        await soon(stage.session.began.wait())
        client.task.cancel()
        assert await client.line() == STOPPING
        assert await client.line() == b""
    assert client.task.cancelled()


@on_both_loops
async def test_no_word_in_clear_on_a_port_that_begins_with_tls(tls):
    stage = Stage(tls)
    far, near = connections()
    task = stage.serve(near)
    await turns()
    stage.registry.stop()
    with contextlib.suppress(ConnectionLost):
        assert await far.receive() == b""
    far.abort()
    await asyncio.wait({task})


@on_both_loops
async def test_no_handshake_and_no_tls_are_the_end(tls):
    stage = Stage(tls, handshake_s=0.1)
    far, near = connections()
    await soon(stage.serve(near))
    assert near.closed
    far.abort()
    far, near = connections()
    task = stage.serve(near)
    await far.send(b"EHLO x\r\n" + AUTH)
    await soon(task)
    assert near.closed
    assert not stage.gate.asked
    await closed(far)
