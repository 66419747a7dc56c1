"""The relay moves every octet both ways, in order, and holds one buffer for a reader that does not read."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref

import pytest

from proxy import limits
from proxy.net import lane, splice
from proxy.net.relay import Relayed, RelayEnd
from support.relaying import KINDS, fill, make_rig
from support.sockets import Tls, on_both_loops, read_all, read_exactly, turns

BIG = os.urandom(2_000_000)


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@KINDS
@on_both_loops
async def test_octets_flow_both_ways_at_once_and_are_counted(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    _, _, there, back = await asyncio.gather(
        rig.client.send(BIG),
        rig.upstream.send(BIG[::-1]),
        read_exactly(rig.upstream, len(BIG)),
        read_exactly(rig.client, len(BIG)),
    )
    assert there == BIG
    assert back == BIG[::-1]
    closing = asyncio.create_task(rig.client.close())
    assert await read_all(rig.upstream) == b""
    await rig.upstream.close()
    assert await relaying == Relayed(end=RelayEnd.CLIENT_CLOSED, to_upstream=len(BIG), to_client=len(BIG))
    await closing


@KINDS
@on_both_loops
async def test_a_dialogue_of_small_words(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    for number in range(200):
        await rig.client.send(b"a%d NOOP\r\n" % number)
        assert await rig.upstream.receive() == b"a%d NOOP\r\n" % number
        await rig.upstream.send(b"a%d OK\r\n" % number)
        assert await rig.client.receive() == b"a%d OK\r\n" % number
    rig.leave()
    await relaying


@KINDS
@on_both_loops
async def test_what_is_given_at_the_start_goes_first(tls, kind):
    rig = await make_rig(tls, kind)
    await rig.client.send(b"second")
    await rig.upstream.send(b"later")
    await turns()
    relaying = rig.start(to_upstream=b"first and ", to_client=b"sooner or ")
    assert await read_exactly(rig.upstream, 16) == b"first and second"
    assert await read_exactly(rig.client, 15) == b"sooner or later"
    rig.leave()
    done = await relaying
    assert (done.to_upstream, done.to_client) == (16, 15)


@KINDS
@on_both_loops
async def test_more_than_the_kernel_holds_may_be_given_at_the_start(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start(to_client=BIG, to_upstream=BIG[::-1])
    await rig.upstream.send(b"behind it")
    assert await read_exactly(rig.client, len(BIG) + 9) == BIG + b"behind it"
    assert await read_exactly(rig.upstream, len(BIG)) == BIG[::-1]
    rig.leave()
    await relaying


@KINDS
@on_both_loops
async def test_octets_that_lie_in_the_tls_object_are_not_forgotten(tls, kind):
    rig = await make_rig(tls, kind)
    await rig.client.send(b"LOGIN and the rest, pipelined")
    await rig.upstream.send(b"OK and the rest, pipelined")
    await turns()
    assert await rig.near_client.receive(5) == b"LOGIN"
    assert await rig.near_upstream.receive(2) == b"OK"
    relaying = rig.start()
    assert await read_exactly(rig.upstream, 24) == b" and the rest, pipelined"
    assert await read_exactly(rig.client, 24) == b" and the rest, pipelined"
    rig.leave()
    await relaying


@KINDS
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what its sockets hold")
@on_both_loops
async def test_a_reader_that_does_not_read_holds_one_buffer(tls, kind):
    rig = await make_rig(tls, kind)
    handshake = rig.on_the_way_to_client()
    relaying = rig.start()
    await fill(rig.upstream, BIG[:100_000])
    assert not rig.upstream.channel.flush(), "it must be stuck"
    in_kernel = rig.on_the_way_to_client() - handshake
    rig.near_client.abort()
    done = await relaying
    assert done.end is RelayEnd.CUT
    if kind.startswith("tls"):  # records add 22 octets to at most 16 KiB each
        in_kernel = in_kernel * 16_384 // 16_406
    assert 0 < done.to_client - in_kernel <= limits.RELAY_BUFFER_OCTETS
    rig.leave()


@KINDS
@on_both_loops
async def test_a_reader_that_reads_at_last_gets_everything(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    sent = await fill(rig.upstream, BIG[:100_000])
    sending = asyncio.create_task(rig.upstream.send(b"the end"))  # behind what the far end has kept itself
    got = await read_exactly(rig.client, sent + 7)
    await sending
    assert got == BIG[:100_000] * (sent // 100_000) + b"the end"
    rig.leave()
    await relaying


@KINDS
@on_both_loops
async def test_one_that_does_not_read_does_not_stop_the_other_direction(tls, kind):
    rig = await make_rig(tls, kind)
    relaying = rig.start()
    await fill(rig.upstream, BIG[:100_000])
    sending = asyncio.create_task(rig.client.send(BIG))
    assert await read_exactly(rig.upstream, len(BIG)) == BIG
    await sending
    rig.leave()
    await relaying


@on_both_loops
async def test_sessions_share_the_buffer_and_never_mix(tls):
    rigs = [await make_rig(tls, kind) for kind in ("plain-plain", "tls-plain", "plain-tls", "tls-tls") * 3]
    relaying = [rig.start() for rig in rigs]
    mine = [bytes([number]) * 1_000_000 for number in range(len(rigs))]
    sending = [asyncio.create_task(rig.upstream.send(octets)) for rig, octets in zip(rigs, mine, strict=True)]
    got = await asyncio.gather(*(read_exactly(rig.client, 1_000_000) for rig in rigs))
    assert got == mine
    await asyncio.gather(*sending)
    for rig in rigs:
        rig.leave()
    await asyncio.gather(*relaying)


@pytest.mark.parametrize("kind", ["tls-plain", "tls-tls"])
@on_both_loops
async def test_what_was_decrypted_before_the_relay_follows_what_had_to_wait(tls, kind):
    rig = await make_rig(tls, kind)
    record = os.urandom(16_384)
    await rig.client.send(record)
    half = await rig.near_client.receive(8_192)
    relaying = rig.start(to_upstream=BIG + half)
    assert await read_exactly(rig.upstream, len(BIG) + len(record)) == BIG + record
    rig.leave()
    await relaying


class NoPipes(splice.PipePool):
    """At the limit of descriptors."""

    def borrow(self):
        return None


class NoSplice(splice.PipePool):
    """Of a system that cannot do it."""

    usable = False


@on_both_loops
async def test_without_a_pipe_octets_are_copied(tls):
    rig = await make_rig(tls, "plain-plain")
    relaying = rig.start(pool=NoPipes())
    sending = asyncio.create_task(rig.upstream.send(BIG))
    assert await read_exactly(rig.client, len(BIG)) == BIG
    await sending
    rig.leave()
    await relaying


@on_both_loops
async def test_without_splice_octets_are_copied(tls):
    rig = await make_rig(tls, "plain-plain")
    pool = NoSplice()
    assert type(lane.lane_between(rig.near_client.channel, rig.near_upstream.channel, pool)) is lane.CopyLane
    relaying = rig.start(pool=pool)
    sending = asyncio.create_task(rig.upstream.send(BIG))
    assert await read_exactly(rig.client, len(BIG)) == BIG
    await sending
    rig.leave()
    await relaying


@pytest.mark.skipif(sys.platform != "linux", reason="splice is Linux's")
@on_both_loops
async def test_an_idle_session_holds_no_pipe(tls):
    rigs = [await make_rig(tls, "plain-plain") for _ in range(5)]
    relaying = [rig.start() for rig in rigs]
    made = []
    for rig in rigs:
        await rig.client.send(b"x")
        assert await rig.upstream.receive() == b"x"
        pool = splice.pipe_pool()
        one, two = pool.borrow(), pool.borrow()
        made.append(one)
        pool.give_back(two)
        pool.give_back(one)
    assert len(set(map(id, made))) <= 2, "every move took one of the same two pipes"
    for rig in rigs:
        rig.leave()
    await asyncio.gather(*relaying)


@on_both_loops
async def test_a_fault_of_ours_is_raised_and_not_called_again(tls):
    rig = await make_rig(tls, "plain-plain")
    calls = []

    def broken(view: memoryview) -> int:
        calls.append(1)
        raise ValueError("a fault")

    class Broken:
        sock = rig.near_client.channel.sock
        holds = True
        receive_into = staticmethod(broken)
        send = staticmethod(lambda data: True)

    rig.near_client.channel = Broken()
    relaying = rig.start()
    with pytest.raises(ValueError, match="a fault"):
        await relaying
    assert calls == [1]
    assert rig.near_client.closed
    assert rig.near_upstream.closed
    rig.leave()


@on_both_loops
async def test_nothing_of_a_session_waits_for_the_garbage_collector(tls):
    gc.collect()
    gc.disable()
    try:
        rig = await make_rig(tls, "tls-tls")
        relaying = rig.start()
        await rig.client.send(b"x")
        assert await rig.upstream.receive() == b"x"
        rig.leave()
        await relaying
        seen = [weakref.ref(end.channel.tls) for end in (rig.near_client, rig.near_upstream)]
        del rig, relaying
        await turns()
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()


@on_both_loops
async def test_idle_is_told_from_the_others(tls):
    rig = await make_rig(tls, "tls-tls")
    relaying = rig.start(idle_s=0.02)
    assert await read_all(rig.client) == b""
    assert await read_all(rig.upstream) == b""
    assert (await relaying).end is RelayEnd.IDLE
    rig.leave()


@on_both_loops
async def test_a_move_puts_idleness_off(tls):
    loop = asyncio.get_running_loop()
    for idle_s in (0.1, 0.5, 2.5):  # on a busy machine a short one may be over before we speak
        rig = await make_rig(tls, "plain-plain")
        relaying = rig.start(idle_s=idle_s)
        await asyncio.wait([relaying], timeout=idle_s / 2)
        spoken = loop.time()
        if not relaying.done():
            await rig.client.send(b"x")
            if await rig.upstream.receive() == b"x":
                break
        rig.leave()
    assert (await relaying).end is RelayEnd.IDLE
    assert loop.time() - spoken > idle_s - 0.01
    rig.leave()
