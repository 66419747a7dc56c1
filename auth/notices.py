"""The outbox: what owners are to be told, one after the other, for whoever sends it.

At least once: a notice that was sent and not settled, because the process was killed in between, is sent
again when its claim has ended. Nothing here knows how mail is sent, or what is said.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable

from auth.expiring import warnings
from auth.seal import Binding, KeyRing, Sealed, UnsealError
from auth.secret import Secret
from auth.store import notices
from auth.store.notices import Due, Notice, NoticeKind
from auth.store.store import Store, Tx

__all__ = ["Due", "NoticeKind", "Outbox", "invitation"]


def invitation(keys: KeyRing, account_id: str, token: Secret, *, name: str, expires_at: int) -> Notice:
    """Give the notice of an invitation, whose `token` is sealed in it; `name` is unique and no secret."""
    subject = f"{NoticeKind.INVITATION} {name}"
    sealed = keys.seal(token, _binding(subject, account_id))
    facts = {
        "token": b64encode(sealed.box).decode("ascii"),
        "key_id": sealed.key_id,
        "expires_at": expires_at,
    }
    return Notice(subject=subject, account_id=account_id, kind=NoticeKind.INVITATION, facts=facts)


class Outbox:
    """What is to be sent. `now` gives seconds since 1970-01-01 UTC; everything raises StoreUnavailable."""

    def __init__(self, store: Store, keys: KeyRing, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    async def next(self, lease_s: int) -> Due | None:
        """Claim the next one for `lease_s`; None when nothing is due."""
        at = int(self._now())
        if not await self._store.read(lambda tx: notices.any_due(tx, at)):
            return None
        return await self._store.write(lambda tx: notices.claim(tx, at, lease_s))

    async def sent(self, due: Due) -> None:
        """Be done with it."""
        at = int(self._now())
        await self._store.write(lambda tx: notices.settle(tx, due.id, at))

    async def give_up(self, due: Due) -> None:
        """Be done with it, unsent."""
        await self._store.write(lambda tx: notices.settle(tx, due.id, None))

    async def postpone(self, due: Due, pause_s: float) -> None:
        """Have it due again after a pause."""
        until = int(self._now() + pause_s)
        await self._store.write(lambda tx: notices.postpone(tx, due.id, until))

    async def warn(self) -> int:
        """Write the warnings of what expires soon, and forget what is done with for long; how many."""
        at = int(self._now())
        due = await self._store.read(lambda tx: warnings(tx, at))

        def deed(tx: Tx) -> None:
            for warning in due:
                notices.put(tx, warning, at)
            notices.sweep(tx, at)

        await self._store.write(deed)
        return len(due)

    def token(self, due: Due) -> Secret:
        """Open what an invitation's link holds. Raises UnknownKey, and UnsealError when there is no such."""
        key_id, box = due.facts.get("key_id"), due.facts.get("token")
        if not (isinstance(key_id, str) and isinstance(box, str)):
            raise UnsealError("an invitation without its token")
        sealed = Sealed(key_id=key_id, box=b64decode(box))
        return self._keys.unseal(sealed, _binding(due.subject, due.account_id))


def _binding(subject: str, account_id: str) -> Binding:
    return Binding(table="notice", row_id=subject, account_id=account_id, purpose="invitation")
