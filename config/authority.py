"""A private certificate authority for one household: its root, and certificates for names and addresses.

EC P-256 throughout. The root is good for ten years and may sign nothing but server certificates; a server
certificate is good for 820 days, below the 825 that Apple's systems take from a private root. The root's key
stays in the folder, mode 0400: who holds it can pose as any server to those who trust the root. Nothing here
renews by itself; `issue` may be called again at any time and replaces the pair.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_DAYS: Final = 3_650
SERVER_DAYS: Final = 820
_SKEW: Final = timedelta(hours=1)
"""Certificates begin an hour ago, for devices whose clock is behind."""
_COMMON_NAME_CHARACTERS: Final = 64
"""The upper bound ub-common-name (RFC 5280 appendix A.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Where a root lives: the certificate to be trusted, and its key."""

    certificate: Path
    key: Path


def make_authority(folder: Path, *, now: datetime | None = None) -> Authority:
    """Make a new root in `folder` (made when missing): `ca.pem` and `ca.key`. Raises OSError.

    An existing root is kept as it is, so that devices which trust it go on doing so.
    """
    authority = Authority(certificate=folder / "ca.pem", key=folder / "ca.key")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if authority.certificate.exists() and authority.key.exists():
        return authority
    begin = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Wicketgate private CA {begin:%Y-%m-%d}")])
    builder = (
        _builder(key.public_key(), begin, ROOT_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    write_file(authority.key, _key_pem(key), 0o400)
    write_file(authority.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return authority


def issue(folder: Path, names: Iterable[str], *, now: datetime | None = None) -> tuple[Path, Path]:
    """Issue a server certificate signed by the root in `folder`, for DNS names and IP addresses.

    Gives the paths of certificate and key, `server.pem` and `server.key`; an older pair is replaced, the key
    first. Raises OSError, and ValueError for an empty list of names.
    """
    alternatives = [_general_name(name) for name in dict.fromkeys(names)]
    if not alternatives:
        raise ValueError("a certificate needs a name")
    root = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    root_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    if not isinstance(root_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the root's key is not an EC key")  # noqa: TRY004 - a value in a file, not a type of ours
    key = ec.generate_private_key(ec.SECP256R1())
    common = str(alternatives[0].value)[:_COMMON_NAME_CHARACTERS]
    builder = (
        _builder(key.public_key(), now or datetime.now(UTC), SERVER_DAYS)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(root.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
    )
    certificate_path, key_path = folder / "server.pem", folder / "server.key"
    write_file(key_path, _key_pem(key), 0o400)
    certificate = builder.sign(root_key, hashes.SHA256())
    write_file(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate_path, key_path


def write_file(path: Path, octets: bytes, mode: int, *, sync: Callable[[int], None] = os.fsync) -> None:
    """Write a file whole and with its mode from the first moment, replacing an older one. Raises OSError.

    When it returns the file is on the disk under its name: a master key must not be lost with the power, once
    something was sealed with it. When it raises, the older file is as it was.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(octets)
            file.flush()
            sync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent, sync)


def _sync_folder(folder: Path, sync: Callable[[int], None]) -> None:
    """Bring a folder's names to the disk: a rename is not there before."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _builder(public: ec.EllipticCurvePublicKey, begin: datetime, days: int) -> x509.CertificateBuilder:
    """Start a certificate: serial number, life, key and its identifier."""
    return (
        x509.CertificateBuilder()
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - _SKEW)
        .not_valid_after(begin - _SKEW + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Say what the key may do (RFC 5280 §4.2.1.3): sign certificates, or sign handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """Write a name or an address as certificates do."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PEM, without a password: its file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
