"""One IMAP client, from its first command to the end of its session: the shell that joins the parts.

It feeds the client leg and obeys it: TLS, the gate, the upstream, then the relay. While the gate and the
upstream are asked the client is watched: one that vanishes ends everything at once, and of one that goes on
talking no more is read than may be held. A cut ends a sign-in that waits for the upstream, and later the
session. Between the gate's last word (`confirm`) and the hand-over to the relay nothing waits.

No protocol is decided here, no reply is worded here, and no outcome but the gate's own makes a session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TypeVar

from auth.fault import fault
from auth.ports import SignIn
from auth.refusal import Refusal
from auth.store.rows import GRANTED, SignInRecord
from proxy import logtext
from proxy.failures import BUG, UNAVAILABLE
from proxy.imap.client_leg import ClientLeg, HangUp, SignInAsked, SwitchToTls
from proxy.imap.ports import Attempt, Ports, Settings
from proxy.imap.upstream import SignedIn
from proxy.limits import IMAP_LINE_OCTETS
from proxy.net.connection import Connection, ConnectionLost
from proxy.net.relay import relay
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant, Service

log = logging.getLogger(__name__)

T = TypeVar("T")


class _ClientGoneError(ConnectionLost):
    """The client ended while it waited for the outcome of its sign-in."""


class _CutShortError(Exception):
    """The app password was revoked while the upstream was asked."""


class Conversation:
    """One client up to its sign-in, and the session that follows."""

    def __init__(self, connection: Connection, ports: Ports, settings: Settings, *, secure: bool) -> None:
        self.leg = ClientLeg(settings.house, secure=secure)
        self._connection = connection
        self._ports = ports
        self._settings = settings
        self._when_cut: Callable[[], None] = _nothing

    async def run(self, limit: asyncio.Timeout) -> None:
        """Obey the leg until the connection ends. `limit` is for sign-in, and is lifted after it."""
        while True:
            event = self.leg.next()
            await self._flush()
            match event:
                case None:
                    data = await self._connection.receive(IMAP_LINE_OCTETS)
                    if not data:
                        return
                    self.leg.receive(data)
                case SwitchToTls():
                    settings = self._settings
                    await self._connection.secure_as_server(settings.tls(), timeout_s=settings.handshake_s)
                    self.leg.secured()
                case SignInAsked():
                    if await self._sign_in(event, limit):
                        return
                case HangUp():
                    await self._connection.close()
                    return

    async def farewell(self, words: str) -> None:
        """Say BYE where IMAP is spoken, and close."""
        self.leg.farewell(words)
        await self._flush()
        await self._connection.close()

    async def _flush(self) -> None:
        if output := self.leg.take_output():
            await self._connection.send(output)

    # --- sign-in --------------------------------------------------------------------------------------------

    async def _sign_in(self, asked: SignInAsked, limit: asyncio.Timeout) -> bool:
        """Ask the gate and the upstream; serve the session. False when the client may try again."""
        with self._ports.registry.attempt(self._cut) as attempt:
            self._connection.working = True  # strangers who wait give way, this one does not
            try:
                outcome = await self._outcome(asked, attempt)
            finally:
                self._connection.working = False
            if isinstance(outcome, Refusal):
                self._refuse(asked, outcome)
                return False
            grant, signed_in = outcome
            try:
                attempt.become_session()
                limit.reschedule(None)
                await self._session(asked, grant, signed_in)
            finally:
                signed_in.connection.abort()
        return True

    async def _outcome(self, asked: SignInAsked, attempt: Attempt) -> tuple[Grant, SignedIn] | Refusal:
        """Begin as a fault of ours; everything else has to be earned."""
        outcome: tuple[Grant, SignedIn] | Refusal = BUG
        try:
            outcome = await self._decide(asked, attempt)
        except ConnectionLost:
            raise
        except Exception as bug:  # noqa: BLE001 - answered with SERVERBUG
            log.error("imap sign-in failed by a fault id=%s %s", self._connection.id, fault(bug))  # noqa: TRY400
        return outcome

    async def _decide(self, asked: SignInAsked, attempt: Attempt) -> tuple[Grant, SignedIn] | Refusal:
        sign_in = SignIn(
            name=asked.name,
            secret=asked.secret,
            service=Service.IMAP,
            peer=self._connection.peer,
            authzid=asked.authzid,
        )
        grant = await self._watched(self._ports.gate.admit(sign_in, attempt))
        if isinstance(grant, Refusal):
            return grant
        try:
            signed_in = await self._watched(self._reach(grant, attempt))
        except UpstreamFailure as failure:
            return _about(grant, UNAVAILABLE, cause=str(failure))
        except _CutShortError:
            refusal = await self._ports.gate.confirm(grant, sign_in, attempt)
            return refusal or _about(grant, UNAVAILABLE, cause="cut while the upstream was asked")
        return await self._confirmed(grant, sign_in, attempt, signed_in)

    async def _confirmed(
        self, grant: Grant, sign_in: SignIn, attempt: Attempt, signed_in: SignedIn
    ) -> tuple[Grant, SignedIn] | Refusal:
        """Ask the gate once more, with the upstream ready; a refusal closes the upstream."""
        refusal: Refusal | None = BUG
        try:
            refusal = await self._ports.gate.confirm(grant, sign_in, attempt)
            if refusal is None and attempt.cut:
                refusal = _about(grant, UNAVAILABLE, cause="cut in the last moment")
        finally:
            if refusal is not None:
                signed_in.connection.abort()
        return refusal or (grant, signed_in)

    async def _reach(self, grant: Grant, attempt: Attempt) -> SignedIn:
        """Sign in upstream, unless a cut comes first."""
        work = asyncio.ensure_future(self._ports.upstream.sign_in(grant))

        def stop() -> None:
            work.cancel()

        self._when_cut = stop
        try:
            if attempt.cut:
                stop()
            return await work
        except asyncio.CancelledError:
            work.add_done_callback(_discard)
            if attempt.cut:
                raise _CutShortError from None
            raise
        finally:
            self._when_cut = _nothing

    async def _watched(self, work: Coroutine[object, object, T]) -> T:
        """Do `work` while the client is watched; a client that vanishes ends it."""
        task = asyncio.ensure_future(work)
        watch = asyncio.ensure_future(self._hold())
        delivered = False
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await watch
                raise _ClientGoneError("client vanished during sign-in")
            delivered = True
            return task.result()
        finally:
            watch.cancel()
            if not delivered:
                task.cancel()
                task.add_done_callback(_discard)
            await asyncio.wait({task, watch})
            if not watch.cancelled():
                watch.exception()  # heard or not, it is no news any more

    async def _hold(self) -> None:
        """Keep what the client sends behind its sign-in, as much as there is room for; return at its end."""
        while room := self.leg.room:
            data = await self._connection.receive(min(room, IMAP_LINE_OCTETS))
            if not data:
                return
            self.leg.receive(data)
        await asyncio.Event().wait()

    def _cut(self) -> None:
        self._when_cut()

    # --- outcome --------------------------------------------------------------------------------------------

    def _refuse(self, asked: SignInAsked, refusal: Refusal) -> None:
        log.warning(
            "imap sign-in refused id=%s name=%s peer=%s reason=%s app_password=%s cause=%s",
            self._connection.id,
            logtext.name(asked.name),
            self._connection.peer,
            refusal.reason,
            refusal.app_password_id,
            refusal.cause,
        )
        self._record(asked, refusal.account_id, refusal.app_password_id, refusal.reason)
        if not refusal.is_outage:
            self._ports.strangers.doubt(self._connection)
        self.leg.refused(refusal)

    async def _session(self, asked: SignInAsked, grant: Grant, signed_in: SignedIn) -> None:
        """Hand both connections to the relay, the tagged OK first; nothing waits before."""
        client, upstream = self._connection, signed_in.connection

        def end() -> None:
            client.abort()
            upstream.abort()

        self._when_cut = end
        self._ports.strangers.release(client)
        self._record(asked, grant.account_id, grant.app_password_id, GRANTED)
        log.info(
            "imap session begins id=%s upstream=%s name=%s peer=%s app_password=%s client=%s tls=%s",
            client.id,
            upstream.id,
            logtext.name(asked.name),
            client.peer,
            grant.app_password_id,
            logtext.quoted(asked.client_name),
            client.tls_version,
        )
        to_upstream = self.leg.granted(signed_in.capabilities)
        to_client = self.leg.take_output() + signed_in.rest
        expiry = self._when_expired(grant, end)
        try:
            relayed = await relay(
                client, upstream, to_upstream=to_upstream, to_client=to_client, idle_s=self._settings.idle_s
            )
        finally:
            if expiry is not None:
                expiry.cancel()
        log.info(
            "imap session ended id=%s end=%s to_upstream=%d to_client=%d",
            client.id,
            relayed.end,
            relayed.to_upstream,
            relayed.to_client,
        )

    def _when_expired(self, grant: Grant, end: Callable[[], None]) -> asyncio.TimerHandle | None:
        """End the session with its app password, not at some later sign-in."""
        if grant.expires_at is None:
            return None
        left_s = max(0.0, grant.expires_at - self._settings.now())
        return asyncio.get_running_loop().call_later(left_s, end)

    def _record(
        self, asked: SignInAsked, account_id: str | None, app_password_id: str | None, outcome: str
    ) -> None:
        peer = self._connection.peer
        self._ports.recorder.record(
            SignInRecord(
                at=int(self._settings.now()),
                account_id=account_id,
                app_password_id=app_password_id,
                service=Service.IMAP,
                peer="" if peer is None else str(peer),
                outcome=outcome,
                client_name=asked.client_name,
            )
        )


def _about(grant: Grant, refusal: Refusal, *, cause: str) -> Refusal:
    """Give a refusal that names the app password for the history, and nothing of it to the client."""
    return Refusal(
        reason=refusal.reason,
        account_id=grant.account_id,
        app_password_id=grant.app_password_id,
        cause=cause,
    )


def _discard(work: asyncio.Future[T]) -> None:
    """Close what work gave that nobody waits for any more."""
    if not work.cancelled() and work.exception() is None and isinstance(result := work.result(), SignedIn):
        result.connection.abort()


def _nothing() -> None:
    return None
