"""Every byte string in every state of the submission client leg ends in clean replies or a clean close."""

from __future__ import annotations

import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialog import ClientState, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import UNAVAILABLE, House
from proxy.smtp.client_leg import ClientLeg
from proxy.smtp.offer import Offer

REPLY = re.compile(rb"(?:[245][0-9]{2}[ -]|334 )[ -~]*")
STATUS = re.compile(rb"[45][0-9]{2}[ -][45]\.[0-9]\.[0-9]{1,2} [ -~]+")
"""RFC 2034 §4: with ENHANCEDSTATUSCODES every refusal begins with a status."""
SECRET = b"k7mq2xwdhnrp4tvc9zsa"
MESSAGE = b64encode(b"\0alice\0" + SECRET)
AUTH = b"EHLO x\r\nAUTH PLAIN " + MESSAGE + b"\r\n"
BEFORE = {
    ClientState.CLEAR: b"",
    ClientState.SWITCHING: b"STARTTLS\r\n",
    ClientState.SECURE: b"EHLO x\r\n",
    ClientState.SASL: b"EHLO x\r\nAUTH LOGIN\r\n",
    ClientState.SIGNING_IN: AUTH,
    ClientState.SIGNED_IN: AUTH,
    ClientState.CLOSING: b"QUIT\r\n",
}
WORDS = [
    *b"EHLO HELO NOOP AUTH PLAIN LOGIN STARTTLS RSET QUIT HELP MAIL RCPT DATA BDAT GET = * .".split(),
    *(b" ", b" ", b"\r\n", b"\r\n", b"\n", b"\r", b"\x00", b"\xe4", b"<", b">", b":"),
    SECRET,
    b64encode(SECRET),
    MESSAGE,
    b"YWxpY2U=",
    b"\x01",  # stands for much
]
MUCH = b"x" * 13_000
QUIET = (ClientState.SWITCHING, ClientState.SIGNED_IN)
octets = st.lists(st.sampled_from(WORDS) | st.binary(max_size=4), max_size=60).map(b"".join)
sizes = st.lists(st.integers(1, 40), max_size=40)


def client_in(state: ClientState) -> ClientLeg:
    secure = state not in (ClientState.CLEAR, ClientState.SWITCHING)
    leg = ClientLeg(House(host="h"), Offer(size_octets=1), secure=secure)
    leg.receive(BEFORE[state])
    leg.next()
    if state is ClientState.SIGNED_IN:
        leg.granted()
    leg.take_output()
    assert leg.state is state
    return leg


def settle(leg: ClientLeg, asked: list[Asked]) -> bytes:
    """Answer everything the leg asks for: handshakes succeed, sign-ins are refused."""
    said = b""
    while (event := leg.next()) is not None:
        said += leg.take_output()
        match event:
            case SwitchToTls():
                leg.secured()
            case Asked():
                asked.append(event)
                leg.refused(UNAVAILABLE)
    return said + leg.take_output()


def fed(leg: ClientLeg, data: bytes, at: list[int]) -> tuple[bytes, list[Asked]]:
    """Feed octets in pieces of these sizes, then the rest; gives what was said and asked."""
    said, asked = b"", []
    for size in [*at, len(data)]:
        leg.receive(data[:size])
        data = data[size:]
        said += settle(leg, asked)
    return said, asked


@pytest.mark.parametrize("state", [each for each in ClientState if each not in QUIET])
@given(data=octets, at=sizes)
def test_smtp_client_leg(state, data, at):
    leg = client_in(state)
    if state is ClientState.SIGNING_IN:
        leg.receive(data[:20])
        assert leg.next() is None
        leg.refused(UNAVAILABLE)
        leg.take_output()
    said, _ = fed(leg, data.replace(b"\x01", MUCH), at)
    assert not said or said.endswith(b"\r\n")
    for line in said.split(b"\r\n")[:-1]:
        assert REPLY.fullmatch(line), line
        assert line[:1] not in b"45" or STATUS.fullmatch(line), line
        assert SECRET not in line
        assert MESSAGE not in line
    for _ in range(20):  # whatever is open, it can be ended: by an answer or by a close
        if leg.state is ClientState.CLOSING:
            return
        leg.receive(b"x" * 4096 + b"\r\nNOOP\r\n")
        if settle(leg, []).endswith(b"250 2.0.0 done\r\n"):
            return
    raise AssertionError(f"neither answered nor closed in {leg.state}")


@pytest.mark.parametrize("state", QUIET)
@given(data=octets)
def test_smtp_client_leg_says_nothing_where_it_would_be_mistaken(state, data):
    leg = client_in(state)
    leg.receive(data.replace(b"\x01", MUCH))
    assert leg.next() is None
    assert leg.take_output() == b""


@pytest.mark.parametrize("state", [ClientState.SECURE, ClientState.SASL])
@given(data=octets, at=sizes)
def test_how_octets_are_split_makes_no_difference_to_what_is_said_and_asked(state, data, at):
    data = data.replace(b"\x01", MUCH)
    whole = fed(client_in(state), data, [])
    assert fed(client_in(state), data, at) == whole


@given(data=octets, at=sizes)
def test_nothing_said_in_clear_reaches_the_gate(data, at):
    clear = data.replace(b"\x01", MUCH).replace(b"STARTTLS", b"NOOP")
    said, asked = fed(client_in(ClientState.CLEAR), clear, at)
    assert not asked
    assert b"334" not in said
    assert b"AUTH PLAIN" not in said
