"""The submission upstream's sign-in as dialogs: `<` is the upstream, `>` is what we say, in any pieces."""

from base64 import b64encode
from ipaddress import ip_address

import pytest

from auth.secret import Secret
from proxy.limits import UPSTREAM_PREAMBLE_OCTETS
from proxy.smtp.upstream_leg import Ready, UpstreamLeg, UpstreamState
from proxy.smtp.xclient import Xclient
from proxy.upstreams.proof import Mechanism
from proxy.upstreams.signing_in import Failed, Handshake, Refused
from support.proofs import bearer, plain_of
from support.transcript import ways, whole

MESSAGE = b64encode(b"alice@example.org\0gate\0open sesame")
LONG = b64encode(b"alice@example.org\0gate\0" + b"s" * 400)
TOO_LONG = b64encode(b"alice@example.org\0gate\0" + b"s" * 9300)
HELLO = ("<220 mx", ">EHLO gate.example.org")
OFFERS = "<250-mx\r\n250-SIZE 1000\r\n250-8bitmime\r\n250 AUTH LOGIN PLAIN"
AUTH = f">AUTH PLAIN {MESSAGE.decode()}"
TO_TLS = (*HELLO, "<250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS", ">STARTTLS", "<220 go")
WHOM = Xclient(client=(ip_address("192.0.2.7"), 40_000))
MAY_BE_TOLD = "<250-mx\r\n250-AUTH PLAIN\r\n250 XCLIENT NAME ADDR PROTO LOGIN"
TOLD = ">XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PROTO=ESMTP"
IN = {"SIZE": "1000", "8BITMIME": "", "AUTH": "LOGIN PLAIN"}


def leg(
    response: bytes | None = MESSAGE, *, starttls: bool = False, xclient: Xclient | None = None
) -> UpstreamLeg:
    proof = None if response is None else plain_of(Secret(response.decode()))
    return UpstreamLeg("gate.example.org", proof, starttls=starttls, xclient=xclient)


def play(made: UpstreamLeg, steps, split=whole):
    """Play the steps; give the last event."""
    event = None
    for step in steps:
        said = step[1:].encode() + b"\r\n"
        if step == "TLS":
            assert event == Handshake()
            made.secured()
            event = made.next()
        elif step == "END":
            made.closed()
            event = made.next()
        elif step[0] == "<":
            for piece in split(said):
                made.receive(piece)
                event = made.next() or event
        else:
            assert (made.take_output(), event) == (said, None)
    assert made.take_output() == b""
    return event


