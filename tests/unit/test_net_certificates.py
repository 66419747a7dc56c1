"""Certificates that change while serving: read when they are whole, kept when they are broken."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl

import pytest

from proxy.net.certificates import Certificates
from proxy.net.tls import CertificateProblem
from support.sockets import connections, make_certificate, on_both_loops


@pytest.fixture
def files(tmp_path):
    return make_certificate(tmp_path, "localhost")


@pytest.fixture
def renewed(tmp_path):
    folder = tmp_path / "renewed"
    folder.mkdir()
    return make_certificate(folder, "localhost")


def put(source, target) -> None:
    """Replace a file as a renewal does: by another one of the same name."""
    beside = target.with_suffix(".new")
    shutil.copyfile(source, beside)
    beside.replace(target)


def pipe_in_place_of(path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_what_has_not_changed_is_not_read(files):
    certificates = Certificates([files])
    first = certificates.context()
    for _ in range(3):
        certificates.look()
    assert certificates.context() is first


def test_a_renewed_pair_is_read_once_it_stays_the_same(files, renewed, caplog):
    certificates = Certificates([files])
    first = certificates.context()
    put(renewed.certificate, files.certificate)
    certificates.look()
    put(renewed.key, files.key)
    certificates.look()
    assert certificates.context() is first
    certificates.look()
    second = certificates.context()
    assert second is not first
    assert "not changed" not in caplog.text, "the half of a pair is never read"
    certificates.look()
    assert certificates.context() is second


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_text("no pem"), pipe_in_place_of]
)
@pytest.mark.parametrize("which", ["certificate", "key"])
def test_broken_files_leave_the_old_certificate_and_are_told_once(files, caplog, damage, which):
    certificates = Certificates([files])
    first = certificates.context()
    damage(getattr(files, which))  # a pipe: OpenSSL would wait for its writer for ever
    for _ in range(4):
        certificates.look()
    assert certificates.context() is first
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert getattr(files, which).name in caplog.text


def test_mended_files_are_read(files, renewed):
    certificates = Certificates([files])
    first = certificates.context()
    files.key.write_text("no pem")
    assert not certificates.reload()
    put(renewed.certificate, files.certificate)
    put(renewed.key, files.key)
    certificates.look()
    certificates.look()
    assert certificates.context() is not first


def test_without_files_nothing_starts(files):
    files.key.unlink()
    with pytest.raises(CertificateProblem, match=r"localhost\.key"):
        Certificates([files])


@on_both_loops
async def test_new_connections_get_the_new_one_and_old_ones_go_on(tmp_path):
    files = make_certificate(tmp_path, "localhost")
    certificates = Certificates([files], ["imap"])
    pairs = []
    for _ in range(2):
        trust = ssl.create_default_context(cafile=files.certificate)
        client, server = connections()
        await asyncio.gather(
            client.secure_as_client(trust, "localhost", timeout_s=10),
            server.secure_as_server(certificates.context("imap"), timeout_s=10),
        )
        pairs.append((client, server))
        make_certificate(tmp_path, "localhost")
        assert certificates.reload()
    for client, server in pairs:
        await client.send(b"still here")
        assert await server.receive() == b"still here"
        client.abort()
        server.abort()
