"""Sign-in kind `authzid`: SASL PLAIN as the gate's own user, on behalf of the account. RFC 4616.

The upstream trusts one user of ours to act for others, so no secret of an account is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from auth.secret import Secret
from proxy.upstreams.login import Logins
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Proof, plain
from scopes.model import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Authzid:
    """Who the gate is at the upstream, and how accounts are named there."""

    user: str
    secret: Secret
    logins: Logins = field(default_factory=Logins)

    async def proof(self, grant: Grant) -> Proof:
        """Give the message for this grant. Raises `UpstreamFailure`."""
        login = self.login_of(grant)
        if not login:  # that would be the gate's own mailbox (RFC 4616 §2)
            raise UpstreamFailure("the account's login at the upstream is empty")
        return plain(authzid=login, authcid=self.user, password=self.secret)

    async def refused(self, grant: Grant, proof: Proof) -> bool:  # noqa: ARG002 - it would be the same again
        """Another try would be the same one."""
        return False

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream."""
        return self.logins.of(grant)
