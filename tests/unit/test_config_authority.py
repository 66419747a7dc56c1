"""The private authority: its pairs make a TLS connection that a client which trusts the root accepts."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from config.authority import issue, make_authority, write_file


def handshake(folder: Path, name: str) -> None:
    """Shake hands in memory; raises ssl.SSLError when the client does not like the certificate."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "server.pem", folder / "server.key")
    client_side = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert()


def test_a_client_that_trusts_the_root_connects_by_every_name(tmp_path: Path) -> None:
    make_authority(tmp_path)
    issue(tmp_path, ["mail.example.org", "127.0.0.1", "::1"])
    for name in ("mail.example.org", "127.0.0.1", "::1"):
        handshake(tmp_path, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, "other.example.org")


def test_a_root_is_kept_and_a_server_pair_replaced(tmp_path: Path) -> None:
    first = make_authority(tmp_path)
    root = first.certificate.read_bytes()
    issue(tmp_path, ["a.example"])
    old = (tmp_path / "server.pem").read_bytes()
    assert make_authority(tmp_path) == first
    assert first.certificate.read_bytes() == root
    issue(tmp_path, ["b.example"])
    assert (tmp_path / "server.pem").read_bytes() != old
    handshake(tmp_path, "b.example")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ca.key",
        "ca.pem",
        "server.key",
        "server.pem",
    ]


def test_lives_and_uses(tmp_path: Path) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    root = x509.load_pem_x509_certificate(make_authority(tmp_path, now=now).certificate.read_bytes())
    leaf = x509.load_pem_x509_certificate(issue(tmp_path, ["localhost"], now=now)[0].read_bytes())
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=825)
    assert leaf.not_valid_before_utc < now
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    leaf.verify_directly_issued_by(root)


def test_a_certificate_needs_a_name(tmp_path: Path) -> None:
    make_authority(tmp_path)
    with pytest.raises(ValueError, match="name"):
        issue(tmp_path, [])


def test_a_file_has_its_mode_from_the_first_moment_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_file(path, b"old", 0o400)
    write_file(path, b"new", 0o400)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o400


def test_a_file_is_on_the_disk_and_then_its_name(tmp_path: Path) -> None:
    path, synced = tmp_path / "master.key", []

    def sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append(("folder" if is_folder else "file", path.exists()))

    write_file(path, b"key", 0o400, sync=sync)
    assert synced == [("file", False), ("folder", True)]


FULL = """
import pathlib, resource, sys
from config.authority import write_file
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    write_file(pathlib.Path(sys.argv[1]), b"much too long", 0o400)
except OSError:
    sys.exit(3)
"""


def test_a_file_that_does_not_fit_leaves_nothing_behind_and_the_old_one_in_place(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    write_file(path, b"old", 0o400)
    assert subprocess.run([sys.executable, "-c", FULL, path], check=False, timeout=60).returncode == 3
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"
