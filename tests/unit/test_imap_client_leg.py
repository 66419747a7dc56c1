"""The client leg where a dialog does not show it: every refusal, held octets, what is remembered."""

import pytest

from auth.refusal import Reason, Refusal
from proxy.dialog import ClientState, Ending, HangUp, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import House, imap_no
from proxy.imap.client_leg import ClientLeg
from proxy.limits import COMMANDS_PER_CONNECTION, PIPELINED_OCTETS

HOUSE = House(host="mail.example.org")


def leg(*, secure: bool = True) -> ClientLeg:
    made = ClientLeg(HOUSE, secure=secure)
    made.take_output()
    return made


def asked(octets: bytes = b"a LOGIN alice pw\r\n") -> tuple[ClientLeg, Asked]:
    made = leg()
    made.receive(octets)
    event = made.next()
    assert isinstance(event, Asked)
    made.take_output()
    return made, event


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_a_tagged_no_and_leaves_the_connection_open(reason):
    made, _ = asked()
    refusal = Refusal(reason=reason)
    made.refused(refusal)
    assert made.take_output() == b"a " + imap_no(refusal, HOUSE).encode() + b"\r\n"
    assert made.state is ClientState.SECURE
    made.receive(b"b NOOP\r\n")
    assert made.next() is None
    assert made.take_output() == b"b OK done\r\n"


@pytest.mark.parametrize("state", ClientState)
def test_every_state_is_reached_and_nothing_but_commands_states_answer(state):
    made = {
        ClientState.CLEAR: lambda: leg(secure=False),
        ClientState.SWITCHING: lambda: after(leg(secure=False), b"a STARTTLS\r\n"),
        ClientState.SECURE: leg,
        ClientState.SASL: lambda: after(leg(), b"a AUTHENTICATE PLAIN\r\n"),
        ClientState.SIGNING_IN: lambda: asked()[0],
        ClientState.SIGNED_IN: signed_in,
        ClientState.CLOSING: lambda: after(leg(), b"a LOGOUT\r\n"),
    }[state]()
    assert made.state is state
    made.receive(b"z NOOP\r\n")
    made.next()
    assert bool(made.take_output()) == (state in (ClientState.CLEAR, ClientState.SECURE, ClientState.SASL))


def after(made: ClientLeg, octets: bytes) -> ClientLeg:
    made.receive(octets)
    made.next()
    made.take_output()
    return made


def signed_in() -> ClientLeg:
    made, _ = asked()
    made.granted(b"IMAP4rev1")
    made.take_output()
    return made


def test_octets_behind_a_sign_in_wait_and_are_handed_over_once():
    made, _ = asked(b"a LOGIN alice pw\r\nb SELECT INB")
    made.receive(b"OX\r\n")
    assert made.next() is None
    assert made.take_output() == b""
    assert made.granted(b"IMAP4rev1 IDLE") == b"b SELECT INBOX\r\n"
    assert made.take_output() == b"a OK [CAPABILITY IMAP4rev1 IDLE] signed in\r\n"
    assert made.room == PIPELINED_OCTETS


def test_room_shrinks_with_what_is_held():
    made, _ = asked()
    made.receive(b"x" * 1000)
    assert made.room == PIPELINED_OCTETS - 1000
    made.receive(b"x" * PIPELINED_OCTETS)
    assert made.room == 0


def test_the_client_name_is_told_with_the_sign_in():
    assert asked(b'a ID ("name" "Thunderbird")\r\nb LOGIN alice pw\r\n')[1].client_name == "Thunderbird"
    assert asked()[1].client_name == ""


def test_a_client_name_told_in_clear_is_forgotten():
    made = after(leg(secure=False), b'a ID ("name" "Mallory")\r\nb STARTTLS\r\nc LOGIN eve ')
    made.receive(b"pw\r\n")  # came before the handshake too
    made.secured()
    made.receive(b"d LOGIN alice pw\r\n")
    event = made.next()
    assert isinstance(event, Asked)
    assert (event.name, event.client_name) == ("alice", "")


def test_starttls_says_ok_before_the_handshake():
    made = leg(secure=False)
    made.receive(b"a STARTTLS\r\n")
    assert made.next() == SwitchToTls()
    assert made.take_output() == b"a OK begin TLS now\r\n"


def test_the_secret_is_taken_as_it_came():
    _, event = asked(b"a LOGIN alice {7+}\r\n k7 \xff- \r\n")
    assert event.secret.reveal_bytes() == b" k7 \xff- "
    assert "k7" not in repr(event)


def test_a_name_that_is_not_utf8_is_nobodys():
    assert asked(b"a LOGIN {2+}\r\n\xe4x pw\r\n")[1].name == "\ufffdx"


@pytest.mark.parametrize(
    "state", [ClientState.CLEAR, ClientState.SECURE, ClientState.SASL, ClientState.SIGNING_IN]
)
def test_farewell_where_imap_is_spoken(state):
    made = {
        ClientState.CLEAR: lambda: leg(secure=False),
        ClientState.SECURE: leg,
        ClientState.SASL: lambda: after(leg(), b"a AUTHENTICATE PLAIN\r\n"),
        ClientState.SIGNING_IN: lambda: asked()[0],
    }[state]()
    made.farewell(Ending.TOO_SLOW)
    assert made.take_output() == b"* BYE sign-in took too long\r\n"
    assert made.next() == HangUp()


@pytest.mark.parametrize("made", [signed_in, lambda: after(leg(secure=False), b"a STARTTLS\r\n")])
def test_no_farewell_where_it_would_be_mistaken(made):
    quiet = made()
    quiet.farewell(Ending.TOO_SLOW)
    assert quiet.take_output() == b""


def test_hang_up_comes_once():
    made = leg()
    made.receive(b"a LOGOUT\r\nb NOOP\r\n")
    assert made.next() == HangUp()
    assert made.next() is None
    assert made.take_output() == b"* BYE see you\r\na OK done\r\n"


@pytest.mark.parametrize("secure", [False, True])
def test_a_flood_of_good_commands_ends(secure):
    made = leg(secure=secure)
    made.receive(b"a NOOP\r\n" * (COMMANDS_PER_CONNECTION + 50))
    assert made.next() == HangUp()
    told = made.take_output().splitlines()
    assert told == [b"a OK done"] * COMMANDS_PER_CONNECTION + [b"* BYE too many commands"]


def test_starttls_gives_no_new_count_of_commands():
    made = leg(secure=False)
    made.receive(b"a NOOP\r\n" * (COMMANDS_PER_CONNECTION - 1) + b"b STARTTLS\r\n")
    assert made.next() == SwitchToTls()
    made.secured()
    made.take_output()
    made.receive(b"c NOOP\r\n")
    assert made.next() == HangUp()
    assert made.take_output() == b"* BYE too many commands\r\n"
