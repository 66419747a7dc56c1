"""Sign-in at an upstream over real sockets: every kind of address, every way to fail, nothing left behind."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.imap.upstream import ImapUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place, UpstreamFailure
from support.imap_server import ScriptedUpstream
from support.imap_stage import GRANT, soon
from support.sockets import Tls, on_both_loops

AS_GATE = Authzid(user="gate", secret=Secret("open sesame"))
RESPONSE = b64encode(b"alice@example.org\0gate\0open sesame")
INITIAL = [
    ("S", b"* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n"),
    ("C", b"w1 AUTHENTICATE PLAIN " + RESPONSE),
    ("S", b"w1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* OK early\r\n"),
]
STARTTLS = [
    ("S", b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
    ("C", b"w1 STARTTLS"),
    ("S", b"w1 OK go\r\n"),
    "TLS",
    ("C", b"w2 AUTHENTICATE PLAIN"),
    ("S", b"+ \r\n"),
    ("C", RESPONSE),
    ("S", b"w2 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* OK early\r\n"),
]


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def upstream(place: Place, **times: float) -> ImapUpstream:
    return ImapUpstream(place=place, sign_in_as=AS_GATE, **times)


@pytest.mark.parametrize(
    "kind", [AddressKind.IMAPS, AddressKind.IMAP_STARTTLS, AddressKind.UNIX, AddressKind.EMBEDDED]
)
@on_both_loops
async def test_sign_in_by_every_kind_of_address(tls, kind):
    script = STARTTLS if kind is AddressKind.IMAP_STARTTLS else INITIAL
    async with ScriptedUpstream(tls, kind, script).running() as server:
        signed_in = await upstream(server.place).sign_in(GRANT)
        rest = signed_in.rest
        if not rest:
            rest = await signed_in.connection.receive()
        assert (signed_in.capabilities, rest) == (b"IMAP4rev1 IDLE", b"* OK early\r\n")
        assert signed_in.connection.secure == (kind in (AddressKind.IMAPS, AddressKind.IMAP_STARTTLS))
        signed_in.connection.abort()
        await soon(server.ended.wait())


FAILURES = {
    "nothing but the end": (["CLOSE"], "closed the connection (waiting for the greeting)"),
    "BYE": ([("S", b"* BYE full\r\n")], "did not greet with OK (waiting for the greeting): '* BYE full'"),
    "PREAUTH": ([("S", b"* PREAUTH hello\r\n")], "did not greet with OK"),
    "a greeting of 1 MiB": ([("S", b"* OK " + b"x" * (1 << 20) + b"\r\n")], "said more than 65536 octets"),
    "an endless literal": (
        [*INITIAL[:2], ("S", b"* X {65536}\r\nabc")],
        "said more than 65536 octets (waiting for the answer to our sign-in)",
    ),
    "a refusal": (
        [*INITIAL[:2], ("S", b"w1 NO [X] \x1b[31mno\r\n")],
        "refused our sign-in (waiting for the answer to our sign-in): 'NO [X] \\x1b[31mno'",
    ),
    "a wrong tag": ([*INITIAL[:2], ("S", b"w9 OK in\r\n")], "answers nothing of ours"),
}


@pytest.mark.parametrize("name", FAILURES)
@on_both_loops
async def test_failure(tls, name):
    script, words = FAILURES[name]
    async with ScriptedUpstream(tls, AddressKind.UNIX, script).running() as server:
        with pytest.raises(UpstreamFailure) as caught:
            await upstream(server.place).sign_in(GRANT)
        assert words in str(caught.value)
        assert "sesame" not in str(caught.value)
        await soon(server.ended.wait())


STARTTLS_FAILURES = {
    "not offered": ([("S", b"* OK [CAPABILITY IMAP4rev1] ready\r\n")], "does not offer STARTTLS"),
    "refused": ([*STARTTLS[:2], ("S", b"w1 NO\r\n")], "refused STARTTLS"),
    "octets behind OK": ([*STARTTLS[:2], ("S", b"w1 OK go\r\nw2 OK in\r\n")], "sent octets in clear"),
    "no handshake": ([*STARTTLS[:3], ("S", b"* OK what?\r\n" * 9)], "no TLS with"),
}


@pytest.mark.parametrize("name", STARTTLS_FAILURES)
@on_both_loops
async def test_starttls_fails_closed(tls, name):
    script, words = STARTTLS_FAILURES[name]
    async with ScriptedUpstream(tls, AddressKind.IMAP_STARTTLS, script).running() as server:
        with pytest.raises(UpstreamFailure) as caught:
            await upstream(server.place).sign_in(GRANT)
        assert words in str(caught.value)
        await soon(server.ended.wait())
    assert all(RESPONSE not in said for said in server.heard)


@pytest.mark.parametrize("kind", [AddressKind.IMAPS, AddressKind.IMAP_STARTTLS])
@on_both_loops
async def test_the_name_in_the_certificate_is_checked(tls, kind):
    script = STARTTLS if kind is AddressKind.IMAP_STARTTLS else INITIAL
    async with ScriptedUpstream(tls, kind, script).running() as server:
        wrong = Place(address=server.place.address, tls=server.place.tls, server_name="other.example")
        with pytest.raises(UpstreamFailure) as caught:
            await upstream(wrong).sign_in(GRANT)
        assert "certificate refused" in str(caught.value)
        await soon(server.ended.wait())
    assert all(RESPONSE not in said for said in server.heard)


@pytest.mark.parametrize("script", [[], INITIAL[:2], [*INITIAL[:2], ("S", b"* OK wait\r\n")]])
@on_both_loops
async def test_a_silent_upstream_is_an_outage(tls, script):
    async with ScriptedUpstream(tls, AddressKind.UNIX, script).running() as server:
        with pytest.raises(UpstreamFailure, match="did not answer in time"):
            await upstream(server.place, sign_in_s=0.2).sign_in(GRANT)
        await soon(server.ended.wait())


@on_both_loops
async def test_an_upstream_that_resets_is_an_outage(tls):
    script = [*STARTTLS[:2], "RESET"]
    async with ScriptedUpstream(tls, AddressKind.IMAP_STARTTLS, script).running() as server:
        with pytest.raises(
            UpstreamFailure, match=r"was lost .waiting for the answer to STARTTLS.: ECONNRESET"
        ):
            await upstream(server.place).sign_in(GRANT)


@on_both_loops
async def test_cancelling_leaves_nothing(tls):
    async with ScriptedUpstream(tls, AddressKind.UNIX, []).running() as server:
        task = asyncio.create_task(upstream(server.place).sign_in(GRANT))
        await soon(server.reached.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await soon(server.ended.wait())


@on_both_loops
async def test_an_upstream_that_is_not_there_is_an_outage(tls, tmp_path):
    place = Place(address=Address(kind=AddressKind.UNIX, path=tmp_path / "none"))
    with pytest.raises(UpstreamFailure, match=r"cannot connect to unix:.*ENOENT"):
        await upstream(place).sign_in(GRANT)
