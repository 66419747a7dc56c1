"""Sign in at the submission upstream for a grant: `upstream_leg`, in the shell that all legs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.limits import UPSTREAM_CONNECT_S, UPSTREAM_SIGN_IN_S
from proxy.net.connection import Connection
from proxy.smtp.upstream_leg import UpstreamLeg
from proxy.smtp.xclient import Xclient
from proxy.upstreams.login import Logins
from proxy.upstreams.origin import Origin
from proxy.upstreams.place import Place
from proxy.upstreams.proof import Proof, SignInAs
from proxy.upstreams.signing_in import proven, sign_in_at
from proxy.upstreams.telling import Telling, ends_of, header_for
from scopes.model import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A connection on which the upstream takes mail for the account."""

    connection: Connection
    extensions: Mapping[str, str]
    """What it offers: keyword in upper case → parameters."""
    rest: bytes = field(default=b"", repr=False)
    """Octets that came unasked behind its last reply to us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpUpstream:
    """One upstream and our way to sign in there."""

    place: Place
    sign_in_as: SignInAs | None
    """None signs in as nobody: kind `none`."""
    client_address: Telling | None = None
    """How it is told who the client is."""
    logins: Logins = field(default_factory=Logins)
    """How accounts are called there, for XCLIENT where nobody signs in."""
    name: str = "localhost"
    """What we call ourselves in EHLO: a host name in ASCII."""
    connect_s: float = UPSTREAM_CONNECT_S
    sign_in_s: float = UPSTREAM_SIGN_IN_S
    """From the first octet sent to the upstream's last reply, connecting included."""

    async def sign_in(self, grant: Grant, origin: Origin | None = None) -> SignedIn:
        """Sign in for the grant's account, whose client came from `origin`. Raises `UpstreamFailure`."""
        first = header_for(self.client_address, origin)
        xclient = self._xclient(grant, origin)

        async def attempt(proof: Proof | None, within_s: float) -> SignedIn:
            leg = UpstreamLeg(self.name, proof, starttls=self.place.needs_starttls, xclient=xclient)
            connection, ready = await sign_in_at(
                self.place, leg, connect_s=self.connect_s, sign_in_s=within_s, first=first
            )
            return SignedIn(connection=connection, extensions=ready.extensions, rest=ready.rest)

        if self.sign_in_as is None:
            return await attempt(None, self.sign_in_s)
        return await proven(self.sign_in_as, grant, attempt, within_s=self.sign_in_s)

    def _xclient(self, grant: Grant, origin: Origin | None) -> Xclient | None:
        if origin is None or self.client_address is not Telling.XCLIENT:
            return None
        login = self.logins.of(grant) if self.sign_in_as is None else ""
        return Xclient(client=ends_of(origin).client, login=login)
