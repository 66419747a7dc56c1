"""However a submission session ends, the log has one line of its sign-in and one of its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from proxy.log.words import SessionEnd
from proxy.smtp.sides import Times
from support import imap_stage, smtp_front_stage
from support.scenes import (
    EXPIRES,
    Scene,
    cancel,
    cut,
    leave,
    leave_without_a_word,
    one_session,
    reset_by_client,
    smtp,
    stop,
)
from support.smtp_front_stage import AUTH, hello
from support.sockets import Tls, on_both_loops
from support.told import log

__all__ = ["log"]  # a fixture


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


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
        (leave, SessionEnd.CLIENT_CLOSED),
        (leave_without_a_word, SessionEnd.CLIENT_CLOSED),
        (reset_by_client, SessionEnd.CLIENT_LOST),
        (_ask_a_dead_upstream, SessionEnd.UPSTREAM_LOST),
        (_speak_http, SessionEnd.REFUSED),
        (cut, SessionEnd.CUT),
        (stop, SessionEnd.STOPPING),
        (cancel, SessionEnd.STOPPING),
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
    if end is not cancel:
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
        await leave(scene)
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
