"""A Dovecot of the test's own, on free loopback ports, with `gate` as a master user for every account.

The gate may act for an account by an authorization identity (RFC 4616) or as `account*gate`.
"""

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.daemons import Started, greets, running
from support.dovecot_config import SECRET, DovecotOptions, DovecotPorts, configure, furnish
from support.programs import missing, program

_SUBMISSION = Path("/usr/lib/dovecot/submission-login")
_DEFAULT = DovecotOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dovecot:
    """A Dovecot that answers."""

    folder: Path
    ports: DovecotPorts
    secret: str = SECRET

    @property
    def imaps(self) -> int:
        """The port with TLS from the first octet."""
        return self.ports.imaps

    @property
    def imap(self) -> int:
        """The port with STARTTLS."""
        return self.ports.imap

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate."""
        return self.folder / "tls" / "ca.pem"

    @property
    def mail(self) -> Path:
        """Where the Maildirs are, one an account."""
        return self.folder / "mail"

    @property
    def auth_socket(self) -> Path:
        """Where another server, such as Postfix, asks whom to let in."""
        return self.folder / "run" / "auth-sending"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text(errors="replace")


@contextmanager
def running_dovecot(options: DovecotOptions = _DEFAULT) -> Iterator[Dovecot]:
    """Run Dovecot until the block ends; its folder is short, because it holds Unix sockets."""
    dovecot = program("dovecot", "dovecot-imapd")
    if options.relay is not None and not _SUBMISSION.exists():
        missing("Dovecot has no submission service (Debian package dovecot-submissiond)")
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    made: list[Dovecot] = []

    def start() -> Started:
        made.append(Dovecot(folder=folder, ports=DovecotPorts.free()))
        config = configure(dovecot, folder, made[-1].ports, options)
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen([dovecot, "-F", "-c", config], stderr=errors, start_new_session=True)
        context = ssl.create_default_context(cafile=made[-1].ca_file)
        return Started(process, lambda: greets(made[-1].imaps, b"* OK", context))

    try:
        furnish(folder, options)
        with running("Dovecot", start, [folder / "stderr", folder / "log"]):
            yield made[-1]
    finally:
        shutil.rmtree(folder)
