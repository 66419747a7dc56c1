"""Which sessions are watched, and that they are from their first octet to their end."""

from dataclasses import replace

import pytest

from auth.store.rows import GRANTED
from scopes.model import Limits
from support.imap_stage import GRANT, LOGIN, SIGNED_IN, Stage, closed, soon
from support.sockets import Tls, on_both_loops, read_exactly

READER = replace(GRANT, limits=Limits(read_only=True))


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@on_both_loops
async def test_what_came_behind_the_sign_in_is_watched_too(tls):
    stage = Stage(tls)
    stage.upstream.can_unauthenticate = True
    stage.upstream.rest = b"* OK [CAPABILITY IMAP4rev1 UNAUTHENTICATE] hm\r\n"
    async with stage.client() as client:
        await client.send(LOGIN + b"b UNAUTHENTICATE\r\nc NOOP\r\n")
        assert await client.line() == SIGNED_IN
        assert await client.line() == b"* OK [CAPABILITY IMAP4rev1] hm\r\n"
        assert await client.line() == b"b BAD not known, or not allowed now\r\n"
        assert await read_exactly(stage.upstream.far, 8) == b"c NOOP\r\n"


@on_both_loops
async def test_a_reader_is_watched_whatever_the_upstream_offers(tls):
    stage = Stage(tls)
    stage.gate.answer = READER
    async with stage.client() as client:
        await client.send(LOGIN + b"b SELECT INBOX\r\nc EXPUNGE\r\n")
        assert await client.line() == SIGNED_IN
        assert (await client.line()).startswith(b"c NO [NOPERM]")
        assert await read_exactly(stage.upstream.far, 17) == b"b EXAMINE INBOX\r\n"
    assert [record.outcome for record in stage.records] == [GRANTED]


@on_both_loops
async def test_others_are_not(tls):
    stage = Stage(tls)
    async with stage.client() as client:
        await client.send(LOGIN + b"\0 anything\n")
        assert await client.line() == SIGNED_IN
        assert await read_exactly(stage.upstream.far, 11) == b"\0 anything\n"


@on_both_loops
async def test_a_cut_ends_a_watched_session(tls):
    stage = Stage(tls)
    stage.gate.answer = READER
    async with stage.client() as client:
        await client.send(LOGIN)
        assert await client.line() == SIGNED_IN
        assert stage.registry.cut([GRANT.app_password_id]) == 1
        await closed(client.connection)
        await soon(client.task.done)
