"""The submission client leg where a dialog does not show it: every state, held octets, what is remembered."""

import pytest

from auth.refusal import Reason, Refusal
from proxy.dialog import ClientState, Ending, HangUp, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import House, smtp_refusal
from proxy.limits import COMMANDS_PER_CONNECTION, PIPELINED_OCTETS, SMTP_SASL_LINE_OCTETS
from proxy.smtp.client_leg import ClientLeg
from proxy.smtp.command import LEGAL
from proxy.smtp.offer import Extra, Offer

HOUSE = House(host="mail.example.org")
AUTH = b"AUTH PLAIN AGFsaWNlAHB3\r\n"  # alice, pw


def leg(*, secure: bool = True, offer: Offer | None = None) -> ClientLeg:
    made = ClientLeg(HOUSE, offer or Offer(size_octets=1000), secure=secure)
    made.take_output()
    return made


def after(made: ClientLeg, octets: bytes) -> ClientLeg:
    made.receive(octets)
    made.next()
    made.take_output()
    return made


def asked(octets: bytes = b"EHLO x\r\n" + AUTH) -> tuple[ClientLeg, Asked]:
    made = leg()
    made.receive(octets)
    event = made.next()
    assert isinstance(event, Asked)
    made.take_output()
    return made, event


def signed_in() -> ClientLeg:
    made, _ = asked()
    made.granted()
    made.take_output()
    return made


STATES = {
    ClientState.CLEAR: lambda: leg(secure=False),
    ClientState.SWITCHING: lambda: after(leg(secure=False), b"STARTTLS\r\n"),
    ClientState.SECURE: leg,
    ClientState.SASL: lambda: after(leg(), b"EHLO x\r\nAUTH PLAIN\r\n"),
    ClientState.SIGNING_IN: lambda: asked()[0],
    ClientState.SIGNED_IN: signed_in,
    ClientState.CLOSING: lambda: after(leg(), b"QUIT\r\n"),
}


@pytest.mark.parametrize("state", ClientState)
def test_every_state_is_reached_and_nothing_but_command_states_answer(state):
    made = STATES[state]()
    assert made.state is state
    made.receive(b"NOOP\r\n")
    made.next()
    assert bool(made.take_output()) == (state in (*LEGAL, ClientState.SASL))


@pytest.mark.parametrize("reason", [each for each in Reason if each is not Reason.TOO_MUCH_WORK])
def test_every_refusal_leaves_the_connection_open(reason):
    made, _ = asked()
    refusal = Refusal(reason=reason)
    made.refused(refusal)
    assert made.take_output() == smtp_refusal(refusal, HOUSE)
    assert made.state is ClientState.SECURE
    made.receive(b"NOOP\r\n")
    assert made.next() is None
    assert made.take_output() == b"250 2.0.0 done\r\n"


def test_a_third_try_is_always_heard():
    made = leg()
    made.receive(b"EHLO x\r\n" + AUTH * 4)
    for _ in range(4):
        assert isinstance(made.next(), Asked)
        made.refused(Refusal(reason=Reason.BAD_CREDENTIALS))
    assert made.next() is None


def test_octets_behind_a_sign_in_wait_and_are_handed_over_once():
    made, _ = asked(b"EHLO x\r\n" + AUTH + b"MAIL FR")
    made.receive(b"OM:<a@x>\r\n")
    assert made.next() is None
    assert made.take_output() == b""
    assert made.granted() == b"MAIL FROM:<a@x>\r\n"
    assert made.take_output() == b"235 2.7.0 signed in\r\n"
    assert made.room == PIPELINED_OCTETS


def test_room_shrinks_with_what_is_held():
    made, _ = asked()
    made.receive(b"x" * 1000)
    assert made.room == PIPELINED_OCTETS - 1000
    made.receive(b"x" * PIPELINED_OCTETS)
    assert made.room == 0


