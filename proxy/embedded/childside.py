"""What the children of ours do alike: lock what they serve, take their secret, know the gate, ignore stops.

No framework is imported here: each child pays for its own alone.
"""

from __future__ import annotations

import binascii
import fcntl
import os
import signal
import time
from base64 import b64decode
from pathlib import Path
from typing import Final, TextIO

from auth.secret import Secret
from proxy.embedded.durable import FOLDER_MODE
from proxy.embedded.handover import GATE_USER

_LOCK_FILE: Final = "wicketgate-lock"
_LOCK_WAIT_S: Final = 5.0
_LOCK_LOOK_S: Final = 0.05


def lock(root: Path) -> TextIO:
    """Own what lies below `root` until the file is closed; `BlockingIOError` when another process does.

    A predecessor that is just leaving is waited for.
    """
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


def admitted(response: bytes, secret: Secret) -> str | None:
    """The account the gate names in a SASL PLAIN message in base64 (RFC 4616); None for anyone else."""
    try:
        authzid, authcid, password = b64decode(response, validate=True).split(b"\0")
        email = authzid.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    given = Secret.from_wire(password)
    return email if given == secret and authcid == GATE_USER.encode("ascii") and email else None


def ignore_stops() -> None:
    """Leave SIGINT and SIGTERM to the parent.

    Ctrl-C and a service manager's stop go to the whole process group. The parent decides what becomes of this
    one, and tells by closing the pipe: it still needs it while its own sessions end.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
