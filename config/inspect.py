"""Whether the world is as the config file says: certificates, keys, secrets, folders.

`inspect` looks at everything and gives every problem it sees; it changes nothing, connects nowhere and does
not ask whether a port is free. Opening the store is left to the caller, who knows its schema.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from config.keys import read_key
from config.models import Config
from config.parts import Behind, Pair, Parts, parts_of
from config.private import PrivateFileError, access_hint, read_secret_text, reason
from config.problems import Problem

_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def inspect(config: Config, file: Path, now: datetime) -> list[Problem]:
    """Give all that is wrong around `config`, which was read from `file`; `now` carries its time zone."""
    return inspect_parts(parts_of(config), file, now)


def inspect_parts(parts: Parts, file: Path, now: datetime) -> list[Problem]:
    """Give all that is wrong around what could be read of `file`."""
    problems: list[Problem] = []
    for number, pair in parts.certificates.items():
        problems += _certificate(pair, file, f"tls.certificate[{number}]", now)
    for name, path in parts.key_files.items():
        try:
            read_key(path)
        except PrivateFileError as error:
            problems.append(Problem(file=file, key=f"keys.files.{name}", what=str(error), hint=error.hint))
    for name, behind in parts.behind.items():
        problems += _upstream(behind, file, name, now)
    if parts.data is not None:
        problems += folder_problems(parts.data, file, "server.data")
    if parts.store is not None:
        for key, path in (
            ("store.url", parts.store.gate_file),
            ("store.activity_url", parts.store.activity_file),
        ):
            if path.parent != parts.data:
                problems += folder_problems(path.parent, file, key)
    return problems


def folder_problems(folder: Path, file: Path, key: str) -> Iterator[Problem]:
    """Tell whether the server could keep files in `folder`, which it makes when its parent allows it."""
    hint = "let the user who runs the server own it, mode 0700"
    try:
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not (folder.parent.is_dir() and os.access(folder.parent, os.W_OK | os.X_OK)):
            what = f"the folder {folder} does not exist and cannot be made"
            yield Problem(file=file, key=key, what=what, hint=f"run: mkdir -p -m 0700 {folder}")
        return
    except OSError as error:
        what = f"the folder {folder} cannot be looked at: {reason(error)}"
        yield Problem(file=file, key=key, what=what, hint=access_hint(error))
        return
    if not stat.S_ISDIR(mode):
        yield Problem(file=file, key=key, what=f"{folder} is not a folder", hint="name a folder")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Problem(file=file, key=key, what=f"the folder {folder} cannot be written to", hint=hint)
    elif mode & stat.S_IWOTH:
        yield Problem(file=file, key=key, what=f"everybody can write to the folder {folder}", hint=hint)


def _upstream(behind: Behind, file: Path, key: str, now: datetime) -> Iterator[Problem]:
    """Look at the secret, the authorities and the certificate for one server behind."""
    if behind.secret_file is not None:
        try:
            read_secret_text(behind.secret_file)
        except PrivateFileError as error:
            where = f"{key}.{behind.secret_key}"
            yield Problem(file=file, key=where, what=str(error), hint=error.hint)
    if behind.ca_file is not None:
        read = _read_certificates(behind.ca_file, file, f"{key}.ca_file")
        if isinstance(read, Problem):
            yield read
    pair = Pair(names=(), certificate=behind.client_certificate, key=behind.client_key)
    words = {"certificate": f"{key}.client_certificate", "key": f"{key}.client_key"}
    for problem in _certificate(pair, file, key, now):
        last = problem.key.removeprefix(f"{key}.")
        yield replace(problem, key=words.get(last, problem.key))


def _certificate(pair: Pair, file: Path, key: str, now: datetime) -> Iterator[Problem]:
    """Look at one certificate, its key, and whether they fit each other and the names."""
    leaf = public = None
    if pair.key is not None:
        public, open_to = _read_public_half(pair.key, file, f"{key}.key")
        if open_to:
            what = f"{pair.key} can be read or changed by others (mode bits {open_to:04o} too many)"
            yield Problem(file=file, key=f"{key}.key", what=what, hint=f"run: chmod 0400 {pair.key}")
        if isinstance(public, Problem):
            yield public
    if pair.certificate is not None:
        chain = _read_certificates(pair.certificate, file, f"{key}.certificate")
        if isinstance(chain, Problem):
            yield chain
        else:
            leaf = chain[0]
            yield from _validity(leaf, pair, file, f"{key}.certificate", now)
    if leaf is not None and isinstance(public, bytes):
        yield from _fit(leaf, public, pair, file, key)


def _fit(leaf: x509.Certificate, public: bytes, pair: Pair, file: Path, key: str) -> Iterator[Problem]:
    """Look whether certificate and key belong together, and whether TLS takes them."""
    if _public_half(leaf) != public:
        what = f"{pair.key} is not the key of {pair.certificate}"
        hint = "name the pair that was made together; the server's certificate comes first in its file"
        yield Problem(file=file, key=f"{key}.key", what=what, hint=hint)
    elif refusal := _tls_refusal(pair):
        hint = "issue it anew with an EC P-256 or RSA 2048 key and SHA-256"
        yield Problem(file=file, key=key, what=f"TLS cannot use {pair.certificate}: {refusal}", hint=hint)


def _validity(leaf: x509.Certificate, pair: Pair, file: Path, key: str, now: datetime) -> Iterator[Problem]:
    """Look at the dates and the names of a certificate."""
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now >= end:
        what = f"{pair.certificate} expired on {end:%Y-%m-%d}"
        yield Problem(file=file, key=key, what=what, hint="renew it; apps refuse the connection until then")
    if now < begin:
        what = f"{pair.certificate} is not valid before {begin:%Y-%m-%d %H:%M} UTC"
        yield Problem(file=file, key=key, what=what, hint="look at this machine's clock")
    held = _names(leaf)
    for name in pair.names:
        parent = name.partition(".")[2]
        if name not in held and f"*.{parent}" not in held:
            what = f"{pair.certificate} does not name {name}"
            yield Problem(
                file=file, key=key, what=what, hint=f"it names: {', '.join(sorted(held)) or 'nothing'}"
            )


def _names(leaf: x509.Certificate) -> set[str]:
    """Give the names and addresses a certificate is for; the common name does not count (RFC 9525 §2)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return set()
    hosts = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return hosts | {str(address) for address in names.get_values_for_type(x509.IPAddress)}