@pytest.mark.parametrize(
    ("said", "kept"),
    [(b"DESKTOP_1", "DESKTOP_1"), (b"\xe4\x1b[0m", "\ufffd\ufffd[0m"), (b"x" * 200, "x" * 100)],
)
def test_what_the_client_calls_itself_is_told_with_the_sign_in(said, kept):
    assert asked(b"EHLO " + said + b"\r\n" + AUTH)[1].client_name == kept


def test_the_last_name_counts_and_one_told_in_clear_is_forgotten():
    made = after(leg(secure=False), b"EHLO mallory\r\nSTARTTLS\r\n")
    made.secured()
    made.receive(b"EHLO a\r\nEHLO b\r\n" + AUTH)
    event = made.next()
    assert isinstance(event, Asked)
    assert (event.name, event.client_name, event.authzid) == ("alice", "b", None)


def test_starttls_is_answered_before_the_handshake():
    made = leg(secure=False)
    made.receive(b"STARTTLS\r\nEHLO x\r\n")
    assert made.next() == SwitchToTls()
    assert made.take_output() == b"220 2.0.0 begin TLS now\r\n"
    assert made.room == PIPELINED_OCTETS, "what came behind it is kept"


def test_the_secret_is_taken_as_it_came_and_is_not_shown():
    _, event = asked(b"EHLO x\r\nAUTH PLAIN AGFsaWNlACBrNyD/\r\n")
    assert event.secret.reveal_bytes() == b" k7 \xff"
    assert "k7" not in repr(event)


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("state", ClientState)
def test_farewell_where_smtp_is_spoken(state, ending):
    made = STATES[state]()
    made.farewell(ending)
    quiet = (ClientState.SWITCHING, ClientState.CLOSING)
    said = made.take_output()
    assert said.startswith(b"421 4.") != (state in quiet)
    assert said == b"" or said.endswith(f" {ending}\r\n".encode())
    assert (made.next() == HangUp()) == (state not in quiet)


def test_hang_up_comes_once():
    made = leg()
    made.receive(b"QUIT\r\nNOOP\r\n")
    assert made.next() == HangUp()
    assert made.next() is None
    assert made.take_output() == b"221 2.0.0 see you\r\n"


@pytest.mark.parametrize("secure", [False, True])
def test_a_flood_of_good_commands_ends(secure):
    made = leg(secure=secure)
    made.receive(b"NOOP\r\n" * (COMMANDS_PER_CONNECTION + 50))
    assert made.next() == HangUp()
    told = made.take_output().splitlines()
    assert told == [b"250 2.0.0 done"] * COMMANDS_PER_CONNECTION + [b"421 4.7.0 too many commands"]


def test_starttls_gives_no_new_count_of_commands():
    made = leg(secure=False)
    made.receive(b"NOOP\r\n" * (COMMANDS_PER_CONNECTION - 1) + b"STARTTLS\r\n")
    assert made.next() == SwitchToTls()
    made.secured()
    made.take_output()
    made.receive(b"NOOP\r\n")
    assert made.next() == HangUp()
    assert made.take_output() == b"421 4.7.0 too many commands\r\n"


def test_extras_are_shown_when_the_config_says_so():
    made = leg(offer=Offer(size_octets=0, extras=(Extra.SMTPUTF8, Extra.DSN)))
    made.receive(b"EHLO x\r\n")
    made.next()
    assert made.take_output() == (
        b"250-mail.example.org\r\n250-SIZE 0\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
        b"250-SMTPUTF8\r\n250-DSN\r\n250 AUTH PLAIN LOGIN\r\n"
    )


@pytest.mark.parametrize("octets", [b"x" * 8192, b"AUTH " + b"x" * 8187, b"\n" * 8192, b"\r" * 8192])
@pytest.mark.parametrize("state", [ClientState.CLEAR, ClientState.SECURE, ClientState.SASL])
def test_a_line_without_end_holds_no_more_than_a_line(state, octets):
    made = STATES[state]()
    for _ in range(20):
        made.receive(octets)
        made.next()
        assert PIPELINED_OCTETS - made.room <= SMTP_SASL_LINE_OCTETS
