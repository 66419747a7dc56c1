"""Every byte string in every state of both IMAP legs ends in a clean reply or a clean close."""

from __future__ import annotations

import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.secret import Secret
from proxy.dialog import ClientState, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import UNAVAILABLE, House
from proxy.imap.client_leg import ClientLeg
from proxy.imap.upstream_leg import Ready, UpstreamLeg, UpstreamState
from proxy.upstreams.signing_in import Failed, Handshake, Refused
from support.proofs import bearer, plain_of

REPLY = re.compile(rb"\* (?:OK|BAD|BYE|CAPABILITY|ID) [ -~]*|\+ [ -~]*|[!-~]+ (?:OK|NO|BAD) [ -~]*")
SECRET = b"k7mq2xwdhnrp4tvc9zsa"
BEFORE = {
    ClientState.CLEAR: b"",
    ClientState.SWITCHING: b"s STARTTLS\r\n",
    ClientState.SECURE: b"",
    ClientState.SASL: b"s AUTHENTICATE LOGIN\r\n",
    ClientState.SIGNING_IN: b"s LOGIN alice " + SECRET + b"\r\n",
    ClientState.SIGNED_IN: b"s LOGIN alice " + SECRET + b"\r\n",
    ClientState.CLOSING: b"s LOGOUT\r\n",
}
WORDS = [
    *b"a NOOP LOGIN AUTHENTICATE PLAIN STARTTLS ID LOGOUT CAPABILITY GET NIL = *".split(),
    *(
        b" ",
        b"\r\n",
        b"\n",
        b"\r",
        b'"',
        b"\\",
        b"(",
        b")",
        b"{3}",
        b"{3+}",
        b"{4097}",
        b"{4097+}",
        b"{0}",
        b"\x00",
        b"\xe4",
    ),
    SECRET,
    b64encode(b"\0alice\0" + SECRET),
    b"\x01",  # stands for much
]
QUIET = (ClientState.SWITCHING, ClientState.SIGNED_IN)
octets = st.lists(st.sampled_from(WORDS) | st.binary(max_size=4), max_size=60).map(b"".join)
MUCH = b"x" * 9000
sizes = st.lists(st.integers(1, 40), max_size=40)


def client_in(state: ClientState) -> ClientLeg:
    leg = ClientLeg(House(host="h"), secure=state not in (ClientState.CLEAR, ClientState.SWITCHING))
    leg.receive(BEFORE[state])
    leg.next()
    if state is ClientState.SIGNED_IN:
        leg.granted(b"IMAP4rev1")
    leg.take_output()
    assert leg.state is state
    return leg


def settle(leg: ClientLeg) -> bytes:
    """Answer everything the leg asks for: handshakes succeed, sign-ins are refused."""
    said = b""
    while (event := leg.next()) is not None:
        said += leg.take_output()
        match event:
            case SwitchToTls():
                leg.secured()
            case Asked():
                leg.refused(UNAVAILABLE)
    return said + leg.take_output()


def cut(data: bytes, at: list[int]) -> list[bytes]:
    parts = []
    for size in at:
        parts.append(data[:size])
        data = data[size:]
    return [*parts, data]


@pytest.mark.parametrize("state", ClientState)
@given(data=octets, at=sizes)
def test_client_leg(state, data, at):
    leg, said = client_in(state), b""
    if state is ClientState.SIGNING_IN:
        leg.receive(data[:20])
        assert leg.next() is None
        leg.refused(UNAVAILABLE)
    for part in cut(data.replace(b"\x01", MUCH), at):
        leg.receive(part)
        if state in QUIET:
            assert leg.next() is None
        else:
            said += settle(leg)
    said += leg.take_output()
    assert not said or said.endswith(b"\r\n")
    for line in said.split(b"\r\n")[:-1]:
        assert REPLY.fullmatch(line), line
        assert SECRET not in line.split(b" ", 1)[1]
    if state in QUIET:
        return
    for _ in range(20):  # whatever is open, it can be ended: by an answer or by a close
        if leg.state is ClientState.CLOSING:
            return
        leg.receive(b"x" * 4096 + b"\r\nz NOOP\r\n")
        if b"z OK done\r\n" in settle(leg):
            return
    raise AssertionError(f"neither answered nor closed in {leg.state}")


