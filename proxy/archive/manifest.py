"""What a backup says of itself: made when, by which version, of what, and with which keys.

`tar -xOf FILE manifest.json` shows it. A later version may add to it under the same format; what would be
misunderstood by this one takes another number.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auth.passphrase import Terms
from proxy.archive.container import ArchiveError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CONFIG: Final = "wicketgate.toml"
SECRETS: Final = "secrets.sealed"
FILES: Final = "files/"
"""Before the key that names a file, as in `files/tls.certificate[0].certificate`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StoreFile(_Part):
    """One file of the store."""

    member: str
    revision: str


class Key(_Part):
    """A master key that the store needs, or that was current; nothing here tells what it is."""

    id: str
    check_value: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hexadecimal: what only this key yields."""


class Counts(_Part):
    """How much is in it."""

    accounts: int
    app_passwords: int
    """Those that were active."""


class Lock(_Part):
    """How the passphrase becomes the key of the secrets (scrypt, RFC 7914), all octets in hexadecimal."""

    salt: str
    n: int
    r: int
    p: int

    @classmethod
    def of(cls, terms: Terms) -> Self:
        """Write the terms down."""
        return cls(salt=terms.salt.hex(), n=terms.cost, r=terms.blocks, p=terms.lanes)

    @property
    def terms(self) -> Terms:
        """The terms, as they are used. Raises ArchiveError when they are none."""
        try:
            return Terms(salt=bytes.fromhex(self.salt), cost=self.n, blocks=self.r, lanes=self.p)
        except ValueError:
            raise ArchiveError("its passphrase was used in a way that this version does not know") from None


class Manifest(_Part):
    """The first member."""

    format: int = FORMAT
    made_by: str
    made_at: str
    public_host: str
    gate: StoreFile
    activity: StoreFile | None
    """None: it could not be read."""
    counts: Counts
    keys: tuple[Key, ...]
    files: tuple[str, ...]
    """The keys of the config file whose files lie in it as they are."""
    secrets: tuple[str, ...]
    """The keys of the config file whose files lie in it under the passphrase."""
    left_out: tuple[str, ...]
    """The keys of the config file whose files do not lie in it."""
    lock: Lock | None

    @property
    def text(self) -> bytes:
        """As the member holds it."""
        return json.dumps(self.model_dump(), indent=2).encode("ascii") + b"\n"

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Read one. Raises ArchiveError, also for a format of a later version."""
        try:
            facts: Any = json.loads(text)
            written = facts["format"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ArchiveError("it is no backup of Wicketgate") from None
        if not isinstance(written, int) or written > FORMAT:
            by = facts.get("made_by", "a later version")
            raise ArchiveError(f"it was made by {by}, in a form that this version cannot read", _NEWER_HINT)
        try:
            return cls.model_validate(facts)
        except ValidationError:
            raise ArchiveError("what it says of itself cannot be understood") from None


_NEWER_HINT: Final = "restore it with the version that made it, or a later one"
