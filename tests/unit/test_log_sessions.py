"""Each sign-in has one line, each refusal one, and each session one at its end, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from auth.refusal import Reason, Refusal
from proxy.log.words import REASONS, SessionEnd
from proxy.net.connection import Connection, ConnectionLost
from proxy.smtp.session import SessionSettings, Submission
from proxy.smtp.sides import Times
from proxy.upstreams.place import UpstreamFailure
from support import dav_stage, imap_stage, smtp_front_stage
from support.dav_stage import get, put
from support.dav_upstream import CLOSE
from support.imap_stage import GRANT, soon
from support.smtp_front_stage import AUTH, HOUSE, OFFER, hello
from support.sockets import Tls, on_both_loops, reset
from support.told import log, told, words

__all__ = ["log"]  # a fixture

NEVER = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPIRES = replace(GRANT, expires_at=1_800_000_001)
"""A tenth of a second after the stages' now."""
EXPIRED = Refusal(reason=Reason.EXPIRED, account_id="ac_1", app_password_id="ap_1", label="phone")
WHO = {"address": "192.0.2.7", "account": "alice@example.org", "app_password": "ap_1", "label": "phone"}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@dataclass(frozen=True)
class Scene:
    """A session that has begun; `stage` and `client` are those of its protocol."""

    stage: Any
    client: Any

    @property
    def far(self) -> Connection:
        """The upstream's end."""
        return self.stage.far

    async def over(self) -> None:
        """Read what the client is still told, and wait until nobody serves it."""
        with contextlib.suppress(ConnectionLost):
            while await self.client.connection.receive():
                pass
        self.client.connection.abort()
        await soon(asyncio.wait({self.client.task}))


@asynccontextmanager
async def imap(tls: Tls, **more: Any) -> AsyncIterator[Scene]:
    stage = imap_stage.Stage(tls, **more)
    async with stage.client() as client:
        yield Scene(stage, client)


def submission(times: Times | None = None) -> Callable[..., Submission]:
    settings = SessionSettings(house=HOUSE, offer=OFFER, now=lambda: 1_800_000_000.9, times=times or Times())
    return partial(_submission, settings)


def _submission(settings: SessionSettings, *parts: Any) -> Submission:
    return Submission(*parts, settings)


@asynccontextmanager
async def smtp(tls: Tls, times: Times | None = None, **more: Any) -> AsyncIterator[Scene]:
    stage = smtp_front_stage.Stage(tls, new_session=submission(times), **more)
    async with stage.client() as client:
        await hello(client)
        yield Scene(stage, client)


@asynccontextmanager
async def dav(tls: Tls, *answers: bytes, **times: float) -> AsyncIterator[Scene]:
    async with dav_stage.stage(tls, *answers, **times) as stage, stage.client() as client:
        yield Scene(stage, client)


def one_session(log: pytest.LogCaptureFixture, reason: SessionEnd) -> dict[str, Any]:
    """Give the line of the end: the one behind the one of the sign-in, and nothing else was told."""
    assert words(log) == [("sign-in", ""), ("session-end", reason)]
    begun, ended = told(log)
    for line in (begun, ended):
        assert {name: line[name] for name in WHO} == WHO
    assert begun["connection"] == ended["connection"]
    assert begun["tls"] == ended["tls"] == "TLSv1.3"
    assert (begun["level"], ended["level"]) == ("info", "error" if reason is SessionEnd.FAULT else "info")
    assert ended["duration_s"] >= 0
    return ended


# --- IMAP ---------------------------------------------------------------------------------------------------


async def _leave(scene: Scene) -> None:
    await scene.client.connection.close()


async def _reset(scene: Scene) -> None:
    sock = scene.client.connection.channel.sock.dup()
    scene.client.connection.abort()
    reset(sock)


async def _upstream_closes(scene: Scene) -> None:
    closing = asyncio.create_task(scene.far.close())
    await scene.over()
    await closing


async def _cut(scene: Scene) -> None:
    assert scene.stage.registry.cut(["ap_1"]) == 1


async def _stop(scene: Scene) -> None:
    assert scene.stage.registry.stop() == 1


async def _cancel(scene: Scene) -> None:
    scene.client.task.cancel()


