"""The front-end with the real gate, store, feed, worker and upstream shell: what a client hears."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from auth.gate import Gate
from auth.secret import Secret
from auth.throttle import AddressThrottle
from config.address import AddressKind
from proxy import limits
from proxy.imap.upstream import ImapUpstream
from proxy.upstreams.authzid import Authzid
from proxy.worker import Worker
from scopes.model import Scope
from support.imap_server import ScriptedUpstream
from support.imap_stage import Stage, soon
from support.office import ALICE, BOB, OPERATOR, Office, locked, office, raw
from support.sockets import Tls

GREETING = ("S", b"* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n")
SIGN_IN = ("C", b"w1 AUTHENTICATE PLAIN YWxpY2VAZXhhbXBsZS5vcmcAZ2F0ZQBvcGVuIHNlc2FtZQ==")
WELCOME = ("S", b"w1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n")
UNAVAILABLE = b"a NO [UNAVAILABLE] sign-in is not possible at the moment, try again later\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@dataclass
class Scene:
    office: Office
    stage: Stage
    worker: Worker
    server: ScriptedUpstream

    async def mint(self, label: str = "phone", **more) -> bytes:
        minted = await self.office.mint(label, **more)
        return b"a LOGIN alice@example.org " + minted.password.reveal_bytes() + b"\r\n"


@asynccontextmanager
async def scene(folder, tls, script):
    async with (
        office(folder, busy_s=0.05) as staff,
        ScriptedUpstream(tls, AddressKind.UNIX, script).running() as server,
    ):
        await staff.enrolled()
        stage = Stage(tls)
        stage.gate = Gate(staff.store, staff.hasher, staff.keys, AddressThrottle())
        stage.upstream = ImapUpstream(
            place=server.place, sign_in_as=Authzid(user="gate", secret=Secret("open sesame"))
        )
        worker = Worker("w_1", staff.store, stage.registry)
        await worker.start()
        yield Scene(staff, stage, worker, server)


async def test_a_sign_in(tmp_path, tls):
    async with scene(tmp_path, tls, [GREETING, SIGN_IN, WELCOME]) as now:
        login = await now.mint()
        async with now.stage.client() as client:
            assert await client.ask(login) == b"a OK [CAPABILITY IMAP4rev1 IDLE] signed in\r\n"


@pytest.mark.parametrize("script", [["HOLD"], [GREETING, SIGN_IN, "HOLD"]], ids=["banner", "answer"])
async def test_a_password_revoked_while_the_upstream_is_held_is_named_as_revoked_by_the_next_look(
    tmp_path, tls, script
):
    async with scene(tmp_path, tls, script) as now:
        login = await now.mint()
        async with now.stage.client() as client:
            await client.send(login)
            await soon(now.server.reached.wait())
            revocation = await now.office.accounts.revoke(ALICE, "phone", OPERATOR)
            await now.worker.look()
            assert await soon(client.line()) == (
                b'a NO [AUTHENTICATIONFAILED] the app-specific password "phone" was revoked\r\n'
            )
            now.server.holds.set()
            await soon(now.server.ended.wait())
            assert await client.ask(b"b NOOP\r\n") == b"b OK done\r\n"
        await now.worker.report()
        assert await now.office.store.reports(revocation.change) == {"w_1": 1}


def test_a_worker_looks_several_times_a_second():
    assert limits.FEED_POLL_S <= 0.25  # one look cuts, so a cut is done within the second


async def test_a_revocation_nobody_was_told_of_is_seen_at_the_last_moment(tmp_path, tls):
    async with scene(tmp_path, tls, [GREETING, SIGN_IN, "HOLD", WELCOME]) as now:
        login = await now.mint()
        async with now.stage.client() as client:
            await client.send(login)
            await soon(now.server.reached.wait())
            await now.office.accounts.revoke(ALICE, "phone", OPERATOR)
            now.server.holds.set()
            assert b"was revoked" in await client.line()
            await soon(now.server.ended.wait())


async def test_a_revocation_cuts_a_session(tmp_path, tls):
    async with scene(tmp_path, tls, [GREETING, SIGN_IN, WELCOME]) as now:
        login = await now.mint()
        async with now.stage.client() as client:
            await client.ask(login)
            await now.office.accounts.revoke_all(ALICE, OPERATOR)
            await now.worker.look()
            await soon(now.server.ended.wait())


async def test_other_scopes_and_other_secrets_get_the_documented_words(tmp_path, tls):
    async with scene(tmp_path, tls, []) as now:
        contacts = await now.mint("book", scopes={Scope.CONTACTS})
        async with now.stage.client() as client:
            assert await client.ask(contacts) == (
                b'a NO [NOPERM] the app-specific password "book" opens contacts, not mail\r\n'
            )
            assert await client.ask(b'a LOGIN alice@example.org "correct horse battery"\r\n') == (
                b"a NO [AUTHENTICATIONFAILED] app-specific password required:"
                b" ask whoever runs mail.example.org for one\r\n"
            )
            assert await client.ask(b"a LOGIN nobody k7mq-2xwd-hnrp-4tvc-9zsa\r\n") == (
                b"a NO [AUTHENTICATIONFAILED] wrong name or app-specific password\r\n"
            )


async def test_a_client_acts_as_any_name_of_the_account_and_as_no_other(tmp_path, tls):
    def plain(*parts: str, secret: bytes) -> bytes:
        message = b"\0".join([*(part.encode() for part in parts), secret])
        return b"a AUTHENTICATE PLAIN " + base64.b64encode(message) + b"\r\n"

    async with scene(tmp_path, tls, [GREETING, SIGN_IN, WELCOME]) as now:
        secret = (await now.mint()).split()[-1]
        await now.office.accounts.aliases.add(ALICE, "al", OPERATOR)
        await now.office.person(BOB)
        async with now.stage.client() as client:
            for names in ((BOB, ALICE), (BOB, "al"), ("nobody", ALICE), (ALICE, BOB)):
                assert await client.ask(plain(*names, secret=secret)) == (
                    b"a NO [AUTHENTICATIONFAILED] wrong name or app-specific password\r\n"
                )
            assert (await client.ask(plain("Alice@Example.org", "AL", secret=secret))).startswith(b"a OK ")


async def test_a_store_that_another_process_writes_to_lets_people_in(tmp_path, tls):
    async with scene(tmp_path, tls, [GREETING, SIGN_IN, WELCOME]) as now:
        login = await now.mint()
        async with now.stage.client() as client:
            with locked(tmp_path):
                assert (await client.ask(login)).startswith(b"a OK ")


async def test_a_store_that_cannot_be_read_is_an_outage(tmp_path, tls):
    async with scene(tmp_path, tls, []) as now:
        login = await now.mint()
        with raw(tmp_path) as connection:
            connection.execute("ALTER TABLE app_password RENAME TO gone")
            async with now.stage.client() as client:
                assert await client.ask(login) == UNAVAILABLE
            connection.execute("ALTER TABLE gone RENAME TO app_password")


async def test_a_feed_that_cannot_be_read_is_an_outage(tmp_path, tls):
    async with scene(tmp_path, tls, []) as now:
        login = await now.mint()
        with raw(tmp_path) as connection:
            connection.execute("ALTER TABLE feed RENAME TO gone")
            async with now.stage.client() as client:
                assert await client.ask(login) == UNAVAILABLE
            connection.execute("ALTER TABLE gone RENAME TO feed")


async def test_an_upstream_that_is_down_is_an_outage_even_for_the_right_password(tmp_path, tls):
    async with scene(tmp_path, tls, ["CLOSE"]) as now:
        login = await now.mint()
        async with now.stage.client() as client:
            assert await client.ask(login) == UNAVAILABLE
