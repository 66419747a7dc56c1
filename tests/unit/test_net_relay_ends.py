"""Every way a relayed session can end: half-close, reset, silence, cut; no descriptor is left behind.

`on_both_loops` counts the descriptors of this process around every test.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl

import pytest

from proxy.net.connection import ConnectionLost, Truncated
from proxy.net.relay import RelayEnd
from support.relaying import KINDS, Rig, fill, make_rig
from support.sockets import Tls, on_both_loops, read_all, read_exactly, reset, turns

BIG = os.urandom(600_000)
ENDS = {
    RelayEnd.CLIENT_CLOSED,
    RelayEnd.CLIENT_LOST,
    RelayEnd.UPSTREAM_CLOSED,
    RelayEnd.UPSTREAM_LOST,
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@KINDS
@on_both_loops
async def test_a_client_that_ends_its_half_still_gets_the_answer(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    await rig.client.send(b"a1 LOGOUT\r\n")
    assert rig.client.channel.finish(clean=True)
    assert await read_all(rig.upstream) == b"a1 LOGOUT\r\n"
    answering = asyncio.create_task(rig.upstream.send(BIG))
    assert await read_exactly(rig.client, len(BIG)) == BIG
    await answering
    await asyncio.gather(rig.upstream.close(), read_all(rig.client))
    done = await relaying
    assert (done.end, done.to_client) == (RelayEnd.CLIENT_CLOSED, len(BIG))
    rig.leave()


@KINDS
@on_both_loops
async def test_a_client_that_ended_its_half_before_the_session_still_gets_the_answer(tls, kind):
    rig = await make_rig(tls, kind)
    assert rig.client.channel.finish(clean=True)
    await turns()
    relaying = rig.start(to_upstream=b"a1 LOGOUT\r\n")
    assert await read_all(rig.upstream) == b"a1 LOGOUT\r\n"
    answering = asyncio.create_task(rig.upstream.send(BIG))
    assert await read_exactly(rig.client, len(BIG)) == BIG
    await answering
    await asyncio.gather(rig.upstream.close(), read_all(rig.client))
    assert (await relaying).end is RelayEnd.CLIENT_CLOSED
    rig.leave()


@pytest.mark.parametrize("kind", ["tls-plain", "tls-tls"])
@on_both_loops
async def test_an_end_that_comes_in_one_piece_with_the_last_words_is_heard(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    channel = rig.client.channel
    channel._claim()
    channel.tls.write(b"last words")
    with contextlib.suppress(ssl.SSLError):  # close_notify is said; none was heard
        channel.tls.unwrap()
    channel.sock.send(channel._outgoing.read())
    assert await read_all(rig.upstream) == b"last words"
    rig.leave()
    assert (await relaying).end is RelayEnd.CLIENT_CLOSED


@KINDS
@on_both_loops
async def test_an_upstream_that_ends_is_heard_to_its_last_word(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    sending = asyncio.create_task(rig.upstream.send(BIG + b"* BYE\r\n"))
    await turns()
    closing = asyncio.create_task(_send_then_close(rig, sending))
    assert await read_all(rig.client) == BIG + b"* BYE\r\n"
    rig.client.abort()
    assert (await relaying).end is RelayEnd.UPSTREAM_CLOSED
    await closing
    rig.leave()


async def _send_then_close(rig: Rig, sending: asyncio.Task[None]) -> None:
    await sending
    await rig.upstream.close()


@KINDS
@on_both_loops
async def test_the_end_comes_behind_what_a_slow_reader_has_not_read(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    sent = await fill(rig.upstream, BIG[:50_000])
    closing = asyncio.create_task(rig.upstream.close(timeout_s=10))
    await turns()
    assert len(await read_all(rig.client)) == sent
    rig.client.abort()
    assert (await relaying).end is RelayEnd.UPSTREAM_CLOSED
    await closing
    rig.leave()


@KINDS
@on_both_loops
async def test_a_client_that_never_leaves_after_the_upstream_has(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start(closing_s=0.02)
    rig.upstream.abort()
    assert (await relaying).end in ENDS
    rig.leave()


@KINDS
@on_both_loops
async def test_an_upstream_that_never_leaves_after_the_client_has(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start(closing_s=0.02)
    assert rig.client.channel.finish(clean=True)
    assert (await relaying).end is RelayEnd.CLIENT_CLOSED
    rig.leave()


@KINDS
@on_both_loops
async def test_a_client_that_ends_and_never_reads(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start(closing_s=0.02)
    await fill(rig.upstream, BIG[:50_000])
    assert rig.client.channel.finish(clean=True)
    assert (await relaying).end is RelayEnd.CLIENT_CLOSED
    rig.leave()


@KINDS
@on_both_loops
async def test_a_reset_by_the_client_ends_both(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    await rig.client.send(b"a1 NOOP\r\n")
    assert await rig.upstream.receive() == b"a1 NOOP\r\n"
    reset(rig.client.channel.sock)
    with pytest.raises((ConnectionLost, EOFError)):
        await _until_gone(rig)
    assert (await relaying).end is RelayEnd.CLIENT_LOST
    rig.leave()


async def _until_gone(rig: Rig) -> None:
    """Read the upstream's side to its end: without TLS that is a plain FIN."""
    await read_all(rig.upstream)
    raise EOFError


