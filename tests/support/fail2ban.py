"""Debian's fail2ban-regex on a log: as a file, or in a journal of the test's own."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

from support.programs import missing, program

_REMOTE = Path("/usr/lib/systemd/systemd-journal-remote")
_ENTRY = """\
__CURSOR=s=1;i={number}
__REALTIME_TIMESTAMP={number}000000
__MONOTONIC_TIMESTAMP={number}000000
_BOOT_ID=0123456789abcdef0123456789abcdef
_HOSTNAME=mail
SYSLOG_IDENTIFIER=wicketgate
_PID=77
_SYSTEMD_UNIT={unit}
MESSAGE={line}

"""
"""systemd.journal-export: what the journal keeps of one line that a service printed."""


def found(config: Path, log: str, name: str = "wicketgate") -> Counter[str]:
    """Give how often each address is counted in a log by the filter of this name in `config`."""
    done = subprocess.run(
        [program("fail2ban-regex", "fail2ban"), "-c", config, "-o", "ip", log, name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == "", done.stderr
    return Counter(done.stdout.split())


def journal(lines: list[str], file: Path, unit: str = "wicketgate.service") -> str:
    """Make a journal of what a service printed, and name it as fail2ban-regex wants it."""
    if not _REMOTE.exists():
        missing(f"{_REMOTE} is not there (Debian package systemd-journal-remote)")
    entries = "".join(
        _ENTRY.format(number=1_800_000_000 + at, unit=unit, line=line) for at, line in enumerate(lines)
    )
    subprocess.run([_REMOTE, "-o", file, "-"], input=entries.encode(), check=True, capture_output=True)
    return f'systemd-journal[journalfiles="{file}"]'
