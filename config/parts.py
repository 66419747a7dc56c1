"""What of a configuration can be looked at: all of a sound one, of a broken one what is right by itself.

Nothing stands in for a value that is wrong or missing: a default that nobody chose would be inspected in its
place, and a fault be told that is none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from config.domain import DomainUpstreams
from config.fields import CertificateName, ConfigPath, url_of
from config.models import Config
from config.sign_in import TrustedHeader
from config.storing import Keys, Store
from config.upstream import SERVICES, DavUpstream, ImapUpstream, SmtpUpstream, Upstreams

M = TypeVar("M", bound=BaseModel)

_PATH: Final[TypeAdapter[Path]] = TypeAdapter(ConfigPath)
_NAMES: Final[TypeAdapter[tuple[str, ...]]] = TypeAdapter(tuple[CertificateName, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, or one of them."""

    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The files that the table of one upstream or provider names. None: not there, or not right."""

    secret_file: Path | None = None
    secret_key: str = "sign_in.secret_file"  # noqa: S105 - where in the table it stands
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What names a file, a folder or the store. None: it is not there, or not right."""

    certificates: Mapping[int, Pair]
    """By their number in the file."""
    key_files: Mapping[str, Path]
    keys: Keys | None
    data: Path | None
    store: Store | None
    behind: Mapping[str, Behind]
    """By the name of the table, as in `upstream.imap`, `domain[0].upstream.smtp` or `oauth2.google`."""


def parts_of(config: Config) -> Parts:
    """Give the parts of a sound configuration."""
    pairs = [
        Pair(names=each.names, certificate=each.certificate, key=each.key) for each in config.tls.certificate
    ]
    return Parts(
        certificates=dict(enumerate(pairs)),
        key_files=config.keys.files,
        keys=config.keys,
        data=config.server.data,
        store=config.store,
        behind={key: _behind(table) for key, table in upstream_tables(config)}
        | {
            f"oauth2.{name}": _provider(told.client_secret_file, told.ca_file)
            for name, told in config.oauth2.items()
        },
    )


def upstream_tables(config: Config) -> Iterator[tuple[str, ImapUpstream | SmtpUpstream | DavUpstream]]:
    """Give every table of a server behind with its name, as in `domain[0].upstream.smtp`."""
    groups: list[tuple[str, Upstreams | DomainUpstreams]] = [("upstream", config.upstream)]
    groups += [(f"domain[{number}].upstream", each.upstream) for number, each in enumerate(config.domain)]
    for key, tables in groups:
        for name in SERVICES:
            if (table := getattr(tables, name, None)) is not None:
                yield f"{key}.{name}", table


def _behind(table: ImapUpstream | SmtpUpstream | DavUpstream) -> Behind:
    sign_in = table.sign_in
    return Behind(
        secret_file=None if sign_in is None or isinstance(sign_in, TrustedHeader) else sign_in.secret_file,
        ca_file=table.ca_file,
        client_certificate=table.client_certificate,
        client_key=table.client_key,
    )


def _provider(secret_file: Path | None, ca_file: Path | None) -> Behind:
    return Behind(secret_file=secret_file, secret_key="client_secret_file", ca_file=ca_file)  # noqa: S106


def parts_left(table: Mapping[str, Any], folder: Path, wrong: Collection[str]) -> Parts:
    """Give what is right by itself in a parsed file; `wrong` are the keys that were found at fault."""
    salvage = _Salvage(folder)
    keys = _table(table, "keys")
    files = {name: salvage.path(value) for name, value in _table(keys, "files").items()}
    data = salvage.path(_table(table, "server").get("data"))
    return Parts(
        certificates=salvage.pairs(_table(table, "tls").get("certificate")),
        key_files={name: path for name, path in files.items() if path is not None},
        keys=salvage.model(Keys, {name: keys[name] for name in Keys.model_fields if name in keys}),
        data=data,
        store=salvage.store(table.get("store", {}), data),
        behind={key: salvage.behind(inner, key, wrong) for key, inner in _upstream_tables_left(table)}
        | {f"oauth2.{name}": salvage.provider(each) for name, each in _table(table, "oauth2").items()},
    )


def _upstream_tables_left(table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    groups = [("upstream", _table(table, "upstream"))]
    domains = table.get("domain")
    for number, each in enumerate(domains if isinstance(domains, list) else ()):
        if isinstance(each, dict):
            groups.append((f"domain[{number}].upstream", _table(each, "upstream")))
    for key, tables in groups:
        for name in SERVICES:
            if name in tables:
                yield f"{key}.{name}", _table(tables, name)


@dataclass(frozen=True, slots=True)
class _Salvage:
    """Reads single values; relative paths start at `folder`."""

    folder: Path

    def path(self, value: object) -> Path | None:
        try:
            return _PATH.validate_python(value, context={"folder": self.folder})
        except ValidationError:
            return None

    def behind(self, table: Mapping[str, Any], key: str, wrong: Collection[str]) -> Behind:
        """Read what one upstream's table names, but for the keys at fault."""

        def file(name: str, value: object) -> Path | None:
            return None if f"{key}.{name}" in wrong else self.path(value)

        return Behind(
            secret_file=file("sign_in", _table(table, "sign_in").get("secret_file")),
            ca_file=file("ca_file", table.get("ca_file")),
            client_certificate=file("client_certificate", table.get("client_certificate")),
            client_key=file("client_key", table.get("client_key")),
        )

    def provider(self, table: object) -> Behind:
        """Read what the table of an OAuth 2 provider names."""
        told = table if isinstance(table, dict) else {}
        return _provider(self.path(told.get("client_secret_file")), self.path(told.get("ca_file")))

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
