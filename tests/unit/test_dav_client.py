"""The client's side of a connection: what is kept of a client that goes on talking, and time limits."""

from __future__ import annotations

import asyncio

from proxy.dav.client import Client
from proxy.dav.deadline import Deadline
from proxy.dav.settings import Settings
from proxy.failures import House
from proxy.limits import PIPELINED_OCTETS
from support.sockets import GIVE_UP_S, connections, on_both_loops, turns, until


def settings(**times: float) -> Settings:
    return Settings(house=House(host="x"), tls=lambda: None, is_ours=lambda _: True, **times)


@on_both_loops
async def test_what_a_watched_client_says_is_kept_up_to_a_bound():
    near, far = connections()
    gone: list[str] = []
    client = Client(near, settings(watch_s=0.0), slow=lambda: None, gone=lambda: gone.append("gone"))
    client.watch_soon()
    sending = asyncio.create_task(far.send(b"x" * 1_000_000))
    await until(lambda: len(client.received) == PIPELINED_OCTETS)
    await turns()
    assert len(client.received) == PIPELINED_OCTETS
    assert not sending.done()
    assert not gone
    client.close()
    near.abort()
    sending.cancel()
    await asyncio.wait({sending})
    far.abort()


@on_both_loops
async def test_a_client_is_missed_only_while_nobody_listens_to_it():
    near, far = connections()
    gone: list[str] = []
    client = Client(near, settings(watch_s=GIVE_UP_S), slow=lambda: None, gone=lambda: gone.append("gone"))
    client.watch_soon()
    far.abort()
    await turns()
    assert not gone
    assert await client.head() is None
    client.watch_soon()
    client.close()
    near.abort()


@on_both_loops
async def test_who_is_listened_to_is_not_watched():
    near, far = connections()
    passed: list[str] = []
    witness = Deadline(lambda: passed.append("witness"))
    client = Client(near, settings(watch_s=0.001), slow=lambda: None, gone=lambda: None)
    client.watch_soon()
    listening = asyncio.create_task(client.head())
    await turns()
    witness.within(0.002)
    await until(lambda: bool(passed))
    await far.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await listening).target == "/"
    client.close()
    near.abort()
    far.abort()


@on_both_loops
async def test_a_deadline_moves_and_is_lifted():
    expired: list[str] = []
    deadline, witness = Deadline(lambda: expired.append("it")), Deadline(lambda: expired.append("witness"))

    async def wait(seconds: float) -> list[str]:
        witness.within(seconds)
        await until(lambda: "witness" in expired)
        got = list(expired)
        expired.clear()
        return got

    deadline.within(0.001)
    deadline.lift()
    assert await wait(0.002) == ["witness"]
    deadline.within(GIVE_UP_S)
    deadline.within(0.001)
    assert await wait(0.002) == ["it", "witness"]
    deadline.within(0.001)
    deadline.within(GIVE_UP_S)
    assert await wait(0.002) == ["witness"]
    deadline.within(0.001)
    deadline.close()
    assert await wait(0.002) == ["witness"]
    witness.close()