READY = {
    "initial response": ((*HELLO, OFFERS, AUTH, "<235 2.7.0 in"), {}, IN),
    "a long greeting": (("<220-mx\r\n220-spam\r\n220 please", *HELLO[1:], OFFERS, AUTH, "<235 in"), {}, IN),
    "AUTH as of old": ((*HELLO, "<250-mx\r\n250 AUTH=PLAIN", AUTH, "<235 in"), {}, {"AUTH": "PLAIN"}),
    "AUTH twice": (
        (*HELLO, "<250-mx\r\n250-AUTH LOGIN\r\n250 AUTH=PLAIN", AUTH, "<235 in"), {}, {"AUTH": "LOGIN PLAIN"},
    ),
    "no keyword": ((*HELLO, "<250-mx\r\n250-AUTH plain\r\n250 -?", AUTH, "<235 in"), {}, {"AUTH": "plain"}),
    "a response too long for the command": (
        (*HELLO, OFFERS, ">AUTH PLAIN", "<334 ", f">{LONG.decode()}", "<235 in"), {"response": LONG}, IN,
    ),
    "nobody": ((*HELLO, "<250 mx"), {"response": None}, {}),
    "STARTTLS": ((*TO_TLS, "TLS", HELLO[1], OFFERS, AUTH, "<235 in"), {"starttls": True}, IN),
    "told": (
        (*HELLO, MAY_BE_TOLD, TOLD, "<220 mx", HELLO[1], OFFERS, AUTH, "<235 in"), {"xclient": WHOM}, IN,
    ),
    "told under TLS": (
        (*TO_TLS, "TLS", HELLO[1], MAY_BE_TOLD, TOLD, "<220-mx\r\n220 ho", HELLO[1], OFFERS, AUTH, "<235 in"),
        {"xclient": WHOM, "starttls": True}, IN,
    ),
    "told of nobody who signs in": (
        (*HELLO, MAY_BE_TOLD, f"{TOLD} LOGIN=a+2Bb@x", "<220 mx", HELLO[1], OFFERS),
        {"xclient": Xclient(client=WHOM.client, login="a+b@x"), "response": None}, IN,
    ),
    "nobody under TLS": (
        (*TO_TLS, "TLS", HELLO[1], OFFERS), {"starttls": True, "response": None}, IN,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READY)
def test_ready(name):
    steps, options, extensions = READY[name]
    for split in ways().values():
        made = leg(**options)
        assert play(made, steps, split) == Ready(extensions, b"")
        assert made.state is UpstreamState.READY


FAILED = {
    "the end": (("END",), {}, "closed the connection (waiting for the greeting)"),
    "554 first": (("<554 no",), {}, "did not greet with 220 (waiting for the greeting): '554 no'"),
    "421 first": (("<421 busy",), {}, "did not greet with 220"),
    "HTTP": (("<HTTP/1.1 400 Bad Request",), {}, "sent what is no reply"),
    "no EHLO": ((*HELLO, "<502 what?"), {}, "refused EHLO (waiting for the answer to EHLO): '502 what?'"),
    "no AUTH": ((*HELLO, "<250 mx"), {}, "does not offer AUTH PLAIN"),
    "no PLAIN": ((*HELLO, "<250-mx\r\n250 AUTH LOGIN PLAIN-ISH"), {}, "does not offer AUTH PLAIN"),
    "AUTH refused": (
        (*HELLO, OFFERS, AUTH, "<535 5.7.8 \x1b[31mno"), {},
        "refused our sign-in (waiting for the answer to our sign-in): '535 5.7.8 \\x1b[31mno'",
    ),
    "AUTH later": ((*HELLO, OFFERS, AUTH, "<454 4.7.0 later"), {}, "'454 4.7.0 later'"),
    "a second challenge": ((*HELLO, OFFERS, AUTH, "<334 more"), {}, "refused our sign-in"),
    "250 to AUTH": ((*HELLO, OFFERS, AUTH, "<250 in"), {}, "refused our sign-in"),
    "no challenge": ((*HELLO, OFFERS, ">AUTH PLAIN", "<501 no"), {"response": LONG}, "refused AUTH"),
    "235 for a challenge": (
        (*HELLO, OFFERS, ">AUTH PLAIN", "<235 in"), {"response": LONG}, "refused AUTH",
    ),
    "too long": ((*HELLO, OFFERS), {"response": TOO_LONG}, "response of more than 12288 octets"),
    "no STARTTLS": ((*HELLO, OFFERS), {"starttls": True}, "does not offer STARTTLS"),
    "STARTTLS refused": (
        (*HELLO, "<250-mx\r\n250 STARTTLS", ">STARTTLS", "<454 no"), {"starttls": True}, "refused STARTTLS",
    ),
    "250 to STARTTLS": (
        (*HELLO, "<250-mx\r\n250 STARTTLS", ">STARTTLS", "<250 go"), {"starttls": True}, "refused STARTTLS",
    ),
    "no XCLIENT": (
        (*HELLO, OFFERS), {"xclient": WHOM}, "does not offer XCLIENT ADDR to the gate, which client_address",
    ),
    "no XCLIENT LOGIN": (
        (*HELLO, "<250-mx\r\n250 XCLIENT ADDR"), {"xclient": Xclient(client=WHOM.client, login="a")},
        "does not offer XCLIENT LOGIN",
    ),
    "a login too long for XCLIENT": (
        (*HELLO, MAY_BE_TOLD), {"xclient": Xclient(client=WHOM.client, login="=" * 160)},
        "XCLIENT of more than 512 octets",
    ),
    "XCLIENT refused": (
        (*HELLO, MAY_BE_TOLD, TOLD, "<550 5.7.0 no"), {"xclient": WHOM},
        "refused XCLIENT (telling who the client is): '550 5.7.0 no'",
    ),
    "250 to XCLIENT": ((*HELLO, MAY_BE_TOLD, TOLD, "<250 mx"), {"xclient": WHOM}, "refused XCLIENT"),
    "no EHLO behind XCLIENT": (
        (*HELLO, MAY_BE_TOLD, TOLD, "<220 mx", HELLO[1], "<554 no"), {"xclient": WHOM}, "refused EHLO",
    ),
    "AUTH before XCLIENT only": (
        (*HELLO, MAY_BE_TOLD, TOLD, "<220 mx", HELLO[1], "<250 mx"), {"xclient": WHOM}, "not offer AUTH",
    ),
    "AUTH in clear only": ((*TO_TLS, "TLS", HELLO[1], "<250 mx"), {"starttls": True}, "not offer AUTH PLAIN"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILED)
def test_failed(name):
    steps, options, cause = FAILED[name]
    for split in ways().values():
        made = leg(**options)
        event = play(made, steps, split)
        assert isinstance(event, Refused if name == "AUTH refused" else Failed)
        assert cause in event.cause
        assert made.state is UpstreamState.FAILED


def test_octets_in_clear_behind_the_220_to_starttls_fail_in_one_piece_or_two():
    for pieces in ([b"220 go\r\n250 mx\r\n"], [b"220 go\r\n2", b"50 mx\r\n"], [b"220 go\r\n", b"250 mx\r\n"]):
        made = leg(starttls=True)
        play(made, TO_TLS[:-1])
        events = []
        for piece in pieces:
            made.receive(piece)
            events.append(made.next())
        if events[-1] is None:
            made.secured()
            events.append(made.next())
        assert isinstance(events[0] if len(events) == 1 else events[-1] or events[0], Failed)
        assert made.take_output() == b""


@pytest.mark.parametrize(
    "octets", [b"220 mx\r\n250 mx\r\n", b"220 mx\r\n2", b"220 mx\r\n250-mx\r\n250 AUTH PLAIN\r\n235 in\r\n"]
)
def test_an_answer_before_the_question_fails(octets):
    made = leg()
    made.receive(octets)
    event = made.next()
    assert isinstance(event, Failed)
    assert "more than it was asked" in event.cause


def test_what_comes_behind_the_last_reply_is_handed_on():
    made = leg()
    play(made, (*HELLO, OFFERS, AUTH))
    made.receive(b"235 in\r\n421 4.3.2 bye\r\n")
    assert made.next() == Ready(IN, b"421 4.3.2 bye\r\n")
    assert made.next() is None


def test_all_that_an_upstream_says_is_bounded():
    made = leg()
    play(made, HELLO)
    made.receive(b"250-" + b"x" * UPSTREAM_PREAMBLE_OCTETS)
    event = made.next()
    assert isinstance(event, Failed)
    assert "more than" in event.cause


def test_our_secret_is_blotted_out_of_a_complaint():
    made = leg()
    play(made, (*HELLO, OFFERS, AUTH))
    made.receive(b"535 " + MESSAGE + b" is open sesame\r\n")
    event = made.next()
    assert isinstance(event, Refused)
    assert event.cause.endswith("'535 (hidden) is (hidden)'")


def test_an_end_fails_in_every_state_and_the_log_names_it():
    for state, steps, options in (
        (UpstreamState.EHLO, HELLO, {}),
        (UpstreamState.STARTTLS, TO_TLS[:-1], {"starttls": True}),
        (UpstreamState.HANDSHAKE, TO_TLS, {"starttls": True}),
        (UpstreamState.EHLO_SECURED, (*TO_TLS, "TLS", HELLO[1]), {"starttls": True}),
        (UpstreamState.XCLIENT, (*HELLO, MAY_BE_TOLD, TOLD), {"xclient": WHOM}),
        (UpstreamState.EHLO_TOLD, (*HELLO, MAY_BE_TOLD, TOLD, "<220 mx", HELLO[1]), {"xclient": WHOM}),
        (UpstreamState.CHALLENGE, (*HELLO, OFFERS, ">AUTH PLAIN"), {"response": LONG}),
        (UpstreamState.VERDICT, (*HELLO, OFFERS, AUTH), {}),
    ):
        made = leg(**options)
        play(made, steps)
        assert made.state is state
        made.closed()
        assert made.next() == Failed(f"closed the connection ({state})")


XOAUTH2 = bearer().messages[Mechanism.XOAUTH2].reveal()
TOKEN_OFFERS = "<250-mx\r\n250 AUTH LOGIN XOAUTH2"
ERROR = b64encode(b'{"status":"401","schemes":"bearer"}').decode()


@pytest.mark.parametrize("split", ways().values())
def test_a_token_is_shown_by_the_mechanism_that_is_offered(split):
    made = UpstreamLeg("gate.example.org", bearer(), starttls=False)
    event = play(made, (*HELLO, TOKEN_OFFERS, f">AUTH XOAUTH2 {XOAUTH2}", "<235 in"), split)
    assert isinstance(event, Ready)


@pytest.mark.parametrize("split", ways().values())
def test_a_token_that_is_not_taken_is_complained_of_first(split):
    made = UpstreamLeg("gate.example.org", bearer(), starttls=False)
    steps = (*HELLO, TOKEN_OFFERS, f">AUTH XOAUTH2 {XOAUTH2}", f"<334 {ERROR}", ">", "<535 5.7.3 no")
    event = play(made, steps, split)
    assert isinstance(event, Refused)
    assert '"status":"401"' in event.cause
    assert "ya29" not in event.cause


def test_nothing_that_a_token_could_be_shown_by():
    made = UpstreamLeg("gate.example.org", bearer(), starttls=False)
    event = play(made, (*HELLO, OFFERS))
    assert event == Failed(f"does not offer AUTH OAUTHBEARER or XOAUTH2 ({UpstreamState.EHLO})")


def test_a_refusal_for_now_says_nothing_about_what_was_shown():
    made = leg()
    assert isinstance(play(made, (*HELLO, OFFERS, AUTH, "<454 later")), Failed)
