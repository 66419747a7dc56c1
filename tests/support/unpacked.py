"""Servers that lie unpacked in `.servers`, because their Debian packages conflict with installed ones.

`tests/support/unpack-debian` puts them there. A test runs a copy of one, in a folder of its own: as the user
its package asks for where the tests are root, as whoever runs the tests elsewhere, and never as root.
"""

import os
import pwd
import subprocess
from pathlib import Path

from config.authority import issue, make_authority
from support.daemons import Process
from support.programs import missing

_SERVERS = Path(__file__).parent.parent.parent / ".servers"


def unpacked(path: str, package: str) -> Path:
    """Give where a file of a package lies, or skip the test."""
    found = _SERVERS / path
    if not found.exists():
        missing(f"{found.name} is not unpacked (Debian package {package}; scripts/test --install brings it)")
    return found


def owner(user: str) -> pwd.struct_passwd:
    """Give who the server runs as."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam(user)
    except KeyError:
        missing(f"this machine has no user {user} (scripts/test --install makes it)")
        raise


def furnish(folder: Path) -> None:
    """Let others into the folder, and make a certificate in it."""
    folder.chmod(0o755)
    make_authority(folder / "tls")
    issue(folder / "tls", ["localhost", "127.0.0.1"])


def give(folder: Path, to: pwd.struct_passwd) -> None:
    """Make the server the owner of all that is in the folder."""
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, to.pw_uid, to.pw_gid)


def start_as(command: list[str | Path], to: pwd.struct_passwd, **env: str) -> Process:
    """Start a server in a process group of its own."""
    become = {"user": to.pw_uid, "group": to.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    return subprocess.Popen(
        command, env={"PATH": "/usr/bin:/bin", **env}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **become,
    )  # fmt: skip
