"""The upstream leg where a dialog does not show it: what is logged, what is hidden, every state by name."""

from base64 import b64encode

import pytest

from auth.secret import Secret
from proxy.imap.upstream_leg import HIDDEN, Ready, UpstreamLeg, UpstreamState
from proxy.limits import UPSTREAM_PREAMBLE_OCTETS
from proxy.upstreams.proof import Proof
from proxy.upstreams.signing_in import Failed, Handshake
from support.proofs import bearer, plain_of

RESPONSE = Secret(b64encode(b"alice\0gate\0sesame").decode())
ENCODED = RESPONSE.reveal_bytes()
PROOF = plain_of(RESPONSE)
TOLD = b'ID ("x-originating-ip" "192.0.2.7")'
TO_CHALLENGE = b"* OK hello\r\n"
TO_VERDICT = TO_CHALLENGE + b"+ \r\n"

PATHS = {
    UpstreamState.GREETING: b"",
    UpstreamState.CHALLENGE: TO_CHALLENGE,
    UpstreamState.VERDICT: TO_VERDICT,
    UpstreamState.CAPABILITIES_AFTER: TO_VERDICT + b"w1 OK in\r\n",
    UpstreamState.READY: TO_VERDICT + b"w1 OK [CAPABILITY IMAP4rev1] in\r\n",
    UpstreamState.FAILED: b"* BYE no\r\n",
}
STARTTLS_PATHS = {
    UpstreamState.CAPABILITIES: TO_CHALLENGE,
    UpstreamState.STARTTLS: b"* OK [CAPABILITY STARTTLS] hello\r\n",
    UpstreamState.HANDSHAKE: b"* OK [CAPABILITY STARTTLS] hello\r\nw1 OK go\r\n",
}


def leg(
    octets: bytes = b"", *, starttls: bool = False, proof: Proof = PROOF, told: bytes = b""
) -> UpstreamLeg:
    made = UpstreamLeg(proof, starttls=starttls, told=told)
    made.receive(octets)
    return made


def at(state: UpstreamState) -> UpstreamLeg:
    if state is UpstreamState.MECHANISMS:
        made = leg(TO_CHALLENGE, proof=bearer())
    elif state is UpstreamState.TELLING:
        made = leg(TO_CHALLENGE, told=TOLD)
    else:
        made = leg(PATHS[state]) if state in PATHS else leg(STARTTLS_PATHS[state], starttls=True)
    made.next()
    assert made.state is state
    return made


def failure(octets: bytes, *, starttls: bool = False) -> str:
    event = leg(octets, starttls=starttls).next()
    assert isinstance(event, Failed)
    return event.cause


@pytest.mark.parametrize("state", UpstreamState)
def test_every_state_is_reached(state):
    at(state)


@pytest.mark.parametrize("state", sorted(set(UpstreamState) - {UpstreamState.READY, UpstreamState.FAILED}))
def test_an_upstream_that_closes_fails_in_every_state_and_the_log_names_the_state(state):
    made = at(state)
    made.closed()
    assert made.next() == Failed(f"closed the connection ({state})")
    assert made.take_output() == b""


@pytest.mark.parametrize(
    "state", sorted(set(UpstreamState) - {UpstreamState.READY, UpstreamState.FAILED, UpstreamState.HANDSHAKE})
)
@pytest.mark.parametrize(
    "octets", [b"* BYE x\r\n", b"zz OK x\r\n", b"\r\n", b"x\n", b"* {65536}\r\n", b"\xff\x00\r\n", b"*\r\n"]
)
def test_surprises_fail_in_every_state(state, octets):
    made = at(state)
    made.receive(octets)
    assert isinstance(made.next(), Failed)


@pytest.mark.parametrize("state", [UpstreamState.READY, UpstreamState.FAILED])
def test_the_end_is_the_end(state):
    made = at(state)
    made.receive(b"* BYE x\r\n")
    assert made.next() is None
    assert made.state is state


def test_octets_in_clear_behind_starttls_fail_whenever_they_come():
    assert failure(STARTTLS_PATHS[UpstreamState.HANDSHAKE] + b"w2 OK in\r\n", starttls=True).startswith(
        "sent octets in clear"
    )
    made = at(UpstreamState.HANDSHAKE)
    made.receive(b"w2 OK in\r\n")
    made.secured()
    assert isinstance(made.next(), Failed)
    assert ENCODED not in made.take_output()


