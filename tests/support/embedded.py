"""The embedded mail server for tests: one session without a socket, and the real child with plain clients."""

from __future__ import annotations

import imaplib
import itertools
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from auth.secret import Secret
from proxy.embedded.children import EmbeddedMail
from proxy.embedded.handover import GATE_USER
from proxy.embedded.mail import MailFactory
from proxy.embedded.maildir import MailHome
from proxy.embedded.session import MailSession

SECRET = Secret("let the gate in")
ALICE = "alice@example.org"
NOON_NS = 1_795_000_000 * 10**9
HELLO = b"From: Bob <bob@example.org>\r\nSubject: Hello\r\n\r\nHow are you?\r\n"


def plain(secret: Secret = SECRET, *, account: str = ALICE, user: str = GATE_USER) -> bytes:
    """A SASL PLAIN message in base64."""
    return b64encode(b"\0".join((account.encode(), user.encode(), secret.reveal_bytes())))


def home(root: Path) -> MailHome:
    """Alice's mail, at a time that stands still."""
    return MailHome(root, ALICE, wall_ns=lambda: NOON_NS)


class Dialog:
    """One session in this process. `say` gives what is answered, `pass_time` what is said meanwhile."""

    def __init__(self, root: Path, mail: MailHome | None = None) -> None:
        self.clock = Clock()
        self.mail = mail or home(root)
        self.wire = StringTransport()
        factory = MailFactory(root, SECRET, self.clock)
        factory._homes[ALICE] = self.mail
        self.session: MailSession = factory.buildProtocol(None)
        self.session.makeConnection(self.wire)
        self.greeting = self._said()

    @property
    def closed(self) -> bool:
        return self.wire.disconnecting

    def say(
        self, octets: bytes, split: Callable[[bytes], Iterator[bytes]] = lambda whole: iter((whole,))
    ) -> bytes:
        """Send octets and give all that comes back."""
        said = b""
        for piece in split(octets):
            self.session.dataReceived(piece)
            said += self._said()
        return said

    def pass_time(self, seconds: float) -> bytes:
        """Let the session's clock run."""
        self.clock.advance(seconds)
        return self._said()

    def sign_in(self) -> Dialog:
        assert b"x OK" in self.say(b"x AUTHENTICATE PLAIN " + plain() + b"\r\n")
        return self

    def select(self, folder: bytes = b"INBOX") -> Dialog:
        assert b"x OK" in self.say(b"x SELECT " + folder + b"\r\n")
        return self

    def with_inbox(self) -> Dialog:
        """Signed in, INBOX selected; two messages in it, the second one seen."""
        for letters in ("", "S"):
            self.mail.folder("INBOX").add(HELLO, letters=letters, received=1_000_000_000)
        return self.sign_in().select()

    def _said(self) -> bytes:
        """Take everything, as a client does that reads at once."""
        while self.wire.producer is not None:
            self.wire.producer.resumeProducing()
        said = self.wire.value()
        self.wire.clear()
        return said


class UnixImap(imaplib.IMAP4):
    """imaplib on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__()

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return connect(self._path)


class RawImap:
    """A raw dialog on a Unix socket, line by line."""

    def __init__(self, path: Path) -> None:
        self.socket = connect(path)
        self._file = self.socket.makefile("rb")
        self.greeting = self.line()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        return self._file.readline()

    def until(self, tag: bytes) -> bytes:
        """Read up to the tagged reply, literals included."""
        said = b""
        while True:
            line = self.line()
            said += line
            if not line or line.startswith(tag + b" "):
                return said
            literal = re.search(rb"\{([0-9]+)\}\r\n\Z", line)
            if literal:
                said += self._file.read(int(literal[1]))

    def run(self, tag: bytes, command: bytes) -> bytes:
        self.send(tag + b" " + command + b"\r\n")
        return self.until(tag)

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def connect(path: Path) -> socket.socket:
    """A connected Unix socket that does not wait for ever."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


@contextmanager
def raw(mail: EmbeddedMail, account: str = ALICE) -> Iterator[RawImap]:
    """A raw dialog, signed in."""
    client = RawImap(mail.socket_path)
    try:
        reply = client.run(b"in", b"AUTHENTICATE PLAIN " + plain(mail.secret, account=account))
        assert reply.startswith(b"in OK"), reply
        yield client
    finally:
        client.close()


@contextmanager
def through_imaplib(mail: EmbeddedMail, account: str = ALICE) -> Iterator[UnixImap]:
    """imaplib, signed in."""
    client = UnixImap(mail.socket_path)
    try:
        message = f"{account}\0{GATE_USER}\0{mail.secret.reveal()}".encode()
        client.authenticate("PLAIN", lambda _: message)
        yield client
    finally:
        client.shutdown()


def files_below(root: Path) -> list[str]:
    """Every message file below a Maildir."""
    return sorted(
        str(path.relative_to(root))
        for path in itertools.chain(root.glob("**/cur/*"), root.glob("**/new/*"), root.glob("**/tmp/*"))
    )
