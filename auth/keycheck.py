"""Whether a key ring is the one this store was filled with: a wrong key must not look like a wrong password.

The first time a key is the current one, the store is given a check value that only that key yields. From then
on a ring that holds another key under that id is refused, and so is a ring without a key that some row needs.
Looking changes nothing; `vouch` looks and writes in one transaction.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from auth.seal import KeyRing
from auth.store import keychecks
from auth.store.store import Store, Tx


class KeyFault(StrEnum):
    """What may be wrong with a key of the ring."""

    ANOTHER = "is not the key this store's secrets were made with"
    MISSING = "is missing, and secrets in the store were made with it"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadKey:
    """One key that does not fit the store."""

    key_id: str
    fault: KeyFault


class WrongKeys(Exception):  # noqa: N818 - it names what the ring is
    """The ring does not fit the store: a matter of configuration. Holds ids, never octets."""

    def __init__(self, keys: tuple[BadKey, ...]) -> None:
        super().__init__("; ".join(f"key {bad.key_id!r} {bad.fault}" for bad in keys))
        self.keys = keys


def misfits(ring: KeyRing, check_values: Mapping[str, bytes], needed: Collection[str]) -> tuple[BadKey, ...]:
    """Give every key of which the ring holds another, and those of `needed` that it does not hold."""
    fitting = usable_keys(check_values, ring)
    missing = set(needed) - ring.ids
    others = (check_values.keys() & ring.ids) - fitting.keys()
    return tuple(
        BadKey(key_id=key_id, fault=KeyFault.MISSING if key_id in missing else KeyFault.ANOTHER)
        for key_id in sorted(missing | others)
    )


def usable_keys(check_values: Mapping[str, bytes], ring: KeyRing) -> dict[str, bytes]:
    """Give those of the check values that the ring's own key of that id yields."""
    return {
        key_id: value
        for key_id, value in check_values.items()
        if key_id in ring.ids and hmac.compare_digest(value, ring.check_value(key_id))
    }


async def bad_keys(store: Store, ring: KeyRing) -> tuple[BadKey, ...]:
    """Give every key that does not fit, by id; changes nothing. Raises StoreUnavailable."""
    return await store.read(lambda tx: _bad_keys(tx, ring))


async def vouch(store: Store, ring: KeyRing) -> None:
    """See that `ring` fits the store, and write its current key down; nothing is made with it before.

    Raises WrongKeys and StoreUnavailable.
    """
    bad, known = await store.read(lambda tx: (_bad_keys(tx, ring), _is_known(tx, ring)))
    if not known:
        bad = await store.write(lambda tx: _write_down(tx, ring))
    if bad:
        raise WrongKeys(bad)


def _bad_keys(tx: Tx, ring: KeyRing) -> tuple[BadKey, ...]:
    known = keychecks.check_values(tx)
    return misfits(ring, known, keychecks.in_use(tx, known.keys() - ring.ids))


def _is_known(tx: Tx, ring: KeyRing) -> bool:
    return ring.current_id in keychecks.check_values(tx)


def _write_down(tx: Tx, ring: KeyRing) -> tuple[BadKey, ...]:
    """Look again, for another process may have been first, and write only where all is well."""
    bad = _bad_keys(tx, ring)
    if not bad and not _is_known(tx, ring):
        keychecks.insert_check_value(tx, ring.current_id, ring.check_value(ring.current_id))
    return bad
