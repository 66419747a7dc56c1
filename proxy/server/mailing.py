"""The gate's own mails: a task of the serving process hands in what the outbox holds, one after the other.

They go to the submission upstream as `mail.sender`, signed in as that account where it is one, or under that
login. Nothing waits for it: an upstream that is away is asked again later, with growing pauses, and after
three days a mail is dropped with a line in the log. A mail is sent at least once, by one process: only a gate
that is killed between the upstream's last reply and the next commit sends it twice, octet by octet the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Protocol

from auth.deed import AccountError
from auth.fault import fault
from auth.identities import Identities
from auth.notices import Due, NoticeKind, Outbox
from auth.seal import UnknownKey, UnsealError
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from proxy.letters.message import Envelope, recipient_of, written
from proxy.letters.words import From, invitation, invitation_link, letter
from proxy.limits import (
    EXPIRY_SCAN_S,
    MAIL_GIVE_UP_S,
    MAIL_HAND_IN_S,
    MAIL_LEASE_S,
    MAIL_PAUSE_FIRST_S,
    MAIL_PAUSE_LONGEST_S,
    MAIL_POLL_S,
)
from proxy.smtp.handing_in import HandingIn, Mail, Outcome, Verdict, hand_in, say_goodbye
from proxy.smtp.upstream import SignedIn
from proxy.upstreams.origin import Origin
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant, Scope

log = logging.getLogger(__name__)

_DOUBLINGS: Final = 16
"""More are beyond the longest pause."""


class Upstream(Protocol):
    """Where mails are handed in: all submission upstreams, by domain."""

    async def sign_in(self, grant: Grant, origin: Origin | None) -> SignedIn:
        """Sign in for the grant's account. Raises `UpstreamFailure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How mails go, by one reading of the configuration."""

    sender: str
    writer: From
    upstream: Upstream


class UnwritableError(Exception):
    """A notice that no letter can be made of. The text is ours and holds no secret."""


