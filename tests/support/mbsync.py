"""mbsync (isync) as a client of the gate."""

import subprocess
from pathlib import Path
from typing import Any

from support.programs import program

_CONFIG = """\
IMAPStore far
Host {host}
Port {port}
User {user}
PassCmd "cat {secret}"
SSLType {tls}
CertificateFile {ca}
AuthMechs {mechanism}

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
{more}
"""


def pull(
    facts: dict[str, Any],
    user: str,
    password: str,
    folder: Path,
    *,
    starttls: bool = False,
    mechanism: str = "PLAIN",
    more: str = "",
) -> list[Path]:
    """Sync INBOX into `folder` and give the messages; the run must succeed. `more`: lines of the channel."""
    mbsync = program("mbsync", "isync")
    mail = folder / "mail"
    mail.mkdir(exist_ok=True)
    secret = folder / "secret"
    secret.write_text(password)
    (folder / "mbsyncrc").write_text(
        _CONFIG.format(
            host=facts["host"],
            port=facts["imap_port" if starttls else "imaps_port"],
            user=user,
            secret=secret,
            tls="STARTTLS" if starttls else "IMAPS",
            ca=facts["ca_file"],
            mechanism=mechanism,
            mail=mail,
            more=more,
        )
    )
    done = subprocess.run(
        [mbsync, "-c", folder / "mbsyncrc", "-a"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return sorted((mail / "INBOX").glob("cur/*")) + sorted((mail / "INBOX").glob("new/*"))
