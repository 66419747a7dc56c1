"""The shell around an upstream leg: octets between it and a connection, TLS when it says so, two time limits.

Whatever goes wrong is an `UpstreamFailure` for the log, and leaves no descriptor; cancelling leaves none
either. What is said is the leg's, a pure state machine of its protocol.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, TypeVar

from proxy.net.connection import Connection, ConnectionLost
from proxy.upstreams.place import Place, UpstreamFailure

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Handshake:
    """Do the TLS handshake now, then call the leg's `secured`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No sign-in by this upstream now. `cause` is for the log: printable, and holds no secret of ours."""

    cause: str


class Leg(Protocol[R_co]):
    """The upstream's side of a sign-in; what it gives when it is done is the protocol's own."""

    @property
    def state(self) -> str:
        """Where it stands, in words for the log."""

    def next(self) -> Handshake | Failed | R_co | None:
        """Give what is to be done, or None when more octets must come first."""

    def take_output(self) -> bytes:
        """Give what is to be sent now."""

    def receive(self, data: bytes) -> None:
        """Take octets of the upstream."""

    def closed(self) -> None:
        """Hear that the upstream ended the connection."""

    def secured(self) -> None:
        """Hear that the handshake is done."""


async def sign_in_at(
    place: Place, leg: Leg[R], *, connect_s: float, sign_in_s: float
) -> tuple[Connection, R]:
    """Connect and obey the leg to its end. Raises `UpstreamFailure`.

    `sign_in_s` is from the first octet sent to the upstream's last reply, connecting included.
    """
    try:
        async with asyncio.timeout(sign_in_s):
            connection = await place.open(timeout_s=connect_s)
            try:
                return connection, await _talk(place, leg, connection, sign_in_s)
            except BaseException:
                connection.abort()
                raise
    except TimeoutError:
        raise UpstreamFailure(f"{place.address} did not answer in time ({leg.state})") from None
    except ConnectionLost as lost:
        raise UpstreamFailure(f"{place.address} was lost ({leg.state}): {lost}") from None


async def _talk(place: Place, leg: Leg[R], connection: Connection, handshake_s: float) -> R:
    while True:
        event = leg.next()
        if output := leg.take_output():
            await connection.send(output)
        match event:
            case None:
                if data := await connection.receive():
                    leg.receive(data)
                else:
                    leg.closed()
            case Handshake():
                await place.secure(connection, timeout_s=handshake_s)
                leg.secured()
            case Failed(cause):
                raise UpstreamFailure(f"{place.address} {cause}")
            case ready:
                return ready
