"""The front-end on real sockets: sign-in, TLS, outcome, and the session behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from auth.refusal import OUTAGES, Reason, Refusal
from proxy.dialog import ClientState
from proxy.failures import House, imap_no
from proxy.imap.conversation import conversation
from proxy.limits import PIPELINED_OCTETS
from proxy.net.connection import ConnectionLost
from proxy.net.strangers import Caps, Strangers
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Service
from support.imap_stage import GRANT, GREETING, LOGIN, PASSWORD, SIGNED_IN, Stage, closed, line, soon
from support.sockets import Tls, connections, on_both_loops, read_all, read_exactly, turns

GREETING_CLEAR = b"* OK [CAPABILITY IMAP4rev1 LITERAL- ID STARTTLS LOGINDISABLED] Wicketgate is ready\r\n"
UNAVAILABLE = b"a NO [UNAVAILABLE] sign-in is not possible at the moment, try again later\r\n"
BUG = b"a NO [SERVERBUG] internal error, please tell whoever runs this server\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@on_both_loops
async def test_a_sign_in_becomes_a_session(tls):
    stage = Stage(tls)
    stage.upstream.rest = b"* OK from upstream\r\n"
    async with stage.client() as client:
        assert await client.ask(b'i ID ("name" "Mail")\r\n') == b'* ID ("name" "Wicketgate")\r\n'
        assert await client.line() == b"i OK done\r\n"
        await client.send(LOGIN + b"b SELECT INBOX\r\nc ID")
        assert await client.line() == SIGNED_IN
        assert await client.line() == b"* OK from upstream\r\n"
        assert await line(stage.upstream.far) == b"b SELECT INBOX\r\n"
        await client.send(b"LE\r\n")
        assert await line(stage.upstream.far) == b"c IDLE\r\n"
        await stage.upstream.far.send(b"+ idling\r\n")
        assert await client.line() == b"+ idling\r\n"
        assert stage.registry.sessions == 1
        assert len(stage.released) == 1
        closing = asyncio.create_task(stage.upstream.far.close())
        assert await client.line() == b""
        client.connection.abort()
        await closing
    [asked] = stage.gate.asked
    assert (asked.name, asked.secret.reveal(), asked.service, str(asked.peer)) == (
        "alice@example.org",
        PASSWORD,
        Service.IMAP,
        "192.0.2.7",
    )
    [record] = stage.records
    assert (record.at, record.account_id, record.app_password_id) == (1_800_000_000, "ac_1", "ap_1")
    assert (record.service, record.peer, record.outcome, record.client_name) == (
        Service.IMAP,
        "192.0.2.7",
        "granted",
        "Mail",
    )


@on_both_loops
async def test_starttls(tls):
    stage = Stage(tls)
    async with stage.client(implicit_tls=False) as client:
        assert await client.line() == GREETING_CLEAR
        assert (await client.ask(LOGIN)).startswith(b"a NO [PRIVACYREQUIRED]")
        assert not stage.gate.asked
        assert await client.ask(b"b STARTTLS\r\n") == b"b OK begin TLS now\r\n"
        await client.secure(tls)
        assert await client.ask(LOGIN) == SIGNED_IN


@on_both_loops
async def test_what_is_sent_in_clear_behind_starttls_is_dropped(tls):
    stage = Stage(tls)
    async with stage.client(implicit_tls=False) as client:
        await client.line()
        assert await client.ask(b"b STARTTLS\r\nc LOGIN eve pw\r\n") == b"b OK begin TLS now\r\n"
        await client.secure(tls)
        assert await client.ask(b"d NOOP\r\n") == b"d OK done\r\n"
    assert not stage.gate.asked


@pytest.mark.parametrize("reason", Reason)
@on_both_loops
async def test_every_refusal_leaves_the_connection_open_and_is_recorded(tls, reason):
    stage = Stage(tls)
    refusal = Refusal(reason=reason, account_id="ac_1", app_password_id="ap_1", label="phone")
    stage.gate.answer = refusal
    async with stage.client() as client:
        expected = b"a " + imap_no(refusal, House(host="mail.example.org")).encode() + b"\r\n"
        assert await client.ask(LOGIN) == expected
        assert len(stage.doubted) == (0 if reason in OUTAGES else 1)
        stage.gate.answer = GRANT
        assert await client.ask(LOGIN) == SIGNED_IN
    assert [record.outcome for record in stage.records] == [reason, "granted"]
    assert stage.records[0].app_password_id == "ap_1"


@on_both_loops
async def test_an_upstream_that_fails_is_an_outage(tls, caplog):
    stage = Stage(tls)
    stage.upstream.failure = UpstreamFailure("imaps://x refused our sign-in: 'no such user'")
    async with stage.client() as client:
        assert await client.ask(LOGIN) == UNAVAILABLE
        assert await client.ask(b"b NOOP\r\n") == b"b OK done\r\n"
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
        assert await client.ask(LOGIN) == BUG
        assert await client.ask(b"b NOOP\r\n") == b"b OK done\r\n"
    assert "RuntimeError at " in caplog.text
    assert PASSWORD not in caplog.text
    assert stage.records[0].outcome == Reason.BUG


@on_both_loops
async def test_a_fault_after_sign_in_ends_this_connection_alone(tls, caplog):
    stage = Stage(tls)

    def broken(record):
        raise RuntimeError(f"told {PASSWORD}")

    stage.record = broken
    async with stage.client() as client:
        assert await client.ask(LOGIN) == b"* BYE internal error\r\n"
        assert await client.line() == b""
    assert "RuntimeError at " in caplog.text
    assert PASSWORD not in caplog.text


@on_both_loops
async def test_the_last_word_of_the_gate_counts(tls):
    stage = Stage(tls)
    stage.gate.confirmation = Refusal(reason=Reason.REVOKED, label="phone")
    async with stage.client() as client:
        assert (
            await client.ask(LOGIN)
            == b'a NO [AUTHENTICATIONFAILED] the app-specific password "phone" was revoked\r\n'
        )
        assert stage.released == []


@on_both_loops
async def test_an_app_password_in_the_place_of_the_name_is_not_logged(tls, caplog):
    caplog.set_level(logging.DEBUG)
    stage = Stage(tls)
    stage.gate.answer = Refusal(reason=Reason.BAD_CREDENTIALS)
    async with stage.client() as client:
        await client.ask(b"a LOGIN " + PASSWORD.encode() + b" wrong-secret\r\n")
    assert "redacted" in caplog.text
    assert PASSWORD not in caplog.text
    assert "wrong-secret" not in caplog.text


@on_both_loops
async def test_a_name_cannot_forge_a_log_line(tls, caplog):
    stage = Stage(tls)
    stage.gate.answer = Refusal(reason=Reason.BAD_CREDENTIALS)
    async with stage.client() as client:
        await client.ask("a LOGIN {8+}\r\na\u202eb\x1bcd x\r\n".encode())
    assert "\\u202e" in caplog.text
    assert "\u202e" not in caplog.text
    assert "\x1b" not in caplog.text


@on_both_loops
async def test_pipelined_octets_are_held_by_not_reading_and_all_arrive_in_order(tls):
    stage = Stage(tls)
    stage.upstream.holds.clear()
    much = b"".join(b"%08d" % number for number in range(400_000))
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.upstream.asked.wait())
        sending = asyncio.create_task(client.send(much))
        await turns(2000)
        assert not sending.done(), "the gate has read more than it may hold"
        stage.upstream.holds.set()
        assert await client.line() == SIGNED_IN
        assert await read_exactly(stage.upstream.far, len(much)) == much
        await sending


@on_both_loops
async def test_no_more_is_held_than_there_is_room_for(tls):
    stage = Stage(tls)
    stage.upstream.holds.clear()
    far, near = connections()
    talk = conversation(near, stage.ports(), stage.upstream, stage.settings(), secure=True)
    async with asyncio.timeout(10) as limit:
        running = asyncio.create_task(talk.run(limit))
        await far.send(LOGIN)
        sending = asyncio.create_task(far.send(b"x" * 3_000_000))
        await soon(lambda: talk.leg.room == 0)
        await turns(200)
        assert talk.leg.state is ClientState.SIGNING_IN
        assert len(talk.leg.granted(b"")) == PIPELINED_OCTETS
    running.cancel()
    sending.cancel()
    await asyncio.wait({running, sending})
    near.abort()
    far.abort()


@on_both_loops
async def test_a_sign_in_at_work_is_no_idle_stranger(tls):
    stage = Stage(tls)
    stage.gate.admits.clear()
    stage.gate.answer = Refusal(reason=Reason.BAD_CREDENTIALS)
    far, near = connections()
    serving = asyncio.create_task(
        conversation(near, stage.ports(), stage.upstream, stage.settings(), secure=True).run(
            asyncio.timeout(None)
        )
    )
    assert await line(far) == GREETING
    await soon(lambda: near.waiting)
    await far.send(LOGIN)
    await soon(stage.gate.entered.wait())
    await turns(5)
    strangers = Strangers(Caps(per_address=1, in_all=1))
    assert strangers.add(near)
    other = connections()
    assert not strangers.add(other[0])
    stage.gate.admits.set()
    assert (await line(far)).startswith(b"a NO")
    await soon(lambda: near.waiting)
    assert strangers.add(other[0])
    assert near.closed
    with pytest.raises(ConnectionLost):
        await serving
    for each in (far, *other):
        each.abort()


@on_both_loops
async def test_logout_is_answered_and_closed_cleanly(tls):
    async with Stage(tls).client() as client:
        assert await client.ask(b"a LOGOUT\r\n") == b"* BYE see you\r\n"
        assert await read_all(client.connection) == b"a OK done\r\n"


@on_both_loops
async def test_the_time_for_sign_in_is_bounded(tls):
    async with Stage(tls, sign_in_s=0.2).client() as client:
        assert await client.line() == b"* BYE sign-in took too long\r\n"
        assert await client.line() == b""


@pytest.mark.parametrize("signing_in", [False, True])
@on_both_loops
async def test_when_the_server_stops_who_has_not_signed_in_hears_bye(tls, signing_in):
    stage = Stage(tls)
    stage.gate.admits.clear()
    async with stage.client() as client:
        if signing_in:
            await client.send(LOGIN)
            await soon(lambda: stage.gate.asked)
        client.task.cancel()
        assert await client.line() == b"* BYE the server is stopping\r\n"
        assert await client.line() == b""
    assert client.task.cancelled()


@on_both_loops
async def test_when_the_server_stops_nothing_is_said_before_or_behind_the_dialog(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        assert await client.ask(LOGIN) == SIGNED_IN
        client.task.cancel()
        with contextlib.suppress(ConnectionLost):
            assert await client.line() == b""
    far, near = connections()
    task = stage.serve(near)
    await turns()
    task.cancel()
    with contextlib.suppress(ConnectionLost):
        assert await far.receive() == b"", "no word in clear on a port that begins with TLS"
    far.abort()
    await asyncio.wait({task})


@pytest.mark.parametrize("where", ["gate", "upstream", "confirm"])
@on_both_loops
async def test_the_time_for_sign_in_is_bounded_wherever_it_waits(tls, where):
    stage = Stage(tls, sign_in_s=0.3)
    {"gate": stage.gate.admits, "upstream": stage.upstream.holds, "confirm": stage.gate.confirms}[
        where
    ].clear()
    async with stage.client() as client:
        assert await client.ask(LOGIN) == b"* BYE sign-in took too long\r\n"
        assert await client.line() == b""


@on_both_loops
async def test_the_time_for_sign_in_is_lifted_from_the_session(tls):
    stage = Stage(tls)
    far, near = connections()
    talk = conversation(near, stage.ports(), stage.upstream, stage.settings(), secure=True)
    async with asyncio.timeout(10) as limit:
        running = asyncio.create_task(talk.run(limit))
        await far.send(LOGIN)
        assert await line(far) == GREETING
        assert await line(far) == SIGNED_IN
        assert limit.when() is None
    far.abort()
    await closed(stage.upstream.far)
    await running


@on_both_loops
async def test_a_handshake_that_does_not_come_is_the_end(tls):
    stage = Stage(tls, handshake_s=0.1)
    far, near = connections()
    await asyncio.wait_for(stage.serve(near), 10)
    assert near.closed
    far.abort()


@on_both_loops
async def test_no_tls_is_the_end(tls):
    stage = Stage(tls)
    far, near = connections()
    task = stage.serve(near)
    await far.send(b"a LOGIN alice pw\r\n")
    await asyncio.wait_for(task, 10)
    assert near.closed
    assert not stage.gate.asked
    far.abort()


def test_greeting_is_the_documented_one():
    assert b"IMAP4rev1 SASL-IR LITERAL- ID AUTH=PLAIN AUTH=LOGIN]" in GREETING


@on_both_loops
async def test_who_has_not_signed_in_leaves_as_soon_as_the_registry_stops(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        assert stage.registry.stop() == 0
        assert await client.line() == b"* BYE the server is stopping\r\n"
        assert await client.line() == b""


@on_both_loops
async def test_no_sign_in_becomes_a_session_while_the_server_stops(tls):
    stage = Stage(tls)
    stage.gate.confirms.clear()
    async with stage.client() as client:
        await client.send(LOGIN)
        await soon(stage.gate.confirming.wait())
        stage.gate.confirms.set()
        stage.registry.stop()
        assert await client.line() == b"* BYE the server is stopping\r\n"
        await closed(stage.upstream.far)
    assert not stage.released
