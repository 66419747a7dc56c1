"""Sign-in kind `master`: as a master user who names the account beside itself, as in `alice*gate`.

Dovecot's `auth_master_user_separator` makes it so; the password is the master user's. It is for servers that
do not take an authorization identity in SASL PLAIN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from auth.secret import Secret
from proxy.upstreams.login import Logins
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Proof, plain
from scopes.model import Grant

SEPARATOR: Final = "*"
"""What Dovecot's documentation uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """Who the master user is, and how accounts are named before the separator."""

    user: str
    secret: Secret
    separator: str = SEPARATOR
    logins: Logins = field(default_factory=Logins)

    async def proof(self, grant: Grant) -> Proof:
        """Give the message for this grant. Raises `UpstreamFailure`."""
        login = self.login_of(grant)
        if not login or self.separator in login:  # the server would read another account out of it
            raise UpstreamFailure(f"the account's login at the upstream is empty or holds {self.separator!r}")
        return plain(authzid="", authcid=f"{login}{self.separator}{self.user}", password=self.secret)

    async def refused(self, grant: Grant, proof: Proof) -> bool:  # noqa: ARG002 - it would be the same again
        """Another try would be the same one."""
        return False

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream."""
        return self.logins.of(grant)
