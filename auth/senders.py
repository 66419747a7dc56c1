"""What an account may send as beside its email and its aliases: listed addresses, and whole domains.

An address here signs in to nothing, so several accounts may list the same one, and nobody has to own it. It
is an address of `auth.names`, in the same canonical form and under the same case rule (RFC 5321 §4.1.2
without quoted local parts and address literals), or `*@` with a domain, which stands for every address in
just that domain.

What a message may be sent as is compared in the submission session. A deed here is a transaction with its
audit line and its number, like those of `auth.accounts`, and raises the same errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auth import names
from auth.apppassword import looks_like_one
from auth.deed import AccountError, Actor, Mark, Problem, audit_entry, to_type
from auth.proving import account_named
from auth.store import deeds, queries
from auth.store.rows import AccountRow, ChangeKind
from auth.store.store import Store, Tx

MOST_LISTED: Final = 100
"""Addresses listed for one account: all are read for each message; whoever needs more lists a domain."""
_HINT: Final = "write it as in sales@example.net, or *@example.net for every address of a domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """All an account may send as."""

    account: AccountRow
    listed: tuple[str, ...]
    """Addresses and patterns that were added, in their order."""

    @property
    def own(self) -> tuple[str, ...]:
        """Those of its names that are addresses: its email first, then aliases."""
        return tuple(filter(names.sends_as_itself, (self.account.email, *self.account.aliases)))


class Senders:
    """Lists what accounts may send as. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def of(self, name: str) -> Sending:
        """Give what the account called `name` may send as."""
        return await self._store.read(lambda tx: _sending(tx, name))

    async def add(self, name: str, address: str, actor: Actor) -> Sending:
        """Let the account send as `address`, or as everybody of a domain."""
        wanted = checked_sender(address)
        mark = Mark(deed=ChangeKind.SENDER_ADDED, detail=wanted)

        def deed(tx: Tx) -> Sending:
            before = _sending(tx, name)
            _must_be_news(before, wanted)
            if len(before.listed) >= MOST_LISTED:
                raise _too_many(before.account.email)
            deeds.insert_sender(tx, before.account.id, wanted)
            return self._conclude(tx, before.account, actor, mark)

        return await self._store.write(deed)

    async def remove(self, name: str, address: str, actor: Actor) -> Sending:
        """Let the account send as `address` no more; its email and its aliases are not listed."""
        wanted = checked_sender(address)
        mark = Mark(deed=ChangeKind.SENDER_REMOVED, detail=wanted)

        def deed(tx: Tx) -> Sending:
            before = _sending(tx, name)
            if not deeds.delete_sender(tx, before.account.id, wanted):
                raise _not_listed(before, wanted)
            return self._conclude(tx, before.account, actor, mark)

        return await self._store.write(deed)

    def _conclude(self, tx: Tx, account: AccountRow, actor: Actor, mark: Mark) -> Sending:
        after = Sending(account=account, listed=tuple(queries.senders(tx, account.id)))
        deeds.conclude(tx, audit_entry(actor, account, int(self._now()), mark))
        return after


def checked_sender(address: str) -> str:
    """Give an address or a pattern in its canonical form; raises AccountError.

    A star anywhere else is refused, though RFC 5321 allows it: whoever writes one means a pattern.
    """
    star = address.startswith(names.EVERYBODY)
    plain = f"all{address[1:]}" if star else address  # any local part shows whether the domain is good
    known = None if looks_like_one(address) else names.email_address(plain)
    if known is None or "*" in known:
        raise AccountError(Problem.BAD_SENDER, "this is no address to send as", _HINT)
    return f"*{known.removeprefix('all')}" if star else known


def _sending(tx: Tx, name: str) -> Sending:
    account = account_named(tx, name)
    return Sending(account=account, listed=tuple(queries.senders(tx, account.id)))


def _must_be_news(before: Sending, wanted: str) -> None:
    account = before.account
    if wanted in before.listed:
        why = "it is listed"
    elif wanted == account.email:
        why = "it is its email"
    elif wanted in account.aliases:
        why = "it is an alias"
    else:
        return
    raise AccountError(
        Problem.SENDER_LISTED,
        f"{account.email} may send as {wanted} already: {why}",
        f"all it may send as: {to_type('account', 'sender', 'list', account.email)}",
    )


def _too_many(email: str) -> AccountError:
    return AccountError(
        Problem.TOO_MANY_SENDERS,
        f"{email} has {MOST_LISTED} listed addresses, and more are not taken",
        "list a whole domain as in *@example.net, or take one away: "
        + to_type("account", "sender", "list", email),
    )


def _not_listed(before: Sending, wanted: str) -> AccountError:
    account = before.account
    if wanted == account.email:
        hint = "an account may always send as its own email"
    elif wanted in account.aliases:
        hint = f"it is an alias: {to_type('account', 'alias', 'remove', account.email, wanted)}"
    else:
        hint = f"all it may send as: {to_type('account', 'sender', 'list', account.email)}"
    return AccountError(
        Problem.NO_SUCH_SENDER, f"{wanted} is not listed for {account.email} to send as", hint
    )
