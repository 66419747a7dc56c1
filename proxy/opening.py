"""The store of a configuration, opened with the keys that belong to it, or a word about which do not.

Whoever uses both opens them here: with another key a right app password would look wrong, and a sealed secret
damaged. Nothing is read or written by a ring the store has not vouched for.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from auth.hashing import Cost, Hasher
from auth.keycheck import BadKey, KeyFault, WrongKeys, vouch
from auth.seal import KeyRing
from auth.store.errors import StoreMissing
from auth.store.store import Store
from config.models import Config
from config.problems import ConfigErrors, Problem
from config.storing import Keys


def key_ring(config: Config) -> KeyRing:
    """Read the master keys. Raises ConfigErrors."""
    return ring_of(config.keys)


def ring_of(keys: Keys) -> KeyRing:
    """Read the master keys of that table. Raises ConfigErrors."""
    return KeyRing(keys.load(), keys.current)


def make_hasher(config: Config) -> Hasher:
    """Make what hashes at the cost the config says; close it in the end."""
    app, primary = config.policy.hashing.app, config.policy.hashing.primary
    return Hasher(
        app=Cost(memory_kib=app.memory_kib, passes=app.passes),
        primary=Cost(memory_kib=primary.memory_kib, passes=primary.passes),
    )


async def open_store(
    config: Config, ring: KeyRing, *, create: bool = False, tell_owners: bool = True
) -> Store:
    """Open the store and see that `ring` is the one it was filled with.

    A missing one is made only with `create`, which is for whoever fills it: to serve an empty store would
    call every right app password wrong. Owners are told of deeds where there is [mail], unless `tell_owners`
    is False. Raises ConfigErrors when it is missing or `ring` is another, and
    StoreUnavailable.
    """
    try:
        store = await Store.open(
            config.store.url,
            config.store.activity_url,
            create=create,
            tell_owners=tell_owners and config.mail is not None,
        )
    except StoreMissing as missing:
        raise ConfigErrors([store_problem(missing)]) from None
    try:
        await vouch(store, ring)
    except WrongKeys as wrong:
        await store.close()
        raise ConfigErrors(key_problems(config.keys, wrong.keys)) from None
    except BaseException:
        await store.close()
        raise
    return store


async def make_store(config: Config) -> None:
    """Make the empty store of a configuration that has none yet. Raises what `open_store` raises.

    All of it, with the history that would be made when it is first needed: whoever gives the files to the
    server's user gives all of them, and root at the command line makes none in that user's folder.
    """
    store = await open_store(config, key_ring(config), create=True)
    try:
        await store.last_used(())
    finally:
        await store.close()


def store_problem(missing: StoreMissing, file: Path | None = None) -> Problem:
    """Say that there is no store, for the person who can put it back."""
    hint = "put it back, or mount its disk; to begin with an empty one: wicketgate account add EMAIL"
    return Problem(file=file, key="store.url", what=str(missing), hint=hint)


def key_problems(keys: Keys, bad: Iterable[BadKey], file: Path | None = None) -> list[Problem]:
    """Say what is wrong with keys, for the person who has the files."""
    return [_problem(keys, each, file) for each in bad]


def _problem(keys: Keys, bad: BadKey, file: Path | None) -> Problem:
    match bad.fault:
        case KeyFault.ANOTHER:
            what = f"{keys.files[bad.key_id]} {bad.fault}"
            hint = "put the file back from your copy; a new key is added under a name of its own"
        case KeyFault.MISSING:
            what, hint = str(bad.fault), "name that key's file again, from your copy where it is lost"
    return Problem(file=file, key=f"keys.files.{bad.key_id}", what=what, hint=hint)
