"""A backup: written from a store that may be in use, and opened again with all that must be seen first.

Order when one is opened: the octets are those that were written (`Archive.read`), the form is one we know
(`Manifest.read`), the keys at hand are those it was made with, and only then does what one of them vouches
for count: nothing of a file that a stranger changed is opened as a database.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Final

from auth import passphrase
from auth.keycheck import BadKey, misfits
from auth.passphrase import WrongPassphrase
from auth.seal import KeyRing, framed
from auth.secret import Secret
from auth.store.backup import ACTIVITY, GATE, take
from auth.store.engine import BUSY_S
from config.models import Config
from proxy.archive.container import Archive, ArchiveError, Source, write
from proxy.archive.gathering import Gathered, bundled, unbundled
from proxy.archive.manifest import CONFIG, FILES, MANIFEST, SECRETS, Counts, Key, Lock, Manifest, StoreFile

_VOUCHED: Final = "wicketgate/backup/1"
_SECRETS: Final = "wicketgate/backup secrets/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be written."""

    config: Config
    config_file: Path
    keys: KeyRing
    gathered: Gathered
    passphrase: Secret | None
    """For the secrets; None when there are to be none."""
    at: float


def make(plan: Plan, folder: Path, file: IO[bytes]) -> Manifest:
    """Write a backup to `file`, with copies of the store in `folder` on the way; blocking.

    Raises StoreUnavailable, ArchiveError and OSError.
    """
    store = plan.config.store
    copied = take(store.gate_file, store.activity_file, folder, now=plan.at, busy_s=BUSY_S)
    lock = None if plan.passphrase is None else passphrase.new_terms()
    current = plan.keys.current_id
    keys = {current: plan.keys.check_value(current), **copied.keys}
    activity = copied.activity_revision
    manifest = Manifest(
        made_by=f"wicketgate {version('wicketgate')}",
        made_at=f"{datetime.fromtimestamp(plan.at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        public_host=plan.config.server.public_host,
        gate=StoreFile(member=GATE, revision=copied.gate_revision),
        activity=None if activity is None else StoreFile(member=ACTIVITY, revision=activity),
        counts=Counts(accounts=copied.accounts, app_passwords=copied.app_passwords),
        keys=tuple(Key(id=key_id, check_value=value.hex()) for key_id, value in keys.items()),
        files=tuple(plan.gathered.public),
        secrets=tuple(plan.gathered.secrets),
        left_out=tuple(named.key for named in plan.gathered.left_out),
        lock=None if lock is None else Lock.of(lock),
    )
    members: dict[str, Source] = {MANIFEST: manifest.text, CONFIG: plan.config_file.read_bytes()}
    members |= {FILES + key: octets for key, octets in plan.gathered.public.items()}
    if plan.passphrase is not None and lock is not None:
        text = bundled(plan.gathered.secrets)
        members[SECRETS] = passphrase.lock(plan.passphrase, lock, text, _bound_to(manifest.text))
    members[GATE] = copied.gate
    if copied.activity is not None:
        members[ACTIVITY] = copied.activity
    write(file, members, int(plan.at), lambda digest: vouch(plan.keys, current, digest))
    return manifest


class Backup:
    """A backup that was read through; its file stays open."""

    def __init__(self, archive: Archive, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    @classmethod
    def read(cls, file: IO[bytes]) -> Backup:
        """Read it. Raises ArchiveError when it is damaged, none, or of a later version; and OSError."""
        archive = Archive.read(file)
        return cls(archive, Manifest.read(archive.text(MANIFEST)))

    def secrets(self, given: Secret) -> dict[str, bytes]:
        """Open what lies under the passphrase, by the key that names the file. Raises ArchiveError."""
        lock = self.manifest.lock
        if lock is None:
            raise ArchiveError("it holds no keys", "leave --with-keys out, and put the key files back first")
        box, bound_to = self._archive.text(SECRETS), _bound_to(self._archive.text(MANIFEST))
        try:
            return unbundled(passphrase.unlock(given, lock.terms, box, bound_to))
        except WrongPassphrase:
            raise ArchiveError("the passphrase is wrong", "give the one that it was made with") from None

    def public(self) -> Mapping[str, bytes]:
        """Give the files that lie in it as they are, by the key that names them. Raises ArchiveError."""
        return {key: self._archive.text(FILES + key) for key in self.manifest.files}

    def bad_keys(self, ring: KeyRing) -> tuple[BadKey, ...]:
        """Give every key that is missing in the ring, or another there."""
        values = {key.id: bytes.fromhex(key.check_value) for key in self.manifest.keys}
        return misfits(ring, values, values.keys())

    def must_be_ours(self, ring: KeyRing) -> None:
        """See that a key of the ring vouches for all of it. Raises ArchiveError."""
        seal = self._archive.seal
        if seal.key in ring.ids:
            _, vouched = vouch(ring, seal.key, bytes.fromhex(seal.sha256))
            if hmac.compare_digest(vouched.hex(), seal.hmac_sha256):
                return
        what = "it was not written by this gate, or somebody changed it afterwards"
        raise ArchiveError(what, "none of the gate's keys vouches for it; take an earlier backup")

    def extract(self, folder: Path) -> tuple[Path, Path | None]:
        """Write the files of the store into `folder`; None for an activity file that is not in it."""
        self._archive.extract(GATE, folder / GATE)
        if self.manifest.activity is None:
            return folder / GATE, None
        self._archive.extract(ACTIVITY, folder / ACTIVITY)
        return folder / GATE, folder / ACTIVITY


def vouch(ring: KeyRing, key_id: str, digest: bytes) -> tuple[str, bytes]:
    """Give the id of a key and what only its holder makes of a backup's digest. Raises UnknownKey."""
    return key_id, ring.pepper(key_id, framed(_VOUCHED, digest))


def _bound_to(manifest: bytes) -> bytes:
    return framed(_SECRETS, hashlib.sha256(manifest).digest())
