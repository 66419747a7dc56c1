"""However a DAV connection ends, the log has two lines for each app password that was good on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.log.words import SessionEnd
from proxy.upstreams.place import UpstreamFailure
from support.dav_stage import get, put
from support.dav_upstream import CLOSE
from support.imap_stage import GRANT, soon
from support.scenes import (
    EXPIRED,
    EXPIRES,
    NEVER,
    Scene,
    break_the_rules,
    cancel,
    cut,
    dav,
    leave,
    leave_without_a_word,
    one_session,
    reset_by_client,
)
from support.sockets import Tls, on_both_loops
from support.told import log, told, words

__all__ = ["log"]  # a fixture


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def _ask_with_goodbye(scene: Scene) -> None:
    await scene.client.ask(get(b"Connection: close"))


@pytest.mark.parametrize(
    ("end", "reason", "requests"),
    [
        (leave, SessionEnd.CLIENT_CLOSED, 1),
        (leave_without_a_word, SessionEnd.CLIENT_CLOSED, 1),
        (reset_by_client, SessionEnd.CLIENT_LOST, 1),
        (_ask_with_goodbye, SessionEnd.QUIT, 2),
        (break_the_rules, SessionEnd.REFUSED, 1),
        (cancel, SessionEnd.STOPPING, 1),
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
        (reset_by_client, SessionEnd.CLIENT_LOST),
        (_stop_within, SessionEnd.STOPPING),
        (cancel, SessionEnd.STOPPING),
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
            await cut(scene)
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
        await leave(scene)
        await scene.over()
    assert words(log) == [("sign-in", "")] * 2 + [("session-end", SessionEnd.CLIENT_CLOSED)] * 2
    ends = told(log)[2:]
    assert [(end["app_password"], end["requests"]) for end in ends] == [("ap_1", 1), ("ap_2", 2)]
    assert ends[0]["bytes_in"] == len(get())
    assert ends[1]["bytes_in"] == 2 * len(get())
