"""Words for a supervisor: ready, reading the configuration, stopping. See sd_notify(3).

Without one (`NOTIFY_SOCKET` is not set) nothing is said; that nobody listens is no fault.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """Say that the configuration is read again; READY follows."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def notify(words: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell the supervisor."""
    place = environment.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(words.encode("ascii"), address)
