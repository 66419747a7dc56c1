"""The portal's connections under aiohttp: clients that are slow, silent, greedy or gone; and a stop."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from proxy.log.events import Visitor
from proxy.net.connection import Connection, ConnectionLost
from proxy.net.strangers import Strangers
from proxy.portal.site import Answered
from proxy.portal.talk import Talk
from proxy.portal.transport import Patience
from proxy.ports import Ports
from proxy.sessions import Registry
from support.sockets import connections, on_both_loops, read_all, reset, turns, until
from support.told import log as _log
from support.told import words

log = _log
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
QUICK = Patience(request_s=0.2, piece_s=0.2)


@dataclass
class House:
    """Answers what it is told to, and remembers who asked."""

    octets: int = 2
    asked: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    holds: bool = False

    async def handle(self, request: web.BaseRequest, caller: Visitor, begins=lambda: None) -> Answered:
        self.asked.append(request.path)
        if request.method == "POST":
            await request.read()
        begins()
        if self.holds:
            await self.goes_on.wait()
        self.done.append(request.path)
        answered = Followed(web.Response(body=b"x" * self.octets))
        answered.calls.append(self._follow)
        return answered

    def unread(self, status: int) -> web.Response:
        return web.Response(status=status, text="not read")

    async def _follow(self) -> None:
        self.followed.append("sent")


@dataclass
class Followed:
    """As `Answered`, with what is called when it has been sent."""

    response: web.Response
    refused: bool = False
    came_in: bool = False
    calls: list = field(default_factory=list)

    @property
    def after(self):
        return self.calls


@dataclass
class Scene:
    """A client and the portal at the other end."""

    client: Connection
    server: Connection
    house: House
    registry: Registry
    serving: asyncio.Task
    retired: asyncio.Event

    async def answers(self) -> bytes:
        """Give all that comes back, and leave."""
        raw = await read_all(self.client)
        self.client.abort()
        return raw


@asynccontextmanager
async def scene(house: House | None = None, patience: Patience | None = None):
    client, server = connections()
    house, registry = house or House(), Registry()
    ports = Ports(gate=None, registry=registry, recorder=None, strangers=Strangers())
    talk = Talk(server, ports, house, patience)
    retired = asyncio.Event()
    serving = asyncio.create_task(talk.serve(retired.is_set))
    try:
        yield Scene(client, server, house, registry, serving, retired)
    finally:
        client.abort()
        serving.cancel()
        await asyncio.wait([serving])
        server.abort()
        assert registry.count == 0
        left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        await turns()
        assert not [task for task in left if not task.done() and "wait_for" not in repr(task)], left


async def read_answer(client: Connection) -> None:
    """Read one answer of the house's, head and body."""
    got = b""
    while not got.endswith(b"\r\n\r\nxx"):
        part = await client.receive()
        assert part, "the connection has ended"
        got += part


@on_both_loops
async def test_requests_in_a_row_are_answered_in_order():
    async with scene() as here:
        await here.client.send(GET * 40 + LAST)
        raw = await here.answers()
        assert raw.count(b"HTTP/1.1 200 OK") == 41
        assert here.house.asked == ["/"] * 40 + ["/last"]
        await asyncio.wait_for(here.serving, 5)


@on_both_loops
async def test_the_next_request_may_come_when_the_answer_has_been_read():
    async with scene() as here:
        for asked in range(3):
            await here.client.send(GET)
            await read_answer(here.client)
            await until(lambda asked=asked: len(here.house.followed) == asked + 1)
            await turns()
        await here.client.send(LAST)
        assert b"HTTP/1.1 200 OK" in await here.answers()
        assert here.house.asked == ["/"] * 3 + ["/last"]


@on_both_loops
async def test_one_that_asks_nothing_more_is_let_go(log):
    async with scene(patience=QUICK) as here:
        await here.client.send(GET)
        await read_answer(here.client)
        assert await here.answers() == b""
        await asyncio.wait_for(here.serving, 5)
    assert words(log) == []


@on_both_loops
async def test_where_another_configuration_answers_it_is_kept_no_longer(log):
    async with scene() as here:
        await here.client.send(GET)
        await read_answer(here.client)
        here.retired.set()
        await here.client.send(GET)
        raw = await here.answers()
        assert b"Connection: close" in raw
        assert here.house.asked == ["/"] * 2
        await asyncio.wait_for(here.serving, 5)
    assert words(log) == []


@on_both_loops
async def test_a_stop_ends_who_has_been_answered(log):
    async with scene() as here:
        await here.client.send(GET)
        await read_answer(here.client)
        await until(lambda: here.house.followed == ["sent"] and here.registry.under_way == 0)
        here.registry.stop()
        assert await here.answers() == b""
        await asyncio.wait_for(here.serving, 5)
    assert words(log) == []


@on_both_loops
async def test_what_follows_an_answer_is_done_once_it_was_taken():
    async with scene() as here:
        await here.client.send(LAST)
        await here.answers()
        await here.serving
        assert here.house.followed == ["sent"]


