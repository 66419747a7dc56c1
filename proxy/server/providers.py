"""The OAuth 2 providers of the config, ready to be asked, and what accounts have for the servers behind."""

from __future__ import annotations

import time
from collections.abc import Mapping

from auth.identities import Identities
from auth.oauth_tokens import OAuthTokens
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store.store import Store
from config.models import Config
from config.oauth2 import OAuth2
from config.private import read_secret_text
from proxy.net.tls import client_context
from proxy.server.sign_ins import Safes
from proxy.upstreams.oauth2.http import Poster
from proxy.upstreams.oauth2.provider import Provider
from proxy.upstreams.oauth2.tokens import AccessTokens, Memory
from proxy.upstreams.oauth2.turn import Turns


def provider_of(name: str, told: OAuth2) -> Provider:
    """Make a provider of its table. Raises PrivateFileError."""
    secret = None
    if told.client_secret_file is not None:
        secret = Secret(read_secret_text(told.client_secret_file))
    return Provider(
        name=name,
        token_endpoint=told.endpoints.token,
        authorization_endpoint=told.endpoints.authorization,
        device_endpoint=told.endpoints.device,
        scopes=told.all_scopes,
        client_id=told.client_id,
        client_secret=secret,
        redirect_host=told.lands_at,
        asked_for=told.asked_for,
    )


def poster_of(told: OAuth2) -> Poster:
    """Make what asks a provider. Raises CertificateProblem."""
    return Poster(tls=client_context(told.ca_file))


Memories = dict[tuple[str, OAuth2], Memory]
"""By the table that each is for: another client, or another provider, begins with nothing."""


def access_tokens(config: Config, tokens: OAuthTokens, memories: Memories) -> Mapping[str, AccessTokens]:
    """Make the access tokens of every provider. Raises PrivateFileError and CertificateProblem."""
    made = {
        (name, told): AccessTokens(
            provider_of(name, told),
            poster_of(told),
            tokens.vault(name),
            turns=Turns(folder=config.store.gate_file.parent, provider=name),
            memory=memories.get((name, told)) or Memory(),
        )
        for name, told in config.oauth2.items()
    }
    memories.clear()
    memories.update({key: each.memory for key, each in made.items()})
    return {name: each for (name, _), each in made.items()}


def safes_of(config: Config, store: Store, keys: KeyRing, memories: Memories | None = None) -> Safes:
    """Give where accounts have what they show upstream. Close its tokens; raises as `access_tokens`.

    `memories` are those of the process, for whoever reads the configuration more than once.
    """
    tokens = access_tokens(config, OAuthTokens(store, keys, time.time), {} if memories is None else memories)
    return Safes(secrets=Identities(store, keys, time.time), tokens=tokens)
