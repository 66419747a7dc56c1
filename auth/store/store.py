"""The store as the rest of the program sees it: two files, a change feed, and nothing of SQL.

A sign-in asks `locate` and `standing` (one statement each) and `feed_mark`; deeds are put together
elsewhere and run through `write`. Whatever goes wrong underneath is `StoreUnavailable`. The activity file may
be broken or missing: only the calls that need it fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, Self, TypeVar

from auth.seal import Sealed
from auth.store import activity, deeds, identities, queries, successors
from auth.store.activity import ActivityLog
from auth.store.engine import BUSY_S, Database, Tx, path_of
from auth.store.feed import FeedCheck
from auth.store.migrate import History
from auth.store.outcomes import Run, latest_runs
from auth.store.rows import Change, FeedMark, LastUse, Located, SignInRecord, Standing
from scopes.model import Service

__all__ = ["Store", "Tx"]

T = TypeVar("T")

HISTORY_PAGE: Final = 100
"""Sign-ins shown at once."""


class Store:
    """One process's view of the store; make it with `open`, use it on one event loop."""

    def __init__(
        self, gate: Database, log: ActivityLog, check: FeedCheck, *, now: Callable[[], float] = time.time
    ) -> None:
        self._gate = gate
        self._log = log
        self._check = check
        self._now = now

    @classmethod
    async def open(
        cls,
        gate_url: str,
        activity_url: str,
        *,
        create: bool = False,
        busy_s: float = BUSY_S,
        tell_owners: bool = False,
    ) -> Self:
        """Open both files and migrate them as needed.

        Only with `create` is a gate file made; a missing one is StoreMissing otherwise. `busy_s` is how long
        a statement waits for another process. With `tell_owners` every deed writes down what the owner is to
        be told by mail. Raises StoreUnavailable for the gate file, ValueError for a URL that names no file;
        the activity file is opened, and made, when first used.
        """
        path = path_of(gate_url)
        log = ActivityLog(path_of(activity_url), busy_s=busy_s)
        gate = await Database.open(path, History.GATE, create=create, busy_s=busy_s, tell_owners=tell_owners)
        try:
            return cls(gate, log, FeedCheck(path))
        except BaseException:
            await gate.close()
            raise

    async def close(self) -> None:
        """Let running work end and close everything. Idempotent."""
        await self._gate.close()
        await self._log.close()
        self._check.close()

    @property
    def statements(self) -> int:
        """SQL statements sent to the gate file so far, feed checks apart."""
        return self._gate.statements

    # --- sign-in --------------------------------------------------------------------------------------------

    async def locate(self, name: str, selector: str) -> Located | None:
        """Find the app password a canonical name and a selector mean."""
        return await self._gate.read(lambda tx: queries.locate(tx, name, selector))

    async def standing(self, app_password_id: str) -> Standing | None:
        """Read all that authorises a sign-in by this app password."""
        return await self._gate.read(lambda tx: queries.standing(tx, app_password_id))

    async def sender_addresses(self, account_id: str) -> tuple[str, ...]:
        """Give all an account may send as, in one statement: email, aliases, listed addresses and `*@domain`.

        Canonical, as of `auth.names.email_address`. Empty for an account that is not there any more.
        """
        return await self._gate.read(lambda tx: queries.sender_addresses(tx, account_id))

    async def upstream_secret(self, account_id: str, service: Service) -> Sealed | None:
        """Give the sealed secret that an account has for the upstream of a service."""
        return await self._gate.read(lambda tx: identities.secret(tx, account_id, service))

    async def mailbox(self, address: str) -> str | None:
        """Give the email of the account that has a canonical address as its email or an alias.

        A disabled account has its mail kept for it: it may come back, and nobody can read it meanwhile.
        """
        return await self._gate.read(lambda tx: queries.mailbox(tx, address))

    async def serves_domain(self, domain: str) -> bool:
        """Tell whether some account has a name in a canonical domain."""
        return await self._gate.read(lambda tx: queries.serves_domain(tx, domain))

    async def feed_mark(self) -> FeedMark:
        """Give the mark of the last committed change. Waits for nothing; busy is StoreUnavailable."""
        return self._check.mark()

    async def replace_verifier(self, app_password_id: str, old_hash: str, new_hash: str, key_id: str) -> None:
        """Store the same password's hash at today's cost, unless it was replaced meanwhile."""
        await self._gate.write(
            lambda tx: deeds.replace_verifier(tx, app_password_id, old_hash, new_hash, key_id)
        )

    async def first_use(self, app_password_id: str, at: int, where: str) -> None:
        """End what a successor replaces, now that it is used from `where`; nothing where that was done."""
        await self._gate.write(lambda tx: successors.first_use(tx, app_password_id, at, where))

    async def changes_since(self, seq: int) -> list[Change]:
        """Give the changes after number `seq`, in their order; like `feed_mark` it waits for nothing."""
        return self._check.changes_since(seq)

    # --- deeds ----------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run questions of `auth.store.queries` that must see one moment."""
        return await self._gate.read(work, snapshot=True)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run a deed in one transaction; what it raises rolls everything back."""
        return await self._gate.write(work)

    # --- activity -------------------------------------------------------------------------------------------

    async def record_sign_ins(self, records: list[SignInRecord]) -> None:
        """Write a batch of sign-ins."""
        await self._log.write(lambda tx: activity.record_sign_ins(tx, records))

    async def last_used(self, app_password_ids: Iterable[str]) -> dict[str, list[LastUse]]:
        """Give the last uses of each of these app passwords that was ever used, newest first."""
        return await self._log.read(lambda tx: activity.last_used(tx, app_password_ids))

    async def sign_ins(self, account_id: str, most: int = HISTORY_PAGE) -> list[SignInRecord]:
        """Give the newest sign-ins of one account, newest first."""
        return await self._log.read(lambda tx: activity.sign_ins(tx, account_id, most))

    async def last_refused(self, account_ids: Iterable[str]) -> dict[str, SignInRecord]:
        """Give the last refused sign-in by each app password of these accounts that was refused."""
        return await self._log.read(lambda tx: activity.last_refused(tx, account_ids))

    async def upstream_runs(self, account_id: str) -> dict[Service, tuple[Run, ...]]:
        """Tell how the sign-ins of one account went lately at the servers behind."""
        return await self._log.read(lambda tx: latest_runs(tx, account_id))

    async def report(self, worker: str, change: FeedMark, cut: int) -> None:
        """Say how many sessions `worker` cut for a change."""
        at = int(self._now())
        await self._log.write(lambda tx: activity.write_report(tx, worker, change, cut, at))

    async def reports(self, change: FeedMark) -> dict[str, int]:
        """Give the sessions cut for a change, by worker."""
        return await self._log.read(lambda tx: activity.reports(tx, change))
