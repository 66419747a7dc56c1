"""What a page tells of the deed on the page before: kept in the session, told once. Pure.

Kept on the server and not in the address, so that no link can make a page claim what was not done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

from auth.secret import Secret
from proxy.limits import FEED_BLIND_S
from proxy.portal.sentences import Name, Sentence, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """That app passwords were revoked."""

    label: str | None
    """That of the one that was meant; None where all were."""
    number: int
    """How many ended; 0 where there was nothing left to end."""
    cut: int
    """Sessions that ended with them."""
    silent: int
    """Workers that have not answered yet."""

    @classmethod
    def kept(cls, kept: Secret) -> Self:
        """Read what `to_keep` wrote."""
        return cls(**json.loads(kept.reveal()))

    def to_keep(self) -> Secret:
        """Write it down for the page that tells it."""
        return Secret(json.dumps(asdict(self)))

    def told(self) -> Sentence:
        """Say it."""
        if self.label is None:
            what = Sentence("All your app passwords are" if self.number else "All your app passwords were")
        else:
            what = Sentence(Name(self.label), " is" if self.number else " was")
        if not self.number:
            return what + Sentence(" revoked already.")
        return what + Sentence(f" revoked. {_cut(self.cut, self.silent)}{_silent(self.silent)}")


def _cut(sessions: int, silent: int) -> str:
    if not sessions:
        return "No open session is known of." if silent else "No session was open."
    return f"{counted(sessions, 'session')} {'was' if sessions == 1 else 'were'} cut."


def _silent(workers: int) -> str:
    if not workers:
        return ""
    who = f"{counted(workers, 'server process', 'es')} {'has' if workers == 1 else 'have'}"
    return (
        f" {who} not confirmed it yet: nobody gets in there either, and what is open there is cut "
        f"within {FEED_BLIND_S:.0f} seconds."
    )
