"""Programs that send mail, each driven by a settings file so that no password stands on a command line."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.programs import missing, program

_PATIENCE_S = 20
_MSMTP = """\
account default
host {host}
port {port}
from {sender}
user {user}
password {password}
auth {mechanism}
tls on
tls_starttls {starttls}
tls_trust_file {ca}
timeout {patience}
"""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What is sent, by whom, to whom, and how."""

    user: str
    password: str
    sender: str
    recipient: str
    subject: str = "test"
    body: str = "Hello.\n"
    mechanism: str = "PLAIN"
    starttls: bool = False

    @property
    def text(self) -> str:
        """The message as a file holds it."""
        head = f"From: {self.sender}\nTo: {self.recipient}\nSubject: {self.subject}\n"
        return f"{head}MIME-Version: 1.0\n\n{self.body}"


@dataclass(frozen=True)
class Sent:
    """How a program ended, and all it said."""

    status: int
    said: str


def port(facts: dict[str, Any], letter: Letter) -> int:
    """Give the port for the letter's way."""
    return facts["submission_port" if letter.starttls else "smtps_port"]


def swaks(facts: dict[str, Any], letter: Letter, folder: Path, *options: str) -> Sent:
    """Send with swaks, which says the whole dialogue."""
    _needs_ssleay()
    settings = folder / "swaksrc"
    message = folder / "message"
    message.write_text(letter.text)
    settings.write_text(
        f"--auth {letter.mechanism}\n--auth-user {letter.user}\n--auth-password {letter.password}\n"
    )
    tls = "--tls" if letter.starttls else "--tls-on-connect"
    return _run(
        [program("swaks", "swaks"), "--config", settings, "--server", facts["host"],
         "--port", str(port(facts, letter)), tls, "--tls-verify", "--tls-ca-path", facts["ca_file"],
         "--from", letter.sender, "--to", letter.recipient, "--data", f"@{message}",
         "--timeout", str(_PATIENCE_S), *options],
    )  # fmt: skip


def _needs_ssleay() -> None:
    """Skip the test where swaks cannot do TLS."""
    if _run([program("perl", "perl"), "-MNet::SSLeay", "-e1"]).status != 0:
        missing("swaks has no TLS without Net::SSLeay (Debian package libnet-ssleay-perl)")


def msmtp(facts: dict[str, Any], letter: Letter, folder: Path) -> Sent:
    """Send with msmtp."""
    settings = folder / "msmtprc"
    settings.touch(mode=0o600)
    settings.write_text(
        _MSMTP.format(
            host=facts["host"],
            port=port(facts, letter),
            sender=letter.sender,
            user=letter.user,
            password=letter.password,
            mechanism=letter.mechanism.lower(),
            starttls="on" if letter.starttls else "off",
            ca=facts["ca_file"],
            patience=_PATIENCE_S,
        )
    )
    return _run([program("msmtp", "msmtp"), "-C", settings, letter.recipient], letter.text)


def curl(facts: dict[str, Any], letter: Letter, folder: Path, *options: str) -> Sent:
    """Send with curl, which says the dialogue with `--verbose`: `<` goes before each reply."""
    settings, message = folder / "curlrc", folder / "message"
    settings.write_text(f'user = "{letter.user}:{letter.password}"\n')
    message.write_bytes(letter.text.replace("\n", "\r\n").encode())
    scheme = "smtp" if letter.starttls else "smtps"
    return _run(
        [program("curl", "curl"), "--config", settings, "--silent", "--show-error", "--verbose",
         "--ssl-reqd", "--cacert", facts["ca_file"], "--max-time", str(_PATIENCE_S),
         "--login-options", f"AUTH={letter.mechanism}", "--mail-from", letter.sender,
         "--mail-rcpt", letter.recipient, "--upload-file", message, *options,
         f"{scheme}://{facts['host']}:{port(facts, letter)}"],
    )  # fmt: skip


def _run(command: Sequence[str | Path], stdin: str = "") -> Sent:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    return Sent(done.returncode, done.stdout + done.stderr)
