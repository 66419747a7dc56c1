"""Holds one session's senders to the rule of the config; what they are is told by `sender`.

An outage of the store is no verdict: with `own` the client is told to try again, with `report` it passes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from auth.store.errors import StoreUnavailable
from proxy import logtext
from proxy.entrance import watched
from proxy.smtp.from_field import BadFrom, from_addresses
from proxy.smtp.sender import SenderRule, Senders, bad_from, first_foreign, not_own, own_of
from proxy.smtp.sides import ClientSide
from scopes.model import Grant

log = logging.getLogger(__name__)

_UNKNOWN: Final = b"451 4.3.0 whose address this is cannot be told now, try again later\r\n"


class SenderCheck:
    """The rule for one account; `senders` may be None for the rule `upstream` alone."""

    def __init__(self, client: ClientSide, grant: Grant, rule: SenderRule, senders: Senders | None) -> None:
        self._client = client
        self._grant = grant
        self._rule = rule
        self._senders = senders

    @property
    def strict(self) -> bool:
        """Whether what the rule does not allow is refused, and not only logged."""
        return self._rule is SenderRule.OWN

    async def envelope(self, sender: str, *, utf8: bool) -> bytes | None:
        """Give the refusal of the sender in MAIL; None lets it pass. `utf8`: MAIL said SMTPUTF8."""
        return await self._refusal((sender,), "MAIL", utf8=utf8)

    async def header(self, header: bytes | None, *, utf8: bool) -> bytes | None:
        """Give the refusal of a message for its From; None lets it pass, as it does one without.

        A header that could not be held (None) is of a rule that only logs.
        """
        if header is None:
            return self._ruled(b"", "From", "unread, the header is too long")
        found = from_addresses(header)
        if isinstance(found, BadFrom):
            return self._ruled(bad_from(found), "From", found)
        return await self._refusal(found, "From", utf8=utf8)

    async def _refusal(self, addresses: Sequence[str], where: str, *, utf8: bool) -> bytes | None:
        if self._senders is None or self._rule is SenderRule.UPSTREAM or not addresses:
            return None
        try:
            own = await watched(own_of(self._senders, self._grant), self._client.hold)
        except StoreUnavailable as outage:
            log.warning("smtp senders unknown connection=%s cause=%s", self._client.connection.id, outage)
            return _UNKNOWN if self.strict else None
        foreign = first_foreign(addresses, own)
        if foreign is None:
            return None
        return self._ruled(not_own(foreign, self._grant, utf8=utf8), where, foreign)

    def _ruled(self, refusal: bytes, where: str, what: str) -> bytes | None:
        log.warning(
            "smtp sender not its own connection=%s account=%s rule=%s where=%s what=%s",
            self._client.connection.id,
            self._grant.account_id,
            self._rule,
            where,
            logtext.name(what),
        )
        return refusal if self.strict else None