@on_both_loops
async def test_an_answer_nobody_takes_is_not_followed_by_anything_and_holds_no_place_for_long(log):
    async with scene(House(octets=4_000_000), QUICK) as here:
        await here.client.send(LAST)
        await until(lambda: here.house.done == ["/last"])
        await turns()
        assert here.server.waiting, "a client that does not read must be one that may be dropped"
        await asyncio.wait_for(here.serving, 5)
        assert here.server.closed
        assert here.house.followed == []


@on_both_loops
async def test_a_client_that_asks_and_asks_and_never_reads_is_let_go():
    async with scene(House(octets=60_000), QUICK) as here:
        asking = asyncio.create_task(here.client.send(GET * 20_000))
        await asyncio.wait_for(here.serving, 5)
        here.client.abort()
        with pytest.raises(ConnectionLost):
            await asking
        assert len(here.house.asked) < 200


@pytest.mark.parametrize("sends", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
@on_both_loops
async def test_a_head_that_does_not_come_is_not_waited_for(sends, log):
    async with scene(patience=QUICK) as here:
        await here.client.send(sends)
        await asyncio.wait_for(here.serving, 5)
        assert here.server.closed
    assert words(log) == [("dropped", "too-slow")]


@on_both_loops
async def test_a_head_that_trickles_is_not_waited_for():
    async with scene(patience=QUICK) as here:

        async def trickle():
            await here.client.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            while True:
                await here.client.send(b"X: 1\r\n")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        await asyncio.wait_for(here.serving, 5)
        with pytest.raises(ConnectionLost):
            await trickling
        assert here.house.asked == []


@on_both_loops
async def test_one_that_has_been_answered_may_leave_without_a_line(log):
    async with scene(patience=QUICK) as here:
        await here.client.send(GET)
        await until(lambda: bool(here.house.followed))
        await asyncio.wait_for(here.serving, 5)
    assert words(log) == []


@pytest.mark.parametrize(
    "sends",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60,
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"SECRET-WORD\r\n\r\n",
    ],
)
@on_both_loops
async def test_what_is_no_request_is_answered_once_and_no_fault_of_ours(sends, log):
    async with scene() as here:
        await here.client.send(sends + GET)
        raw = await here.answers()
        assert raw.startswith(b"HTTP/1."), raw
        assert raw.split()[1] == b"400", raw
        assert raw.count(b"HTTP/1.") == 1
        await asyncio.wait_for(here.serving, 5)
    assert here.house.asked == []
    assert words(log) == [("dropped", "bad-request")]
    assert not [record for record in log.records if record.levelname == "ERROR"]
    assert "SECRET-WORD" not in log.text


@on_both_loops
async def test_who_vanishes_while_being_answered_leaves_what_was_begun_done(log):
    async with scene(House(holds=True)) as here:
        await here.client.send(GET)
        await until(lambda: here.house.asked == ["/"])
        reset(here.client.channel.sock)
        await until(lambda: here.server.closed)
        assert not here.serving.done()
        here.house.goes_on.set()
        await asyncio.wait_for(here.serving, 5)
        assert (here.house.done, here.house.followed) == (["/"], [])
    assert not [record for record in log.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    "body", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
)
@on_both_loops
async def test_who_vanishes_in_a_body_is_no_fault_of_ours(body, log):
    async with scene() as here:
        await here.client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + body)
        await until(lambda: here.house.asked == ["/"])
        here.client.abort()
        await asyncio.wait_for(here.serving, 5)
        assert here.house.done == []
    assert not [record for record in log.records if record.levelname == "ERROR"]


@on_both_loops
async def test_a_stop_ends_who_asks_nothing(log):
    async with scene() as here:
        await turns()
        here.registry.stop()
        assert await here.answers() == b""
        await asyncio.wait_for(here.serving, 5)
    assert words(log) == [("dropped", "stopping")]


@on_both_loops
async def test_a_stop_lets_a_request_under_way_be_finished_and_begins_no_other():
    async with scene(House(holds=True)) as here:
        await here.client.send(GET + GET)
        await until(lambda: here.registry.under_way == 1)
        here.registry.stop()
        here.house.goes_on.set()
        assert await here.registry.settled(5)
        raw = await here.answers()
        assert raw.count(b"HTTP/1.1 200 OK") == 1
        assert b"Connection: close" in raw
        assert here.house.done == ["/"]


@on_both_loops
async def test_a_stop_does_not_wait_for_a_body():
    async with scene() as here:
        await here.client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        await until(lambda: here.house.asked == ["/"])
        here.registry.stop()
        assert await here.registry.settled(0)
        await asyncio.wait_for(here.serving, 5)
        assert here.house.done == []


@on_both_loops
async def test_cancelled_it_leaves_no_task_and_no_descriptor():
    async with scene(House(holds=True)) as here:
        await here.client.send(GET)
        await until(lambda: here.house.asked == ["/"])
        here.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await here.serving
        assert here.server.closed
        assert here.house.done == []


@on_both_loops
async def test_who_has_not_signed_in_may_not_go_on_for_ever():
    async with scene() as here:
        asking = asyncio.create_task(here.client.send(GET * 500))
        raw = await here.answers()
        asking.cancel()
        assert raw.count(b"HTTP/1.1 200 OK") == 100
