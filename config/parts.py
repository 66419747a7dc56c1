"""What of a configuration can be looked at: all of a sound one, of a broken one what is right by itself.

Nothing stands in for a value that is wrong or missing: a default that nobody chose would be inspected in its
place, and a fault be told that is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from config.fields import CertificateName, ConfigPath, url_of
from config.models import Config, Keys, Store

M = TypeVar("M", bound=BaseModel)

_PATH: Final[TypeAdapter[Path]] = TypeAdapter(ConfigPath)
_NAMES: Final[TypeAdapter[tuple[str, ...]]] = TypeAdapter(tuple[CertificateName, ...])
_SIGN_IN: Final = "upstream.imap.sign_in"
_CA_FILE: Final = "upstream.imap.ca_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, or one of them."""

    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What names a file, a folder or the store. None: it is not there, or not right."""

    certificates: Mapping[int, Pair]
    """By their number in the file."""
    key_files: Mapping[str, Path]
    keys: Keys | None
    data: Path | None
    store: Store | None
    secret_file: Path | None
    ca_file: Path | None


def parts_of(config: Config) -> Parts:
    """Give the parts of a sound configuration."""
    imap = config.upstream.imap
    pairs = [
        Pair(names=each.names, certificate=each.certificate, key=each.key) for each in config.tls.certificate
    ]
    return Parts(
        certificates=dict(enumerate(pairs)),
        key_files=config.keys.files,
        keys=config.keys,
        data=config.server.data,
        store=config.store,
        secret_file=None if imap.sign_in is None else imap.sign_in.secret_file,
        ca_file=imap.ca_file,
    )


def parts_left(table: Mapping[str, Any], folder: Path, wrong: Collection[str]) -> Parts:
    """Give what is right by itself in a parsed file; `wrong` are the keys that were found at fault."""
    salvage = _Salvage(folder)
    keys, imap = _table(table, "keys"), _table(_table(table, "upstream"), "imap")
    files = {name: salvage.path(value) for name, value in _table(keys, "files").items()}
    data = salvage.path(_table(table, "server").get("data"))
    secret = _table(imap, "sign_in").get("secret_file")
    return Parts(
        certificates=salvage.pairs(_table(table, "tls").get("certificate")),
        key_files={name: path for name, path in files.items() if path is not None},
        keys=salvage.model(Keys, {name: keys[name] for name in Keys.model_fields if name in keys}),
        data=data,
        store=salvage.store(table.get("store", {}), data),
        secret_file=None if _SIGN_IN in wrong else salvage.path(secret),
        ca_file=None if _CA_FILE in wrong else salvage.path(imap.get("ca_file")),
    )


@dataclass(frozen=True, slots=True)
class _Salvage:
    """Reads single values; relative paths start at `folder`."""

    folder: Path

    def path(self, value: object) -> Path | None:
        try:
            return _PATH.validate_python(value, context={"folder": self.folder})
        except ValidationError:
            return None

    def model(self, kind: type[M], table: Mapping[str, Any]) -> M | None:
        try:
            return kind.model_validate(table, context={"folder": self.folder})
        except ValidationError:
            return None

    def pairs(self, entries: object) -> dict[int, Pair]:
        listed = entries if isinstance(entries, list) else []
        return {number: self._pair(entry) for number, entry in enumerate(listed) if isinstance(entry, dict)}

    def _pair(self, entry: Mapping[str, Any]) -> Pair:
        try:
            names = _NAMES.validate_python(entry.get("names"))
        except ValidationError:
            names = ()
        certificate, key = self.path(entry.get("certificate")), self.path(entry.get("key"))
        return Pair(names=names, certificate=certificate, key=key)

    def store(self, table: object, data: Path | None) -> Store | None:
        """Read the store's table; with a mistake in it, nobody knows which store is meant."""
        if not isinstance(table, dict):
            return None
        if "url" not in table and data is None:
            return None
        usual = {} if data is None else {"url": url_of(data / "gate.db")}
        return self.model(Store, usual | table)


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Give an inner table, empty when there is none."""
    inner = table.get(name)
    return inner if isinstance(inner, dict) else {}
