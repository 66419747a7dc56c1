"""The sign-in kinds of one server behind, made from its table in the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auth.secret import Secret
from config.private import read_secret_text
from config.upstream import ImapUpstream, SmtpUpstream
from proxy.server.errors import ServeError
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.login import Logins
from proxy.upstreams.master import SEPARATOR, Master
from proxy.upstreams.oauth2.sign_in import OAuth2
from proxy.upstreams.oauth2.tokens import AccessTokens
from proxy.upstreams.per_account import PerAccount
from proxy.upstreams.proof import SignInAs
from proxy.upstreams.stored import Stored, StoredSecrets
from scopes.model import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Safes:
    """Where accounts have what they show upstream."""

    secrets: StoredSecrets
    tokens: Mapping[str, AccessTokens] = field(default_factory=dict)
    """For kind `oauth2`, by the name of the provider in the config."""


def sign_in_as(told: ImapUpstream | SmtpUpstream, service: Service, safes: Safes) -> SignInAs | None:
    """Give how the gate signs in there; None as nobody, for a server that trusts whoever connects.

    Raises ServeError and PrivateFileError.
    """
    kind: str | None = None if told.sign_in is None else told.sign_in.kind
    if kind == "none":
        return None
    stored = Stored(service=service, secrets=safes.secrets)
    logins = Logins(template=told.login, service=service)
    by_provider = {
        name: OAuth2(tokens=tokens, logins=logins, address=told.address)
        for name, tokens in safes.tokens.items()
    }
    usual = stored if kind == "stored" else _usual(told, service, by_provider)
    return PerAccount(service=service, usual=usual, stored=stored, by_provider=by_provider)


def _usual(
    told: ImapUpstream | SmtpUpstream, service: Service, by_provider: Mapping[str, SignInAs]
) -> SignInAs:
    """Give the kind of accounts that have nothing of their own."""
    sign_in = told.sign_in
    if sign_in is None:
        raise ServeError(f"no way to sign in at {told.address}", "write its sign_in")
    if sign_in.provider is not None:
        if sign_in.provider not in by_provider:
            raise ServeError(
                f"{told.address} signs in by {sign_in.provider}, which is not in the config",
                f"write the table [oauth2.{sign_in.provider}]",
            )
        return by_provider[sign_in.provider]
    if sign_in.user is None or sign_in.secret_file is None:
        raise ServeError(f"no way to sign in at {told.address}", "write user and secret_file in its sign_in")
    secret = Secret(read_secret_text(sign_in.secret_file))
    logins = Logins(template=told.login, service=service)
    if sign_in.kind == "master":
        separator = sign_in.separator or SEPARATOR
        return Master(user=sign_in.user, secret=secret, separator=separator, logins=logins)
    return Authzid(user=sign_in.user, secret=secret, logins=logins)
