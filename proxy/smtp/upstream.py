"""Sign in at the submission upstream for a grant: the thin shell around `upstream_leg`.

Opens a connection, moves octets between it and the leg, and does TLS when the leg says so, all within two
time limits. Whatever goes wrong is an `UpstreamFailure` for the log, and leaves no descriptor; cancelling
leaves none either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.limits import UPSTREAM_CONNECT_S, UPSTREAM_SIGN_IN_S
from proxy.net.connection import Connection, ConnectionLost
from proxy.smtp.upstream_leg import Failed, Handshake, Ready, UpstreamLeg
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place, UpstreamFailure
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
    sign_in_as: Authzid | None
    """None signs in as nobody: kind `none`."""
    name: str = "localhost"
    """What we call ourselves in EHLO: a host name in ASCII."""
    connect_s: float = UPSTREAM_CONNECT_S
    sign_in_s: float = UPSTREAM_SIGN_IN_S
    """From the first octet sent to the upstream's last reply, connecting included."""

    async def sign_in(self, grant: Grant) -> SignedIn:
        """Sign in for the grant's account. Raises `UpstreamFailure`."""
        response = None if self.sign_in_as is None else self.sign_in_as.plain(grant)
        leg = UpstreamLeg(self.name, response, starttls=self.place.needs_starttls)
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
                case Ready(extensions, rest):
                    return SignedIn(connection=connection, extensions=extensions, rest=rest)
                case Failed(cause):
                    raise UpstreamFailure(f"{self.place.address} {cause}")


async def _receive(leg: UpstreamLeg, connection: Connection) -> None:
    if data := await connection.receive():
        leg.receive(data)
    else:
        leg.closed()
