"""OfflineIMAP as a client of the gate: a Maildir and a mailbox kept in step, in both directions."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.programs import program

_PATIENCE_S = 60
_TRIES = 3
_OWN_RACE = "Failed to start TLS connection: command: CAPABILITY => no response"
"""Its IMAP library (imaplib2) reads and writes one TLS object from two threads. Both begin right after
STARTTLS, and now and then what was written is lost: the CAPABILITY of its log never comes.
"""
_CONFIG = """\
[general]
accounts = all
ui = basic
metadata = {folder}/metadata
socktimeout = 10
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {folder}/mail
[Repository far]
type = IMAP
remotehost = {host}
remoteport = {port}
ssl = {ssl}
starttls = {starttls}
sslcacertfile = {ca}
remoteuser = {user}
remotepassfile = {folder}/secret
auth_mechanisms = {mechanism}
usecompression = {compress}
folderfilter = lambda name: name == "INBOX"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """One account's Maildir in `folder`, and how it is kept in step with the gate."""

    facts: dict[str, Any]
    user: str
    password: str
    folder: Path
    starttls: bool = False
    mechanism: str = "PLAIN"
    compress: bool = False

    @property
    def messages(self) -> list[bytes]:
        """What lies in the near INBOX."""
        inbox = self.folder / "mail" / "INBOX"
        return [file.read_bytes() for part in ("cur", "new") for file in sorted((inbox / part).glob("*"))]

    def put(self, message: bytes) -> None:
        """Lay a message into the near INBOX, as another program would."""
        (self.folder / "mail" / "INBOX" / "new" / "1.near").write_bytes(message)

    def sync(self) -> str:
        """Run it once; it must succeed. Gives what it said, its IMAP dialogue included."""
        config, secret = self.folder / "offlineimaprc", self.folder / "secret"
        secret.write_text(self.password)
        config.write_text(
            _CONFIG.format(
                folder=self.folder, host=self.facts["host"], user=self.user, ca=self.facts["ca_file"],
                port=self.facts["imap_port" if self.starttls else "imaps_port"],
                ssl="no" if self.starttls else "yes", starttls="yes" if self.starttls else "no",
                mechanism=self.mechanism, compress="yes" if self.compress else "no",
            )
        )  # fmt: skip
        for left in reversed(range(_TRIES)):
            done = subprocess.run(
                [program("offlineimap", "offlineimap3"), "-c", config, "-o", "-d", "imap"],
                env=os.environ | {"HOME": str(self.folder)},
                capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
            )  # fmt: skip
            if left and self.starttls and _OWN_RACE in done.stdout + done.stderr:
                continue
            break
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr
