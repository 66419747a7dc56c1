"""The files that a configuration names, as a backup takes them along and a restore puts them back.

Certificates go as they are, secrets under the passphrase or not at all. A restore writes only what is
missing: what stands there is what the gate works with.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from config.authority import write_file
from config.models import Config
from config.named import NamedFile, named_files
from config.private import PrivateFileError, access_hint, reason
from proxy.archive.container import ArchiveError

_MOST_OCTETS: Final = 1_048_576
"""Of one file: a bundle of all public authorities is a quarter of it."""
_SECRET_MODE: Final = 0o400
_PUBLIC_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What was read, by the key that names the file."""

    public: Mapping[str, bytes]
    secrets: Mapping[str, bytes] = field(repr=False)
    left_out: tuple[NamedFile, ...]
    """Secrets that were not asked for, and certificates that cannot be read."""


def gather(config: Config, *, with_secrets: bool) -> Gathered:
    """Read the files. Raises PrivateFileError when a secret that was asked for cannot be read."""
    public: dict[str, bytes] = {}
    secrets: dict[str, bytes] = {}
    left_out: list[NamedFile] = []
    for named in named_files(config):
        if named.secret and not with_secrets:
            left_out.append(named)
            continue
        try:
            (secrets if named.secret else public)[named.key] = _octets(named.path)
        except PrivateFileError:
            if named.secret:
                raise
            left_out.append(named)
    return Gathered(public=public, secrets=secrets, left_out=tuple(left_out))


def bundled(secrets: Mapping[str, bytes]) -> bytes:
    """Write secrets as one text."""
    return json.dumps({key: base64.b64encode(octets).decode() for key, octets in secrets.items()}).encode()


def unbundled(text: bytes) -> dict[str, bytes]:
    """Read such a text. Raises ArchiveError."""
    try:
        found: Any = json.loads(text)
        return {str(key): base64.b64decode(value, validate=True) for key, value in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise ArchiveError("the secrets in it cannot be understood") from None


def missing_here(config: Config, keys: Iterable[str]) -> tuple[NamedFile, ...]:
    """Give those of the named files that are not there."""
    wanted = set(keys)
    return tuple(named for named in named_files(config) if named.key in wanted and not named.path.exists())


def put_back(files: Iterable[NamedFile], contents: Mapping[str, bytes]) -> None:
    """Write files that are missing, folders included, with the mode of their kind. Raises OSError."""
    for named in files:
        named.path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        write_file(named.path, contents[named.key], _SECRET_MODE if named.secret else _PUBLIC_MODE)


def _octets(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            octets = opened.read(_MOST_OCTETS + 1)
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be read: {reason(error)}", access_hint(error)) from None
    if len(octets) > _MOST_OCTETS:
        raise PrivateFileError(f"{path} is larger than {_MOST_OCTETS} octets", "name the right file")
    return octets