def _read_certificates(path: Path, file: Path, key: str) -> list[x509.Certificate] | Problem:
    """Read a PEM file of certificates, at least one."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        what = f"{path} cannot be read: {reason(error)}"
        return Problem(file=file, key=key, what=what, hint=access_hint(error))
    except ValueError:
        what = f"{path} holds no certificate in PEM form"
        return Problem(file=file, key=key, what=what, hint="it begins with -----BEGIN CERTIFICATE-----")


def _public_half(leaf: x509.Certificate) -> bytes | None:
    """Give the public key of a certificate in PEM; None for a kind of key that nobody here can read."""
    try:
        return leaf.public_key().public_bytes(_PEM, _SPKI)
    except (UnsupportedAlgorithm, ValueError):
        return None


def _read_public_half(path: Path, file: Path, key: str) -> tuple[bytes | Problem, int]:
    """Read a private key: its public half in PEM, and the mode bits that open its file to others."""
    open_to = 0
    try:
        with path.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode  # of what is read: the path may lead elsewhere by now
            open_to = stat.S_IMODE(mode) & (stat.S_IRWXO | stat.S_IWGRP)
            private = serialization.load_pem_private_key(opened.read(), password=None)
        return private.public_key().public_bytes(_PEM, _SPKI), open_to
    except OSError as error:
        what, hint = f"{path} cannot be read: {reason(error)}", access_hint(error)
    except TypeError:
        what = f"{path} is protected by a password"
        hint = "write it without one (openssl pkey) and let its mode, 0400, protect it"
    except Exception:  # noqa: BLE001 - the parser's errors are many and may quote the key
        what = f"{path} holds no private key in PEM form"
        hint = "it begins with -----BEGIN PRIVATE KEY-----"
    return Problem(file=file, key=key, what=what, hint=hint), open_to


def _tls_refusal(pair: Pair) -> str:
    """Ask the TLS library whether it takes the pair; empty when it does."""
    assert pair.certificate is not None  # noqa: S101 - it was read a moment ago
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(pair.certificate, pair.key, password=lambda: b"")
    except ssl.SSLError as error:
        return (error.reason or "refused").replace("_", " ").lower()
    except OSError as error:
        return reason(error)
    return ""
