"""SASL PLAIN on behalf of an account."""

from base64 import b64decode
from dataclasses import replace

import pytest

from auth.secret import Secret
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.login import Logins
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Mechanism
from scopes.model import Grant, Scope

GRANT = Grant(
    account_id="ac_1",
    email="alice@example.org",
    app_password_id="ap_1",
    label="phone",
    scopes=frozenset({Scope.MAIL}),
)
GATE = Authzid(user="gate", secret=Secret("sesame"))


async def message_of(sign_in: Authzid) -> Secret:
    return (await sign_in.proof(GRANT)).messages[Mechanism.PLAIN]


async def test_the_message_names_the_account_then_the_gate():
    message = await message_of(GATE)
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
    assert replace(GATE, logins=Logins(template=template)).login_of(GRANT) == login


def test_braces_in_an_address_are_not_filled_in():
    assert GATE.login_of(replace(GRANT, email="{domain}@example.org")) == "{domain}@example.org"


async def test_a_secret_is_sent_in_utf8():
    assert b64decode((await message_of(replace(GATE, secret=Secret("ä")))).reveal()).endswith(b"\0\xc3\xa4")


@pytest.mark.parametrize(
    "sign_in",
    [
        replace(GATE, user=""),
        replace(GATE, user="ga\0te"),
        replace(GATE, secret=Secret("")),
        replace(GATE, secret=Secret("a\0b")),
        replace(GATE, logins=Logins(template="")),
    ],
)
async def test_what_would_change_the_message_fails_closed(sign_in):
    with pytest.raises(UpstreamFailure) as caught:
        await sign_in.proof(GRANT)
    assert "a\0b" not in str(caught.value)
