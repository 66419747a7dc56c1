"""The built-in delivery child for tests: two accounts, an alias, and smtplib on a Unix socket."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auth.secret import Secret
from proxy.embedded.children import EmbeddedDelivery
from proxy.embedded.maildir import account_folder
from proxy.embedded.recipients import Found, Recipient
from support.embedded import ALICE, connect

BOB = "bob@example.org"
ALIAS = "ally@example.net"
MESSAGE = b"From: Alice <alice@example.org>\r\nSubject: Hello\r\n\r\nHow are you?\r\n"


class House:
    """Who has which address; can be out of order."""

    def __init__(self) -> None:
        self.broken = False
        self.names = {ALICE: ALICE, BOB: BOB, ALIAS: ALICE}

    async def lookup(self, address: str) -> Recipient:
        if self.broken:
            raise OSError("the store is away")
        if address in self.names:
            return Recipient(Found.ACCOUNT, self.names[address])
        ours = address.rpartition("@")[2] in ("example.org", "example.net")
        return Recipient(Found.NOBODY if ours else Found.ELSEWHERE)


class UnixSmtp(smtplib.SMTP):
    """smtplib on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__("localhost", local_hostname="client.example.org", timeout=60)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return connect(self._path)


@contextmanager
def through_smtplib(
    delivery: EmbeddedDelivery, account: str = ALICE, secret: Secret | None = None
) -> Iterator[UnixSmtp]:
    """smtplib, signed in for an account."""
    client = UnixSmtp(delivery.socket_path)
    try:
        client.ehlo()
        message = f"{account}\0{delivery.user}\0{(secret or delivery.secret).reveal()}"
        client.auth("PLAIN", lambda _=None: message)
        yield client
    finally:
        client.close()


def send(
    delivery: EmbeddedDelivery, recipients: list[str], message: bytes = MESSAGE, *, sender: str = ALICE
) -> bytes:
    """Send a message; the reply to its end."""
    with through_smtplib(delivery) as client:
        return send_by(client, recipients, message, sender=sender)


def send_by(
    client: smtplib.SMTP, recipients: list[str], message: bytes = MESSAGE, *, sender: str = ALICE
) -> bytes:
    """Send a message whose recipients are all taken; the reply to its end."""
    assert client.mail(sender)[0] == 250
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    return reply(client.data(message))


def reply(parts: tuple[int, bytes]) -> bytes:
    return b"%d %s" % parts


async def sent(delivery: EmbeddedDelivery, recipients: list[str], message: bytes = MESSAGE) -> bytes:
    """The same beside this loop, which answers the child's questions."""
    return await asyncio.to_thread(send, delivery, recipients, message)


def inbox(root: Path, email: str) -> list[bytes]:
    """What lies in an account's INBOX, in the order of delivery."""
    home = account_folder(root, email)
    paths = [*home.glob("new/*"), *home.glob("cur/*")]
    return [path.read_bytes() for path in sorted(paths, key=lambda path: path.name)]


def waiting(root: Path) -> list[str]:
    """What lies in any `tmp`, and what the journal holds."""
    journal = [path.name for path in (root / ".delivery").glob("*") if path.name != "wicketgate-lock"]
    return [path.name for path in root.glob("*/tmp/*")] + journal
