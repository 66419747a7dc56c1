"""Other names by which an account signs in: addresses or not, and no other account's name.

A deed here is a transaction with its audit line and its number, like those of `auth.accounts`, and raises the
same errors.
"""

from __future__ import annotations

from collections.abc import Callable

from auth.checks import checked_alias, must_be_free
from auth.deed import AccountError, Actor, Mark, Problem, audit_entry
from auth.proving import account_named
from auth.store import deeds
from auth.store.rows import ChangeKind
from auth.store.store import Store, Tx


class Aliases:
    """Gives accounts other names. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def add(self, name: str, alias: str, actor: Actor) -> None:
        """Let `alias` sign in to the account; no other account may have it."""
        wanted = checked_alias(alias)

        def deed(tx: Tx) -> None:
            account = account_named(tx, name)
            must_be_free(tx, (wanted,))
            deeds.insert_name(tx, account.id, wanted, is_email=False)
            mark = Mark(deed=ChangeKind.ALIAS_ADDED, detail=wanted)
            deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))

        await self._store.write(deed)

    async def remove(self, name: str, alias: str, actor: Actor) -> None:
        """Let `alias` sign in no more; the account's email is not an alias."""
        wanted = checked_alias(alias)

        def deed(tx: Tx) -> None:
            account = account_named(tx, name)
            if not deeds.delete_alias(tx, account.id, wanted):
                raise AccountError(
                    Problem.NO_SUCH_ALIAS,
                    f"{account.email} has no alias {wanted}",
                    f"those it has: {', '.join(account.aliases) or 'none'}",
                )
            mark = Mark(deed=ChangeKind.ALIAS_REMOVED, detail=wanted)
            deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))

        await self._store.write(deed)
