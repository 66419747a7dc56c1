"""What a restored copy of the store may still authorise: decided in the copy, before it takes its place.

A backup knows nothing of what was revoked after it. So every app password in it is revoked, unless whoever
restores trusts the backup. What the present store knows is never forgotten either way: an app password that
was revoked stays dead, an account that was disabled or removed since comes back disabled, what proves its
owner (primary password, second factor, recovery codes) and what signs it in at the servers behind is as the
present store has it, and the audit trail goes on. Where no store can tell, codes that may be used are spent.
Sessions of the portal and invitations that were not used do not come back at all.
What ends here though the backup has no row of it is named in the change feed, so that a later restore of
another backup knows it too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from auth.deed import Actor, Mark, audit_entry
from auth.keycheck import usable_keys
from auth.seal import KeyRing
from auth.store import deeds, notices, proofs, queries, restoring
from auth.store.feed import advance
from auth.store.known import Known, KnownAccount, Tombstone
from auth.store.rows import AccountRow, AppPasswordRow, ChangeKind, FeedMark, RevokedWhy
from auth.store.store import Store, Tx
from auth.totp import DRIFT_STEPS, STEP_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a copy is restored."""

    known: Known | None
    """What the present store knows; None when there is none that can tell."""
    trusted: bool
    """Whether app passwords that nobody is known to have revoked come back alive."""
    keys: KeyRing
    actor: Actor
    at: int
    """Now, seconds since 1970-01-01 UTC."""
    made_at: str
    """When the backup was made, in words, for the audit trail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """An app password and whose it is."""

    email: str
    row: AppPasswordRow


@dataclass(slots=True)
class Restored:
    """What was decided."""

    accounts: int = 0
    alive: list[Lives] = field(default_factory=list)
    """What comes back and is active."""
    revoked: list[Lives] = field(default_factory=list)
    """What was active in the backup and is revoked by the restore."""
    stay_revoked: list[Lives] = field(default_factory=list)
    """What was active in the backup, and the present store knows that it was revoked since."""
    disabled: list[str] = field(default_factory=list)
    """Accounts that come back disabled, for they were disabled or removed since."""
    spent_codes: int = 0
    """Recovery codes that are good no more, for nobody knows whether they were used since."""
    lost_accounts: list[str] = field(default_factory=list)
    """Accounts of the present store that the backup has not."""
    lost_app_passwords: int = 0
    """App passwords of the present store, not revoked, that the backup has not."""


async def decide(store: Store, terms: Terms) -> Restored:
    """Carry the decisions out in the copy that `store` has open, in one transaction; StoreUnavailable."""
    return await store.write(lambda tx: _Decision(tx, terms).all())


class _Decision:
    """One restore under way."""

    def __init__(self, tx: Tx, terms: Terms) -> None:
        self._tx = tx
        self._terms = terms
        self._known = terms.known or _NOTHING_KNOWN
        self._usable = usable_keys(self._known.check_values, terms.keys)
        self._done = Restored()

    def all(self) -> Restored:
        restoring.append_audit(self._tx, self._known.audit)
        notices.settle_all(self._tx)
        restoring.end_ways_in(self._tx)
        accounts = queries.all_accounts(self._tx)
        for row in accounts:
            self._account(row)
        self._done.accounts = len(accounts)
        ended = self._end_lost({row.id for row in accounts})
        if ended or not accounts:
            advance(self._tx, ChangeKind.RESTORED, "", ended)  # another history even so
        return self._done

    def _account(self, row: AccountRow) -> None:
        before = self._known.accounts.get(row.id)
        self._carry_secrets(row, before)
        revoked = self._end_app_passwords(row, disabled=self._carry_end(row, before))
        said = f"a backup of {self._terms.made_at}; {len(revoked)} of its app passwords revoked"
        mark = Mark(deed=ChangeKind.RESTORED, detail=said)
        deeds.conclude(self._tx, audit_entry(self._terms.actor, row, self._terms.at, mark), revoked)

    def _carry_end(self, row: AccountRow, before: KnownAccount | None) -> bool:
        """Disable an account that was disabled or removed since; give whether it is disabled now."""
        if row.disabled_at is not None:
            return True
        if before is None or before.ended_at is None:
            return False
        deeds.set_disabled(self._tx, row.id, before.ended_at)
        self._done.disabled.append(row.email)
        return True

    def _carry_secrets(self, row: AccountRow, before: KnownAccount | None) -> None:
        """Let proofs, and who it is at the servers behind, be as they were; else spend what may be used."""
        if before is None or before.removed or not _needs(before) <= self._usable.keys():
            restoring.spend_steps(self._tx, row.id, int(self._terms.at // STEP_S) + DRIFT_STEPS)
            if not self._terms.trusted or before is not None:
                self._done.spent_codes += restoring.spend_codes(self._tx, row.id, self._terms.at)
            return
        for key_id in _needs(before):
            restoring.remember_key(self._tx, key_id, self._usable[key_id])
        if before.upstream is not None:
            restoring.put_upstream(self._tx, row.id, before.upstream)
        if row.is_service:
            return
        if before.primary_hash is not None and before.primary_key_id is not None:
            deeds.set_primary(self._tx, row.id, before.primary_hash, before.primary_key_id)
        proofs.set_seed(self._tx, row.id, before.seed, before.last_step)
        restoring.put_codes(self._tx, row.id, before.codes)

    def _end_app_passwords(self, row: AccountRow, *, disabled: bool) -> tuple[str, ...]:
        """Revoke what must not come back alive; give the ids."""
        tx, at, done = self._tx, self._terms.at, self._done
        revoked: list[str] = []
        for each in queries.app_passwords(tx, [row.id]):
            if each.revoked_at is not None:
                continue
            stone = self._stone(each.id)
            active = [Lives(email=row.email, row=each)] if queries.is_active(each, at) else []
            if stone is not None:
                revoked += deeds.revoke(tx, row.id, stone.at, stone.why, only=each.id)
                done.stay_revoked += active
            elif self._terms.trusted and not disabled:
                done.alive += active
            else:
                revoked += deeds.revoke(tx, row.id, at, RevokedWhy.RESTORED, only=each.id)
                done.revoked += active
        return tuple(revoked)

    def _stone(self, app_password_id: str) -> Tombstone | None:
        """Give the tombstone of one that the present store knows to be dead."""
        if app_password_id in self._known.ended:
            return Tombstone(at=self._terms.at, why=RevokedWhy.RESTORED)
        return self._known.revoked.get(app_password_id)

    def _end_lost(self, account_ids: set[str]) -> tuple[str, ...]:
        """Count what the present store has and the backup has not; give the app passwords that are dead."""
        known, done = self._known, self._done
        lost = [each for key, each in known.accounts.items() if key not in account_ids and not each.removed]
        back = {row.id for row in queries.all_app_passwords(self._tx)}
        done.lost_accounts = sorted(each.email for each in lost)
        lost_app_passwords = known.unrevoked - back
        done.lost_app_passwords = len(lost_app_passwords)
        dead = (known.revoked.keys() | known.ended) - back
        return tuple(sorted(dead if self._terms.trusted else dead | lost_app_passwords))


def _needs(account: KnownAccount) -> set[str]:
    """Give the ids of the keys that an account's secrets were made with."""
    seed_key = None if account.seed is None else account.seed.key_id
    lines = (line.values["key_id"] for line in account.upstream or ())
    keys = {account.primary_key_id, seed_key, *(code.key_id for code in account.codes), *lines}
    return {key_id for key_id in keys if key_id is not None}


_NOTHING_KNOWN: Final = Known(
    mark=FeedMark(0, b""),
    check_values={},
    accounts={},
    revoked={},
    unrevoked=frozenset(),
    ended=frozenset(),
    audit=(),
)
