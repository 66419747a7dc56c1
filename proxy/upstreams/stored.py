"""Sign-in kind `stored`: as the account itself, with the secret that was stored for this upstream.

For servers that trust nobody to act for others: a provider, with its own app-specific password. The secret
lies sealed in the store and is read for each sign-in. One that the upstream takes no more is an outage to
clients (their app password is good), and a line in the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from auth.seal import UnknownKey, UnsealError
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Proof, UpstreamRefusal, plain
from scopes.model import Grant, Service


class StoredSecrets(Protocol):
    """Where the secrets are: `auth.identities.Identities`."""

    async def secret(self, account_id: str, service: Service) -> Secret | None:
        """Give the account's secret for the upstream of a service, None where there is none.

        Raises StoreUnavailable, UnknownKey and UnsealError.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Signs in at the upstream of one service as the account."""

    service: Service
    secrets: StoredSecrets

    async def proof(self, grant: Grant) -> Proof:
        """Give the message for this grant. Raises `UpstreamFailure`."""
        try:
            secret = await self.secrets.secret(grant.account_id, self.service)
        except (
            StoreUnavailable,
            UnknownKey,
            UnsealError,
        ) as error:  # their texts are ours and hold no secret
            raise UpstreamFailure(f"the stored secret cannot be read: {error}") from None
        if secret is None:
            raise UpstreamRefusal(f"no secret is stored for {self.service}: wicketgate account set-upstream")
        return plain(authzid="", authcid=self.login_of(grant), password=secret)

    async def refused(self, grant: Grant, proof: Proof) -> bool:  # noqa: ARG002 - it would be the same again
        """Another try would be the same one."""
        return False

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream; empty where none was set."""
        identity = grant.identities.get(self.service)
        return "" if identity is None else identity.login
