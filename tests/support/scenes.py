"""A front-end on its stage with its client, the ways in which that ends, and what the log was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from auth.refusal import Reason, Refusal
from proxy.log.words import SessionEnd
from proxy.net.connection import Connection, ConnectionLost
from proxy.smtp.session import SessionSettings, Submission
from proxy.smtp.sides import Times
from support import dav_stage, imap_stage, smtp_front_stage
from support.imap_stage import GRANT, soon
from support.smtp_front_stage import HOUSE, OFFER, hello
from support.sockets import Tls, reset
from support.told import told, words

NEVER = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPIRES = replace(GRANT, expires_at=1_800_000_001)
"""A tenth of a second after the stages' now."""
EXPIRED = Refusal(reason=Reason.EXPIRED, account_id="ac_1", app_password_id="ap_1", label="phone")
WHO = {"address": "192.0.2.7", "account": "alice@example.org", "app_password": "ap_1", "label": "phone"}


@dataclass(frozen=True)
class Scene:
    """`stage` and `client` are those of its protocol."""

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


# --- how it ends --------------------------------------------------------------------------------------------


async def leave(scene: Scene) -> None:
    await scene.client.connection.close()


async def leave_without_a_word(scene: Scene) -> None:
    """As many programs do: no close_notify."""
    scene.client.connection.abort()
    await soon(asyncio.wait({scene.client.task}))


async def reset_by_client(scene: Scene) -> None:
    sock = scene.client.connection.channel.sock.dup()
    scene.client.connection.abort()
    reset(sock)


async def upstream_closes(scene: Scene) -> None:
    closing = asyncio.create_task(scene.far.close())
    await scene.over()
    await closing


async def cut(scene: Scene) -> None:
    assert scene.stage.registry.cut(["ap_1"]) == 1


async def stop(scene: Scene) -> None:
    assert scene.stage.registry.stop() == 1


async def cancel(scene: Scene) -> None:
    scene.client.task.cancel()


async def break_the_rules(scene: Scene) -> None:
    """Speak no HTTP."""
    await scene.client.send(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