RESPONSE = Secret(b64encode(b"alice\0gate\0sesame-sesame").decode())
PATHS = {
    UpstreamState.GREETING: b"",
    UpstreamState.CAPABILITIES: b"* OK hello\r\n",
    UpstreamState.STARTTLS: b"* OK [CAPABILITY STARTTLS] hello\r\n",
    UpstreamState.HANDSHAKE: b"* OK [CAPABILITY STARTTLS] hello\r\nw1 OK go\r\n",
    UpstreamState.TELLING: b"* OK hello\r\n",
    UpstreamState.MECHANISMS: b"* OK hello\r\n",
    UpstreamState.CHALLENGE: b"* OK hello\r\n",
    UpstreamState.VERDICT: b"* OK hello\r\n+ \r\n",
    UpstreamState.CAPABILITIES_AFTER: b"* OK hello\r\n+ \r\nw1 OK in\r\n",
    UpstreamState.READY: b"* OK hello\r\n+ \r\nw1 OK [CAPABILITY IMAP4rev1] in\r\n",
    UpstreamState.FAILED: b"* BYE\r\n",
}
NEEDS_STARTTLS = (UpstreamState.CAPABILITIES, UpstreamState.STARTTLS, UpstreamState.HANDSHAKE)
SAYINGS = [
    *b"* + w1 w2 w3 OK NO BAD BYE PREAUTH [CAPABILITY ] CAPABILITY".split(),
    *b"STARTTLS SASL-IR IMAP4rev1 UNAUTHENTICATE AUTH=XOAUTH2".split(),
    *(b" ", b"\r\n", b"\n", b"{3}", b"\x00", b"\xe4", b"sesame-sesame"),
    RESPONSE.reveal_bytes(),
    b"* OK hello\r\n",
    b"w1 OK in\r\n",
    b"\x01",  # stands for much
]
sayings = st.lists(st.sampled_from(SAYINGS) | st.binary(max_size=4), max_size=40).map(b"".join)


@pytest.mark.parametrize("state", UpstreamState)
@given(data=sayings, at=sizes)
def test_upstream_leg(state, data, at):
    proof = bearer("sesame-sesame") if state is UpstreamState.MECHANISMS else plain_of(RESPONSE)
    told = b"ID (x-originating-ip 192.0.2.7)" if state is UpstreamState.TELLING else b""
    leg = UpstreamLeg(proof, starttls=state in NEEDS_STARTTLS, told=told)
    leg.receive(PATHS[state])
    leg.next()
    assert leg.state is state
    asked = leg.take_output()
    for part in cut(data.replace(b"\x01", MUCH), at):
        leg.receive(part)
        while (event := leg.next()) is not None:
            match event:
                case Handshake():
                    leg.secured()
                case Ready(capabilities):
                    assert re.fullmatch(rb"[!-~]+(?: [!-~]+)*", capabilities)
                    assert b"UNAUTHENTICATE" not in capabilities
                case Failed(cause) | Refused(cause):
                    assert cause.isascii()
                    assert cause.isprintable()
                    assert "sesame-sesame" not in cause
                    assert RESPONSE.reveal() not in cause
                    assert leg.take_output() == b""
            if leg.state in (UpstreamState.READY, UpstreamState.FAILED):
                return
    asked += leg.take_output()
    if state in NEEDS_STARTTLS and leg.state in NEEDS_STARTTLS:
        assert RESPONSE.reveal_bytes() not in asked
    leg.closed()
    if leg.state is not UpstreamState.READY:
        assert isinstance(leg.next(), Failed)
