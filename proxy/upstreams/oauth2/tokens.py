"""Access tokens for accounts: remembered until shortly before they expire, then refreshed once.

All sign-ins of an account that need a new token at the same time wait for one refresh (Thunderbird opens five
connections at start). It goes on when they give up, because a provider may have replaced the refresh token by
then; the new one is written into the store before anything uses the access token, and is kept here while the
store cannot take it. Another process that is to refresh waits for its turn and reads the row anew. Rows are
replaced by compare and swap all the same, and whoever comes second reads again before it believes a refusal;
a mark that it made is replaced by the new token, for that was given for the one that stands there.

Only the provider's own word that the refresh token is no good marks the row; an outage never does. A marked
one is tried again after an hour, for providers err. Access tokens are in memory alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final, Protocol

from auth.oauth_tokens import GivenToken, StoredToken
from auth.seal import UnknownKey, UnsealError
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from proxy.upstreams.oauth2.messages import BadAnswer, Refused, Tokens, read_tokens, refresh_request
from proxy.upstreams.oauth2.provider import Post, Provider
from proxy.upstreams.oauth2.turn import Turns
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal

EARLY_S: Final = 60.0
"""Before it expires a token is used no more: sign-in takes up to ten seconds, and clocks differ."""
RENEW_AGAIN_S: Final = 60.0
"""Between two refreshes because a mail server refused a token that should be good: one that refuses all of
them, say because the mailbox has no IMAP, must not cost the provider a request a sign-in."""
RETRY_REFUSED_S: Final = 3_600.0
"""After this a refresh token that was refused is tried once more."""
MOST_HELD: Final = 10_000
"""Access tokens in memory, some 20 MB of Microsoft's; the oldest is forgotten."""
_ROUNDS: Final = 3
"""Of reading the row, when another process replaces it meanwhile."""


class Vault(Protocol):
    """Where one provider's refresh tokens are kept: `auth.oauth_tokens.Vault`. All raise StoreUnavailable."""

    async def read(self, account_id: str) -> StoredToken | None:
        """Give what is stored for the account."""

    async def replace(self, account_id: str, version: int, given: GivenToken) -> int | None:
        """Store a new refresh token without a mark; gives its version, None if `version` is stale."""

    async def mark_refused(self, account_id: str, version: int) -> bool:
        """Remember that the provider refused it; False if `version` is stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """An access token."""

    token: Secret
    good_until: float
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unsaved:
    """A refresh token that the provider gave and the store could not take."""

    given: GivenToken
    used: Secret
    """The one it was given for, and that still stands in the store."""


@dataclass(slots=True)
class Memory:
    """What a process knows of one provider's tokens, by account.

    It outlives another reading of the configuration, so that even then there is one refresh at a time: a
    provider may end everything when it sees a refresh token twice (RFC 9700 §4.14.2).
    """

    held: OrderedDict[str, _Held] = field(default_factory=OrderedDict)
    renewals: dict[str, asyncio.Task[Secret]] = field(default_factory=dict)
    renewed_at: dict[str, float] = field(default_factory=dict)
    """When a mail server's refusal last made us refresh."""
    unsaved: dict[str, _Unsaved] = field(default_factory=dict)


