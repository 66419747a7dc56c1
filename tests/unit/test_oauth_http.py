"""A provider is asked over HTTPS, and whatever it does but answer is an outage."""

import asyncio
import socket
import ssl

import pytest

from auth.secret import Secret
from proxy.limits import OAUTH2_ANSWER_OCTETS
from proxy.net.tls import client_context
from proxy.upstreams.oauth2.http import Poster
from proxy.upstreams.oauth2.messages import Tokens, read_tokens, refresh_request
from proxy.upstreams.oauth2.provider import Provider
from proxy.upstreams.place import UpstreamFailure
from support.oauth_provider import CLIENT_ID, CLIENT_SECRET, SCOPES, Fault, OAuthProvider, running
from support.sockets import LOOPS, Tls, make_certificate, tls_for


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return tls_for(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def provider(tls):
    with running(OAuthProvider(), tls.files) as serving:
        yield serving


def known(serving: OAuthProvider, path: str = "/token") -> Provider:
    return Provider(
        name="home",
        token_endpoint=serving.url + path,
        scopes=SCOPES,
        client_id=CLIENT_ID,
        client_secret=Secret(CLIENT_SECRET),
    )


@LOOPS
def test_a_refresh(provider, tls, loop_factory):
    request = refresh_request(known(provider), Secret(provider.authorised("alice@example.org")))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        tokens = read_tokens(runner.run(Poster(tls=tls.client)(request)))
    assert isinstance(tokens, Tokens)
    assert provider.takes("alice@example.org", tokens.access.reveal())
    assert not provider.takes("bob@example.org", tokens.access.reveal())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.REDIRECT, "307: a redirect, which is not followed"),
        (Fault.HUGE, f"more than {OAUTH2_ANSWER_OCTETS} octets"),
        (Fault.CUT, "RemoteProtocolError"),
    ],
)
async def test_no_whole_answer(provider, tls, fault, words):
    provider.fault = fault
    with pytest.raises(UpstreamFailure, match=words):
        await Poster(tls=tls.client)(refresh_request(known(provider), Secret("rt")))
    assert len(provider.asked) == 1


async def test_a_silent_provider_is_given_up(provider, tls):
    provider.fault = Fault.SILENT
    with pytest.raises(UpstreamFailure, match="did not answer in time"):
        await Poster(tls=tls.client, exchange_s=0.05)(refresh_request(known(provider), Secret("rt")))
    provider.released.set()


async def test_nobody_listens(tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamFailure, match="localhost cannot be asked"):
        await Poster(tls=tls.client)(refresh_request(known(OAuthProvider(port=port)), Secret("rt")))


async def test_a_certificate_of_nobody_is_refused(provider):
    with pytest.raises(UpstreamFailure, match="self-signed certificate"):
        await Poster(tls=client_context())(refresh_request(known(provider), Secret("rt")))
    assert provider.asked == []


async def test_a_certificate_for_another_name_is_refused(tmp_path):
    files = make_certificate(tmp_path, "login.example.org")
    with (
        running(OAuthProvider(), files) as provider,
        pytest.raises(UpstreamFailure, match="hostname mismatch"),
    ):
        await Poster(tls=client_context(files.certificate))(refresh_request(known(provider), Secret("rt")))
    assert provider.asked == []


async def test_the_environment_sends_nothing_elsewhere(provider, tls, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    request = refresh_request(known(provider), Secret(provider.authorised("alice@example.org")))
    assert (await Poster(tls=tls.client)(request)).status == 200


async def test_a_failure_tells_no_secret(provider, tls, caplog):
    caplog.set_level("DEBUG")
    provider.fault = Fault.CUT
    secret = Secret("refresh-token-of-alice")
    with pytest.raises(UpstreamFailure) as caught:
        await Poster(tls=tls.client)(refresh_request(known(provider), secret))
    assert caught.value.__cause__ is None
    told = str(caught.value) + caplog.text
    assert secret.reveal() not in told
    assert CLIENT_SECRET not in told


def test_the_context_checks_names(tls):
    assert tls.client.check_hostname
    assert tls.client.verify_mode is ssl.CERT_REQUIRED
