"""What the log hears of a request: who came in, who was refused, as on every other protocol.

What was typed into a field of a secret is never told. A name is: the account's where the session knows it,
else as it was typed. A code that was wrong is one guess, whichever half was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from auth.accounts import AccountError
from auth.deed import Problem
from auth.refusal import Reason
from auth.store.rows import Stage
from proxy.log.events import Refused, SignedIn, Visitor, tell
from proxy.log.words import REASONS, TOO_MANY_TRIES
from proxy.portal.visit import Visit

_WORDS: Final[Mapping[Problem, str]] = MappingProxyType(
    {
        Problem.WRONG_PROOF: REASONS[Reason.BAD_CREDENTIALS],
        Problem.TOO_MANY_TRIES: TOO_MANY_TRIES,
    }
)


class Telling:
    """Of one request."""

    def __init__(self, caller: Visitor, client: str) -> None:
        self._caller = replace(caller, client=client)
        self.refused = False
        """Whether the caller was not let in, by a fault of his own."""

    async def came_in(self, visit: Visit) -> None:
        """Tell of a sign-in, where this request has completed one. Raises StoreUnavailable."""
        if visit.opened is None or visit.opened.stage is not Stage.IN or _is_in(visit):
            return
        session = await visit.ports.accounts.portal.look(visit.token)
        if session is not None:
            tell(SignedIn(visitor=replace(self._caller, account=session.account.email)))

    def of(self, error: AccountError, visit: Visit) -> None:
        """Tell of a proof that was not taken; of nothing else that is wrong with a form."""
        if (word := _WORDS.get(error.problem)) is not None:
            self.refused = True
            visitor = replace(self._caller, account=_name(visit, error.tried))
            tell(Refused(visitor=visitor, reason=word))

    def of_outage(self, trouble: Exception, visit: Visit | None) -> None:
        """Tell that a proof could not be looked at."""
        name = "" if visit is None else _name(visit, "")
        visitor = replace(self._caller, account=name)
        tell(Refused(visitor=visitor, reason=REASONS[Reason.UNAVAILABLE], cause=str(trouble)))


def _is_in(visit: Visit) -> bool:
    return visit.held is not None and visit.held.stage is Stage.IN


def _name(visit: Visit, tried: str) -> str:
    if visit.held is not None and visit.held.whose is not None:
        return visit.held.account.email
    return tried or visit.form.get("email", "")