def test_the_secret_waits_for_tls():
    made = leg(STARTTLS_PATHS[UpstreamState.STARTTLS], starttls=True)
    made.next()
    made.receive(b"w1 OK go\r\n")
    assert made.next() == Handshake()
    assert ENCODED not in made.take_output()
    made.secured()
    made.receive(b"+ \r\n")
    made.next()
    assert made.take_output() == b"w2 AUTHENTICATE PLAIN\r\n" + ENCODED + b"\r\n"


def test_the_client_is_told_of_before_the_sign_in_and_under_tls_where_there_is_tls():
    made = leg(b"* OK [CAPABILITY ID SASL-IR] hello\r\n", told=TOLD)
    assert made.next() is None
    assert made.take_output() == b"w1 " + TOLD + b"\r\n"
    made.receive(b"* ID NIL\r\nw1 OK done\r\n")
    assert made.next() is None
    assert made.take_output() == b"w2 AUTHENTICATE PLAIN " + ENCODED + b"\r\n"
    secured = leg(STARTTLS_PATHS[UpstreamState.HANDSHAKE], starttls=True, told=TOLD)
    assert secured.next() == Handshake()
    assert TOLD not in secured.take_output()
    secured.secured()
    assert secured.take_output() == b"w2 " + TOLD + b"\r\n"


@pytest.mark.parametrize("answer", [b"w1 NO who?", b"w1 BAD what?", b"+ go on"])
def test_an_upstream_that_refuses_to_be_told_fails(answer):
    made = leg(TO_CHALLENGE + answer + b"\r\n", told=TOLD)
    event = made.next()
    assert isinstance(event, Failed)
    assert "(telling who the client is)" in event.cause
    assert ENCODED not in made.take_output()


def test_what_comes_behind_the_tagged_ok_is_for_the_client():
    event = leg(TO_VERDICT + b"w1 OK [CAPABILITY IMAP4rev1] in\r\n* OK ho").next()
    assert event == Ready(b"IMAP4rev1", b"* OK ho")


@pytest.mark.parametrize("name", [*sorted(HIDDEN), b"AUTH=PLAIN", b"auth=x", b"StartTLS"])
def test_hidden_capabilities(name):
    octets = TO_VERDICT + b"w1 OK [CAPABILITY IMAP4rev1 " + name + b" IDLE] in\r\n"
    assert leg(octets).next() == Ready(b"IMAP4rev1 IDLE", b"", name == b"UNAUTHENTICATE")


def test_unauthenticate_is_remembered_from_any_list():
    greeting = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN unauthenticate] ready\r\n+ \r\n"
    assert leg(greeting + b"w1 OK [CAPABILITY IMAP4rev1] in\r\n").next() == Ready(b"IMAP4rev1", b"", True)


def test_a_list_with_odd_octets_is_no_list_and_is_asked_for_again():
    made = leg(TO_VERDICT + b"w1 OK [CAPABILITY IMAP4rev1 \x07] in\r\n")
    assert made.next() is None
    assert made.take_output().endswith(b"w2 CAPABILITY\r\n")


def test_the_code_of_the_tagged_ok_counts_more_than_what_came_before():
    octets = TO_VERDICT + b"* CAPABILITY IMAP4rev1 OLD\r\nw1 OK [CAPABILITY IMAP4rev1 NEW] in\r\n"
    assert leg(octets).next() == Ready(b"IMAP4rev1 NEW", b"")


def test_the_preamble_is_bounded_to_the_octet():
    tail = b"+ \r\nw1 OK [CAPABILITY IMAP4rev1] in\r\n"
    room = UPSTREAM_PREAMBLE_OCTETS - len(tail)
    assert isinstance(leg(b"* OK " + b"x" * (room - 7) + b"\r\n" + tail).next(), Ready)
    assert isinstance(leg(b"* OK " + b"x" * (room - 6) + b"\r\n" + tail).next(), Failed)
    assert isinstance(leg(b"x" * (UPSTREAM_PREAMBLE_OCTETS + 1)).next(), Failed)


def test_upstream_text_is_escaped_in_the_cause():
    cause = failure(b"* BYE \x1b[31m\xe2\x80\xaebye\r\r\n")
    assert cause.isascii()
    assert cause.isprintable()


def test_a_long_text_is_cut_in_the_cause():
    assert len(failure(b"* BYE " + b"x" * 9000 + b"\r\n")) < 300


def test_an_upstream_that_repeats_our_secret_puts_none_into_the_log():
    cause = failure(TO_VERDICT + b"w1 BAD what is " + ENCODED + b" with sesame?\r\n")
    assert "sesame" not in cause
    assert RESPONSE.reveal() not in cause
    assert "what is (hidden) with (hidden)?" in cause


def test_no_secret_in_a_repr():
    assert "sesame" not in repr(vars(leg()))
