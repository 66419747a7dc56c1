"""A restore under way: what is seen first, what is decided in a copy, and what is put in place at the end.

Nothing outside the working folder changes before `put`. It writes the files that are missing, then the store
in one step, then the history of sign-ins where there is none: killed at any moment, the old store is there or
the new one, and the same restore can be run again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from auth.deed import Actor
from auth.restoring import Restored, Terms, decide
from auth.seal import KeyRing
from auth.store.engine import BUSY_S
from auth.store.errors import StoreUnavailable
from auth.store.known import Found, Known, known, look
from auth.store.migrate import History
from auth.store.placing import bring, place
from auth.store.store import Store
from config.fields import url_of
from config.keys import key_in, read_key
from config.models import Config
from config.named import NamedFile
from config.private import PrivateFileError
from config.problems import ConfigErrors, Problem
from proxy.archive.backup import Backup
from proxy.archive.container import ArchiveError
from proxy.archive.gathering import missing_here, put_back
from proxy.archive.workspace import workspace
from proxy.opening import key_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be restored, and how."""

    config: Config
    backup: Backup
    secrets: Mapping[str, bytes] = field(repr=False)
    """What lay under the passphrase; empty when it was not opened."""
    trusted: bool
    actor: Actor
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in the place of the store."""

    found: Found
    known: Known | None
    """None when there is nothing, or nothing that can tell."""


def standing(config: Config) -> Standing:
    """See what stands there. Raises StoreUnavailable when it cannot be seen now."""
    path = config.store.gate_file
    found = look(path, busy_s=BUSY_S)
    return Standing(found=found, known=None if found is Found.NOTHING else known(path, busy_s=BUSY_S))


class Restore:
    """One restore. Make it, `prepare` it, and `put` it when it is wanted."""

    def __init__(self, request: Request, there: Standing) -> None:
        """Look whether keys and backup fit. Raises ConfigErrors and ArchiveError; reads key files."""
        self._request = request
        self._there = there
        self._contents = {**request.backup.public(), **request.secrets}
        self._ring = self._fitting_ring()
        self.missing: tuple[NamedFile, ...] = missing_here(request.config, self._contents)
        """The files that will be written."""

    async def prepare(self, folder: Path) -> Restored:
        """Make a store in `folder` of what the backup holds, and decide in it what is revoked.

        Raises ArchiveError, StoreUnavailable and OSError.
        """
        request, manifest = self._request, self._request.backup.manifest
        self._gate, self._activity = request.backup.extract(folder)
        terms = Terms(
            known=self._there.known,
            trusted=request.trusted,
            keys=self._ring,
            actor=request.actor,
            at=int(request.at),
            made_at=manifest.made_at,
        )
        tell_owners = request.config.mail is not None
        store = await Store.open(url_of(self._gate), url_of(folder / "unused.db"), tell_owners=tell_owners)
        try:
            return await decide(store, terms)
        finally:
            await store.close()

    def put(self) -> Path | None:
        """Put everything in place; gives where the store that stood there is kept.

        Raises StoreChanged when it is not any more as it was looked at, StoreUnavailable, and OSError.
        """
        store, there = self._request.config.store, self._there
        put_back(self.missing, self._contents)
        kept = _kept(store.gate_file, self._request.at)
        seen = None if there.known is None else there.known.mark
        place(self._gate, store.gate_file, there.found, kept=kept, seen=seen, busy_s=BUSY_S)
        return None if there.found is Found.NOTHING else kept

    def put_history(self) -> bool:
        """Put last use and history of sign-ins in place, where none can be read. False when it failed.

        What stands there and can be read knows all that the backup does, and more.
        """
        path = self._request.config.store.activity_file
        try:
            found = look(path, busy_s=BUSY_S)
            if self._activity is not None and found is not Found.WHOLE:
                with workspace(path.parent) as folder:  # it may lie on another disk
                    brought = bring(self._activity, folder, busy_s=BUSY_S)
                    place(brought, path, found, kept=_kept(path, self._request.at), busy_s=BUSY_S)
        except (StoreUnavailable, OSError):
            return False
        return True

    def _fitting_ring(self) -> KeyRing:
        """Read the keys, those that are missing here from the backup, and see that they belong to it."""
        backup, keys = self._request.backup, self._request.config.keys
        octets: dict[str, bytes] = {}
        problems: list[Problem] = []
        for name, path in keys.files.items():
            held = self._request.secrets.get(f"keys.files.{name}")
            try:
                octets[name] = key_in(held, path) if held and not path.exists() else read_key(path)
            except PrivateFileError as error:
                hint = "say --with-keys: the backup holds it" if self._is_locked_up(name) else error.hint
                problems.append(Problem(key=f"keys.files.{name}", what=str(error), hint=hint))
        if problems:
            raise ConfigErrors(problems)
        ring = KeyRing(octets, keys.current)
        if bad := backup.bad_keys(ring):
            raise ConfigErrors(key_problems(keys, bad))
        backup.must_be_ours(ring)
        return ring

    def _is_locked_up(self, name: str) -> bool:
        return not self._request.secrets and f"keys.files.{name}" in self._request.backup.manifest.secrets


def must_be_known(backup: Backup) -> None:
    """Refuse a store of a later version. Raises ArchiveError."""
    manifest = backup.manifest
    newer = manifest.gate.revision > History.GATE.head or (
        manifest.activity is not None and manifest.activity.revision > History.ACTIVITY.head
    )
    if newer:
        what = f"it was made by {manifest.made_by}, whose store this version does not know"
        raise ArchiveError(what, "restore it with that version or a later one")


def _kept(path: Path, at: float) -> Path:
    """Name what is replaced: `gate.db.replaced-20260831T101500Z`, with a number where that is taken."""
    name = f"{path.name}.replaced-{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}"
    kept, number = path.with_name(name), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{name}-{number}")
    return kept
