"""New app passwords: made by the machine, hashed before the transaction, counted inside it.

The limit, the label and the selector are checked in the transaction that writes the row, so of two mints in
parallel at the last free place one succeeds. The row is committed before the password is given out: a mint
that is killed leaves at most one row, which says that it was perhaps never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from auth import apppassword, ids
from auth.apppassword import AppPassword, verifier_message
from auth.checks import check_limits, checked_label, checked_scopes, folded
from auth.deed import (
    AccountError,
    Actor,
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
from auth.store import deeds, queries
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow, AppPasswordRow, ChangeKind
from auth.store.store import Tx
from scopes.model import in_order

MOST_ACTIVE: Final = 25
"""Active app passwords of one account; the config may ask for fewer."""
_DRAWS: Final = 8
"""Selectors tried; even after a thousand tombstones a free one is found at once."""


class _SelectorTaken(Exception):  # noqa: N818 - it asks for another draw
    """The drawn selector names a row of the account, perhaps a tombstone: draw again."""


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

    async def mint(self, name: str, request: MintRequest, actor: Actor, proof: Proof | None) -> Minted:
        """Make one; see `Accounts.mint`."""
        label, scopes = checked_label(request.label), checked_scopes(request.scopes)
        check_limits(request.limits, scopes)
        if request.expires_at is not None and request.expires_at <= self._terms.now():
            raise AccountError(Problem.BAD_EXPIRY, "it would have expired already", "choose a time to come")
        claim = await self._prover.claim(name, actor, proof)
        for _ in range(_DRAWS):
            made = self._terms.generate()
            verifier_hash, key_id = await self._hash(claim.account.id, made)
            row = AppPasswordRow(
                id=self._terms.new_id(ids.APP_PASSWORD),
                account_id=claim.account.id,
                selector=made.selector,
                verifier_hash=verifier_hash,
                key_id=key_id,
                label=label,
                scopes=scopes,
                limits=request.limits,
                created_at=int(self._terms.now()),
                created_by=f"{actor.kind} {actor.name}",
                shown_at=None,
                expires_at=request.expires_at,
                revoked_at=None,
                revoked_why=None,
                version=1,
            )
            try:
                await self._prover.carry_out(claim, partial(self._write, row=row, claim=claim, actor=actor))
            except _SelectorTaken:
                continue
            return _minted(row, made)
        raise StoreUnavailable("no free selector was drawn")

    async def _hash(self, account_id: str, made: AppPassword) -> tuple[str, str]:
        key_id = self._keys.current_id
        message = verifier_message(account_id, made.selector, made.verifier)
        return await self._hasher.hash_app(self._keys.pepper(key_id, message)), key_id

    def _write(self, tx: Tx, account: AccountRow, *, row: AppPasswordRow, claim: Claim, actor: Actor) -> None:
        """The deed itself: everything that others might change meanwhile is looked at here."""
        may_have_one(account)
        rows = queries.app_passwords(tx, [account.id])
        active = [each for each in rows if queries.is_active(each, self._terms.now())]
        if len(active) >= self._terms.limit:
            raise AccountError(
                Problem.TOO_MANY_APP_PASSWORDS,
                f"{account.email} has {len(active)} active app passwords, and no more are allowed",
                f"revoke one that is not needed any more: {to_type('password', 'list', account.email)}",
            )
        _must_be_told_apart(row, active, account.email)
        if any(row.selector in (each.selector, folded(each.label)) for each in rows):
            raise _SelectorTaken
        deeds.insert_app_password(tx, row)
        mark = Mark(
            deed=ChangeKind.MINTED,
            app_password_id=row.id,
            label=row.label,
            detail=f"{_described(row)}, {claim.how}",
        )
        deeds.conclude(tx, audit_entry(actor, account, row.created_at, mark))


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


def _described(row: AppPasswordRow) -> str:
    """Say what was made, for the audit trail."""
    said = [" ".join(in_order(row.scopes))]
    if row.expires_at is not None:
        said.append(f"until {datetime.fromtimestamp(row.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}")
    if row.limits.read_only:
        said.append("read-only")
    if row.limits.send_only:
        said.append("send-only")
    if row.limits.networks:
        said.append(f"from {' '.join(map(str, row.limits.networks))}")
    return ", ".join(said)


def _minted(row: AppPasswordRow, made: AppPassword) -> Minted:
    return Minted(
        id=row.id,
        label=row.label,
        selector=row.selector,
        scopes=row.scopes,
        limits=row.limits,
        expires_at=row.expires_at,
        password=made.grouped(),
    )
