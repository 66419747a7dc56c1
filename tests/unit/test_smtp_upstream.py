"""Sign-in at a submission upstream over real sockets: every address, every failure, nothing left."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place, UpstreamFailure
from support.imap_server import ScriptedUpstream
from support.imap_stage import GRANT, soon
from support.sockets import Tls, on_both_loops

AS_GATE = Authzid(user="gate", secret=Secret("open sesame"))
RESPONSE = b64encode(b"alice@example.org\0gate\0open sesame")
HELLO = [("S", b"220 mx\r\n"), ("C", b"EHLO gate.example.org")]
OFFERS = ("S", b"250-mx\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n")
SIGN_IN = [OFFERS, ("C", b"AUTH PLAIN " + RESPONSE), ("S", b"235 2.7.0 in\r\n")]
STARTTLS = [
    *HELLO,
    ("S", b"250-mx\r\n250-AUTH LOGIN\r\n250 STARTTLS\r\n"),
    ("C", b"STARTTLS"),
    ("S", b"220 go\r\n"),
    "TLS",
    HELLO[1],
]
KINDS = (
    AddressKind.SMTPS,
    AddressKind.SMTP_STARTTLS,
    AddressKind.SMTP,
    AddressKind.UNIX,
    AddressKind.EMBEDDED,
)


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def script(kind: AddressKind) -> list:
    begin = STARTTLS if kind is AddressKind.SMTP_STARTTLS else HELLO
    return (["TLS"] if kind is AddressKind.SMTPS else []) + begin


def upstream(place: Place, sign_in_as: Authzid | None = AS_GATE, **times: float) -> SmtpUpstream:
    return SmtpUpstream(place=place, sign_in_as=sign_in_as, name="gate.example.org", **times)


@pytest.mark.parametrize("kind", KINDS)
@on_both_loops
async def test_sign_in_by_every_kind_of_address(tls, kind):
    async with ScriptedUpstream(tls, kind, script(kind) + SIGN_IN).running() as server:
        signed_in = await upstream(server.place).sign_in(GRANT)
        assert (dict(signed_in.extensions), signed_in.rest) == ({"PIPELINING": "", "AUTH": "PLAIN"}, b"")
        assert signed_in.connection.secure == (kind in KINDS[:2])
        signed_in.connection.abort()
        await soon(server.ended.wait())


@pytest.mark.parametrize("kind", KINDS)
@on_both_loops
async def test_no_sign_in_where_none_is_asked_for(tls, kind):
    async with ScriptedUpstream(tls, kind, [*script(kind), OFFERS]).running() as server:
        signed_in = await upstream(server.place, None).sign_in(GRANT)
        signed_in.connection.abort()
        await soon(server.ended.wait())
    assert not any(said.startswith(b"AUTH") for said in server.heard)


FAILURES = {
    "nothing but the end": (["CLOSE"], "closed the connection (waiting for the greeting)"),
    "554": ([("S", b"554 no\r\n")], "did not greet with 220 (waiting for the greeting): '554 no'"),
    "an endless greeting": ([("S", b"220-" + b"x" * (1 << 20))], "more than 32768 octets"),
    "no AUTH": ([*HELLO, ("S", b"250 mx\r\n")], "does not offer AUTH PLAIN"),
    "refused": ([*HELLO, *SIGN_IN[:2], ("S", b"535 no sesame\r\n")], "refused our sign-in"),
    "reset": ([*HELLO, "RESET"], "was lost (waiting for the answer to EHLO): ECONNRESET"),
}


@pytest.mark.parametrize("name", FAILURES)
@on_both_loops
async def test_failure(tls, name):
    steps, words = FAILURES[name]
    async with ScriptedUpstream(
        tls, AddressKind.UNIX if name != "reset" else AddressKind.SMTP, steps
    ).running() as server:
        with pytest.raises(UpstreamFailure) as caught:
            await upstream(server.place).sign_in(GRANT)
        assert words in str(caught.value)
        assert "open sesame" not in str(caught.value)
        if name != "reset":
            await soon(server.ended.wait())


STARTTLS_FAILURES = {
    "not offered": ([*HELLO, OFFERS], "does not offer STARTTLS"),
    "refused": ([*STARTTLS[:4], ("S", b"454 no\r\n")], "refused STARTTLS"),
    "octets behind 220": ([*STARTTLS[:4], ("S", b"220 go\r\n250 AUTH PLAIN\r\n")], "sent octets in clear"),
    "no handshake": ([*STARTTLS[:5], ("S", b"250 what?\r\n" * 9)], "no TLS with"),
}


@pytest.mark.parametrize("name", STARTTLS_FAILURES)
@on_both_loops
async def test_starttls_fails_closed(tls, name):
    steps, words = STARTTLS_FAILURES[name]
    async with ScriptedUpstream(tls, AddressKind.SMTP_STARTTLS, steps).running() as server:
        with pytest.raises(UpstreamFailure) as caught:
            await upstream(server.place).sign_in(GRANT)
        assert words in str(caught.value)
        await soon(server.ended.wait())
    assert all(RESPONSE not in said for said in server.heard)


@pytest.mark.parametrize("kind", KINDS[:2])
@on_both_loops
async def test_the_name_in_the_certificate_is_checked(tls, kind):
    async with ScriptedUpstream(tls, kind, script(kind) + SIGN_IN).running() as server:
        wrong = Place(address=server.place.address, tls=server.place.tls, server_name="other.example")
        with pytest.raises(UpstreamFailure, match="certificate refused"):
            await upstream(wrong).sign_in(GRANT)
        await soon(server.ended.wait())
    assert all(RESPONSE not in said for said in server.heard)


@pytest.mark.parametrize("steps", [[], HELLO[:1], HELLO, [*HELLO, *SIGN_IN[:2], ("S", b"235-wait\r\n")]])
@on_both_loops
async def test_a_silent_upstream_is_an_outage(tls, steps):
    async with ScriptedUpstream(tls, AddressKind.UNIX, steps).running() as server:
        with pytest.raises(UpstreamFailure, match="did not answer in time"):
            await upstream(server.place, sign_in_s=0.2).sign_in(GRANT)
        await soon(server.ended.wait())


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
