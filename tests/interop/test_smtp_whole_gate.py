"""Submission with the real gate, store, feed, worker, upstream shell and session: what a client hears."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from auth.gate import Gate
from auth.throttle import AddressThrottle
from proxy.worker import Worker
from scopes.model import Scope
from support.imap_stage import Client, closed, soon
from support.office import ALICE, BOB, OPERATOR, Office, locked, office, raw
from support.smtp_behind import Behind
from support.smtp_front_stage import SIGNED_IN, UNAVAILABLE, Stage, hello
from support.sockets import Tls, read_all

SIGN_IN = [
    b"EHLO mail.example.org",
    b"AUTH PLAIN " + b64encode(b"alice@example.org\0gate\0open sesame"),
]
ENVELOPE = b"MAIL FROM: <alice@example.org>\r\nRCPT TO:<bob@example.net>\r\n"
MESSAGE = b"From: alice@example.org\r\nMessage-Id: <1>\r\n\r\n..a dot\r\n.\r\n"
REVOKED = b'535 5.7.8 the app-specific password "phone" was revoked\r\n'
WRONG = b"535 5.7.8 wrong name or app-specific password\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def auth(secret: bytes, name: str = ALICE, authzid: str = "") -> bytes:
    message = b"\0".join([authzid.encode(), name.encode(), secret])
    return b"AUTH PLAIN " + b64encode(message) + b"\r\n"


@dataclass
class Scene:
    office: Office
    stage: Stage
    worker: Worker
    behind: Behind

    async def mint(self, label: str = "phone", **more) -> bytes:
        return (await self.office.mint(label, **more)).password.reveal_bytes()


@asynccontextmanager
async def scene(folder, tls, **sink):
    behind, stage = Behind(**sink), Stage(tls)
    async with office(folder, busy_s=0.05) as staff, behind.before(stage):
        await staff.enrolled()
        stage.gate = Gate(staff.store, staff.hasher, staff.keys, AddressThrottle())
        worker = Worker("w_1", staff.store, stage.registry)
        await worker.start()
        yield Scene(staff, stage, worker, behind)


async def lines(client: Client, count: int) -> list[bytes]:
    return [await soon(client.line()) for _ in range(count)]


async def test_a_message_from_the_first_command_to_the_queue_id(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        async with now.stage.client(implicit_tls=False) as client:
            assert await client.line() == b"220 mail.example.org ESMTP Wicketgate\r\n"
            assert (await hello(client))[-1] == b"250 STARTTLS\r\n"
            assert (await client.ask(b"STARTTLS\r\n")).startswith(b"220 ")
            await client.secure(tls)
            offered = await hello(client)
            await client.send(auth(secret) + ENVELOPE + b"DATA\r\n")
            assert await lines(client, 4) == [
                SIGNED_IN,
                b"250 2.0.0 Ok\r\n",
                b"250 2.0.0 Ok\r\n",
                b"354 go on\r\n",
            ]
            assert await client.ask(MESSAGE) == b"250 2.0.0 Ok: queued as 1\r\n"
            assert await hello(client) == offered
            assert await client.ask(auth(secret)) == b"503 5.5.1 already signed in\r\n"
            assert (await client.ask(b"QUIT\r\n")).startswith(b"221 ")
            assert await read_all(client.connection) == b""
        sink = now.behind.sink
        await soon(sink.ended.wait())
        assert sink.commands == [
            *SIGN_IN,
            b"MAIL FROM:<alice@example.org>",
            b"RCPT TO:<bob@example.net>",
            b"DATA",
            b"QUIT",
        ]
        assert sink.delivered == {"<1>": 1}
        assert sink.messages[0].endswith(b"\r\n\r\n..a dot\r\n")


async def test_a_message_under_way_is_finished_before_the_server_stops(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        async with now.stage.client() as client, now.stage.client() as other:
            await hello(client)
            await client.send(auth(secret) + ENVELOPE + b"DATA\r\n" + MESSAGE[:20])
            await lines(client, 4)
            now.stage.registry.stop()
            assert await other.line() == b"421 4.3.2 the server is stopping\r\n"
            await closed(other.connection)
            assert await client.ask(MESSAGE[20:]) == b"250 2.0.0 Ok: queued as 1\r\n"
            assert (await client.line()).startswith(b"421 4.3.2 ")
            await closed(client.connection)
            await asyncio.wait({client.task})
        assert now.behind.sink.delivered == {"<1>": 1}


async def test_a_client_that_vanishes_in_mid_message_leaves_no_message(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        async with now.stage.client() as client:
            await hello(client)
            await client.send(auth(secret) + ENVELOPE + b"DATA\r\n" + MESSAGE[:-3])
            await lines(client, 4)
            client.connection.abort()
            await soon(now.behind.sink.ended.wait())
        assert now.behind.sink.messages == []


@pytest.mark.parametrize(("verb", "commands"), [("EHLO", 1), ("AUTH", 2)])
async def test_a_password_revoked_while_the_upstream_is_held_is_named_as_revoked(
    tmp_path, tls, verb, commands
):
    holds = asyncio.Event()
    async with scene(tmp_path, tls, answers={verb: [holds, b"250 late\r\n"]}) as now:
        secret = await now.mint()
        async with now.stage.client() as client:
            await hello(client)
            await client.send(auth(secret))
            await soon(now.behind.arrived.wait())
            await soon(lambda: len(now.behind.sink.commands) == commands)
            revocation = await now.office.accounts.revoke(ALICE, "phone", OPERATOR)
            await now.worker.look()
            assert await soon(client.line()) == REVOKED
            assert await client.ask(b"NOOP\r\n") == b"250 2.0.0 done\r\n"
        holds.set()
        await now.worker.report()
        assert await now.office.store.reports(revocation.change) == {"w_1": 1}


async def test_a_revocation_nobody_was_told_of_is_seen_at_the_last_moment(tmp_path, tls):
    holds = asyncio.Event()
    async with scene(tmp_path, tls, answers={"AUTH": [holds, b"235 2.7.0 in\r\n"]}) as now:
        secret = await now.mint()
        async with now.stage.client() as client:
            await hello(client)
            await client.send(auth(secret))
            await soon(now.behind.arrived.wait())
            await soon(lambda: len(now.behind.sink.commands) == 2)
            await now.office.accounts.revoke(ALICE, "phone", OPERATOR)
            holds.set()
            assert await client.line() == REVOKED
            await soon(now.behind.sink.ended.wait())


async def test_a_revocation_cuts_a_session_in_mid_message(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        async with now.stage.client() as client:
            await hello(client)
            await client.send(auth(secret) + ENVELOPE + b"DATA\r\n" + MESSAGE[:-3])
            await lines(client, 4)
            await now.office.accounts.revoke_all(ALICE, OPERATOR)
            await now.worker.look()
            assert (await client.line()).startswith(b"421 4.7.0 ")
            await soon(now.behind.sink.ended.wait())
        assert now.behind.sink.messages == []


async def test_other_scopes_and_other_secrets_get_the_documented_words(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        contacts = await now.mint("book", scopes={Scope.CONTACTS})
        async with now.stage.client() as client:
            await hello(client)
            assert await client.ask(auth(contacts)) == (
                b'535 5.7.8 the app-specific password "book" opens contacts, not mail\r\n'
            )
            assert await client.ask(auth(b"correct horse battery")) == (
                b"535 5.7.8 app-specific password required: ask whoever runs mail.example.org for one\r\n"
            )
            assert await client.ask(auth(b"k7mq-2xwd-hnrp-4tvc-9zsa", "nobody")) == WRONG
        assert not now.behind.sinks


async def test_a_client_acts_as_any_name_of_the_account_and_as_no_other(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        await now.office.accounts.aliases.add(ALICE, "al", OPERATOR)
        await now.office.person(BOB)
        async with now.stage.client() as client:
            await hello(client)
            for authzid, name in ((BOB, ALICE), ("nobody", ALICE), (ALICE, BOB)):
                assert await client.ask(auth(secret, name, authzid)) == WRONG
            assert await client.ask(auth(secret, "AL", "Alice@Example.org")) == SIGNED_IN


@pytest.mark.parametrize("table", ["app_password", "feed"])
async def test_a_store_or_feed_that_cannot_be_read_is_an_outage(tmp_path, tls, table):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        with raw(tmp_path) as connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO gone")
            async with now.stage.client() as client:
                await hello(client)
                assert await client.ask(auth(secret)) == UNAVAILABLE
            connection.execute(f"ALTER TABLE gone RENAME TO {table}")


async def test_a_store_that_another_process_writes_to_lets_people_in(tmp_path, tls):
    async with scene(tmp_path, tls) as now:
        secret = await now.mint()
        async with now.stage.client() as client:
            await hello(client)
            with locked(tmp_path):
                assert await client.ask(auth(secret)) == SIGNED_IN


@pytest.mark.parametrize("answer", [b"535 5.7.8 no\r\n", b"454 4.7.0 later\r\n", "close"])
async def test_an_upstream_that_lets_us_not_in_is_an_outage_even_for_the_right_password(
    tmp_path, tls, answer
):
    async with scene(tmp_path, tls, answers={"AUTH": [answer]}) as now:
        secret = await now.mint()
        async with now.stage.client() as client:
            await hello(client)
            assert await client.ask(auth(secret)) == UNAVAILABLE
            assert await client.ask(b"NOOP\r\n") == b"250 2.0.0 done\r\n"
