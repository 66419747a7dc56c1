"""The shell around an upstream leg: octets between it and a connection, TLS when it says so, two time limits.

Whatever goes wrong is an `UpstreamFailure` for the log, and leaves no descriptor; cancelling leaves none
either. What is said is the leg's, a pure state machine of its protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from proxy.net.connection import Connection, ConnectionLost
from proxy.upstreams.place import First, Place, UpstreamFailure
from proxy.upstreams.proof import Proof, SignInAs, UpstreamRefusal
from scopes.model import Grant

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Handshake:
    """Do the TLS handshake now, then call the leg's `secured`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No sign-in by this upstream now. `cause` is for the log: printable, and holds no secret of ours."""

    cause: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The upstream does not take our proof. `cause` as that of `Failed`."""

    cause: str
    code: str = ""
    """The response code of its reply, in upper case, where the protocol has such and it gave one."""


class Leg(Protocol[R_co]):
    """The upstream's side of a sign-in; what it gives when it is done is the protocol's own."""

    @property
    def state(self) -> str:
        """Where it stands, in words for the log."""

    def next(self) -> Handshake | Failed | Refused | R_co | None:
        """Give what is to be done, or None when more octets must come first."""

    def take_output(self) -> bytes:
        """Give what is to be sent now."""

    def receive(self, data: bytes) -> None:
        """Take octets of the upstream."""

    def closed(self) -> None:
        """Hear that the upstream ended the connection."""

    def secured(self) -> None:
        """Hear that the handshake is done."""


async def proven(
    sign_in_as: SignInAs, grant: Grant, attempt: Callable[[Proof, float], Awaitable[R]], *, within_s: float
) -> R:
    """Show the proof for a grant by `attempt`, and a new one where that is worth it, once.

    `within_s` is for all of it; `attempt` is told how much is left. Raises `UpstreamFailure`.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + within_s

    async def shown() -> Proof:
        try:
            async with asyncio.timeout_at(deadline):
                return await sign_in_as.proof(grant)
        except TimeoutError:
            raise UpstreamFailure("there was no proof for the upstream in time") from None

    proof = await shown()
    try:
        return await attempt(proof, deadline - now())
    except UpstreamRefusal:
        if not await sign_in_as.refused(grant, proof):
            raise
    return await attempt(await shown(), deadline - now())


async def sign_in_at(
    place: Place, leg: Leg[R], *, connect_s: float, sign_in_s: float, first: First | None = None
) -> tuple[Connection, R]:
    """Connect and obey the leg to its end; `first` goes before everything. Raises `UpstreamFailure`.

    `sign_in_s` is from the first octet sent to the upstream's last reply, connecting included.
    """
    try:
        async with asyncio.timeout(sign_in_s):
            connection = await place.open(timeout_s=connect_s, first=first)
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
            case Refused(cause, code):
                raise UpstreamRefusal(f"{place.address} {cause}", code)
            case Failed(cause):
                raise UpstreamFailure(f"{place.address} {cause}")
            case ready:
                return ready
