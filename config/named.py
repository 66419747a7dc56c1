"""The files that a configuration names: certificates, keys and secrets, found in the models themselves.

A key that is added to a model one day is found too. What is not known to be public counts as a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from config.models import Config

_PUBLIC: Final = frozenset({"certificate", "ca_file", "client_certificate"})
"""Keys whose files anyone may read: certificates are shown to everybody who connects."""
_FOLDERS: Final = frozenset({"server.data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """One file, and the key that names it."""

    key: str
    """Dotted, as in `tls.certificate[0].key` or `keys.files.main`."""
    path: Path
    secret: bool


def named_files(config: Config) -> tuple[NamedFile, ...]:
    """Give every file that the configuration names, in its order; whether they are there is not looked at."""
    return tuple(
        NamedFile(key=key, path=path, secret=key.rpartition(".")[2] not in _PUBLIC)
        for key, path in _paths(config, "")
        if key not in _FOLDERS
    )


def _paths(value: object, key: str) -> Iterator[tuple[str, Path]]:
    match value:
        case Path():
            yield key, value
        case BaseModel():
            for name in type(value).model_fields:
                yield from _paths(getattr(value, name), f"{key}.{name}" if key else name)
        case dict():
            for name, inner in value.items():
                yield from _paths(inner, f"{key}.{name}")
        case tuple():
            for number, inner in enumerate(value):
                yield from _paths(inner, f"{key}[{number}]")
