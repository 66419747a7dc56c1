"""Sessions of the portal in the store: opened, turned to a new token, and the box of what a session holds.

Whenever a session gets further it gets another token, and the one before is worth nothing from then on. Its
box is sealed and bound to the digest of its token. Where the box cannot be opened (the key is gone, the row
was tampered with) it is as if nothing were in it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from auth.deed import Opened, Revocation, session_ended
from auth.lifetimes import is_alive
from auth.seal import Binding, KeyRing, Sealed, UnknownKey, UnsealError
from auth.secret import Secret
from auth.store import portal_sessions as rows
from auth.store import queries
from auth.store.rows import AccountRow, SessionRow, Stage
from auth.store.store import Tx
from auth.tokens import new_token, token_digest

Held = Mapping[str, Any]
"""What is in a box: JSON, by purpose."""
BOX_CHARACTERS: Final = 65_536
"""More than any page keeps; beyond it is a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a session gets."""

    stage: Stage
    proved_at: int | None = None
    began_at: int | None = None
    """Of a new session: when its sign-in began, if not now."""
    held: Held = field(default_factory=dict, repr=False)


class SessionBook:
    """Writes sessions, each call inside a transaction of the caller's."""

    def __init__(
        self,
        keys: KeyRing,
        now: Callable[[], float],
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`now` gives seconds since 1970-01-01 UTC."""
        self._keys = keys
        self.now = now
        self._random = random

    def open(
        self, tx: Tx, account: AccountRow | None, step: Step, revocation: Revocation | None = None
    ) -> Opened:
        """Write a new session."""
        at, token = int(self.now()), new_token(self._random)
        row = SessionRow(
            digest=token_digest(token),
            account_id=None if account is None else account.id,
            stage=step.stage,
            created_at=at if step.began_at is None else step.began_at,
            seen_at=at,
            proved_at=step.proved_at,
        )
        rows.tidy(tx, at)
        rows.put(tx, replace(row, sealed=self._seal(row, step.held)))
        return Opened(token=token, stage=step.stage, revocation=revocation)

    def turn(self, tx: Tx, row: SessionRow, step: Step) -> Opened:
        """Give a session, read in this transaction, a new token."""
        token = new_token(self._random)
        turned = replace(
            row,
            digest=token_digest(token),
            stage=step.stage,
            seen_at=int(self.now()),
            proved_at=step.proved_at,
            sealed=None,
        )
        rows.put_in_place(tx, row.digest, replace(turned, sealed=self._seal(turned, step.held)))
        return Opened(token=token, stage=step.stage)

    def find(self, tx: Tx, token: Secret) -> tuple[SessionRow, AccountRow | None] | None:
        """Give the session of a token and whose it is, which nobody is told in stage `CODE`.

        None where there is none, or it has ended, by itself or with its account.
        """
        row = rows.find(tx, token_digest(token))
        if row is None or not is_alive(row, self.now()):
            return None
        if row.stage is Stage.CODE:
            return row, None
        account = None if row.account_id is None else queries.account_by_id(tx, row.account_id)
        return None if account is None or account.disabled_at is not None else (row, account)

    def must_find(self, tx: Tx, token: Secret, *stages: Stage) -> tuple[SessionRow, AccountRow]:
        """Give a session of one of these stages, and whose it is; raises SESSION_ENDED."""
        row, account = self.find(tx, token) or (None, None)
        if row is None or account is None or row.stage not in stages:
            raise session_ended()
        return row, account

    def held(self, row: SessionRow) -> dict[str, Any]:
        """Give what is in the box of a session."""
        if row.sealed is None:
            return {}
        try:
            text = self._keys.unseal(row.sealed, _binding(row)).reveal()
        except (UnknownKey, UnsealError):
            return {}
        found: dict[str, Any] = json.loads(text)
        return found

    def hold(self, tx: Tx, row: SessionRow, held: Held) -> None:
        """Put this into the box of a session, in place of what was there."""
        rows.put_in_place(tx, row.digest, replace(row, sealed=self._seal(row, held)))

    def _seal(self, row: SessionRow, held: Held) -> Sealed | None:
        if not held:
            return None
        text = json.dumps(dict(held))
        if len(text) > BOX_CHARACTERS:
            raise ValueError(f"more than {BOX_CHARACTERS} characters to keep in a session")
        return self._keys.seal(Secret(text), _binding(row))


def _binding(row: SessionRow) -> Binding:
    return Binding(
        table="portal_session", row_id=row.digest.hex(), account_id=row.account_id or "", purpose="box"
    )
