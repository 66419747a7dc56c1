"""Many people at once: a roster is brought into the store in one transaction, or nothing of it is.

It only adds: accounts, aliases, logins and secrets for the servers behind. What is there already stays, so
the same list can come again with more rows in it. Where it says otherwise than the store (a secret that its
owner has replaced since, another login) the store is right, and that is said. Who is disabled stays disabled,
and nothing is taken away.

A secret is stored as it is in the list; whether the server behind takes it is not tried here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from auth import ids
from auth.deed import Actor, Mark, audit_entry, to_type
from auth.identities import Identities, Said, set_mark
from auth.ids import new_id
from auth.roster import Fault, Roster, RosterError
from auth.roster_check import Checked, Logins, Wanted, checked
from auth.store import deeds, identities, queries
from auth.store.identities import Kept
from auth.store.rows import AccountRow, ChangeKind
from auth.store.store import Store, Tx
from scopes.model import Identity, Service


class Outcome(StrEnum):
    """What becomes of a row."""

    ADDED = "added"
    COMPLETED = "completed"
    """The account was there, and lacked something."""
    UNCHANGED = "unchanged"
    DISABLED = "disabled"
    """The account is, and is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one row, or would."""

    line: int
    email: str
    outcome: Outcome
    aliases: tuple[str, ...] = ()
    """Those that were added."""
    upstream: Mapping[Service, Identity] = field(default_factory=dict)
    """What was set."""
    kept: tuple[Service, ...] = ()
    """Where the store says otherwise than the row, and stays as it is."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A row, the account it is about, which may be a new one, and what is to be done."""

    wanted: Wanted
    account: AccountRow
    done: Done


class Importing:
    """Brings rosters in. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(self, store: Store, identities: Identities, now: Callable[[], float]) -> None:
        self._store = store
        self._identities = identities
        self._now = now

    async def preview(self, roster: Roster, logins: Logins) -> tuple[Done, ...]:
        """Say what `carry_out` would do now, and change nothing. Raises the same."""
        found = checked(roster, logins)
        return await self._store.read(lambda tx: tuple(each.done for each in self._plan(tx, found)))

    async def carry_out(self, roster: Roster, logins: Logins, actor: Actor) -> tuple[Done, ...]:
        """Bring it in, row by row in their order.

        Raises RosterError with every row that is wrong, and has changed nothing then; StoreUnavailable, and
        `auth.seal.UnknownKey` or `UnsealError` where a stored secret cannot be compared.
        """
        found = checked(roster, logins)

        def deed(tx: Tx) -> tuple[Done, ...]:
            plan = self._plan(tx, found)
            self._write(tx, plan, actor)
            return tuple(each.done for each in plan)

        return await self._store.write(deed)

    def _plan(self, tx: Tx, found: Checked) -> list[_Planned]:
        """Say what is to be done for each row; raises RosterError."""
        owners = {name: row for row in queries.all_accounts(tx) for name in (row.email, *row.aliases)}
        faults = [*found.faults, *(fault for wanted in found.rows for fault in _taken(wanted, owners))]
        if faults:
            raise RosterError(sorted(faults, key=lambda fault: fault.line))
        kept = self._identities.all_kept(tx)
        return [self._planned(wanted, owners.get(wanted.email), kept) for wanted in found.rows]

    def _planned(
        self, wanted: Wanted, account: AccountRow | None, kept: Mapping[tuple[str, Service], Kept]
    ) -> _Planned:
        """Say what one row adds to what is there."""
        told = {service: each.identity for service, each in wanted.upstream.items()}
        done = Done(line=wanted.line, email=wanted.email, outcome=Outcome.ADDED)
        if account is None:
            row = AccountRow.person(new_id(ids.ACCOUNT), wanted.email, int(self._now()))
            row = replace(row, aliases=wanted.aliases)
            return _Planned(wanted, row, replace(done, aliases=wanted.aliases, upstream=told))
        if account.disabled_at is not None:
            return _Planned(wanted, account, replace(done, outcome=Outcome.DISABLED))
        aliases = tuple(name for name in wanted.aliases if name not in account.aliases)
        judged = {
            service: self._identities.compare(kept.get((account.id, service)), each.identity, each.secret)
            for service, each in wanted.upstream.items()
        }
        lacking = {service: told[service] for service, said in judged.items() if said is Said.LESS}
        done = replace(
            done,
            outcome=Outcome.COMPLETED if aliases or lacking else Outcome.UNCHANGED,
            aliases=aliases,
            upstream=lacking,
            kept=tuple(service for service, said in judged.items() if said is Said.OTHERWISE),
        )
        return _Planned(wanted, account, done)

    def _write(self, tx: Tx, plan: Sequence[_Planned], actor: Actor) -> None:
        """Carry it out in few statements, however long it is; each row has audit lines of its own."""
        at = int(self._now())
        added = [each for each in plan if each.done.outcome is Outcome.ADDED]
        completed = [each for each in plan if each.done.outcome is Outcome.COMPLETED]
        deeds.insert_accounts(tx, [each.account for each in added])
        names = [(each.account.id, alias) for each in completed for alias in each.done.aliases]
        deeds.insert_names(tx, names, are_emails=False)
        upstream = [
            self._identities.sealed(each.account.id, service, identity, each.wanted.upstream[service].secret)
            for each in plan
            for service, identity in each.done.upstream.items()
        ]
        identities.put_all(tx, upstream, at)
        marks = [(each.account, mark) for each in plan for mark in _marks(each.done)]
        deeds.conclude_many(tx, [audit_entry(actor, account, at, mark) for account, mark in marks])


def _marks(done: Done) -> Iterator[Mark]:
    """Say what was done for a row, for the audit trail."""
    if done.outcome is Outcome.ADDED:
        aliases = f", aliases {' '.join(done.aliases)}" if done.aliases else ""
        yield Mark(deed=ChangeKind.ACCOUNT_ADDED, detail=f"person, imported{aliases}")
    else:
        yield from (Mark(deed=ChangeKind.ALIAS_ADDED, detail=alias) for alias in done.aliases)
    if done.upstream:
        yield set_mark(done.upstream)


def _taken(wanted: Wanted, owners: Mapping[str, AccountRow]) -> Iterator[Fault]:
    """Say which names of a row belong to somebody else in the store."""
    account = owners.get(wanted.email)
    if account is not None and account.email != wanted.email:
        what = f"{wanted.email} is an alias of {account.email}"
        hint = "write that email, or take the alias away: " + to_type(
            "account", "alias", "remove", account.email, wanted.email
        )
        yield Fault(line=wanted.line, what=what, hint=hint)
        return
    if account is not None and account.is_service:
        hint = "take the line out; the list is one of people"
        yield Fault(line=wanted.line, what=f"{wanted.email} is a service account", hint=hint)
    if account is not None and account.disabled_at is not None:
        return
    for alias in wanted.aliases:
        other = owners.get(alias)
        if other is not None and other.email != wanted.email:
            what = f"{alias} signs in to {other.email}"
            hint = "take it out; names are unique over the emails and aliases of all accounts"
            yield Fault(line=wanted.line, what=what, hint=hint)
