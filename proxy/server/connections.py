"""The servers behind as an owner sees them in the portal, and what the owner does there: one port.

What is to be stored is tried first, with an end in time, counted in the store so that nobody guesses or
hammers through us, and one at a time for an account. What a server says goes into the log; the owner hears
our own words, and of an outage never that something was wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum

from auth.accounts import Accounts
from auth.connecting import NewSecret
from auth.deed import AccountError, Actor, Fresh, Problem, Proof
from auth.identities import Known, check_secret
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow
from auth.store.store import Store
from auth.upstream_tries import UpstreamTries
from config.models import Config
from proxy.limits import UPSTREAM_TRIES_AT_ONCE, UPSTREAM_TRY_S
from proxy.net.tls import CertificateProblem
from proxy.portal.connection_words import provider_name, server_name
from proxy.portal.connections_port import Authorised, Begun, ServiceState, Way
from proxy.server.trying import OnTrial, try_sign_in
from proxy.server.ways import Seen, service_states
from proxy.server.web_flow import NOTHING, WebFlow
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal, plain
from scopes.model import Identity, IdentityKind, Service

log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What a server behind says to what is tried."""

    TAKEN = "taken"
    REFUSED = "refused"
    AWAY = "away"


class ServersBehind:
    """`proxy.portal.connections_port.Connections` over one configuration. One event loop."""

    def __init__(
        self,
        config: Config,
        store: Store,
        accounts: Accounts,
        tries: UpstreamTries,
        *,
        now: Callable[[], float],
        within_s: float = UPSTREAM_TRY_S,
    ) -> None:
        """`now` gives seconds since 1970-01-01 UTC, `within_s` is for all that one try asks of others."""
        self._config = config
        self._store = store
        self._accounts = accounts
        self._tries = tries
        self._within_s = within_s
        self._flow = WebFlow(config, now)
        self._at_work: set[str] = set()

    async def states(self, account: AccountRow) -> tuple[ServiceState, ...]:
        """Give every service of the account that has a server behind."""
        known = await self._known(account)
        tokens = await self._accounts.oauth_tokens.of(account.email)
        try:
            runs = await self._store.upstream_runs(account.id)
        except StoreUnavailable:  # the history may be lost without harm
            runs = None
        seen = Seen(known=known, tokens={row.provider: row for row in tokens.tokens}, runs=runs)
        return service_states(self._config, seen)

    async def replace_secret(
        self,
        account: AccountRow,
        services: Collection[Service],
        secret: Secret,
        actor: Actor,
        proof: Proof | Fresh,
    ) -> None:
        """Try a secret at each of these, and store it when all of them take it."""
        check_secret(secret)
        stored = {each.service: each for each in await self.states(account) if each.way is Way.SECRET}
        if not services or not stored.keys() >= set(services):
            raise AccountError(
                Problem.NO_SUCH_IDENTITY,
                "no password is kept for that",
                "choose among those that the page names",
            )
        wanted = {
            each: Identity(login=stored[each].login, kind=IdentityKind.STORED)
            for each in stored
            if each in services
        }
        async with self._one_try(account, [*wanted]):
            for service, identity in wanted.items():
                shown = OnTrial(identity.login, plain(authzid="", authcid=identity.login, password=secret))
                verdict = await self._verdict(account, service, identity, shown)
                if verdict is not Verdict.TAKEN:
                    raise _not_taken(verdict, stored[service])
                await self._tries.right(account.id, [service])
        new = NewSecret(identities=wanted, secret=secret)
        await self._accounts.connecting.replace_secret(account, new, actor, proof)

    async def begin(self, account: AccountRow, provider: str, redirect_uri: str) -> Begun:
        """Make a way to the provider that ends at `redirect_uri`."""
        signed_in_by = await self._signed_in_by(account, provider)
        return self._flow.begin(account, provider, redirect_uri, next(iter(signed_in_by.values())).login)

    def is_answer(self, kept: Secret, account: AccountRow, target: str) -> bool:
        """Whether the address that a browser came back to ends the way that was begun."""
        return self._flow.is_answer(kept, account, target)

    async def finish(self, account: AccountRow, kept: Secret, target: str, actor: Actor) -> Authorised:
        """Ask the provider for a token, try it, and store it where a server behind takes it."""
        provider = self._flow.provider(kept, account, target)
        wanted = await self._signed_in_by(account, provider)
        counted = f"provider {provider}"
        async with self._one_try(account, [counted]):
            tokens = await self._flow.tokens(kept, account, target)
            verdicts = {
                service: await self._verdict(
                    account, service, identity, self._flow.on_trial(tokens, service, account, identity)
                )
                for service, identity in wanted.items()
            }
            if Verdict.TAKEN not in verdicts.values():
                raise _no_use(provider, wanted.values(), refused=Verdict.REFUSED in verdicts.values())
            await self._tries.right(account.id, [counted])
        known = await self._known(account)
        given = self._flow.given(tokens, account, known.identities, wanted)
        await self._accounts.connecting.authorise(account, provider, given, actor)
        return _authorised(provider, verdicts)

    async def _known(self, account: AccountRow) -> Known:
        known = await self._accounts.identities.of(account.email)
        if known.account.id != account.id:
            raise AccountError(
                Problem.CHANGED_MEANWHILE, "the account was changed in the same moment", "sign in again"
            )
        return known

    async def _signed_in_by(self, account: AccountRow, provider: str) -> dict[Service, Identity]:
        """Give where the account signs in by a provider that its owner may authorise here."""
        found = {
            each.service: Identity(login=each.login, kind=IdentityKind.OAUTH2, provider=provider)
            for each in await self.states(account)
            if each.can_authorise and each.provider == provider
        }
        if not found:
            what = "there is nothing here that you could permit there"
            raise AccountError(
                Problem.NOT_AUTHORISED,
                what,
                "choose among those that the page names, or ask your administrator",
            )
        return found

    @asynccontextmanager
    async def _one_try(self, account: AccountRow, at: Collection[str]) -> AsyncIterator[None]:
        """Count a try and have the time for it; one at a time for each account, and not too many in all."""
        if account.id in self._at_work:
            hint = "wait until that one has ended"
            raise AccountError(Problem.TOO_MANY_TRIES, "another try of yours is under way", hint)
        if len(self._at_work) >= UPSTREAM_TRIES_AT_ONCE:
            hint = f"try again in a moment; {NOTHING}"
            raise AccountError(Problem.UPSTREAM_AWAY, "others are trying theirs just now", hint)
        self._at_work.add(account.id)
        try:
            await self._tries.begin(account.id, at)
            async with asyncio.timeout(self._within_s):
                yield
        except TimeoutError:
            hint = f"try again later; {NOTHING}"
            raise AccountError(Problem.UPSTREAM_AWAY, "this could not be tried in time", hint) from None
        finally:
            self._at_work.discard(account.id)

    async def _verdict(
        self, account: AccountRow, service: Service, identity: Identity, kind: OnTrial
    ) -> Verdict:
        """Sign in once as the account would."""
        verdict, cause = await _heard(try_sign_in(self._config, service, account.email, identity, kind))
        if verdict is not Verdict.TAKEN:
            log.warning("portal: tried for %s at %s, %s: %s", account.email, service, verdict, cause)
        return verdict


