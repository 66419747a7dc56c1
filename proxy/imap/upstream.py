"""Sign in at the IMAP upstream for a grant: `upstream_leg`, in the shell that all legs share."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.imap.introduction import id_command
from proxy.imap.upstream_leg import UpstreamLeg
from proxy.limits import UPSTREAM_CONNECT_S, UPSTREAM_SIGN_IN_S
from proxy.net.connection import Connection
from proxy.upstreams.origin import Origin
from proxy.upstreams.place import Place
from proxy.upstreams.proof import Proof, SignInAs
from proxy.upstreams.signing_in import proven, sign_in_at
from proxy.upstreams.telling import Telling, header_for
from scopes.model import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A connection on which the upstream takes commands for the account."""

    connection: Connection
    capabilities: bytes
    """What the client may see of them."""
    rest: bytes = field(repr=False)
    """Octets that came behind the upstream's last reply to us: the first ones for the client."""
    can_unauthenticate: bool = False
    """Whether a client could sign in anew there (RFC 8437)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapUpstream:
    """One upstream and our way to sign in there."""

    place: Place
    sign_in_as: SignInAs
    client_address: Telling | None = None
    """How it is told who the client is."""
    connect_s: float = UPSTREAM_CONNECT_S
    sign_in_s: float = UPSTREAM_SIGN_IN_S
    """From the first octet sent to the upstream's last reply, connecting included."""

    async def sign_in(self, grant: Grant, origin: Origin | None = None) -> SignedIn:
        """Sign in for the grant's account, whose client came from `origin`. Raises `UpstreamFailure`."""
        first = header_for(self.client_address, origin)
        told = b"" if origin is None or self.client_address is not Telling.ID else id_command(origin)

        async def attempt(proof: Proof, within_s: float) -> SignedIn:
            leg = UpstreamLeg(proof, starttls=self.place.needs_starttls, told=told)
            connection, ready = await sign_in_at(
                self.place, leg, connect_s=self.connect_s, sign_in_s=within_s, first=first
            )
            return SignedIn(
                connection=connection,
                capabilities=ready.capabilities,
                rest=ready.rest,
                can_unauthenticate=ready.can_unauthenticate,
            )

        return await proven(self.sign_in_as, grant, attempt, within_s=self.sign_in_s)