async def _wait(_: Scene) -> None:
    """It ends by itself."""


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_leave, SessionEnd.CLIENT_CLOSED),
        (_reset, SessionEnd.CLIENT_LOST),
        (_upstream_closes, SessionEnd.UPSTREAM_CLOSED),
        (_cut, SessionEnd.CUT),
        (_stop, SessionEnd.STOPPING),
        (_cancel, SessionEnd.STOPPING),
    ],
)
@on_both_loops
async def test_the_ends_of_an_imap_session(tls, log, end: Callable[[Scene], Awaitable[None]], reason):
    async with imap(tls) as scene:
        await scene.client.ask(imap_stage.LOGIN)
        await end(scene)
        await scene.over()
    ended = one_session(log, reason)
    assert ended["service"] == "imap"
    assert ended["upstream"] == told(log)[0]["upstream"] != ended["connection"]
    if end is not _cancel:
        assert (ended["bytes_in"], ended["bytes_out"]) == (0, len(imap_stage.SIGNED_IN))


@pytest.mark.parametrize(("more", "reason"), [({"idle_s": 0.02}, SessionEnd.IDLE), ({}, SessionEnd.EXPIRED)])
@on_both_loops
async def test_an_imap_session_that_ends_by_the_clock(tls, log, more, reason):
    async with imap(tls, **more) as scene:
        if reason is SessionEnd.EXPIRED:
            scene.stage.gate.answer = EXPIRES
        await scene.client.ask(imap_stage.LOGIN)
        await scene.over()
    one_session(log, reason)


@on_both_loops
async def test_a_lost_upstream_is_told_from_one_that_closes(tls, log):
    async with imap(tls) as scene:
        await scene.client.ask(imap_stage.LOGIN)
        await scene.client.send(b"b NOOP\r\n")
        await scene.far.receive(1)  # what is left unread makes its end a reset
        scene.far.abort()
        await scene.over()
    assert one_session(log, SessionEnd.UPSTREAM_LOST)["bytes_in"] == len(b"b NOOP\r\n")


@on_both_loops
async def test_a_fault_of_ours_within_a_session_is_an_end_too(tls, log):
    def broken(_: object) -> None:
        raise RuntimeError("k7mq")

    async with imap(tls, record=broken) as scene:
        await scene.client.ask(imap_stage.LOGIN)
        await scene.over()
    assert one_session(log, SessionEnd.FAULT)["cause"].startswith("RuntimeError at ")


# --- submission ---------------------------------------------------------------------------------------------


async def _quit(scene: Scene) -> None:
    await scene.client.send(b"QUIT\r\n")
    await imap_stage.line(scene.far)
    await scene.far.send(b"221 2.0.0 bye\r\n")


async def _speak_http(scene: Scene) -> None:
    await scene.client.send(b"GET / HTTP/1.1\r\n" * 20)


async def _ask_a_dead_upstream(scene: Scene) -> None:
    scene.far.abort()
    await scene.client.send(b"RSET\r\n")


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_quit, SessionEnd.QUIT),
        (_leave, SessionEnd.CLIENT_CLOSED),
        (_reset, SessionEnd.CLIENT_LOST),
        (_ask_a_dead_upstream, SessionEnd.UPSTREAM_LOST),
        (_speak_http, SessionEnd.REFUSED),
        (_cut, SessionEnd.CUT),
        (_stop, SessionEnd.STOPPING),
        (_cancel, SessionEnd.STOPPING),
    ],
)
@on_both_loops
async def test_the_ends_of_a_submission_session(tls, log, end: Callable[[Scene], Awaitable[None]], reason):
    async with smtp(tls) as scene:
        assert await scene.client.ask(AUTH) == smtp_front_stage.SIGNED_IN
        await end(scene)
        await scene.over()
    ended = one_session(log, reason)
    assert ended["service"] == "submission"
    if end is not _cancel:
        assert ended["messages"] == 0


@pytest.mark.parametrize(
    ("times", "reason"), [(Times(command=0.02), SessionEnd.IDLE), (None, SessionEnd.EXPIRED)]
)
@on_both_loops
async def test_a_submission_session_that_ends_by_the_clock(tls, log, times, reason):
    async with smtp(tls, times) as scene:
        if reason is SessionEnd.EXPIRED:
            scene.stage.gate.answer = EXPIRES
        await scene.client.ask(AUTH)
        await scene.over()
    one_session(log, reason)


