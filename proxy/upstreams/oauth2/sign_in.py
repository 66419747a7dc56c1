"""Sign in at a mail server with an access token: by OAUTHBEARER (RFC 7628) or XOAUTH2.

XOAUTH2 is Google's, and all that Microsoft has: developers.google.com/gmail/imap/xoauth2-protocol. The
messages are the same for IMAP and SMTP.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from auth.secret import Secret
from config.address import Address
from proxy.upstreams.login import Logins
from proxy.upstreams.oauth2.tokens import AccessTokens
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Mechanism, Proof
from scopes.model import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2:
    """Who shows a token, for which login, and to whom."""

    tokens: AccessTokens
    logins: Logins
    address: Address

    async def proof(self, grant: Grant) -> Proof:
        """Give the messages with a token that is good now. Raises `UpstreamFailure`."""
        login = self.login_of(grant)
        if not login or any(mark in login for mark in "\0\x01\r\n"):
            raise UpstreamFailure("the login for the upstream is empty or holds what SASL cannot carry")
        return token_proof(login, await self.tokens.get(grant.account_id), self.address)

    async def refused(self, grant: Grant, proof: Proof) -> bool:
        """Hear that the mail server took no token of this proof; tells whether a new one may do better."""
        return any(self.tokens.distrust(grant.account_id, token) for token in proof.hidden)

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream."""
        return self.logins.of(grant)


def token_proof(login: str, token: Secret, address: Address) -> Proof:
    """Write the messages. Host and port are told where there are such (RFC 7628 §3.1)."""
    bearer = f"auth=Bearer {token.reveal()}"
    place = f"host={address.host}\x01port={address.port}\x01" if address.over_tcp else ""
    return Proof(
        messages={
            Mechanism.OAUTHBEARER: _encoded(f"n,a={_saslname(login)},\x01{place}{bearer}\x01\x01"),
            Mechanism.XOAUTH2: _encoded(f"user={login}\x01{bearer}\x01\x01"),
        },
        hidden=(token,),
    )


def _saslname(login: str) -> str:
    """RFC 5801 §4."""
    return login.replace("=", "=3D").replace(",", "=2C")


def _encoded(message: str) -> Secret:
    return Secret(b64encode(message.encode()).decode("ascii"))
