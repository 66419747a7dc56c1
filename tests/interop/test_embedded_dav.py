"""The built-in server of contacts and calendars: a real child, its socket, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat

import pytest

from config.address import Address, AddressKind
from proxy.dav.ports import UpstreamAnswer
from proxy.dav.upstream import DavUpstream
from proxy.embedded.children import AlreadyServedError, EmbeddedDav
from proxy.upstreams.place import Place, UpstreamFailure
from scopes.model import Grant, Scope

MKCOL = b"""<mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype>
<collection/><C:addressbook/></resourcetype></prop></set></mkcol>"""
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nFN:Bob\r\nN:Bob;;;;\r\nEND:VCARD\r\n"


def grant(email: str) -> Grant:
    return Grant(
        account_id="ac", email=email, app_password_id="ap", label="phone", scopes=frozenset({Scope.CONTACTS})
    )


ALICE, BOB = grant("alice@example.org"), grant("bob@example.org")
HOME = "/alice%40example.org/"


@pytest.fixture
async def dav(tmp_path):
    embedded = EmbeddedDav(tmp_path / "dav")
    await embedded.start()
    yield embedded
    await embedded.stop()


@pytest.fixture
async def upstream(dav):
    place = Place(address=Address(kind=AddressKind.EMBEDDED), embedded_socket=lambda: dav.socket_path)
    made = DavUpstream(place, header=dav.header, login=lambda grant: grant.email)
    yield made
    made.close()


async def filled(upstream: DavUpstream) -> None:
    made = await upstream.ask(ALICE, "MKCOL", f"{HOME}book/", (("content-type", "application/xml"),), MKCOL)
    assert made.status == 201
    put = await upstream.ask(ALICE, "PUT", f"{HOME}book/1.vcf", (("content-type", "text/vcard"),), CARD)
    assert put.status == 201


async def answered(upstream: DavUpstream, path: str) -> UpstreamAnswer:
    """Ask until the child was started again."""
    while True:
        with contextlib.suppress(UpstreamFailure):
            return await upstream.ask(ALICE, "GET", path, (), b"")
        await asyncio.sleep(0.05)


async def test_what_was_put_is_there_after_it_died(dav, upstream):
    await filled(upstream)
    first = dav.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(UpstreamFailure):
        await upstream.ask(ALICE, "GET", f"{HOME}book/1.vcf", (), b"")
    got = await answered(upstream, f"{HOME}book/1.vcf")
    assert dav.pid not in (first, None)
    assert (got.status, b"FN:Bob" in got.body) == (200, True)


async def test_the_tree_of_another_account_is_closed(upstream):
    await filled(upstream)
    for method in ("GET", "PROPFIND", "DELETE"):
        answer = await upstream.ask(BOB, method, f"{HOME}book/", (("depth", "0"),), b"")
        assert answer.status in (403, 404)
        assert b"1.vcf" not in answer.body


async def test_a_whole_collection_is_not_replaced(upstream):
    await filled(upstream)
    answer = await upstream.ask(ALICE, "PUT", f"{HOME}book/", (("content-type", "text/vcard"),), CARD)
    assert answer.status in (403, 405)


async def test_only_this_user_reaches_the_socket(dav):
    assert stat.S_IMODE(dav.socket_path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(dav.socket_path.parent.stat().st_mode) == 0o700


async def test_a_folder_has_one_server(dav, tmp_path):
    second = EmbeddedDav(tmp_path / "dav")
    with pytest.raises(AlreadyServedError, match="already serves this folder"):
        await second.start()


async def test_it_leaves_with_its_parent_and_takes_the_socket_along(tmp_path):
    embedded = EmbeddedDav(tmp_path / "dav")
    await embedded.start()
    socket, pid = embedded.socket_path, embedded.pid
    await embedded.stop()
    assert not socket.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
