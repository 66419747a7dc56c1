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
from proxy.upstreams.oauth2.tokens import AccessTokens


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


def access_tokens(config: Config, tokens: OAuthTokens) -> Mapping[str, AccessTokens]:
    """Make the access tokens of every provider. Raises PrivateFileError and CertificateProblem."""
    return {
        name: AccessTokens(provider_of(name, told), poster_of(told), tokens.vault(name))
        for name, told in config.oauth2.items()
    }


def safes_of(config: Config, store: Store, keys: KeyRing) -> Safes:
    """Give where accounts have what they show upstream. Close its tokens; raises as `access_tokens`."""
    tokens = access_tokens(config, OAuthTokens(store, keys, time.time))
    return Safes(secrets=Identities(store, keys, time.time), tokens=tokens)