class Mailing:
    """Sends what is due. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self, outbox: Outbox, identities: Identities, *, now: Callable[[], float] = time.time
    ) -> None:
        self._outbox = outbox
        self._identities = identities
        self._now = now
        self._routes: list[Route] = []
        self._sent: list[Due] = []
        """Taken by the upstream, and perhaps not settled yet."""
        self._warned_at: float | None = None
        self._trouble = ""

    def offer(self, route: Route, stack: AsyncExitStack) -> None:
        """Send by this route from now on, until `stack` is taken down: the newest one counts."""
        self._routes.append(route)
        stack.callback(self._routes.remove, route)

    async def follow(self) -> None:
        """Send what is due, again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(MAIL_POLL_S)

    async def look(self) -> None:
        """Send all that is due now. Never raises but CancelledError: the server goes on without mail."""
        try:
            await self._settle()
            if self._routes:
                await self._warn()
                await self._send_all()
            self._say("")
        except StoreUnavailable as error:
            self._say(f"the store cannot be read: {error}")
        except Exception as bug:  # noqa: BLE001 - a fault here must not end the server
            self._say(f"a fault of ours: {fault(bug)}")

    async def _warn(self) -> None:
        """Look for what expires soon, from time to time."""
        now = self._now()
        if self._warned_at is None or not 0 <= now - self._warned_at < EXPIRY_SCAN_S:
            await self._outbox.warn()
            self._warned_at = now

    async def _send_all(self) -> None:
        while self._routes and (due := await self._outbox.next(MAIL_LEASE_S)) is not None:
            try:
                await self._send(due, self._routes[-1])
            except UpstreamFailure as failure:
                await self._not_now(due, str(failure))
                return  # the next one would fail as well
            except UnwritableError as error:
                await self._give_up(due, str(error))

    async def _send(self, due: Due, route: Route) -> None:
        mail = self._mail(due, route)
        signed_in = await route.upstream.sign_in(await sender_grant(self._identities, route.sender), None)
        try:
            leg = HandingIn(mail, signed_in.extensions)
            outcome = await hand_in(
                signed_in.connection, leg, already=signed_in.rest, within_s=MAIL_HAND_IN_S
            )
            await self._conclude(due, outcome)
            await say_goodbye(signed_in.connection, leg)
        finally:
            signed_in.connection.abort()

    def _mail(self, due: Due, route: Route) -> Mail:
        """Write the letter of a notice. Raises UnwritableError."""
        hidden = None
        try:
            if due.kind is NoticeKind.INVITATION:
                hidden = self._outbox.token(due)
                said = invitation(_link(route.writer, hidden), self._end(due), route.writer, due.email)
            else:
                said = letter(due.kind, due.facts, route.writer, due.email)
            recipient = recipient_of(due.email)
            envelope = Envelope(
                sender=route.sender, recipient=recipient, written_at=due.created_at, subject=due.subject
            )
            text = written(said, envelope)
        except (UnknownKey, UnsealError) as error:
            raise UnwritableError(str(error)) from None
        except (LookupError, TypeError, ValueError) as bug:  # of what the store holds
            raise UnwritableError(fault(bug)) from None
        return Mail(sender=route.sender, recipient=recipient, text=text, utf8=envelope.utf8, hidden=hidden)

    def _end(self, due: Due) -> int:
        """Give when an invitation ends. Raises UnwritableError where it has."""
        end = int(due.facts["expires_at"])
        if end <= self._now():
            raise UnwritableError("the invitation has ended")
        return end

    async def _conclude(self, due: Due, outcome: Outcome) -> None:
        match outcome.verdict:
            case Verdict.TAKEN:
                log.info("mail sent about=%r to=%s", due.kind.value, due.email)
                self._sent.append(due)
                await self._settle()
            case Verdict.NEVER:
                await self._give_up(due, outcome.cause)
            case Verdict.LATER:
                await self._not_now(due, outcome.cause)

    async def _settle(self) -> None:
        """Be done with what was taken; where the store cannot write it down now, before its claim ends."""
        while self._sent:
            await self._outbox.sent(self._sent[0])
            self._sent.pop(0)

    async def _not_now(self, due: Due, cause: str) -> None:
        pause_s = min(MAIL_PAUSE_FIRST_S * 2 ** min(due.tries - 1, _DOUBLINGS), MAIL_PAUSE_LONGEST_S)
        if self._now() + pause_s > due.created_at + MAIL_GIVE_UP_S:
            await self._give_up(due, cause)
            return
        await self._outbox.postpone(due, pause_s)
        log.warning(
            "mail not sent, tried again in %.0f s about=%r to=%s cause=%s",
            pause_s,
            due.kind.value,
            due.email,
            cause,
        )

    async def _give_up(self, due: Due, cause: str) -> None:
        await self._outbox.give_up(due)
        log.error("mail dropped about=%r to=%s cause=%s", due.kind.value, due.email, cause)

    def _say(self, trouble: str) -> None:
        """Log what keeps mails from being sent, once, for it is looked at every two seconds."""
        if trouble and trouble != self._trouble:
            log.error("mails wait: %s", trouble)
        self._trouble = trouble


async def sender_grant(identities: Identities, sender: str) -> Grant:
    """Be the account that is the sender, with its login upstream; without one, its address alone.

    Raises StoreUnavailable.
    """
    try:
        known = await identities.of(sender)
    except AccountError:
        account_id, email, own = "", sender, {}
    else:
        account_id, email, own = known.account.id, known.account.email, dict(known.identities)
    return Grant(
        account_id=account_id,
        email=email,
        app_password_id="",
        label="",
        scopes=frozenset({Scope.MAIL}),
        identities=own,
    )


def _link(writer: From, token: Secret) -> Secret:
    """Give the address of an invitation. Raises UnwritableError where there is no portal."""
    if writer.portal_url is None:
        raise UnwritableError("the configuration names no portal")
    return invitation_link(writer.portal_url, token)