@on_both_loops
async def test_messages_and_octets_are_counted(tls, log):
    async with smtp(tls) as scene:
        await scene.client.ask(AUTH)
        sent = b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n", b"x\r\n.\r\n"
        said = b"250 2.1.0 fine\r\n", b"250 2.1.5 fine\r\n", b"354 go on\r\n", b"250 2.0.0 taken\r\n"
        for command, reply in zip(sent, said, strict=True):
            await scene.client.send(command)
            heard = b""
            while not heard.endswith(command):
                heard += await scene.far.receive()
            await scene.far.send(reply)
            assert await scene.client.line() == reply
        await _leave(scene)
        await scene.over()
    ended = one_session(log, SessionEnd.CLIENT_CLOSED)
    assert (ended["messages"], ended["bytes_in"]) == (1, sum(map(len, sent)))
    assert ended["bytes_out"] == sum(map(len, said))


@on_both_loops
async def test_a_fault_within_a_submission_session(tls, log):
    stage = smtp_front_stage.Stage(tls, bug=RuntimeError("k7mq"))
    async with stage.client() as client:
        await hello(client)
        await client.send(AUTH)
        await Scene(stage, client).over()
    assert one_session(log, SessionEnd.FAULT)["cause"].startswith("RuntimeError at ")


# --- contacts and calendars ---------------------------------------------------------------------------------


async def _break_the_rules(scene: Scene) -> None:
    await scene.client.send(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")


async def _ask_with_goodbye(scene: Scene) -> None:
    await scene.client.ask(get(b"Connection: close"))


@pytest.mark.parametrize(
    ("end", "reason", "requests"),
    [
        (_leave, SessionEnd.CLIENT_CLOSED, 1),
        (_reset, SessionEnd.CLIENT_LOST, 1),
        (_ask_with_goodbye, SessionEnd.QUIT, 2),
        (_break_the_rules, SessionEnd.REFUSED, 1),
        (_cancel, SessionEnd.STOPPING, 1),
    ],
)
@on_both_loops
async def test_the_ends_of_a_dav_session_between_requests(tls, log, end, reason, requests):
    async with dav(tls) as scene:
        assert (await scene.client.ask(get(b"User-Agent: DAVx5/4.4"))).status == 200
        await end(scene)
        await scene.over()
    ended = one_session(log, reason)
    assert (ended["service"], ended["client"], ended["requests"]) == ("dav", "DAVx5/4.4", requests)
    assert ended["bytes_in"] > len(get())
    assert ended["bytes_out"] > len(b"hello")


async def _stop_within(scene: Scene) -> None:
    assert scene.stage.registry.stop() == 0, "what is under way is finished"
    scene.stage.wall.holds.set()


async def _break(scene: Scene) -> None:
    scene.stage.wall.outcome = RuntimeError("k7mq")
    scene.stage.wall.holds.set()


async def _lose_the_upstream(scene: Scene) -> None:
    scene.stage.wall.outcome = UpstreamFailure("it is away")
    scene.stage.wall.holds.set()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_reset, SessionEnd.CLIENT_LOST),
        (_stop_within, SessionEnd.STOPPING),
        (_cancel, SessionEnd.STOPPING),
        (_break, SessionEnd.FAULT),
        (_lose_the_upstream, SessionEnd.UPSTREAM_LOST),
    ],
)
@on_both_loops
async def test_the_ends_of_a_dav_session_within_a_request(tls, log, end, reason):
    async with dav(tls, watch_s=0.0) as scene:
        scene.stage.wall.holds.clear()
        await scene.client.send(get())
        await soon(scene.stage.wall.entered.wait())
        await end(scene)
        await scene.over()
    assert one_session(log, reason)["requests"] == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, SessionEnd.CUT), (EXPIRED, SessionEnd.EXPIRED), (CLOSE, SessionEnd.UPSTREAM_LOST)],
)
@on_both_loops
async def test_a_dav_session_whose_grant_or_server_goes(tls, log, answer, reason):
    async with dav(tls, CLOSE if answer is CLOSE else NEVER) as scene:
        if reason is SessionEnd.EXPIRED:
            scene.stage.gate.answer = EXPIRES
            scene.stage.gate.confirmation = answer
        await scene.client.send(get())
        if reason is SessionEnd.CUT:
            await soon(scene.stage.said.heard_one.wait())
            await _cut(scene)
        await scene.over()
    begun, *refused, ended = words(log)
    assert (begun, ended) == (("sign-in", ""), ("session-end", reason))
    told_as = {SessionEnd.CUT: "unavailable", SessionEnd.EXPIRED: "expired"}
    assert refused == ([("refused", told_as[reason])] if reason in told_as else []), (
        "the request's own answer"
    )


