"""Sign in at the IMAP upstream for a grant: the thin shell around `upstream_leg`.

Opens a connection, moves octets between it and the leg, and does TLS when the leg says so, all within two
time limits. Whatever goes wrong is an `UpstreamFailure` for the log, and leaves no descriptor; cancelling
leaves none either.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from proxy.imap.upstream_leg import Failed, Handshake, Ready, UpstreamLeg
from proxy.limits import UPSTREAM_CONNECT_S, UPSTREAM_SIGN_IN_S
from proxy.net.connection import Connection, ConnectionLost
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place, UpstreamFailure
from scopes.model import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A connection on which the upstream takes commands for the account."""

    connection: Connection
    capabilities: bytes
    """What the client may see of them."""
    rest: bytes = field(repr=False)
    """Octets that came behind the upstream's last reply to us: the first ones for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapUpstream:
    """One upstream and our way to sign in there."""

    place: Place
    sign_in_as: Authzid
    connect_s: float = UPSTREAM_CONNECT_S
    sign_in_s: float = UPSTREAM_SIGN_IN_S
    """From the first octet sent to the upstream's last reply, connecting included."""

    async def sign_in(self, grant: Grant) -> SignedIn:
        """Sign in for the grant's account. Raises `UpstreamFailure`."""
        leg = UpstreamLeg(self.sign_in_as.plain(grant), starttls=self.place.needs_starttls)
        try:
            async with asyncio.timeout(self.sign_in_s):
                connection = await self.place.open(timeout_s=self.connect_s)
                try:
                    return await self._talk(leg, connection)
                except BaseException:
                    connection.abort()
                    raise
        except TimeoutError:
            raise UpstreamFailure(f"{self.place.address} did not answer in time ({leg.state})") from None
        except ConnectionLost as lost:
            raise UpstreamFailure(f"{self.place.address} was lost ({leg.state}): {lost}") from None

    async def _talk(self, leg: UpstreamLeg, connection: Connection) -> SignedIn:
        while True:
            event = leg.next()
            if output := leg.take_output():
                await connection.send(output)
            match event:
                case None:
                    await _receive(leg, connection)
                case Handshake():
                    await self.place.secure(connection, timeout_s=self.sign_in_s)
                    leg.secured()
                case Ready(capabilities, rest):
                    return SignedIn(connection=connection, capabilities=capabilities, rest=rest)
                case Failed(cause):
                    raise UpstreamFailure(f"{self.place.address} {cause}")


async def _receive(leg: UpstreamLeg, connection: Connection) -> None:
    if data := await connection.receive():
        leg.receive(data)
    else:
        leg.closed()
