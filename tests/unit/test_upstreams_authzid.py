"""SASL PLAIN on behalf of an account."""

from base64 import b64decode
from dataclasses import replace

import pytest

from auth.secret import Secret
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant, Scope

GRANT = Grant(
    account_id="ac_1",
    email="alice@example.org",
    app_password_id="ap_1",
    label="phone",
    scopes=frozenset({Scope.MAIL}),
)
GATE = Authzid(user="gate", secret=Secret("sesame"))


def test_the_message_names_the_account_then_the_gate():
    message = GATE.plain(GRANT)
    assert b64decode(message.reveal()) == b"alice@example.org\0gate\0sesame"
    assert "sesame" not in repr(GATE)


@pytest.mark.parametrize(
    ("template", "login"),
    [
        ("{email}", "alice@example.org"),
        ("{user}", "alice"),
        ("{user}+x@{domain}", "alice+x@example.org"),
        ("{domain}/{user}/{user}", "example.org/alice/alice"),
        ("{other}{user}", "{other}alice"),
    ],
)
def test_login_template(template, login):
    assert replace(GATE, login=template).login_of(GRANT) == login


def test_braces_in_an_address_are_not_filled_in():
    assert GATE.login_of(replace(GRANT, email="{domain}@example.org")) == "{domain}@example.org"


def test_a_secret_is_sent_in_utf8():
    assert b64decode(replace(GATE, secret=Secret("ä")).plain(GRANT).reveal()).endswith(b"\0\xc3\xa4")


@pytest.mark.parametrize(
    "sign_in",
    [
        replace(GATE, user=""),
        replace(GATE, user="ga\0te"),
        replace(GATE, secret=Secret("")),
        replace(GATE, secret=Secret("a\0b")),
        replace(GATE, login=""),
    ],
)
def test_what_would_change_the_message_fails_closed(sign_in):
    with pytest.raises(UpstreamFailure) as caught:
        sign_in.plain(GRANT)
    assert "a\0b" not in str(caught.value)
