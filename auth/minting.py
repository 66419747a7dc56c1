"""New app passwords: made by the machine, hashed before the transaction, counted inside it.

The limit, the label and the selector are checked in the transaction that writes the row, so of two mints in
parallel at the last free place one succeeds. The row is committed before the password is given out: a mint
that is killed leaves at most one row, which says that it was perhaps never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from auth import apppassword, ids
from auth.apppassword import AppPassword, verifier_message
from auth.checks import check_limits, checked_label, checked_scopes, folded
from auth.deed import (
    AccountError,
    Actor,
    Fresh,
    Mark,
    Minted,
    MintRequest,
    Problem,
    Proof,
    audit_entry,
    disabled,
    to_type,
)
from auth.hashing import Hasher
from auth.proving import Claim, Prover
from auth.seal import KeyRing
from auth.store import deeds, queries, successors
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow, AppPasswordRow, ChangeKind
from auth.store.store import Tx
from scopes.model import Limits, Scope, in_order

MOST_ACTIVE: Final = 25
"""Active app passwords of one account; the config may ask for fewer."""
_DRAWS: Final = 8
"""Selectors tried; even after a thousand tombstones a free one is found at once."""


class _SelectorTaken(Exception):  # noqa: N818 - it asks for another draw
    """The drawn selector names a row of the account, perhaps a tombstone: draw again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a new app password is to be, looked at already."""

    label: str
    scopes: frozenset[Scope]
    limits: Limits
    expires_at: int | None
    replaces: str | None = None
    """The id of the one it is the successor of."""


Ask = Callable[[Sequence[AppPasswordRow], AccountRow], Wanted]
"""Says what is wanted, in the deed's transaction, by all that the account has; raises AccountError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What does not depend on what is wanted."""

    id: str
    selector: str
    verifier_hash: str = field(repr=False)
    key_id: str
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every mint goes by."""

    limit: int
    now: Callable[[], float]
    new_id: Callable[[str], str]
    generate: Callable[[], AppPassword] = apppassword.generate


class Mint:
    """Makes app passwords."""

    def __init__(self, prover: Prover, hasher: Hasher, keys: KeyRing, terms: Terms) -> None:
        if not 1 <= terms.limit <= MOST_ACTIVE:
            raise ValueError(f"the limit of app passwords is 1 to {MOST_ACTIVE}")
        self._prover = prover
        self._hasher = hasher
        self._keys = keys
        self._terms = terms

    async def mint(
        self, name: str, request: MintRequest, actor: Actor, proof: Proof | Fresh | None
    ) -> Minted:
        """Make one; see `Accounts.mint`."""
        label, scopes = checked_label(request.label), checked_scopes(request.scopes)
        check_limits(request.limits, scopes)
        if request.expires_at is not None and request.expires_at <= self._terms.now():
            raise AccountError(Problem.BAD_EXPIRY, "it would have expired already", "choose a time to come")
        wanted = Wanted(label=label, scopes=scopes, limits=request.limits, expires_at=request.expires_at)
        claim = await self._prover.claim(name, actor, proof)
        return await self.make(claim, actor, lambda _rows, _account: wanted)

    async def make(self, claim: Claim, actor: Actor, ask: Ask) -> Minted:
        """Spend the proof and make what `ask` gives, in one transaction; raises what `mint` raises."""
        for _ in range(_DRAWS):
            made = self._terms.generate()
            verifier_hash, key_id = await self._hash(claim.account.id, made)
            drawn = _Drawn(
                id=self._terms.new_id(ids.APP_PASSWORD),
                selector=made.selector,
                verifier_hash=verifier_hash,
                key_id=key_id,
                created_by=f"{actor.kind} {actor.name}",
            )
            deed = partial(self._write, drawn=drawn, ask=ask, claim=claim, actor=actor)
            try:
                row, old_ends_at = await self._prover.carry_out(claim, deed)
            except _SelectorTaken:
                continue
            return replace(_minted(row, made, old_ends_at), revocation=claim.revocation)
        raise StoreUnavailable("no free selector was drawn")

    async def _hash(self, account_id: str, made: AppPassword) -> tuple[str, str]:
        key_id = self._keys.current_id
        message = verifier_message(account_id, made.selector, made.verifier)
        return await self._hasher.hash_app(self._keys.pepper(key_id, message)), key_id

    def _write(
        self, tx: Tx, account: AccountRow, *, drawn: _Drawn, ask: Ask, claim: Claim, actor: Actor
    ) -> tuple[AppPasswordRow, int | None]:
        """The deed itself: everything that others might change meanwhile is looked at here.

        Gives the row, and when the one it replaces ends at the latest.
        """
        may_have_one(account)
        now = self._terms.now()
        rows = queries.app_passwords(tx, [account.id])
        wanted = ask(rows, account)
        row = _row(account, drawn, wanted, int(now))
        if row.replaces is None:  # a successor takes the place of the other
            self._must_have_room(len(counted(rows, now)), account.email)
        others = [each for each in rows if queries.is_active(each, now) and each.id != row.replaces]
        _must_be_told_apart(row, others, account.email)
        if any(row.selector in (each.selector, folded(each.label)) for each in rows):
            raise _SelectorTaken
        deeds.insert_app_password(tx, row)
        old_ends_at = None if row.replaces is None else successors.extend(tx, row.replaces)
        mark = Mark(
            deed=ChangeKind.MINTED if row.replaces is None else ChangeKind.RENEWED,
            app_password_id=row.id,
            label=row.label,
            detail=f"{_described(row)}, {claim.how}",
        )
        deeds.conclude(tx, audit_entry(actor, account, row.created_at, mark))
        return row, old_ends_at

    def _must_have_room(self, active: int, email: str) -> None:
        if active >= self._terms.limit:
            raise AccountError(
                Problem.TOO_MANY_APP_PASSWORDS,
                f"{email} has {active} active app passwords, and no more are allowed",
                f"revoke one that is not needed any more: {to_type('password', 'list', email)}",
            )


def counted(rows: Sequence[AppPasswordRow], now: float) -> list[AppPasswordRow]:
    """Give the active ones that count towards the limit: of a pair that is pending, the successor."""
    active = [row for row in rows if queries.is_active(row, now)]
    replaced = {row.replaces for row in active}
    return [row for row in active if row.id not in replaced]


def may_have_one(account: AccountRow) -> None:
    """See that app passwords may be made for the account; raises AccountError."""
    if account.disabled_at is not None:
        raise disabled(account.email)
    if not account.is_service and not account.has_second_factor:
        raise AccountError(
            Problem.NO_SECOND_FACTOR,
            f"{account.email} has no second factor, so no app password can be made",
            f"enrol an authenticator first: {to_type('account', 'enrol-2fa', account.email)}",
        )


def _must_be_told_apart(row: AppPasswordRow, active: Sequence[AppPasswordRow], email: str) -> None:
    """Refuse a label that could be taken for another active app password: whoever ends one must not err."""
    wanted = folded(row.label)
    for each in active:
        if wanted == folded(each.label):
            raise AccountError(
                Problem.LABEL_TAKEN,
                f"{email} has an active app password with the label {each.label!r}",
                "choose another label (capitals make no difference), or revoke that one first",
            )
        if wanted == each.selector:
            raise AccountError(
                Problem.LABEL_TAKEN,
                f"{row.label!r} is the selector of the app password {each.label!r} of {email}",
                "choose another label",
            )


def _row(account: AccountRow, drawn: _Drawn, wanted: Wanted, now: int) -> AppPasswordRow:
    return AppPasswordRow(
        id=drawn.id,
        account_id=account.id,
        selector=drawn.selector,
        verifier_hash=drawn.verifier_hash,
        key_id=drawn.key_id,
        label=wanted.label,
        scopes=wanted.scopes,
        limits=wanted.limits,
        created_at=now,
        created_by=drawn.created_by,
        shown_at=None,
        expires_at=wanted.expires_at,
        revoked_at=None,
        revoked_why=None,
        version=1,
        replaces=wanted.replaces,
    )


def _described(row: AppPasswordRow) -> str:
    """Say what was made, for the audit trail."""
    said = [" ".join(in_order(row.scopes))]
    if row.replaces is not None:
        said.append(f"in place of {row.replaces}")
    if row.expires_at is not None:
        said.append(f"until {datetime.fromtimestamp(row.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}")
    if row.limits.read_only:
        said.append("read-only")
    if row.limits.send_only:
        said.append("send-only")
    if row.limits.networks:
        said.append(f"from {' '.join(map(str, row.limits.networks))}")
    return ", ".join(said)


def _minted(row: AppPasswordRow, made: AppPassword, old_ends_at: int | None) -> Minted:
    return Minted(
        id=row.id,
        label=row.label,
        selector=row.selector,
        scopes=row.scopes,
        limits=row.limits,
        expires_at=row.expires_at,
        password=made.grouped(),
        old_ends_at=old_ends_at,
    )
