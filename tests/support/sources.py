"""imaplib and smtplib from an address of choice on this machine, after a PROXY header where one is wanted."""

import imaplib
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from support.imap import PATIENCE_S, trusting


class _Imap(imaplib.IMAP4):
    source = ""

    def _create_socket(self, timeout: float) -> socket.socket:
        return _opened(self.port, timeout, self.source)


class _Submissions(smtplib.SMTP_SSL):
    source = ""
    first = b""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = _opened(port, timeout, self.source, self.first)
        return self.context.wrap_socket(sock, server_hostname=host)


class _Imaps(imaplib.IMAP4_SSL):
    source = ""
    first = b""

    def _create_socket(self, timeout: float) -> socket.socket:
        sock = _opened(self.port, timeout, self.source, self.first)
        return self.ssl_context.wrap_socket(sock, server_hostname=self.host)


def _opened(port: int, timeout: float, source: str, first: bytes = b"") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
    sock.sendall(first)
    return sock


def submissions_from(source: str, facts: dict[str, Any], first: bytes = b"") -> smtplib.SMTP_SSL:
    """Connect to a gate's port of submission with TLS behind the octets of `first`; close it by `with`."""
    kind = type("Submissions", (_Submissions,), {"source": source, "first": first})
    return kind(facts["host"], facts["smtps_port"], context=trusting(facts["ca_file"]), timeout=PATIENCE_S)


@contextmanager
def imaps_from(source: str, facts: dict[str, Any], first: bytes = b"") -> Iterator[imaplib.IMAP4]:
    """Connect to a gate's port with TLS behind the octets of `first`, until the block ends."""
    kind = type("Imaps", (_Imaps,), {"source": source, "first": first})
    context = trusting(facts["ca_file"])
    with _closing(
        kind(facts["host"], facts["imaps_port"], ssl_context=context, timeout=PATIENCE_S)
    ) as client:
        yield client


@contextmanager
def imap_from(source: str, facts: dict[str, Any]) -> Iterator[imaplib.IMAP4]:
    """Connect to a gate's port with STARTTLS, which is still to be asked for."""
    kind = type("Imap", (_Imap,), {"source": source})
    with _closing(kind(facts["host"], facts["imap_port"], PATIENCE_S)) as client:
        yield client


@contextmanager
def _closing(client: imaplib.IMAP4) -> Iterator[imaplib.IMAP4]:
    try:
        yield client
    finally:
        with suppress(OSError):  # one that has logged out is closed already
            client.shutdown()