class AccessTokens:
    """Of one provider, for every account. One event loop; `close` it before the store."""

    def __init__(
        self,
        provider: Provider,
        post: Post,
        vault: Vault,
        *,
        turns: Turns | None = None,
        memory: Memory | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._post = post
        self._vault = vault
        self._turns = turns
        self._wall = wall
        self._monotonic = monotonic
        self.memory = memory or Memory()
        """Of this process; give it to whoever takes this one's place."""

    async def get(self, account_id: str) -> Secret:
        """Give an access token. Raises `UpstreamRefusal` for want of an authorisation, `UpstreamFailure`."""
        stored = await self._stored(account_id)
        held = self.memory.held.get(account_id)
        if held is not None and held.version == stored.version and self._monotonic() < held.good_until:
            return held.token
        renewal = self.memory.renewals.get(account_id)
        if renewal is None:
            renewal = asyncio.create_task(self._renew(account_id))
            self.memory.renewals[account_id] = renewal
            renewal.add_done_callback(lambda done: self._renewal_ended(account_id, done))
        return await asyncio.shield(renewal)

    def distrust(self, account_id: str, token: Secret) -> bool:
        """Hear that a mail server refused a token; tells whether another may do better."""
        held = self.memory.held.get(account_id)
        if held is None or held.token != token:
            return True  # it was replaced since, or is about to be
        now = self._monotonic()
        if now - self.memory.renewed_at.get(account_id, -RENEW_AGAIN_S) < RENEW_AGAIN_S:
            return False
        recently = {each: at for each, at in self.memory.renewed_at.items() if now - at < RENEW_AGAIN_S}
        self.memory.renewed_at = recently | {account_id: now}
        del self.memory.held[account_id]
        return True

    async def close(self) -> None:
        """Let refreshes that are under way come to their end: their new tokens must be stored.

        What the store could not take before is offered to it for the last time.
        """
        if self.memory.renewals:
            await asyncio.wait(set(self.memory.renewals.values()))
        for account_id in list(self.memory.unsaved):
            try:
                await self._saved_before(account_id, await self._stored(account_id))
            except UpstreamRefusal:  # it is not authorised any more
                continue
            except UpstreamFailure:  # the store is still out, for the others too
                return

    async def _stored(self, account_id: str) -> StoredToken:
        """Read the row. Raises as `get` does."""
        try:
            stored = await self._vault.read(account_id)
        except (StoreUnavailable, UnknownKey, UnsealError) as error:  # their texts hold no secret
            raise UpstreamFailure(f"the token of {self._provider.name} cannot be read: {error}") from None
        if stored is None:
            raise UpstreamRefusal(f"not authorised at {self._provider.name}: wicketgate account authorize")
        lately = stored.refused_at is not None and self._wall() - stored.refused_at < RETRY_REFUSED_S
        if lately and self._unsaved(account_id, stored) is None:
            again = "authorise again: wicketgate account authorize"
            raise UpstreamRefusal(f"{self._provider.name} refused the refresh token; {again}")
        return stored

    async def _renew(self, account_id: str) -> Secret:
        """Get a new access token, while no other process does. Raises as `get` does."""
        async with nullcontext() if self._turns is None else self._turns.of(account_id):
            return await self._renew_in_turn(account_id)

    async def _renew_in_turn(self, account_id: str) -> Secret:
        """Get a new access token, and store the refresh token that may come with it."""
        for _ in range(_ROUNDS):
            stored = await self._saved_before(account_id, await self._stored(account_id))
            if stored is None:
                continue
            asked_at = self._monotonic()
            outcome = await self._ask(stored)
            if isinstance(outcome, Refused):
                if await self._mark(account_id, stored):
                    raise UpstreamRefusal(f"{self._provider.name} refused the refresh token: {outcome.error}")
                continue
            version = await self._save(account_id, stored, outcome.given(self._wall()))
            if version is not None:
                self._hold(account_id, outcome, asked_at, version)
                return outcome.access
        raise UpstreamFailure(f"the token of {self._provider.name} is replaced by others all the time")

    async def _ask(self, stored: StoredToken) -> Tokens | Refused:
        """Ask the provider; a refusal that comes back is one of the refresh token."""
        name = self._provider.name
        try:
            outcome = read_tokens(await self._post(refresh_request(self._provider, stored.refresh)))
        except BadAnswer as bad:
            raise UpstreamFailure(f"{name} {bad}") from None
        if isinstance(outcome, Refused) and not outcome.needs_the_person:
            raise UpstreamRefusal(f"{name} refused us: {outcome.error}; see [oauth2.{name}] in the config")
        return outcome

    async def _saved_before(self, account_id: str, stored: StoredToken) -> StoredToken | None:
        """Store what the store could not take last time; None when another process was faster."""
        unsaved = self._unsaved(account_id, stored)
        if unsaved is None:
            self.memory.unsaved.pop(account_id, None)
            return stored
        version = await self._save(account_id, stored, unsaved.given)
        if version is None:
            return None
        return StoredToken(refresh=unsaved.given.secret, refused_at=None, version=version)

    async def _save(self, account_id: str, stored: StoredToken, given: GivenToken | None) -> int | None:
        """Store a refresh token that is new, or good again; gives the row's version, None if it is stale."""
        news = given is not None and given.secret != stored.refresh
        if not news and stored.refused_at is None:
            return stored.version
        wanted = given or GivenToken(secret=stored.refresh)
        try:
            version = await self._replace(account_id, stored, wanted)
        except (StoreUnavailable, UnknownKey, UnsealError) as error:
            self.memory.unsaved[account_id] = _Unsaved(given=wanted, used=stored.refresh)
            raise UpstreamFailure(
                f"the store cannot take a token of {self._provider.name}: {error}"
            ) from None
        self.memory.unsaved.pop(account_id, None)
        return version

    async def _replace(self, account_id: str, stored: StoredToken, wanted: GivenToken) -> int | None:
        """Replace the row, also one that another process has marked since; None if it is stale."""
        version = await self._vault.replace(account_id, stored.version, wanted)
        if version is not None:
            return version
        now = await self._vault.read(account_id)
        if now is None or now.refresh != stored.refresh:
            return None
        return await self._vault.replace(account_id, now.version, wanted)

    def _unsaved(self, account_id: str, stored: StoredToken) -> _Unsaved | None:
        """Give what waits to be stored in the place of this very token."""
        unsaved = self.memory.unsaved.get(account_id)
        return unsaved if unsaved is not None and unsaved.used == stored.refresh else None

    async def _mark(self, account_id: str, stored: StoredToken) -> bool:
        """Remember the refusal; False when the row was replaced meanwhile, so that it proves nothing."""
        try:
            return await self._vault.mark_refused(account_id, stored.version)
        except StoreUnavailable as error:
            name = self._provider.name
            raise UpstreamFailure(
                f"{name} refused the refresh token, and the store is out: {error}"
            ) from None

    def _hold(self, account_id: str, tokens: Tokens, asked_at: float, version: int) -> None:
        good_until = asked_at + tokens.lifetime_s - EARLY_S
        self.memory.held[account_id] = _Held(token=tokens.access, good_until=good_until, version=version)
        self.memory.held.move_to_end(account_id)
        while len(self.memory.held) > MOST_HELD:
            self.memory.held.popitem(last=False)

    def _renewal_ended(self, account_id: str, done: asyncio.Task[Secret]) -> None:
        del self.memory.renewals[account_id]
        if not done.cancelled():
            done.exception()  # heard by those who wait, if anybody still does
