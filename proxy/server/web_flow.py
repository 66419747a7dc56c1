"""A way from the portal to an OAuth 2 provider and back: RFC 6749 §4.1 with PKCE (RFC 7636).

What must come back is kept sealed in the session that began: state, verifier, whose account, until when. So a
code is of use in that session alone, for that account alone, and once: a browser that brings another state
ends nothing. Nothing here is stored, and a code stands in no text that is logged or shown.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from auth.deed import AccountError, Problem
from auth.oauth_tokens import Given
from auth.secret import Secret
from auth.store.rows import AccountRow
from config.models import Config
from proxy.limits import AUTHORISE_S
from proxy.portal.connection_words import provider_name
from proxy.portal.connections_port import Begun
from proxy.server.providers import poster_of, provider_of
from proxy.server.trying import OnTrial, set_for_it_alone, table_for
from proxy.upstreams.oauth2 import messages
from proxy.upstreams.oauth2.authorising import NotAuthorisedError, redeemed
from proxy.upstreams.oauth2.messages import Refused, Tokens, read_redirect
from proxy.upstreams.oauth2.sign_in import token_proof
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Identity, Service

log = logging.getLogger(__name__)

NOTHING: Final = "nothing was saved, and your apps go on as before"
_RANDOM_OCTETS: Final = 32
"""RFC 7636 §4.1: 43 characters in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What a session keeps between going and coming back. It holds the verifier, and has no repr."""

    account_id: str
    provider: str
    redirect_uri: str
    login: str
    state: str
    verifier: str
    until: float
    """Seconds since 1970-01-01 UTC."""

    def __repr__(self) -> str:
        return f"_Kept({self.provider})"


class WebFlow:
    """The ways of one configuration. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self,
        config: Config,
        now: Callable[[], float],
        random: Callable[[], str] = lambda: secrets.token_urlsafe(_RANDOM_OCTETS),
    ) -> None:
        """Raises PrivateFileError and CertificateProblem for a provider that cannot be asked."""
        self._config = config
        self._now = now
        self._random = random
        tables = {name: told for name, told in config.oauth2.items() if told.portal}
        self._providers = {name: provider_of(name, told) for name, told in tables.items()}
        self._posters = {name: poster_of(told) for name, told in tables.items()}

    def begin(self, account: AccountRow, provider: str, redirect_uri: str, login: str) -> Begun:
        """Make a way that ends at `redirect_uri`; `login` is who should agree there."""
        kept = _Kept(
            account_id=account.id,
            provider=provider,
            redirect_uri=redirect_uri,
            login=login,
            state=self._random(),
            verifier=self._random(),
            until=self._now() + AUTHORISE_S,
        )
        return Begun(address=self._request(kept).url, login=login, kept=Secret(json.dumps(asdict(kept))))

    def is_answer(self, kept: Secret, account: AccountRow, target: str) -> bool:
        """Whether the address that a browser came back to carries the state of this way."""
        found = self._read(kept, account)
        return found is not None and read_redirect(target, self._request(found)) is not None

    def provider(self, kept: Secret, account: AccountRow, target: str) -> str:
        """Give whose way it is that ends at `target`. Raises AccountError where it is none that is good."""
        return self._answered(kept, account, target)[0].provider

    async def tokens(self, kept: Secret, account: AccountRow, target: str) -> Tokens:
        """Ask the provider for what the browser's code is good for. Raises AccountError."""
        found, code = self._answered(kept, account, target)
        provider = self._providers[found.provider]
        try:
            return await redeemed(provider, self._posters[found.provider], self._request(found), code)
        except NotAuthorisedError as refused:
            log.warning("portal: %s is not let in for %s: %s", provider.name, account.email, refused)
            what = f"no permission came from {provider_name(provider.name)}"
            hint = f"begin again, and agree there as the owner of {found.login}; {NOTHING}"
            raise AccountError(Problem.NOT_AUTHORISED, what, hint) from None
        except UpstreamFailure as failure:
            log.warning("portal: asked for %s, no answer: %s", account.email, failure)
            hint = f"that was no refusal. Try again later; {NOTHING}"
            what = f"no answer came from {provider_name(provider.name)}"
            raise AccountError(Problem.UPSTREAM_AWAY, what, hint) from None

    def on_trial(self, tokens: Tokens, service: Service, account: AccountRow, identity: Identity) -> OnTrial:
        """Give what shows the token once at the server behind."""
        told = table_for(self._config, service, account.email)
        return OnTrial(identity.login, token_proof(identity.login, tokens.access, told.address))

    def given(
        self,
        tokens: Tokens,
        account: AccountRow,
        known: Container[Service],
        wanted: Mapping[Service, Identity],
    ) -> Given:
        """Give what is to be stored; `known` are the services where something is set already."""
        token = tokens.given(self._now())
        assert token is not None  # noqa: S101 - without one we were not authorised
        logins = set_for_it_alone(self._config, account.email, known, wanted)
        return Given(token=token, logins=logins)

    def _request(self, kept: _Kept) -> messages.Begun:
        provider = self._providers[kept.provider]
        return messages.begin(
            provider, kept.redirect_uri, kept.login, state=kept.state, verifier=kept.verifier
        )

    def _read(self, kept: Secret, account: AccountRow) -> _Kept | None:
        """Understand what a session kept; None where it is another's, late, or of another configuration."""
        found = _Kept(**json.loads(kept.reveal()))
        good = found.account_id == account.id and self._now() < found.until
        return found if good and found.provider in self._providers else None

    def _answered(self, kept: Secret, account: AccountRow, target: str) -> tuple[_Kept, Secret | Refused]:
        """Give the way and what came back on it."""
        found = self._read(kept, account)
        code = None if found is None else read_redirect(target, self._request(found))
        if found is None or code is None:
            hint = (
                f"begin again; a permission is waited for a quarter of an hour, and taken once. So {NOTHING}"
            )
            raise AccountError(Problem.NOT_AUTHORISED, "this does not answer what you began here", hint)
        return found, code
