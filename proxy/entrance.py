"""The way in of one connection, the same on every protocol: the gate, the upstream, the gate once more.

While the gate and the upstream are asked the client is watched: one that vanishes ends everything at once,
and of one that goes on talking no more is read than may be held (`Hold`). A cut ends a sign-in that waits for
the upstream, and later the session. Every outcome begins as a fault of ours and has to be earned.

No protocol is spoken here and no reply is worded here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from auth.fault import fault
from auth.ports import SignIn
from auth.refusal import Reason, Refusal
from auth.secret import Secret
from auth.store.rows import GRANTED, SignInRecord
from proxy.failures import BUG, UNAVAILABLE, UPSTREAM_REFUSED
from proxy.log.teller import Teller
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Attempt, Ports
from proxy.sessions import Live
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal
from scopes.model import Grant, Service

Hold = Callable[[], Awaitable[None]]
"""Reads what the client sends meanwhile, up to a bound, and returns at the client's end."""


class Reached(Protocol):
    """An upstream that takes commands for the account."""

    @property
    def connection(self) -> Connection:
        """The connection to it."""


T = TypeVar("T")
R = TypeVar("R", bound=Reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client wants to come in with."""

    name: str
    """As the client wrote it."""
    secret: Secret
    authzid: str | None = None
    """Whom the client wants to act as; None when it does not say."""
    client_name: str = ""
    """What the client calls itself; empty when it does not say."""


class ClientGoneError(ConnectionLost):
    """The client ended while it waited for an outcome."""


class CutShortError(Exception):
    """The app password was revoked while the upstream was asked."""


class Entrance(Generic[R]):
    """One connection's sign-ins, one at a time."""

    def __init__(
        self, connection: Connection, ports: Ports, *, service: Service, now: Callable[[], float] = time.time
    ) -> None:
        self.when_cut: Callable[[], None] = _nothing
        """Ends what goes on now, without waiting; for whoever serves the session."""
        self._connection = connection
        self._ports = ports
        self._service = service
        self._now = now
        self.teller = Teller(connection, service)
        """Whoever serves the session tells it of the end."""

    def cut(self) -> None:
        """End what goes on: given to the registry for each attempt."""
        self.when_cut()

    async def come_in(
        self, asked: Asked, attempt: Attempt, reach: Callable[[Grant], Coroutine[Any, Any, R]], hold: Hold
    ) -> tuple[Grant, R] | Refusal:
        """Ask the gate, sign in upstream by `reach`, ask the gate again. Raises ConnectionLost."""
        outcome: tuple[Grant, R] | Refusal = BUG
        self.teller.trying()
        self._connection.working = True  # strangers who wait give way, this one does not
        try:
            outcome = await self._decide(asked, attempt, reach, hold)
        except ConnectionLost:
            raise
        except Exception as bug:  # noqa: BLE001 - answered as a fault of ours
            outcome = Refusal(reason=Reason.BUG, cause=fault(bug))
        finally:
            self._connection.working = False
        return outcome

    async def admit(self, asked: Asked, attempt: Attempt) -> Grant | Refusal:
        """Ask the gate alone, with nobody watching the client."""
        return await self._ports.gate.admit(self.sign_in(asked), attempt)

    async def confirm(self, asked: Asked, attempt: Attempt, grant: Grant) -> Refusal | None:
        """Ask the gate once more, right before the client is told yes."""
        refusal = await self._ports.gate.confirm(grant, self.sign_in(asked), attempt)
        if refusal is None and attempt.cut:
            return about(grant, UNAVAILABLE, cause="cut in the last moment")
        return refusal

    def sign_in(self, asked: Asked) -> SignIn:
        """Give what the gate is asked."""
        return SignIn(
            name=asked.name,
            secret=asked.secret,
            service=self._service,
            peer=self._connection.peer,
            authzid=asked.authzid,
        )

    def refused(self, asked: Asked, refusal: Refusal) -> None:
        """Log it, write the history, and doubt the client unless the fault is not its own."""
        self.teller.refused(refusal, name=asked.name, client_name=asked.client_name)
        self._record(asked, refusal.account_id, refusal.app_password_id, refusal.reason)
        if not refusal.is_outage:
            self._ports.strangers.doubt(self._connection)

    def granted(self, asked: Asked, grant: Grant, upstream: str = "") -> None:
        """Log it, write the history, and count the client among the strangers no longer."""
        self.teller.granted(grant, client_name=asked.client_name, upstream=upstream)
        self._ports.strangers.release(self._connection)
        self._record(asked, grant.account_id, grant.app_password_id, GRANTED)

    def live(self, client_name: str) -> Live:
        """Give what a session that begins now is known by."""
        return Live(self._service, client_name, self._address, self._now())

    def when_expired(self, grant: Grant, end: Callable[[], None]) -> asyncio.TimerHandle | None:
        """End a session with its app password, not at some later sign-in."""
        if grant.expires_at is None:
            return None
        left_s = max(0.0, grant.expires_at - self._now())
        return asyncio.get_running_loop().call_later(left_s, end)

    # --- steps ----------------------------------------------------------------------------------------------

    async def _decide(
        self, asked: Asked, attempt: Attempt, reach: Callable[[Grant], Coroutine[Any, Any, R]], hold: Hold
    ) -> tuple[Grant, R] | Refusal:
        grant = await watched(self.admit(asked, attempt), hold)
        if isinstance(grant, Refusal):
            return grant
        try:
            reached = await watched(self._reach(reach(grant), attempt), hold, unwanted=_abort)
        except UpstreamRefusal as refused:
            return about(grant, UPSTREAM_REFUSED, cause=str(refused))
        except UpstreamFailure as failure:
            return about(grant, UNAVAILABLE, cause=str(failure))
        except CutShortError:
            refusal = await self.confirm(asked, attempt, grant)
            return refusal or about(grant, UNAVAILABLE, cause="cut while the upstream was asked")
        return await self._confirmed(asked, attempt, grant, reached)

    async def _confirmed(
        self, asked: Asked, attempt: Attempt, grant: Grant, reached: R
    ) -> tuple[Grant, R] | Refusal:
        """Ask the gate once more, with the upstream ready; a refusal closes the upstream."""
        refusal: Refusal | None = BUG
        try:
            refusal = await self.confirm(asked, attempt, grant)
        finally:
            if refusal is not None:
                reached.connection.abort()
        return refusal or (grant, reached)

    async def _reach(self, work: Coroutine[Any, Any, R], attempt: Attempt) -> R:
        """Sign in upstream, unless a cut comes first."""
        task = asyncio.ensure_future(work)

        def stop() -> None:
            task.cancel()

        self.when_cut = stop
        try:
            if attempt.cut:
                stop()
            return await task
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: _discard(done, _abort))
            if attempt.cut:
                raise CutShortError from None
            raise
        finally:
            self.when_cut = _nothing

    def _record(
        self, asked: Asked, account_id: str | None, app_password_id: str | None, outcome: str
    ) -> None:
        self._ports.recorder.record(
            SignInRecord(
                at=int(self._now()),
                account_id=account_id,
                app_password_id=app_password_id,
                service=self._service,
                peer=self._address,
                outcome=outcome,
                client_name=asked.client_name,
            )
        )

    @property
    def _address(self) -> str:
        """The client's; empty where it has none."""
        peer = self._connection.peer
        return "" if peer is None else str(peer)


