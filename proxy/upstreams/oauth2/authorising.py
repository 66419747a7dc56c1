"""Let the gate into an account for the first time: a code on another device, or a browser that is sent back.

Whoever runs this shows the person what to do; here the provider is asked, and waited for. The authorization
code comes by the loopback interface or, where the browser is on another machine, by the address that the
person brings from there: whichever is first. Either must carry our state, and the code is of use to nobody
without our verifier.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from auth.secret import Secret
from proxy.upstreams.oauth2.loopback import IsOurs, landing
from proxy.upstreams.oauth2.messages import (
    LONGEST_POLL_S,
    SLOW_DOWN_S,
    BadAnswer,
    Begun,
    DeviceCode,
    Refused,
    Tokens,
    begin,
    code_request,
    device_request,
    poll_request,
    read_device_code,
    read_redirect,
    read_tokens,
)
from proxy.upstreams.oauth2.provider import Answer, Post, Provider, Request
from proxy.upstreams.place import UpstreamFailure

BROWSER_S: Final = 900.0
"""For a person to sign in at the provider and to agree."""
_RANDOM_OCTETS: Final = 32
"""RFC 7636 §4.1: 43 characters in base64."""

T = TypeVar("T")


class NotAuthorisedError(Exception):
    """The provider, or the person, did not let us in; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Time, so that tests need none."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Person(Protocol):
    """Who sits before the command line."""

    def show(self, address: str) -> None:
        """Show the address that is to be opened in a browser."""

    async def brought(self, is_ours: IsOurs) -> str:
        """Wait for the address where the browser ended, brought from another machine; perhaps for ever."""


async def by_device(
    provider: Provider, post: Post, show: Callable[[DeviceCode], None], patience: Patience | None = None
) -> Tokens:
    """RFC 8628. `show` is told what the person types where. Raises NotAuthorisedError and UpstreamFailure."""
    clock = patience or Patience()
    code = _granted(provider, await _ask(provider, post, device_request(provider), read_device_code))
    show(code)
    until, interval_s = clock.monotonic() + code.lifetime_s, code.interval_s
    failed: UpstreamFailure | None = None
    while clock.monotonic() + interval_s < until:
        await clock.sleep(interval_s)
        try:
            outcome = await _ask(provider, post, poll_request(provider, code), read_tokens)
        except UpstreamFailure as failure:  # RFC 8628 §3.5: go on, more slowly
            failed, interval_s = failure, min(interval_s * 2, LONGEST_POLL_S)
            continue
        failed = None
        match outcome:
            case Refused(error="authorization_pending"):
                pass
            case Refused(error="slow_down"):
                interval_s += SLOW_DOWN_S
            case _:
                return _kept(provider, _granted(provider, outcome))
    if failed is not None:
        raise failed
    raise NotAuthorisedError("the code was not typed in time", "begin again; it is good for some minutes")


async def by_browser(
    provider: Provider,
    post: Post,
    login: str,
    person: Person,
    *,
    wait_s: float = BROWSER_S,
) -> Tokens:
    """RFC 8252 §7.3, with PKCE. Raises NotAuthorisedError, UpstreamFailure, and OSError without loopback."""
    async with landing(provider.redirect_host) as place:
        state, verifier = (secrets.token_urlsafe(_RANDOM_OCTETS) for _ in range(2))
        begun = begin(provider, place.redirect_uri, login, state=state, verifier=verifier)

        def is_ours(target: str) -> bool:
            return read_redirect(target, begun) is not None

        person.show(begun.url)
        try:
            async with asyncio.timeout(wait_s):
                target = await _first(place.target(is_ours), person.brought(is_ours))
        except TimeoutError:
            hint = "begin again; where the browser is on another machine, paste the address it ends at here"
            raise NotAuthorisedError("no browser came back in time", hint) from None
    code = read_redirect(target, begun)
    assert code is not None  # noqa: S101 - both ways ask before they give one
    return await redeemed(provider, post, begun, code)


async def redeemed(provider: Provider, post: Post, begun: Begun, code: Secret | Refused) -> Tokens:
    """Give what a code is good for; raises as `by_browser`. What came instead of a code is a refusal."""
    if isinstance(code, Refused):
        return _granted(provider, code)
    outcome = await _ask(provider, post, code_request(provider, begun, code), read_tokens)
    return _kept(provider, _granted(provider, outcome))


async def _first(*ways: Coroutine[Any, Any, str]) -> str:
    """Give what comes first, and end the others."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _ask(provider: Provider, post: Post, request: Request, read: Callable[[Answer], T]) -> T:
    try:
        return read(await post(request))
    except BadAnswer as bad:
        raise UpstreamFailure(f"{provider.name} {bad}") from None


def _granted(provider: Provider, outcome: T | Refused) -> T:
    """Give what was asked for. Raises NotAuthorisedError for a refusal."""
    if isinstance(outcome, Refused):
        raise NotAuthorisedError(f"{provider.name} refused: {outcome.error}", _hint(provider, outcome.error))
    return outcome


def _kept(provider: Provider, tokens: Tokens) -> Tokens:
    """See that there is something to be kept."""
    if tokens.refresh is None:
        hint = (
            "ask for it in scopes (offline_access), or take the earlier permission back at the provider first"
        )
        raise NotAuthorisedError(f"{provider.name} gave no refresh token", hint)
    return tokens


def _hint(provider: Provider, error: str) -> str:
    match error:
        case "access_denied":
            return "the owner of the mailbox has to agree, and in some organisations the administrator first"
        case "expired_token" | "invalid_grant":
            return "it took too long, or was used before: begin again"
        case "invalid_client" | "unauthorized_client":
            return f"look at client_id and client_secret_file in [oauth2.{provider.name}]"
        case "invalid_scope":
            return f"look at scopes in [oauth2.{provider.name}], and at what the provider allows this client"
        case _:
            return "docs/oauth.md tells how the client is set up at the provider"
