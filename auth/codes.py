"""The second half of a proof: a code of the authenticator or a recovery code, looked at and then taken.

Looking spends nothing and needs no transaction. `take` spends in the transaction of the deed, so of two uses
of one code in parallel one finds it spent.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from auth.seal import Binding, KeyRing
from auth.secret import Secret
from auth.store import proofs
from auth.store.rows import AccountRow
from auth.store.store import Tx
from auth.totp import matching_step, new_seed, normalise_recovery, recovery_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a typed code turned out to be; at most one of both."""

    step: int | None = None
    """Its TOTP step."""
    recovery: bytes | None = field(default=None, repr=False)
    """The digest of the unused recovery code it is."""

    @property
    def right(self) -> bool:
        """Whether it is one of the account's."""
        return self.step is not None or self.recovery is not None


WRONG: Final = Code()
_NOBODYS: Final = new_seed()


def look_at(
    keys: KeyRing, account: AccountRow | None, unused: Iterable[tuple[str, bytes]], code: Secret, now: float
) -> Code:
    """See what `code` is to the account, whose recovery codes `unused` are. UnknownKey, UnsealError."""
    if account is None or account.seed is None:
        matching_step(_NOBODYS, code, now, None)  # it takes as long
        return WRONG
    step = matching_step(keys.unseal(account.seed, seed_binding(account.id)), code, now, account.last_step)
    if step is not None:
        return Code(step=step)
    plain = normalise_recovery(code)
    if plain is None:
        return WRONG
    found = None
    for key_id, digest in unused:
        if hmac.compare_digest(recovery_digest(keys, key_id, account.id, plain), digest):
            found = digest
    return Code(recovery=found)


def take(tx: Tx, account_id: str, code: Code, at: int) -> bool:
    """Spend what was looked at; False where it was spent meanwhile (RFC 6238 §5.2)."""
    if code.step is not None and not proofs.take_step(tx, account_id, code.step):
        return False
    return code.recovery is None or proofs.take_recovery_code(tx, account_id, code.recovery, at)


def seed_binding(account_id: str) -> Binding:
    """Say where a TOTP seed is kept, for sealing."""
    return Binding(table="account", row_id=account_id, account_id=account_id, purpose="totp")
