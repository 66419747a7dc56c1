"""TLS contexts: certificates chosen by the name a client asks for, and the few settings that matter.

Both kinds speak TLS 1.2 and 1.3 (RFC 8996) without compression and without renegotiation; early data is never
offered. Ciphers are those of Python's ssl: forward secrecy for all, AEAD first. Session tickets are on. A
context is never changed once made: new certificate files mean a new context for new connections, and the old
lives as long as its last session.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

_ASKED: Final[WeakKeyDictionary[ssl.SSLObject, str]] = WeakKeyDictionary()
"""The names clients have asked for, while their connections live."""


class CertificateProblem(Exception):  # noqa: N818 - a problem to be shown to the administrator
    """A certificate, key or authority file cannot be used. The text names the file and the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """One certificate chain with its key, in PEM, and the names it is shown for (`*.example.org` too)."""

    names: tuple[str, ...]
    certificate: Path
    key: Path


def server_context(certificates: Sequence[CertificateFiles], alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Make the context of a listener; the first certificate answers names that none is for.

    `alpn` lists what is selected when offered (RFC 7301); other offers are passed over. CertificateProblem.
    """
    contexts = [_with_certificate(files, alpn) for files in certificates]
    if not contexts:
        raise CertificateProblem("no certificate is configured")
    named = {
        name.lower().rstrip("."): context
        for files, context in reversed(list(zip(certificates, contexts, strict=True)))
        for name in files.names
    }
    contexts[0].sni_callback = lambda tls, name, _: _choose(named, tls, name)
    return contexts[0]


def asked_name(tls: ssl.SSLObject) -> str | None:
    """Give the name a client asked for (RFC 6066 §3), in lower case; None where it named none."""
    return _ASKED.get(tls)


def client_context(ca_file: Path | None = None, shown: CertificateFiles | None = None) -> ssl.SSLContext:
    """Make the context towards an upstream: certificate and name are always checked.

    `ca_file` holds the authorities that are trusted, None means those of the system; `shown` is what says who
    we are. CertificateProblem.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CertificateProblem(f"{ca_file}: {_cause(error)}") from None
    context.hostname_checks_common_name = False  # RFC 9525 §2: names are in subjectAltName
    if shown is not None:
        _load(context, shown)
    return _settled(context)


def _with_certificate(files: CertificateFiles, alpn: Sequence[str]) -> ssl.SSLContext:
    context = _settled(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    _load(context, files)
    return context


def _load(context: ssl.SSLContext, files: CertificateFiles) -> None:
    for path in (files.certificate, files.key):
        _must_be_a_file(path)
    try:
        context.load_cert_chain(files.certificate, files.key, password="")  # an encrypted key must not ask
    except (OSError, ssl.SSLError) as error:
        raise CertificateProblem(f"{files.certificate} with {files.key}: {_cause(error)}") from None


def _must_be_a_file(path: Path) -> None:
    """See that it can be read, and at once: OpenSSL would wait for whoever writes into a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CertificateProblem(f"{path}: {_cause(error)}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CertificateProblem(f"{path}: not a regular file")
    finally:
        os.close(descriptor)


def _settled(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _choose(named: dict[str, ssl.SSLContext], tls: ssl.SSLObject, name: str | None) -> None:
    """Pick by exact name, then by the wildcard of its parent (RFC 6066 §3, RFC 9525 §6.3)."""
    if name is None:
        return
    _ASKED[tls] = name.lower().rstrip(".")
    asked = name.lower().rstrip(".")
    context = named.get(asked) or named.get("*." + asked.partition(".")[2])
    if context is not None:
        tls.context = context


def _cause(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason.replace("_", " ").lower() if error.reason else "not an unencrypted PEM file"
    return error.strerror or "cannot be read"
