"""Each refusal has one line, and so has who comes to no outcome at all."""

from __future__ import annotations

import pytest

from auth.refusal import Reason, Refusal
from proxy.log.words import REASONS
from support import imap_stage
from support.dav_stage import get
from support.imap_stage import soon
from support.scenes import Scene, break_the_rules, dav, imap, smtp
from support.smtp_front_stage import AUTH
from support.sockets import Tls
from support.told import log, told, words

__all__ = ["log"]  # a fixture


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


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
        await break_the_rules(scene)
        await scene.over()
    assert words(log) == [("dropped", "bad-request")]


@pytest.mark.parametrize("service", ASKING)
async def test_who_has_not_signed_in_when_the_server_stops_is_dropped(tls, log, service):
    async with ASKING[service][0](tls) as scene:
        scene.stage.registry.stop()
        await scene.over()
    assert words(log) == [("dropped", "stopping")]
