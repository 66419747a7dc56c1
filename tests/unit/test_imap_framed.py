"""A watched session on sockets: both ways, back-pressure, and every way it can end; no descriptor is left."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys

import pytest

from proxy import limits
from proxy.imap.framed import framed
from proxy.imap.permitted import Mode
from proxy.imap.watch import Watch
from proxy.net.connection import ConnectionLost
from proxy.net.relay import Relayed, RelayEnd
from support.relaying import KINDS, Rig, fill, make_rig
from support.sockets import Tls, on_both_loops, read_all, read_exactly, reset, turns

BIG = b"* SEARCH " + b"0123456789" * 60_000 + b"\r\n"
LITERAL = b"* 1 FETCH (BODY[] {1000000000}\r\n"
REFUSED = b"NO [NOPERM] this app password is for reading only\r\n"
BYE = b"* BYE cannot go on after that\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def start(rig: Rig, greeting: bytes = b"", mode: Mode = Mode.READ_ONLY, **options) -> asyncio.Task[Relayed]:
    watch = Watch(mode, greeting=greeting)
    options = {"idle_s": 30.0} | options
    return asyncio.create_task(framed(rig.near_client, rig.near_upstream, watch, **options))


@KINDS
@on_both_loops
async def test_both_ways_with_our_words_between(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig, b"a OK in\r\n")
    assert await read_exactly(rig.client, 9) == b"a OK in\r\n"
    await rig.client.send(b"b SELECT INBOX\r\nc EXPUNGE\r\n")
    assert await read_exactly(rig.upstream, 17) == b"b EXAMINE INBOX\r\n"
    assert await read_exactly(rig.client, 2 + len(REFUSED)) == b"c " + REFUSED
    await rig.upstream.send(b"b OK [READ-ONLY] done\r\n")
    assert await read_exactly(rig.client, 23) == b"b OK [READ-ONLY] done\r\n"
    await asyncio.gather(rig.client.close(), rig.upstream.close())
    done = await serving
    assert (done.end in (RelayEnd.CLIENT_CLOSED, RelayEnd.UPSTREAM_CLOSED)) is True
    assert (done.to_upstream, done.to_client) == (17, 9 + 2 + len(REFUSED) + 23)
    rig.leave()


@KINDS
@on_both_loops
async def test_large_literals_pass_both_ways(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig, mode=Mode.WHOLE)
    await rig.client.send(b"a APPEND INBOX {%d}\r\n" % len(BIG))
    assert (await rig.upstream.receive()).endswith(b"}\r\n")
    await rig.upstream.send(b"+ go\r\n")
    assert await read_exactly(rig.client, 6) == b"+ go\r\n"
    sending = asyncio.create_task(rig.client.send(BIG + b"\r\n"))
    assert await read_exactly(rig.upstream, len(BIG) + 2) == BIG + b"\r\n"
    await sending
    answer = b"* 1 FETCH (BODY[] {%d}\r\n%b)\r\na OK\r\n" % (len(BIG), BIG)
    sending = asyncio.create_task(rig.upstream.send(answer))
    assert await read_exactly(rig.client, len(answer)) == answer
    await sending
    rig.leave()
    await serving


@KINDS
@on_both_loops
async def test_a_client_that_ends_its_half_still_gets_the_answer(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig)
    await rig.client.send(b"a LOGOUT\r\n")
    await rig.client.finish()
    assert await read_all(rig.upstream) == b"a LOGOUT\r\n"
    answering = asyncio.create_task(rig.upstream.send(BIG))
    assert await read_exactly(rig.client, len(BIG)) == BIG
    await answering
    await asyncio.gather(rig.upstream.close(), read_all(rig.client))
    done = await serving
    assert (done.end, done.to_client) == (RelayEnd.CLIENT_CLOSED, len(BIG))
    rig.leave()


@KINDS
@on_both_loops
async def test_an_upstream_that_ends_is_heard_to_its_last_word(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig)

    async def last_words() -> None:
        await rig.upstream.send(BIG + b"* BYE")
        await rig.upstream.close()

    closing = asyncio.create_task(last_words())
    assert await read_all(rig.client) == BIG  # a line without its end is no response
    rig.client.abort()
    assert (await serving).end is RelayEnd.UPSTREAM_CLOSED
    await closing
    rig.leave()


@KINDS
@on_both_loops
async def test_who_breaks_the_protocol_is_told_and_both_are_closed(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig)
    await rig.client.send(b"a NOOP\r\nb NOOP\nc NOOP\r\n")
    assert await read_all(rig.client) == b"* BAD lines must end with CRLF\r\n" + BYE
    assert await read_all(rig.upstream) == b"a NOOP\r\n"
    rig.leave()
    assert (await serving).end is RelayEnd.CLIENT_BROKE


@KINDS
@on_both_loops
async def test_an_upstream_that_breaks_it_is_left(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig)
    await rig.upstream.send(b"* OK hello\r\n* CAPABILITY " + b"x" * limits.IMAP_RESPONSE_HEAD_OCTETS)
    assert await read_all(rig.client) == b"* OK hello\r\n"
    with contextlib.suppress(ConnectionLost):
        assert await read_all(rig.upstream) == b""
    rig.leave()
    done = await serving
    assert done.end is RelayEnd.UPSTREAM_BROKE
    assert done.cause == "sent a line that is too long for what it is"


@on_both_loops
async def test_the_end_waits_for_a_response_but_not_for_ever(tls):
    rig = await make_rig(tls, "plain-plain")
    serving = start(rig, closing_s=0.02)
    await rig.upstream.send(LITERAL)
    assert await read_exactly(rig.client, len(LITERAL)) == LITERAL
    await rig.client.send(b"a NOOP\n")
    assert await read_all(rig.client) == b""
    rig.leave()
    assert (await serving).end is RelayEnd.CLIENT_BROKE


@KINDS
@on_both_loops
async def test_silence_ends_it(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig, b"a OK\r\n", idle_s=0.02)
    assert await read_all(rig.client) == b"a OK\r\n"
    assert await read_all(rig.upstream) == b""
    rig.leave()
    assert (await serving).end is RelayEnd.IDLE


@KINDS
@on_both_loops
async def test_an_upstream_that_never_leaves_after_the_client_has(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig, closing_s=0.02)
    await rig.client.finish()
    assert (await serving).end is RelayEnd.CLIENT_CLOSED
    rig.leave()


@KINDS
@on_both_loops
async def test_a_reset_by_either_side_ends_both(tls, kind):
    for which, end in (("client", RelayEnd.CLIENT_LOST), ("upstream", RelayEnd.UPSTREAM_LOST)):
        rig = await make_rig(tls, kind)
        serving = start(rig, b"a OK\r\n")
        assert await read_exactly(rig.client, 6) == b"a OK\r\n"
        reset(getattr(rig, which).channel.sock)
        assert (await serving).end is end
        rig.leave()


@KINDS
@on_both_loops
async def test_last_words_of_an_upstream_that_takes_no_more_arrive(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig, closing_s=5)
    await rig.upstream.send(b"* BYE I go\r\n")
    rig.upstream.channel.sock.shutdown(socket.SHUT_WR)
    assert await read_exactly(rig.client, 12) == b"* BYE I go\r\n"
    with contextlib.suppress(ConnectionLost):
        await rig.client.send(b"a NOOP\r\n" * 10)
        await read_all(rig.client)
    rig.leave()
    assert (await serving).end in (RelayEnd.UPSTREAM_CLOSED, RelayEnd.UPSTREAM_LOST)


@KINDS
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what its sockets hold")
@on_both_loops
async def test_a_reader_that_does_not_read_holds_less_than_a_buffer(tls, kind):
    rig = await make_rig(tls, kind)
    handshake = rig.on_the_way_to_client()
    serving = start(rig)
    await rig.upstream.send(LITERAL)
    await fill(rig.upstream, b"x" * 100_000)
    assert not rig.upstream.channel.flush(), "it must be stuck"
    in_kernel = rig.on_the_way_to_client() - handshake
    rig.near_client.abort()
    done = await serving
    assert done.end is RelayEnd.CUT
    if kind.startswith("tls"):  # records add 22 octets to at most 16 KiB each
        in_kernel = in_kernel * 16_384 // 16_406
    assert done.to_client - in_kernel <= limits.RELAY_BUFFER_OCTETS
    rig.leave()


@KINDS
@on_both_loops
async def test_one_that_does_not_read_does_not_stop_the_other_direction(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig)
    await rig.upstream.send(LITERAL)
    await fill(rig.upstream, b"x" * 100_000)
    commands = b"a NOOP\r\n" * 1  # the rest would have to be answered first
    await rig.client.send(commands)
    assert await read_exactly(rig.upstream, len(commands)) == commands
    rig.leave()
    await serving


@KINDS
@on_both_loops
async def test_an_upstream_that_reads_nothing_while_it_writes_is_heard(tls, kind):
    """Both would wait for each other if what is written had to go out before anything is read."""
    rig = await make_rig(tls, kind)
    serving = start(rig, mode=Mode.WHOLE)
    await rig.client.send(b"a APPEND INBOX {100000000}\r\n")
    assert (await rig.upstream.receive()).endswith(b"}\r\n")
    await rig.upstream.send(b"+ go\r\n")
    await fill(rig.client, b"x" * 100_000)
    sending = asyncio.create_task(rig.upstream.send(BIG))
    assert (await read_exactly(rig.client, 6 + len(BIG))).endswith(BIG[-100:])
    await sending
    rig.leave()
    await serving


@KINDS
@on_both_loops
async def test_a_cut_ends_at_once_in_every_state(tls, kind):
    async def flowing(rig: Rig) -> None: ...

    async def blocked(rig: Rig) -> None:
        await rig.upstream.send(LITERAL)
        await fill(rig.upstream, b"x" * 50_000)

    async def idling(rig: Rig) -> None:
        await rig.client.send(b"a IDLE\r\n")
        assert await rig.upstream.receive() == b"a IDLE\r\n"
        await rig.upstream.send(b"+ idling\r\n")
        assert await rig.client.receive() == b"+ idling\r\n"

    async def client_ended(rig: Rig) -> None:
        await rig.client.finish()
        assert await read_all(rig.upstream) == b""

    for state in (flowing, blocked, idling, client_ended):
        for which in ("near_client", "near_upstream"):
            rig = await make_rig(tls, kind)
            serving = start(rig)
            await turns()
            await state(rig)
            getattr(rig, which).abort()
            assert (await serving).end is RelayEnd.CUT
            assert rig.near_client.closed
            assert rig.near_upstream.closed
            rig.leave()


@KINDS
@on_both_loops
async def test_cancelling_closes_both(tls, kind):
    rig = await make_rig(tls, kind)
    serving = start(rig)
    await turns()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert rig.near_client.closed
    assert rig.near_upstream.closed
    rig.leave()


@on_both_loops
async def test_one_cut_before_it_began(tls):
    for which in ("near_client", "near_upstream"):
        rig = await make_rig(tls, "plain-plain")
        getattr(rig, which).abort()
        done = await start(rig, b"a OK\r\n")
        assert (done.end, done.to_upstream) == (RelayEnd.CUT, 0)
        assert rig.near_client.closed
        assert rig.near_upstream.closed
        rig.leave()


@on_both_loops
async def test_a_fault_of_ours_is_raised_and_closes_both(tls):
    rig = await make_rig(tls, "plain-plain")
    watch = Watch(Mode.WHOLE)
    watch.client_said = None  # type: ignore[assignment, method-assign]
    serving = asyncio.create_task(framed(rig.near_client, rig.near_upstream, watch, idle_s=30.0))
    await rig.client.send(b"a NOOP\r\n")
    with pytest.raises(TypeError):
        await serving
    assert rig.near_client.closed
    assert rig.near_upstream.closed
    rig.leave()


SAID = [
    *(
        b"a NOOP\r\n",
        b"b APPEND INBOX {3}\r\n",
        b"c APPEND INBOX {3+}\r\nabc\r\n",
        b"d IDLE\r\n",
        b"DONE\r\n",
    ),
    *(b"abc\r\n", b"e NOOP\n", b"+ go\r\n", b"a OK\r\n", b"b NO\r\n", b"d OK\r\n", b"* 1 FETCH (X {4}\r\n"),
    *(b")\r\n", b"* BYE\r\n"),
]


@KINDS
@pytest.mark.parametrize("seed", range(4))
@on_both_loops
async def test_whatever_the_peers_do_the_session_ends(tls, kind, seed):
    chance = random.Random(seed)
    for _ in range(6):
        rig = await make_rig(tls, kind)
        serving = start(rig, b"a OK\r\n", chance.choice(list(Mode)), closing_s=0.02, idle_s=0.05)
        for _ in range(chance.randrange(12)):
            peer = chance.choice((rig.client, rig.upstream))
            with contextlib.suppress(ConnectionLost):
                peer.channel.send(memoryview(chance.choice(SAID)))
            await turns(chance.randrange(4))
        for peer in chance.sample((rig.client, rig.upstream), chance.randrange(3)):
            chance.choice((socket.socket.close, reset))(peer.channel.sock)
        assert (await serving).end in RelayEnd
        assert rig.near_client.closed
        assert rig.near_upstream.closed
        rig.leave()