async def watched(
    work: Coroutine[Any, Any, T], hold: Hold, *, unwanted: Callable[[T], None] | None = None
) -> T:
    """Do `work` while the client is watched by `hold`. A client that vanishes ends it: ClientGoneError.

    What `work` still gave when nobody waits for it any more goes to `unwanted`.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(hold())
    delivered = False
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await watch
            raise ClientGoneError("client vanished during sign-in")
        delivered = True
        return task.result()
    finally:
        watch.cancel()
        if not delivered:
            task.cancel()
            task.add_done_callback(lambda done: _discard(done, unwanted))
        await asyncio.wait({task, watch})
        if not watch.cancelled():
            watch.exception()  # heard or not, it is no news any more


def about(grant: Grant, refusal: Refusal, *, cause: str) -> Refusal:
    """Give a refusal that names the app password for the history, and nothing of it to the client."""
    return Refusal(
        reason=refusal.reason,
        account_id=grant.account_id,
        email=grant.email,
        app_password_id=grant.app_password_id,
        cause=cause,
    )


def _discard(work: asyncio.Future[T], unwanted: Callable[[T], None] | None) -> None:
    """Close what work gave that nobody waits for any more."""
    if not work.cancelled() and work.exception() is None and unwanted is not None:
        unwanted(work.result())


def _abort(reached: Reached) -> None:
    reached.connection.abort()


def _nothing() -> None:
    return None
