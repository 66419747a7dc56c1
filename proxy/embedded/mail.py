"""The IMAP child: `python -m proxy.embedded.mail ROOT SOCKET`, started and watched by `children`.

Standard input is the pipe to the parent: its first line is the secret the gate signs in with, and its end
(the parent has gone, however it went) ends the child, which takes its socket and the socket's folder along.
One line on standard output says that the socket answers. ROOT is locked for life, for the UID lists in it
may have one owner only; a predecessor that is just leaving is waited for.
"""

# mypy: allow-untyped-calls
# Twisted's logging has no annotations.

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.python import log
from zope.interface import implementer

from auth.secret import Secret
from proxy.embedded.durable import FILE_MODE, FOLDER_MODE
from proxy.embedded.handover import READY
from proxy.embedded.maildir import MailHome
from proxy.embedded.session import Clock, MailSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress

_LOCK_FILE: Final = "wicketgate-lock"
_LOCK_WAIT_S: Final = 5.0
_LOCK_LOOK_S: Final = 0.05


class MailFactory(Factory):
    """Makes sessions that share the homes in use."""

    noisy = False

    def __init__(self, root: Path, secret: Secret, clock: Clock) -> None:
        self._root = root
        self._secret = secret
        self._clock = clock
        self._homes: WeakValueDictionary[str, MailHome] = WeakValueDictionary()

    def buildProtocol(self, addr: IAddress | None) -> MailSession:  # noqa: ARG002, N802 - Twisted's interface
        """One session for one connection."""
        return MailSession(self._secret, self.home, self._clock)

    def home(self, email: str) -> MailHome:
        """The account's home, the same object as long as anyone uses it."""
        home = self._homes.get(email)
        if home is None:
            home = self._homes[email] = MailHome(self._root, email)
        return home


def lock(root: Path) -> TextIO:
    """Own the mail below `root` until the file is closed; `BlockingIOError` when another process does."""
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    file = (root / _LOCK_FILE).open("a")
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise
            time.sleep(_LOCK_LOOK_S)
        else:
            return file


def read_secret(descriptor: int) -> Secret:
    """Read the first line of the pipe, octet by octet: what follows is not ours."""
    line = bytearray()
    while not line.endswith(b"\n"):
        octet = os.read(descriptor, 1)
        if not octet:
            raise EOFError("the parent has gone before it gave the secret")
        line += octet
    return Secret(line[:-1].decode("ascii"))


@implementer(IReadDescriptor)
class ParentPipe:
    """The pipe to the parent, watched by the reactor; calls `gone` at its end."""

    def __init__(self, descriptor: int, gone: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._gone = gone

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._descriptor

    def doRead(self) -> None:  # noqa: N802 - Twisted's interface
        """Look whether it is the end; nothing is said on this pipe any more."""
        if not os.read(self._descriptor, 4096):
            self._gone()

    def connectionLost(self, reason: object) -> None:  # noqa: ARG002, N802 - Twisted's interface
        """The descriptor broke: that is an end too."""
        self._gone()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's interface
        """Name in logs."""
        return "parent"


def serve(root: Path, socket: Path) -> None:
    """Serve the mail below `root` on `socket` until the parent has gone."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - importing it chooses and makes it

    reactor: Any = installed
    pipe = sys.stdin.fileno()
    secret = read_secret(pipe)
    socket.unlink(missing_ok=True)  # of a predecessor that was killed
    port = reactor.listenUNIX(str(socket), MailFactory(root, secret, reactor), mode=FILE_MODE)

    def ended() -> None:
        reactor.removeReader(watched)
        port.stopListening()
        reactor.stop()

    watched = ParentPipe(pipe, ended)
    reactor.addReader(watched)
    reactor.callWhenRunning(lambda: os.write(sys.stdout.fileno(), READY))
    reactor.run(installSignalHandlers=False)
    socket.unlink(missing_ok=True)
    with suppress(OSError):
        socket.parent.rmdir()


def _log_errors(event: dict[str, Any]) -> None:
    """Write Twisted's errors, and nothing else, to standard error."""
    text = log.textFromEventDict(event) if event.get("isError") else None
    if text is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run the child; returns its exit status."""
    root, socket = (Path(argument) for argument in arguments)
    # Ctrl-C and a service manager's stop go to the whole process group. The parent decides what becomes of
    # this one, and tells by closing the pipe: it still needs the mail while its own sessions end.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
    log.startLoggingWithObserver(_log_errors, setStdout=False)
    try:
        with lock(root):
            serve(root, socket)
    except BlockingIOError:
        sys.stderr.write(f"error: another server has the mail in {root}\n")
        return 1
    except (OSError, EOFError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
