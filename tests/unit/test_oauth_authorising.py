"""Authorising: by a code on another device, by a browser here, by an address brought from another machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from auth.secret import Secret
from proxy.upstreams.oauth2.authorising import NotAuthorisedError, Patience, by_browser, by_device
from proxy.upstreams.oauth2.http import Poster
from proxy.upstreams.oauth2.messages import DeviceCode, Tokens
from proxy.upstreams.oauth2.provider import Provider
from proxy.upstreams.place import UpstreamFailure
from support.browser import sent_back, visit
from support.oauth_provider import CLIENT_ID, CLIENT_SECRET, SCOPES, Fault, OAuthProvider, running
from support.sockets import Tls, tls_for

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return tls_for(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def provider(tls):
    with running(OAuthProvider(), tls.files) as serving:
        yield serving


def known(serving: OAuthProvider, *, host: str = "127.0.0.1", secret: str = CLIENT_SECRET) -> Provider:
    return Provider(
        name="home",
        token_endpoint=f"{serving.url}/token",
        authorization_endpoint=f"{serving.url}/authorize",
        device_endpoint=f"{serving.url}/device",
        scopes=SCOPES,
        client_id=CLIENT_ID,
        client_secret=Secret(secret),
        redirect_host=host,
    )


@dataclass
class AtTheBrowser:
    """A person who opens the address, on this machine or on another."""

    tls: Tls
    here: bool = True
    back: asyncio.Future[str] = field(default_factory=asyncio.Future)
    shown: list[str] = field(default_factory=list)
    on_the_way: Callable[[str], str] = lambda address: address

    def show(self, address: str) -> None:
        self.shown.append(address)
        self.task = asyncio.ensure_future(self._go(address))

    async def _go(self, address: str) -> None:
        end = await asyncio.to_thread(lambda: self.on_the_way(sent_back(address, self.tls.client)))
        if self.here:
            self.back.set_result(str(await asyncio.to_thread(visit, end)))
        else:
            self.back.set_result(end)

    async def brought(self, is_ours: Callable[[str], bool]) -> str:
        if self.here:
            await asyncio.Event().wait()
        assert not is_ours("http://127.0.0.1/?code=other&state=other")
        end = await self.back
        assert is_ours(end)
        return end


@dataclass
class AtTheDevice:
    """Time that passes by itself, and a person who types the code after some polls."""

    provider: OAuthProvider
    after: int = 2
    deny: bool = False
    slept: list[float] = field(default_factory=list)
    codes: list[DeviceCode] = field(default_factory=list)

    @property
    def patience(self) -> Patience:
        return Patience(monotonic=lambda: sum(self.slept), sleep=self.sleep)

    def show(self, code: DeviceCode) -> None:
        self.codes.append(code)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self.after:
            self.provider.type_code(self.codes[0].user_code, deny=self.deny)


def is_for_alice(provider: OAuthProvider, tokens: Tokens) -> bool:
    return provider.takes(ALICE, tokens.access.reveal()) and tokens.refresh is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_browser_on_this_machine(provider, tls, host):
    person = AtTheBrowser(tls)
    tokens = await by_browser(known(provider, host=host), Poster(tls=tls.client), ALICE, person)
    assert is_for_alice(provider, tokens)
    assert f"redirect_uri=http%3A%2F%2F{host}%3A" in person.shown[0]
    assert "this page can be closed" in await person.back


async def test_a_browser_on_another_machine(provider, tls):
    tokens = await by_browser(known(provider), Poster(tls=tls.client), ALICE, AtTheBrowser(tls, here=False))
    assert is_for_alice(provider, tokens)


async def test_the_person_says_no(provider, tls):
    provider.agrees = False
    with pytest.raises(NotAuthorisedError, match="home refused: access_denied") as caught:
        await by_browser(known(provider), Poster(tls=tls.client), ALICE, AtTheBrowser(tls))
    assert "agree" in caught.value.hint


async def test_a_wrong_secret_of_the_client_is_named(provider, tls):
    with pytest.raises(NotAuthorisedError, match="invalid_client") as caught:
        await by_browser(known(provider, secret="old"), Poster(tls=tls.client), ALICE, AtTheBrowser(tls))
    assert "client_secret_file" in caught.value.hint


async def test_only_the_request_with_our_state_ends_the_wait(provider, tls):
    """What another program of this machine says is refused, and the browser still gets through."""
    person = AtTheBrowser(tls, on_the_way=lambda end: _meddled(end, refused))
    refused: list[int] = []
    tokens = await by_browser(known(provider), Poster(tls=tls.client), ALICE, person)
    assert is_for_alice(provider, tokens)
    assert refused == [400, 400, 400, 404, 400]


def _meddled(end: str, refused: list[int]) -> str:
    origin = end.partition("/?")[0]
    meddlers = ("/", "/?code=theirs", "/?code=theirs&state=guess", "/favicon.ico")
    refused.extend(visit(origin + target)[0] for target in meddlers)
    refused.append(visit(end, Host="attacker.example")[0])  # RFC 8252 §8.3: a name that was rebound
    return end


async def test_nobody_comes_back(provider, tls):
    class Nobody(AtTheBrowser):
        def show(self, address: str) -> None:
            self.shown.append(address)

    with pytest.raises(NotAuthorisedError, match="no browser came back"):
        await by_browser(known(provider), Poster(tls=tls.client), ALICE, Nobody(tls), wait_s=0.01)


async def test_a_code_on_another_device(provider, tls):
    person = AtTheDevice(provider)
    tokens = await by_device(known(provider), Poster(tls=tls.client), person.show, person.patience)
    assert is_for_alice(provider, tokens)
    assert person.slept == [1.0, 1.0]


async def test_slow_down_adds_five_seconds_each_time(provider, tls):
    provider.slow_downs = 2
    person = AtTheDevice(provider, after=4)
    await by_device(known(provider), Poster(tls=tls.client), person.show, person.patience)
    assert person.slept == [1.0, 6.0, 11.0, 11.0]


async def test_an_outage_while_it_polls_is_waited_out(provider, tls):
    person = AtTheDevice(provider)
    sleep = person.sleep

    async def sleeps(seconds: float) -> None:
        await sleep(seconds)
        provider.fault = Fault.BROKEN if len(person.slept) < 3 else None

    patience = Patience(monotonic=lambda: sum(person.slept), sleep=sleeps)
    tokens = await by_device(known(provider), Poster(tls=tls.client), person.show, patience)
    assert is_for_alice(provider, tokens)
    assert person.slept == [1.0, 2.0, 4.0]


async def test_a_provider_that_never_answers_a_poll_is_not_the_fault_of_the_person(provider, tls):
    person = AtTheDevice(provider)
    sleep = person.sleep

    async def sleeps(seconds: float) -> None:
        await sleep(seconds)
        provider.fault = Fault.GARBAGE

    patience = Patience(monotonic=lambda: sum(person.slept), sleep=sleeps)
    with pytest.raises(UpstreamFailure, match="home answered 200, and not in JSON"):
        await by_device(known(provider), Poster(tls=tls.client), person.show, patience)


async def test_a_code_that_nobody_types(provider, tls):
    person = AtTheDevice(provider, after=0)
    with pytest.raises(NotAuthorisedError, match="was not typed in time"):
        await by_device(known(provider), Poster(tls=tls.client), person.show, person.patience)
    assert sum(person.slept) < 60


async def test_the_person_with_the_device_says_no(provider, tls):
    person = AtTheDevice(provider, deny=True)
    with pytest.raises(NotAuthorisedError, match="access_denied"):
        await by_device(known(provider), Poster(tls=tls.client), person.show, person.patience)


async def test_without_a_refresh_token_nothing_is_gained(provider, tls, monkeypatch):
    monkeypatch.setattr(provider, "_new_refresh", lambda _: None)
    person = AtTheDevice(provider)
    with pytest.raises(NotAuthorisedError, match="gave no refresh token"):
        await by_device(known(provider), Poster(tls=tls.client), person.show, person.patience)
