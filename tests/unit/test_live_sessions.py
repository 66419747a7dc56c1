"""What a session is known by, from the front-ends to the registry: service, client name, address, since."""

from __future__ import annotations

import pytest

from proxy.sessions import Live
from scopes.model import Service
from support import smtp_front_stage as submission
from support.dav_stage import get, stage
from support.imap_stage import LOGIN, SIGNED_IN, Stage, soon
from support.sockets import Tls

NOW = 1_800_000_000.9
"""The clock of every stage."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def test_an_imap_session_is_known_by_the_name_in_its_id(tls):
    played = Stage(tls)
    async with played.client() as client:
        await client.send(b'i ID ("name" "iPhone Mail" "version" "21F79")\r\n')
        assert (await client.line()).startswith(b"* ID")
        assert (await client.line()).startswith(b"i OK")
        assert played.registry.live("ap_1") == []
        assert await client.ask(LOGIN) == SIGNED_IN
        assert played.registry.live("ap_1") == [Live(Service.IMAP, "iPhone Mail", "192.0.2.7", NOW)]
    await soon(lambda: played.registry.live("ap_1") == [])


async def test_a_submission_session_is_known_by_the_name_in_its_ehlo(tls):
    played = submission.Stage(tls)
    async with played.client() as client:
        await submission.hello(client, b"laptop.local")
        await client.ask(submission.AUTH)
        assert played.registry.live("ap_1") == [Live(Service.SUBMISSION, "laptop.local", "192.0.2.7", NOW)]


async def test_a_dav_request_is_known_by_its_user_agent(tls):
    async with stage(tls, b"HTTP/1.1 100 Continue\r\n\r\n") as played, played.client() as client:
        played.wall.holds.clear()
        await client.send(get(b"User-Agent: DAVx5/4.4"))
        await soon(played.wall.entered.wait())
        assert played.registry.live("ap_1") == [Live(Service.DAV, "DAVx5/4.4", "192.0.2.7", NOW)]
        played.registry.cut(["ap_1"])
        assert (await client.answer()).status == 503
        await client.ended()
        assert played.registry.live("ap_1") == []
