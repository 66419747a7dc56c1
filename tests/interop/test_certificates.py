"""A certificate renewed under a serving gate: no session is dropped, a broken file changes nothing."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl

import pytest

from support.serving import Serving, make_gate, running_gate
from support.slow_upstream import slow_upstream
from support.sockets import make_certificate

ALICE = "alice@example.org"


@pytest.fixture
def gate(tmp_path):
    with slow_upstream() as upstream:
        house = make_gate(tmp_path / "gate", upstream.settings(tmp_path))
        house.add(ALICE)
        with running_gate(house) as serving:
            yield serving


def shown(gate: Serving) -> bytes:
    """The certificate that a new client is shown."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", gate.facts["imaps_port"])) as sock,
        anyone.wrap_socket(sock) as client,
    ):
        return client.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_shown_after_sighup_and_sessions_go_on(gate, dial, tmp_path):
    session = dial(gate.facts)
    session.login(ALICE, gate.mint(ALICE))
    before = shown(gate)
    tls = gate.house.file.parent / "tls"
    renewed = make_certificate(tmp_path, "localhost")
    for source, name in ((renewed.certificate, "server.pem"), (renewed.key, "server.key")):
        (tls / name).unlink()
        shutil.copyfile(source, tls / name)
    gate.process.send_signal(signal.SIGHUP)
    gate.log.wait_for("configuration read again")
    after = shown(gate)
    assert after == ssl.PEM_cert_to_DER_cert(renewed.certificate.read_text())
    assert after != before

    (tls / "server.pem").write_text("no certificate")
    gate.process.send_signal(signal.SIGHUP)
    assert "server.pem" in gate.log.wait_for("configuration not changed")
    assert shown(gate) == after
    assert session.noop()[0] == "OK"
    session.logout()
