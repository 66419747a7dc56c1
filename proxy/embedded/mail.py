"""The IMAP child: `python -m proxy.embedded.mail ROOT SOCKET`, started and watched by `children`.

Standard input is the pipe to the parent: its first line is the secret the gate signs in with, and its end
(the parent has gone, however it went) ends the child, which takes its socket and the socket's folder along.
One line on standard output says that the socket answers. ROOT is locked for life, for the UID lists in it
may have one owner only.
"""

# mypy: allow-untyped-calls
# Twisted's logging has no annotations.

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.python import log
from zope.interface import implementer

from proxy.embedded.childside import ignore_stops, lock, read_secret
from proxy.embedded.durable import FILE_MODE
from proxy.embedded.handover import READY
from proxy.embedded.maildir import MailHome
from proxy.embedded.session import Clock, MailSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress

    from auth.secret import Secret


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
    ignore_stops()
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
