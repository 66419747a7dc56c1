"""Which IMAP commands are legal before sign-in, and what they mean."""

import pytest

from auth.secret import Secret
from proxy.dialog import CLIENT_NAME_CHARACTERS, ClientState
from proxy.imap.command import (
    LEGAL,
    Authenticate,
    Capability,
    Id,
    Login,
    Logout,
    Noop,
    StartTls,
    Verdict,
    understand,
    verdict,
)
from proxy.imap.grammar import Atom, BadCommand, Command, String, Why

TAKEN, NEEDS_TLS, BAD = Verdict.TAKEN, Verdict.NEEDS_TLS, Verdict.BAD
TABLE = {
    b"CAPABILITY": (TAKEN, TAKEN),
    b"NOOP": (TAKEN, TAKEN),
    b"LOGOUT": (TAKEN, TAKEN),
    b"ID": (TAKEN, TAKEN),
    b"STARTTLS": (TAKEN, BAD),
    b"LOGIN": (NEEDS_TLS, TAKEN),
    b"AUTHENTICATE": (NEEDS_TLS, TAKEN),
    b"SELECT": (BAD, BAD),
    b"COMPRESS": (BAD, BAD),
    b"UNAUTHENTICATE": (BAD, BAD),
    b"ENABLE": (BAD, BAD),
    b"": (BAD, BAD),
}


@pytest.mark.parametrize(("name", "expected"), TABLE.items())
def test_verdict_in_clear_and_under_tls(name, expected):
    assert (verdict(ClientState.CLEAR, name), verdict(ClientState.SECURE, name)) == expected


@pytest.mark.parametrize("state", sorted(set(ClientState) - {ClientState.CLEAR, ClientState.SECURE}))
def test_in_every_other_state_nothing_is_a_command(state):
    assert {verdict(state, name) for name in TABLE} == {BAD}


def test_the_table_holds_no_other_command():
    assert {name for commands in LEGAL.values() for name in commands} == {
        name for name, verdicts in TABLE.items() if verdicts != (BAD, BAD)
    }


def said(name: bytes, *arguments) -> object:
    return understand(Command(tag=b"a", name=name, arguments=arguments))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (b"CAPABILITY", (), Capability()),
        (b"NOOP", (), Noop()),
        (b"LOGOUT", (), Logout()),
        (b"STARTTLS", (), StartTls()),
        (b"ID", (Atom(b"nil"),), Id("")),
        (b"ID", ((),), Id("")),
        (b"ID", ((String(b"NAME"), String(b"Mail")),), Id("Mail")),
        (b"ID", ((Atom(b"os"), Atom(b"NIL"), String(b"name"), Atom(b"mutt")),), Id("mutt")),
        (b"ID", ((String(b"name"), Atom(b"nil")),), Id("")),
        (b"LOGIN", (Atom(b"a"), String(b"\xff")), Login(b"a", Secret("\udcff"))),
        (b"LOGIN", (String(b""), Atom(b"b")), Login(b"", Secret("b"))),
        (b"AUTHENTICATE", (Atom(b"plain"),), Authenticate(b"PLAIN", None)),
        (b"AUTHENTICATE", (String(b"Login"), Atom(b"=")), Authenticate(b"LOGIN", b"=")),
    ],
)
def test_understand(name, arguments, expected):
    assert said(name, *arguments) == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (b"CAPABILITY", (Atom(b"x"),)),
        (b"NOOP", ((),)),
        (b"LOGOUT", (Atom(b"x"),)),
        (b"STARTTLS", (Atom(b"x"),)),
        (b"ID", ()),
        (b"ID", (Atom(b"x"),)),
        (b"ID", (String(b"NIL"),)),
        (b"ID", ((String(b"name"),),)),
        (b"ID", (((), String(b"x")),)),
        (b"ID", ((String(b"x"), Atom(b"y")) * 31,)),
        (b"ID", ((String(b"name"), String(b"x" * 1025)),)),
        (b"LOGIN", (Atom(b"a"),)),
        (b"LOGIN", (Atom(b"a"), ())),
        (b"LOGIN", (Atom(b"a"), Atom(b"b"), Atom(b"c"))),
        (b"AUTHENTICATE", ()),
        (b"AUTHENTICATE", ((),)),
        (b"AUTHENTICATE", (Atom(b"a"), Atom(b"b"), Atom(b"c"))),
        (b"SELECT", (Atom(b"INBOX"),)),
    ],
)
def test_wrong_arguments(name, arguments):
    with pytest.raises(BadCommand) as caught:
        said(name, *arguments)
    assert (caught.value.tag, caught.value.why) == (b"a", Why.BAD_SYNTAX)


def test_thirty_pairs_of_id_are_read():
    assert said(b"ID", (String(b"x"), Atom(b"y")) * 29 + (Atom(b"name"), Atom(b"z"))) == Id("z")


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"K-9\r\nMail\x1b[31m", "K-9\ufffd\ufffdMail\ufffd[31m"),
        ("a\u202eb".encode(), "a\ufffdb"),
        (b"\xff", "\ufffd"),
        (b"x" * 1024, "x" * CLIENT_NAME_CHARACTERS),
        ("Büro".encode(), "Büro"),
    ],
)
def test_a_client_name_is_printable_and_short(octets, shown):
    assert said(b"ID", (Atom(b"name"), String(octets))) == Id(shown)


def test_no_secret_in_a_repr():
    assert "sesame" not in repr(said(b"LOGIN", Atom(b"a"), Atom(b"sesame")))
    assert "sesame" not in repr(said(b"AUTHENTICATE", Atom(b"PLAIN"), Atom(b"sesame")))
