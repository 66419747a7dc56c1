"""A Postfix of the test's own, on free loopback ports, with its configuration, queue and data in a folder.

It asks a Dovecot whom to let in, so whoever signs in as the master user `gate` acts for an account. Mail to
example.org and example.net is delivered at once into a Maildir of each address; nothing goes out: mail to
anywhere else is returned to its sender. Senders are checked: an account may write as itself and as
`name+anything@`. Needs root, as Postfix does: its processes belong to users of its own.
"""

import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from support.daemons import Started, greets, running
from support.delivered import messages, wait_for
from support.dovecot import Dovecot
from support.postfix_config import PostfixOptions, PostfixPorts, configure, furnish
from support.programs import missing, program

_DEFAULT = PostfixOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """A Postfix that answers."""

    folder: Path
    mail: Path
    ports: PostfixPorts

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate."""
        return self.folder / "tls" / "ca.pem"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def messages(self, email: str) -> list[EmailMessage]:
        """Give what has been delivered to an address, in no order, with `Return-Path` and `Delivered-To`."""
        return messages(self.mail / email)

    def wait_for(self, email: str, subject: str) -> EmailMessage:
        """Wait until a message of this subject is delivered, the only one, and give it."""
        return wait_for(self.mail / email, subject)


@contextmanager
def running_postfix(dovecot: Dovecot, options: PostfixOptions = _DEFAULT) -> Iterator[Postfix]:
    """Run Postfix until the block ends; its folder is short, because it holds Unix sockets."""
    postfix, master = _programs()
    folder = Path(tempfile.mkdtemp(prefix="postfix-"))
    mail = options.mail or folder / "mail"
    made: list[Postfix] = []

    def start() -> Started:
        made.append(Postfix(folder=folder, mail=mail, ports=PostfixPorts.free()))
        configure(folder, dovecot.auth_socket, made[-1].ports, options)
        subprocess.run([postfix, "-c", folder / "etc", "check"], check=True)  # makes the folders of the queue
        command = [master, "-s", "-c", folder / "etc"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        return Started(process, lambda: _answers(made[-1]))

    try:
        furnish(folder, mail, options.owner)
        with running("Postfix", start, [folder / "log"]):
            yield made[-1]
    finally:
        shutil.rmtree(folder)


def _programs() -> tuple[str, Path]:
    """Give `postfix` and its master process, or skip the test."""
    postfix = program("postfix", "postfix")
    if os.getuid() != 0:
        missing("Postfix runs as users of its own and needs root to start")
    ask = [program("postconf", "postfix"), "-dh", "daemon_directory"]
    asked = subprocess.run(ask, capture_output=True, text=True, check=True)
    return postfix, Path(asked.stdout.strip()) / "master"


def _answers(made: Postfix) -> bool:
    return greets(made.ports.submissions, b"220 ", ssl.create_default_context(cafile=made.ca_file))
