"""However an IMAP session ends, the log has one line of its sign-in and one of its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from proxy.log.words import SessionEnd
from proxy.net.connection import Connection, ConnectionLost
from support import imap_stage
from support.scenes import (
    EXPIRES,
    Scene,
    cancel,
    cut,
    imap,
    leave,
    leave_without_a_word,
    one_session,
    reset_by_client,
    stop,
    upstream_closes,
)
from support.sockets import Tls, on_both_loops
from support.told import log, told

__all__ = ["log"]  # a fixture


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def follows(upstream: Connection) -> None:
    """Close when the client has."""
    with contextlib.suppress(ConnectionLost):
        while await upstream.receive():
            pass
        upstream.abort()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (leave, SessionEnd.CLIENT_CLOSED),
        (leave_without_a_word, SessionEnd.CLIENT_CLOSED),
        (reset_by_client, SessionEnd.CLIENT_LOST),
        (upstream_closes, SessionEnd.UPSTREAM_CLOSED),
        (cut, SessionEnd.CUT),
        (stop, SessionEnd.STOPPING),
        (cancel, SessionEnd.STOPPING),
    ],
)
@on_both_loops
async def test_the_ends_of_an_imap_session(tls, log, end: Callable[[Scene], Awaitable[None]], reason):
    async with imap(tls) as scene:
        await scene.client.ask(imap_stage.LOGIN)
        following = (
            [asyncio.ensure_future(follows(scene.far))] if end in (leave, leave_without_a_word) else []
        )
        await end(scene)
        await scene.over()
        await asyncio.gather(*following)
    ended = one_session(log, reason)
    assert ended["service"] == "imap"
    assert ended["upstream"] == told(log)[0]["upstream"] != ended["connection"]
    if end is not cancel:
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
