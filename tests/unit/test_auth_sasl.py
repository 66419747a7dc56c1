"""SASL exchanges as they stand on the wire."""

import base64
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.names import canonical
from auth.sasl import (
    Challenge,
    Credentials,
    Login,
    Plain,
    SaslError,
    SaslProblem,
    credentials,
    decode_base64,
    decode_initial,
    mechanism,
)
from auth.secret import Secret


def b64(octets):
    return base64.b64encode(octets)


def problem(call, *arguments):
    with pytest.raises(SaslError) as caught:
        call(*arguments)
    return caught.value.problem


ALICE = Credentials(name="alice@example.org", secret=Secret("s3cret"))


def test_plain_with_and_without_initial_response():
    message = b64(b"\0alice@example.org\0s3cret")
    assert Plain().start(message) == ALICE
    plain = Plain()
    assert plain.start(None) == Challenge(line=b"")
    assert plain.step(message) == ALICE


@pytest.mark.parametrize("authzid", ["Alice@Example.ORG", "bob@example.org", "alice", "\u200b", "*"])
def test_whom_the_client_wants_to_act_as_is_passed_on_as_it_stands(authzid):
    message = b64(f"{authzid}\0alice@example.org\0s3cret".encode())
    assert Plain().start(message) == replace(ALICE, authzid=authzid)


def test_an_authzid_that_is_not_utf8_is_no_name():
    assert Plain().start(b64(b"\xff\0alice@example.org\0s3cret")) == replace(ALICE, authzid="\ufffd")
    assert canonical("\ufffd") is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"alice",
        b"alice\0s3cret",
        b"\0alice\0s3cret\0",
        b"\0alice\0s3\0cret",
        b"\0\0s3cret",
        b"\0alice\r\n\0s3cret",
        b"\0alice\0s3cret\r",
        b"\0alice\0s3cret\nA2 NOOP",
        b"a\n\0alice\0s3cret",
    ],
)
def test_plain_malformed(message):
    assert problem(Plain().start, b64(message) or b"=") is SaslProblem.MALFORMED


def test_login_asks_with_exactly_these_octets():
    login = Login()
    assert login.start(None) == Challenge(line=b"VXNlcm5hbWU6")
    assert login.step(b64(b"alice@example.org")) == Challenge(line=b"UGFzc3dvcmQ6")
    assert login.step(b64(b"s3cret")) == ALICE


def test_login_takes_the_name_as_initial_response():
    login = Login()
    assert login.start(b64(b"alice@example.org")) == Challenge(line=b"UGFzc3dvcmQ6")
    assert login.step(b64(b"s3cret")) == ALICE


@pytest.mark.parametrize("name", [b"", b"ali\0ce", b"alice\r", b"alice\n"])
def test_login_malformed_name(name):
    login = Login()
    login.start(None)
    assert problem(login.step, b64(name)) is SaslProblem.MALFORMED


@pytest.mark.parametrize("secret", [b"s3\0cret", b"s3cret\r\n", b"\n"])
def test_login_malformed_secret(secret):
    login = Login()
    login.start(b64(b"alice"))
    assert problem(login.step, b64(secret)) is SaslProblem.MALFORMED


def test_an_empty_secret_is_left_to_the_gate():
    login = Login()
    login.start(b64(b"alice"))
    assert login.step(b"") == Credentials(name="alice", secret=Secret(""))
    assert Plain().start(b64(b"\0alice\0")) == Credentials(name="alice", secret=Secret(""))


def test_a_star_cancels_at_every_step():
    plain, login = Plain(), Login()
    plain.start(None)
    assert problem(plain.step, b"*") is SaslProblem.CANCELLED
    login.start(None)
    assert problem(login.step, b"*") is SaslProblem.CANCELLED
    login.start(b64(b"alice"))
    assert problem(login.step, b"*") is SaslProblem.CANCELLED


def test_a_name_that_is_not_utf8_is_no_ones():
    found = Plain().start(b64(b"\0alice\xff\0s3cret"))
    assert found.name == "alice\ufffd"
    assert canonical(found.name) is None


def test_a_secret_keeps_its_octets():
    assert Plain().start(b64(b"\0alice\0caf\xe9")).secret.reveal_bytes() == b"caf\xe9"


@pytest.mark.parametrize("name", [b"PLAIN", b"plain", b"Plain"])
def test_mechanisms_are_found_in_any_case(name):
    assert isinstance(mechanism(name), Plain)
    assert isinstance(mechanism(b"login"), Login)


@pytest.mark.parametrize("name", [b"", b"CRAM-MD5", b"PLAIN ", b"XOAUTH2", b"\xff"])
def test_other_mechanisms_are_not_ours(name):
    assert mechanism(name) is None


def test_credentials_side_by_side():
    assert credentials(b"alice@example.org", b"s3cret") == ALICE
    assert problem(credentials, b"a\0b", b"s3cret") is SaslProblem.MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        b"=",
        b"A",
        b"AA",
        b"AA=",
        b"AB==",
        b"AAB=",
        b"AAAA=",
        b"AAAA====",
        b"QQ==QQ==",
        b"AA A",
        b" AAAA",
        b"AAAA\n",
        b"AA-_",
        b"\xff\xff\xff\xff",
        b"**",
        b"AAA\0",
    ],
)
def test_base64_is_strict(line):
    assert problem(decode_base64, line) is SaslProblem.BAD_BASE64


def test_an_equals_sign_is_nothing_only_as_initial_response():
    assert decode_initial(b"=") == b""
    assert decode_base64(b"") == b""


@given(st.binary(max_size=200))
def test_base64_comes_back(octets):
    assert decode_base64(b64(octets)) == octets
    assert decode_initial(b64(octets) or b"=") == octets


@given(st.text(string.ascii_letters + string.digits + "+/=-_ *\r\n", max_size=24))
def test_every_octet_string_decodes_in_one_form_or_not_at_all(line):
    try:
        octets = decode_base64(line.encode())
    except SaslError:
        return
    assert b64(octets) == line.encode()


@given(st.sampled_from([Plain, Login]), st.lists(st.none() | st.binary(max_size=40), min_size=1, max_size=4))
def test_no_line_does_anything_else_than_answer_or_end(make, lines):
    exchange = make()
    try:
        answer = exchange.start(lines[0] if lines[0] is None else b64(lines[0]))
        for line in lines[1:]:
            if isinstance(answer, Credentials):
                break
            answer = exchange.step(line or b"")
    except SaslError:
        return
    if isinstance(answer, Credentials):
        text = answer.name + answer.secret.reveal()
        assert not {"\r", "\n", "\0"} & set(text)
    else:
        assert answer.line in (b"", b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6")


def test_nothing_is_shown():
    for found in SaslProblem:
        assert str(SaslError(found)) == found.value
    assert "s3cret" not in repr(ALICE)
