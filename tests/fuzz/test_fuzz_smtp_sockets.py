"""Random octets to the submission front-end, cut off at a random place: nothing is left, nothing hangs."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from proxy.upstreams.place import UpstreamFailure
from support.imap_stage import closed
from support.smtp_front_stage import AUTH, Stage
from support.sockets import Tls, on_both_loops

WORDS = [
    *b"EHLO HELO NOOP AUTH PLAIN LOGIN STARTTLS RSET HELP MAIL DATA BDAT QUIT = *".split(),
    *(b" ", b" ", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\x00", b"\xe4"),
    b"EHLO x\r\n",
    b"EHLO x\r\n" + AUTH,
    AUTH,
    b"x" * 9000,
]


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("seed", [*range(8), int(os.environ["WICKETGATE_TESTS_SEED"])])
@on_both_loops
async def test_no_octets_leave_anything_of_a_submission_behind(tls, seed, implicit):
    chance = random.Random(seed)
    for _ in range(5):
        stage = Stage(tls)
        if chance.random() < 0.5:
            stage.upstream.failure = UpstreamFailure("down")
        async with stage.client(implicit_tls=implicit) as client:
            sending = asyncio.create_task(
                client.send(b"".join(chance.choices(WORDS, k=chance.randrange(60))))
            )
            reading = asyncio.create_task(closed(client.connection))
            await asyncio.wait({sending, reading}, timeout=chance.choice((0.0, 0.01, 0.05)))
            if chance.random() < 0.2:
                stage.registry.stop()
            sending.cancel()
            reading.cancel()
            await asyncio.wait({sending, reading})
            if not sending.cancelled():
                sending.exception()
