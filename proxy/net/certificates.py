"""The certificates of the listeners, read again when their files change or when told to.

New connections get the new certificates; those that are there keep theirs, so nothing is dropped. Files that
cannot be used leave everything as it is, with a line in the log. Who renews a certificate writes it and its
key one after the other, so files are read only once they have stayed the same from one look to the next.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from proxy.limits import CERTIFICATE_POLL_S
from proxy.net.tls import CertificateFiles, CertificateProblem, server_context

_log: Final = logging.getLogger(__name__)

_Look = tuple[tuple[int, int, int] | None, ...]
"""What the files look like from outside: inode, size and time of the last change of each."""


class Contexts(NamedTuple):
    """What was read of some files, by protocol."""

    files: tuple[CertificateFiles, ...]
    by_protocol: dict[str, ssl.SSLContext]


class Certificates:
    """Gives the context for the next handshake."""

    def __init__(self, files: Sequence[CertificateFiles], protocols: Sequence[str] = ()) -> None:
        """Read all; raises CertificateProblem. `protocols` are names of ALPN (RFC 7301)."""
        self._files = tuple(files)
        self._protocols = tuple(protocols)
        self._read = self._last = self._look()
        self._contexts = self._make(self._files)

    def context(self, protocol: str = "") -> ssl.SSLContext:
        """Give the newest context for one of the protocols, or for what has no name in ALPN."""
        return self._contexts[protocol]

    def made_of(self, files: Sequence[CertificateFiles]) -> Contexts:
        """Read other files, to be taken or not; raises CertificateProblem."""
        return Contexts(tuple(files), self._make(files))

    def take(self, contexts: Contexts) -> None:
        """Go on with other files."""
        self._files, self._contexts = contexts.files, contexts.by_protocol
        self._read = self._last = self._look()

    def reload(self) -> bool:
        """Read the files now. False when they cannot be used; the old ones go on then."""
        self._read = self._last = self._look()
        try:
            self._contexts = self._make(self._files)
        except CertificateProblem as problem:
            _log.error("certificates not changed, the old ones go on: %s", problem)
            return False
        _log.info("certificates read again")
        return True

    def look(self) -> None:
        """Read the files if they have changed, and have not changed since the last look."""
        now = self._look()
        if now == self._last and now != self._read:
            self.reload()
        self._last = now

    async def follow(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(CERTIFICATE_POLL_S)
            self.look()

    def _make(self, files: Sequence[CertificateFiles]) -> dict[str, ssl.SSLContext]:
        """Read every context: a connection is never told that it speaks what the listener does not."""
        named = {protocol: server_context(files, [protocol]) for protocol in self._protocols}
        return {"": server_context(files), **named}

    def _look(self) -> _Look:
        return tuple(_outside(path) for files in self._files for path in (files.certificate, files.key))


def _outside(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