@pytest.mark.parametrize("times", [{"idle_s": 0.05}, {"quiet_s": 0.05}])
@on_both_loops
async def test_a_dav_session_of_a_client_that_says_no_more(tls, log, times):
    async with dav(tls, **times) as scene:
        await scene.client.ask(get())
        await scene.client.send(put(b"BEGIN:VCARD")[:-9] if "quiet_s" in times else b"GE")
        await scene.over()
    one_session(log, SessionEnd.IDLE)


@on_both_loops
async def test_two_app_passwords_on_one_connection_are_two_sessions(tls, log):
    async with dav(tls) as scene:
        await scene.client.ask(get())
        scene.stage.gate.answer = replace(GRANT, app_password_id="ap_2", label="laptop")
        await scene.client.ask(get())
        await scene.client.ask(get())
        await _leave(scene)
        await scene.over()
    assert words(log) == [("sign-in", "")] * 2 + [("session-end", SessionEnd.CLIENT_CLOSED)] * 2
    ends = told(log)[2:]
    assert [(end["app_password"], end["requests"]) for end in ends] == [("ap_1", 1), ("ap_2", 2)]
    assert ends[0]["bytes_in"] == len(get())
    assert ends[1]["bytes_in"] == 2 * len(get())


# --- refusals and what comes to no outcome ------------------------------------------------------------------


async def _imap_asks(scene: Scene) -> None:
    await scene.client.send(imap_stage.LOGIN)


async def _smtp_asks(scene: Scene) -> None:
    await scene.client.send(AUTH)


async def _dav_asks(scene: Scene) -> None:
    await scene.client.send(get())


ASKING = {"imap": (imap, _imap_asks), "submission": (smtp, _smtp_asks), "dav": (dav, _dav_asks)}


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("service", ASKING)
async def test_every_refusal_is_one_line(tls, log, service, reason):
    scene_of, ask = ASKING[service]
    known = reason in (Reason.REVOKED, Reason.EXPIRED)
    refusal = Refusal(reason=reason, email="alice@example.org" if known else None, cause="why")
    async with scene_of(tls) as scene:
        scene.stage.gate.answer = refusal
        await ask(scene)
        await soon(lambda: told(log))
    [line] = told(log)
    assert (line["event"], line["service"], line["reason"]) == ("refused", service, REASONS[reason])
    assert (line["address"], line["account"], line["cause"]) == ("192.0.2.7", "alice@example.org", "why")
    assert line["level"] == ("error" if reason is Reason.BUG else "warning")


@pytest.mark.parametrize("service", ASKING)
async def test_a_fault_at_the_gate_is_a_refusal_by_a_bug(tls, log, service):
    scene_of, ask = ASKING[service]
    async with scene_of(tls) as scene:
        scene.stage.gate.answer = RuntimeError("k7mq")
        await ask(scene)
        await soon(lambda: told(log))
    [line] = told(log)
    assert (line["event"], line["reason"], line["level"]) == ("refused", "bug", "error")
    assert line["cause"].startswith("RuntimeError at ")


@pytest.mark.parametrize("service", ["imap", "submission"])
async def test_a_client_that_vanishes_while_it_is_asked_about_is_dropped(tls, log, service):
    scene_of, ask = ASKING[service]
    async with scene_of(tls) as scene:
        scene.stage.gate.admits.clear()
        await ask(scene)
        await soon(scene.stage.gate.entered.wait())
        scene.client.connection.abort()
        await scene.over()
    assert words(log) == [("dropped", "client-lost")]


@pytest.mark.parametrize("service", ASKING)
async def test_who_does_not_sign_in_in_time_is_dropped(tls, log, service):
    async with ASKING[service][0](tls, sign_in_s=0.3) as scene:
        await scene.over()
    [line] = told(log)
    assert (line["event"], line["reason"], line["address"]) == ("dropped", "too-slow", "192.0.2.7")


async def test_what_is_no_request_is_dropped(tls, log):
    async with dav(tls) as scene:
        await _break_the_rules(scene)
        await scene.over()
    assert words(log) == [("dropped", "bad-request")]


@pytest.mark.parametrize("service", ASKING)
async def test_who_has_not_signed_in_when_the_server_stops_is_dropped(tls, log, service):
    async with ASKING[service][0](tls) as scene:
        scene.stage.registry.stop()
        await scene.over()
    assert words(log) == [("dropped", "stopping")]
