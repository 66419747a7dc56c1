"""A client that means harm once it is in, and moments that only a full socket makes long."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from proxy.net.connection import Connection, ConnectionLost
from proxy.smtp.sender import SenderRule
from proxy.smtp.sides import Times
from proxy.smtp.upstream import SignedIn
from support import smtp_front_stage
from support.imap_stage import soon
from support.smtp_sink import CLOSE, Sink
from support.smtp_stage import CLOSING, EHLO, EXTENSIONS, FAILED, OK, OPEN, Addresses, Stage, message
from support.sockets import Tls, on_both_loops, turns

REVOKED = b"421 4.7.0 this app-specific password was revoked\r\n"
OURS = b"354 end with <CR><LF>.<CR><LF>\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


class Full(Connection):
    """One whose kernel has no room for certain octets, and never will have."""

    __slots__ = ("full", "gone", "never")

    async def send(self, data: bytes) -> None:
        if data == self.never:
            self.full.set()
            await self.gone.wait()
        await super().send(data)

    def abort(self) -> None:
        self.gone.set()
        super().abort()


def full(never: bytes) -> tuple[Full, Connection]:
    one, other = socket.socketpair()
    near = Full(one)
    near.never, near.full, near.gone = never, asyncio.Event(), asyncio.Event()
    return near, Connection(other)


@on_both_loops
async def test_who_introduces_itself_without_end_does_not_own_the_loop():
    stage = Stage()
    async with stage.session() as client:
        await client.send(b"EHLO\r\n" * 30)  # their answers find room in any kernel
        await turns(15)
        said = await client.connection.receive(1_000_000)
        assert 0 < said.count(EHLO) < 30


@on_both_loops
async def test_a_final_dot_that_waits_for_room_is_never_sent_after_a_cut():
    near, far = full(b".\r\n")
    stage = Stage(signed_in=SignedIn(connection=near, extensions=EXTENSIONS)).set(
        times=Times(data_end_gone=0.05)
    )
    sink = Sink(far)
    serving = asyncio.create_task(sink.serve())
    async with stage.session(OPEN + message(1)) as client:
        await soon(near.full.wait())
        stage.registry.cut(["ap_1"])
        assert near.closed
        assert (await client.rest()).endswith(b"354 go on\r\n" + REVOKED)
    await soon(serving)
    assert sink.messages == []


@on_both_loops
async def test_a_cut_ends_a_client_that_does_not_read_its_235(tls):
    stage = smtp_front_stage.Stage(tls)
    near, far = full(smtp_front_stage.SIGNED_IN)
    serving = asyncio.create_task(stage.conversation(near).serve(implicit_tls=False))
    await far.send(b"EHLO x\r\n" + smtp_front_stage.AUTH)
    await soon(near.full.wait())
    assert stage.registry.cut(["ap_1"]) == 1
    await soon(serving)
    assert near.closed
    assert stage.registry.count == 0
    far.abort()
    stage.upstream.far.abort()


@on_both_loops
async def test_an_app_password_in_an_address_is_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    stage = Stage().set(rule=SenderRule.OWN, senders=Addresses())
    async with stage.session() as client:
        await client.ask(b"MAIL FROM:<k7mq-2xwd-hnrp-4tvc-9zsa@x.org>\r\n", 2)
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        await client.ask(b"From: k7mq2xwdhnrp4tvc9zsa@x.org\r\n\r\n.\r\n", 2)
    assert caplog.text.count("smtp sender not its own") == 2
    assert "9zsa" not in caplog.text


@on_both_loops
async def test_an_upstream_lost_behind_our_354_is_told_when_the_message_is_whole():
    stage = Stage().set(rule=SenderRule.OWN, senders=Addresses())
    stage.sink_options["answers"] = {"DATA": [CLOSE]}
    async with stage.session() as client:
        assert await client.ask(OPEN, 3) == OK + OK + OURS
        try:
            await client.send(message(1, b"x" * 8_000_000))
        except ConnectionLost:
            pytest.fail("closed while the client was still sending")
        assert await client.rest() == FAILED + CLOSING
