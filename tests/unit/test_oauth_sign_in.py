"""What a mail server is shown: the messages of OAUTHBEARER and XOAUTH2, for the account's own login."""

from base64 import b64decode

import pytest

from auth.oauth_tokens import StoredToken
from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.upstreams.login import Logins
from proxy.upstreams.oauth2.provider import Answer, Provider, Request
from proxy.upstreams.oauth2.sign_in import OAuth2, token_proof
from proxy.upstreams.oauth2.tokens import AccessTokens
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Mechanism
from scopes.model import Grant, Identity, IdentityKind, Scope, Service

SERVER = Address(kind=AddressKind.IMAPS, host="server.example.com", port=143)
TOKEN = Secret("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")


def said(mechanism: Mechanism, login: str, address: Address = SERVER) -> bytes:
    return b64decode(token_proof(login, TOKEN, address).messages[mechanism].reveal_bytes())


def test_oauthbearer_as_in_the_standard():
    """RFC 7628 §4.1."""
    wanted = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    assert said(Mechanism.OAUTHBEARER, "user@example.com") == wanted


def test_xoauth2_as_google_documents_it():
    proof = token_proof(
        "someuser@example.com", Secret("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"), SERVER
    )
    wanted = (
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52"
        "YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )
    assert proof.messages[Mechanism.XOAUTH2] == Secret(wanted)


def test_the_standard_is_shown_where_both_are_offered():
    proof = token_proof("a@example.org", TOKEN, SERVER)
    assert proof.chosen(["XOAUTH2", "OAUTHBEARER", "PLAIN"]) is Mechanism.OAUTHBEARER
    assert proof.chosen(["PLAIN", "XOAUTH2"]) is Mechanism.XOAUTH2
    assert proof.chosen(["PLAIN"]) is None


def test_a_socket_has_no_host():
    assert b"host=" not in said(Mechanism.OAUTHBEARER, "a@example.org", Address(kind=AddressKind.UNIX))


def test_commas_and_equals_signs_of_a_login_end_no_field():
    """RFC 5801 §4."""
    assert said(Mechanism.OAUTHBEARER, "a=b,c@example.org").startswith(b"n,a=a=3Db=2Cc@example.org,\x01")
    assert said(Mechanism.XOAUTH2, "a=b,c@example.org").startswith(b"user=a=b,c@example.org\x01")


def test_the_token_is_blotted_out_of_what_the_server_says():
    proof = token_proof("a@example.org", TOKEN, SERVER)
    whole = proof.messages[Mechanism.XOAUTH2].reveal_bytes()
    assert (
        proof.without_secrets(b"bad " + TOKEN.reveal_bytes() + b" in " + whole) == b"bad (hidden) in (hidden)"
    )


# --- the kind -----------------------------------------------------------------------------------------------


class OneToken:
    async def read(self, account_id: str) -> StoredToken:
        assert account_id == "ac_1"
        return StoredToken(refresh=Secret("rt"), refused_at=None, version=1)


async def gives(request: Request) -> Answer:
    return Answer(status=200, body=b'{"access_token": "at", "token_type": "bearer", "expires_in": 3600}')


def kind() -> OAuth2:
    provider = Provider(name="home", token_endpoint="https://l.example/t", scopes=("imap",), client_id="gate")
    logins = Logins(template="{user}@work.example", service=Service.IMAP)
    return OAuth2(tokens=AccessTokens(provider, gives, OneToken()), logins=logins, address=SERVER)


def grant(login: str | None = None) -> Grant:
    own = (
        {}
        if login is None
        else {Service.IMAP: Identity(kind=IdentityKind.OAUTH2, login=login, provider="home")}
    )
    return Grant(
        account_id="ac_1", email="alice@example.org", app_password_id="ap_1", label="x",
        scopes=frozenset({Scope.MAIL}), identities=own,
    )  # fmt: skip


@pytest.mark.parametrize(("own", "login"), [(None, "alice@work.example"), ("al@gmail.com", "al@gmail.com")])
async def test_the_login_is_the_accounts_own_or_as_the_config_says(own, login):
    assert kind().login_of(grant(own)) == login
    proof = await kind().proof(grant(own))
    assert b64decode(proof.messages[Mechanism.XOAUTH2].reveal()).startswith(f"user={login}\x01".encode())


@pytest.mark.parametrize("login", ["", "a\x01auth=Bearer x", "a\r\nb", "a\0b"])
async def test_a_login_that_would_say_more_than_a_name_is_refused(login):
    with pytest.raises(UpstreamFailure, match="login"):
        await kind().proof(grant(login))


async def test_a_refused_token_is_worth_one_more_try():
    one = kind()
    proof = await one.proof(grant())
    assert await one.refused(grant(), proof)
    again = await one.proof(grant())
    assert not await one.refused(grant(), again)
