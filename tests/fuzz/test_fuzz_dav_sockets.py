"""Random octets to the whole DAV front-end, cut off at a random place: nothing is left, nothing hangs."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from proxy.upstreams.place import UpstreamFailure
from support.dav_stage import HELLO, HOST, SIGNED, get, put, stage
from support.dav_upstream import CLOSE
from support.imap_stage import closed
from support.sockets import Tls, on_both_loops
from support.told import words

WORDS = [
    *(
        b"GET ",
        b"PUT ",
        b"PROPFIND ",
        b"/x",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
    ),
    *(HOST, SIGNED, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
    *(
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"5;a=b\r\nhello\r\n",
        b"\0",
        b"\xe4",
        b": ",
        b" ",
        b"x" * 3_000,
        b"Depth: 1\r\n",
    ),
    *(
        get(),
        get(),
        get(b"Connection: close"),
        put(b"BEGIN:VCARD"),
        put(b"<in/>", first=b"PROPFIND /x HTTP/1.1"),
    ),
    get(b"Transfer-Encoding: chunked", first=b"PUT /x HTTP/1.1"),
    put(b"", b"Expect: 100-continue"),
]
ANSWERS = [
    HELLO,
    CLOSE,
    b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"x\r\n\r\n",
]
STATUSES = {*(100, 200, 201, 204, 207, 400, 401, 405, 408, 413, 414, 417, 421, 431, 500, 502, 503, 505)}


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("seed", [*range(8), int(os.environ["WICKETGATE_TESTS_SEED"])])
@on_both_loops
async def test_no_octets_leave_anything_behind(tls, seed, caplog):
    chance = random.Random(seed)
    for _ in range(6):
        async with stage(tls, *chance.choices(ANSWERS, k=4), watch_s=chance.choice((0.0, 9.0))) as played:
            if chance.random() < 0.2:
                played.wall.outcome = UpstreamFailure("down")
            async with played.client() as client:
                octets = b"".join(chance.choices(WORDS, k=chance.randrange(30)))
                sending = asyncio.create_task(client.send(octets))
                reading = asyncio.create_task(closed(client.connection))
                await asyncio.wait({sending, reading}, timeout=chance.choice((0.0, 0.01, 0.05)))
                sending.cancel()
                reading.cancel()
                await asyncio.wait({sending, reading})
                if not sending.cancelled():
                    sending.exception()
    assert not {"fault", "bug"} & {reason for _, reason in words(caplog)}


@pytest.mark.parametrize("seed", [*range(8), int(os.environ["WICKETGATE_TESTS_SEED"])])
@on_both_loops
async def test_every_answer_is_a_whole_one(tls, seed, caplog):
    """Whatever comes, what goes out is answers: no octet between them, none with a status nobody gives."""
    chance = random.Random(seed)
    for _ in range(6):
        async with stage(tls, idle_s=0.02, quiet_s=0.02) as played, played.client() as client:
            sending = asyncio.create_task(
                client.send(b"".join(chance.choices(WORDS, k=chance.randrange(30))))
            )
            while await client.more():
                assert (await client.answer()).status in STATUSES
            sending.cancel()
            await asyncio.wait({sending})
            if not sending.cancelled():
                sending.exception()
    assert not {"fault", "bug"} & {reason for _, reason in words(caplog)}
