"""The sign-in kind of each account at one upstream: its own where one was set, else what the config says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.upstreams.proof import Proof, SignInAs, UpstreamRefusal
from scopes.model import Grant, IdentityKind, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class PerAccount:
    """Chooses among the kinds at the upstream of one service."""

    service: Service
    usual: SignInAs
    stored: SignInAs
    by_provider: Mapping[str, SignInAs] = field(default_factory=dict)
    """Kind `oauth2`, by the name of the provider in the config."""

    async def proof(self, grant: Grant) -> Proof:
        """Give what is shown for this grant. Raises `UpstreamFailure`."""
        return await self._kind(grant).proof(grant)

    async def refused(self, grant: Grant, proof: Proof) -> bool:
        """Hear that the upstream refused it; whether another try, with a new proof, is worth it."""
        return await self._kind(grant).refused(grant, proof)

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream."""
        return self._kind(grant).login_of(grant)

    def _kind(self, grant: Grant) -> SignInAs:
        identity = grant.identities.get(self.service)
        if identity is None or identity.kind is IdentityKind.LOGIN:
            return self.usual
        if identity.kind is IdentityKind.STORED:
            return self.stored
        provider = self.by_provider.get(identity.provider)
        if provider is None:
            raise UpstreamRefusal(
                f"the account signs in by {identity.provider!r}, which has no table [oauth2]"
            )
        return provider