@KINDS
@on_both_loops
async def test_a_reset_by_the_upstream_ends_both_and_its_last_words_arrive(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    await rig.upstream.send(b"* BYE I crash\r\n")
    assert await rig.client.receive() == b"* BYE I crash\r\n"
    reset(rig.upstream.channel.sock)
    assert (await relaying).end is RelayEnd.UPSTREAM_LOST
    rig.leave()


@KINDS
@on_both_loops
async def test_a_client_that_closes_while_octets_flow_to_it(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    flowing = asyncio.create_task(rig.upstream.send(BIG * 3))
    await read_exactly(rig.client, 100_000)
    rig.client.channel.sock.close()  # with octets unread the kernel resets
    assert (await relaying).end in ENDS
    await asyncio.gather(flowing, return_exceptions=True)
    rig.leave()


@KINDS
@on_both_loops
async def test_an_upstream_that_closes_while_octets_flow_to_it(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start(closing_s=0.05)
    flowing = asyncio.create_task(rig.client.send(BIG * 3))
    await read_exactly(rig.upstream, 100_000)
    rig.upstream.channel.sock.close()
    assert (await relaying).end in ENDS
    await asyncio.gather(flowing, return_exceptions=True)
    rig.leave()


@on_both_loops
async def test_a_missing_close_notify_stays_missing(tls):
    rig = await make_rig(tls, "tls-tls")
    relaying = rig.start()
    await rig.client.send(b"a1 LOGOUT\r\n")
    rig.client.channel.sock.shutdown(socket.SHUT_WR)
    assert await rig.upstream.receive() == b"a1 LOGOUT\r\n"
    with pytest.raises(Truncated):
        await rig.upstream.receive()
    rig.leave()
    assert (await relaying).end is RelayEnd.CLIENT_CLOSED


@on_both_loops
async def test_broken_tls_of_the_client_ends_both(tls):
    rig = await make_rig(tls, "tls-plain")
    relaying = rig.start()
    rig.client.channel.sock.send(b"\x17\x03\x03\x00\x20" + b"0" * 32)
    assert await read_all(rig.upstream) == b""
    assert (await relaying).end is RelayEnd.CLIENT_LOST
    rig.leave()


@KINDS
@on_both_loops
async def test_a_cut_ends_at_once_in_every_state(tls, kind):
    async def flowing(rig: Rig) -> None: ...

    async def blocked(rig: Rig) -> None:
        await fill(rig.upstream, BIG[:50_000])

    async def client_ended(rig: Rig) -> None:
        assert rig.client.channel.finish(clean=True)
        assert await read_all(rig.upstream) == b""

    async def upstream_ended_behind_a_slow_reader(rig: Rig) -> None:
        await fill(rig.upstream, BIG[:50_000])
        rig.upstream.channel.sock.shutdown(socket.SHUT_WR)
        await turns()

    for state in (flowing, blocked, client_ended, upstream_ended_behind_a_slow_reader):
        for which in ("near_client", "near_upstream"):
            rig = await make_rig(tls, kind)
            relaying = rig.start()
            await turns()
            await state(rig)
            getattr(rig, which).abort()
            assert (await relaying).end is RelayEnd.CUT
            assert rig.near_client.closed
            assert rig.near_upstream.closed
            rig.leave()


@KINDS
@on_both_loops
async def test_cancelling_closes_both(tls, kind):
    for amount in (0, 50_000):
        rig = await make_rig(tls, kind)
        relaying = rig.start(to_client=BIG[:amount])
        await turns()
        relaying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await relaying
        assert rig.near_client.closed
        assert rig.near_upstream.closed
        rig.leave()


@KINDS
@on_both_loops
async def test_one_cut_before_the_relay_began(tls, kind):
    for which in ("near_client", "near_upstream"):
        rig = await make_rig(tls, kind)
        getattr(rig, which).abort()
        done = await rig.start(to_client=b"x", to_upstream=b"y")
        assert (done.end, done.to_client, done.to_upstream) == (RelayEnd.CUT, 0, 0)
        assert rig.near_client.closed
        assert rig.near_upstream.closed
        rig.leave()


@KINDS
@on_both_loops
async def test_a_peer_that_left_before_the_relay_began(tls, kind):
    for leave in (socket.socket.close, reset):
        for which in ("client", "upstream"):
            rig = await make_rig(tls, kind)
            leave(getattr(rig, which).channel.sock)
            done = await rig.start(to_client=BIG, to_upstream=BIG, closing_s=0.02)
            assert done.end in ENDS
            rig.leave()


@KINDS
@pytest.mark.parametrize("seed", range(4))
@on_both_loops
async def test_whatever_the_peers_do_the_session_ends(tls, kind, seed):
    """Random acts of both peers, then one of them leaves: no descriptor is left, nothing hangs."""
    chance = random.Random(seed)
    rig = await make_rig(tls, kind)
    relaying = rig.start(closing_s=0.02)
    ends = [rig.client, rig.upstream]
    waiting: list[asyncio.Task[object]] = []
    for _ in range(chance.randrange(12)):
        end = chance.choice(ends)
        match chance.randrange(5):
            case 0 | 1:
                end.channel.flush() and end.channel.send(memoryview(BIG[: chance.randrange(200_000)]))
            case 2 if not end.waiting or end.channel.flush():
                waiting.append(asyncio.create_task(end.receive()))
            case 3:
                await turns(chance.randrange(10))
            case 4 if chance.random() < 0.3:
                end.channel.finish(clean=chance.random() < 0.5)
                break
    await turns(chance.randrange(5))
    leaving = chance.choice(ends)
    chance.choice((lambda: reset(leaving.channel.sock), leaving.channel.sock.close, leaving.abort))()
    done = await relaying
    assert done.end in ENDS
    rig.leave()
    await asyncio.gather(*waiting, return_exceptions=True)