async def _heard(tried: Awaitable[None]) -> tuple[Verdict, str]:
    """Give what became of a try, and for the log why."""
    try:
        await tried
    except UpstreamRefusal as refused:
        return Verdict.REFUSED, str(refused)
    except (UpstreamFailure, CertificateProblem) as failure:
        return Verdict.AWAY, str(failure)
    return Verdict.TAKEN, ""


def _not_taken(verdict: Verdict, state: ServiceState) -> AccountError:
    """Say that nothing was stored; what the server said is for the log."""
    server = server_name(state)
    if verdict is Verdict.REFUSED:
        hint = f"see that it is the password of {state.login} there (blanks count); {NOTHING}"
        return AccountError(Problem.UPSTREAM_REFUSED, f"the password is refused by {server}", hint)
    hint = f"that says nothing about the password. Try again later; {NOTHING}"
    return AccountError(
        Problem.UPSTREAM_AWAY, f"the password could not be tried: no answer from {server}", hint
    )


def _no_use(provider: str, wanted: Iterable[Identity], *, refused: bool) -> AccountError:
    """Say that no server behind took the token."""
    if refused:
        login = next(iter(wanted)).login
        hint = f"see that you agree there as the owner of {login}; {NOTHING}"
        what = f"the permission of {provider_name(provider)} is refused by the mail server"
        return AccountError(Problem.UPSTREAM_REFUSED, what, hint)
    hint = f"that says nothing about the permission. Try again later; {NOTHING}"
    what = "the permission could not be tried: no answer from the mail server"
    return AccountError(Problem.UPSTREAM_AWAY, what, hint)


def _authorised(provider: str, verdicts: Mapping[Service, Verdict]) -> Authorised:
    def those(wanted: Verdict) -> tuple[Service, ...]:
        return tuple(service for service, verdict in verdicts.items() if verdict is wanted)

    return Authorised(
        provider=provider,
        taken=those(Verdict.TAKEN),
        refused=those(Verdict.REFUSED),
        untried=those(Verdict.AWAY),
    )
