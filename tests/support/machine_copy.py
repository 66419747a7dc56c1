"""A copy of this machine to do with as one likes: its files over this one's, its own network and processes.

It is made of namespaces and an overlay in memory: nothing that is done in it is seen outside, and when its
first process ends, all others end with it, and the mounts and the ports are gone. systemd does not run in it.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.programs import program
from support.waiting import until

_PATIENCE_S = 120.0
_MAKE = """
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/over" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/over,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
ip link set lo up
touch "$1/root/.copy"
exec chroot "$1/root" sh -c 'echo made; exec cat'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCopy:
    """The copy, while it lives."""

    first: int
    """The number of its first process, as it is seen here."""

    def inside(self, *command: str | Path) -> Sequence[str | Path]:
        """Give the command that runs a command in it, as root."""
        namespaces = ("--mount", "--net", "--pid", "--root", "--wdns=/")
        return (program("nsenter", "util-linux"), f"--target={self.first}", *namespaces, *command)

    def run(self, script: str, *, stdin: str = "") -> str:
        """Run shell commands, all of which must succeed, and give what they say."""
        done = subprocess.run(
            self.inside("bash", "-euo", "pipefail", "-c", script),
            input=stdin, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def machine_copy() -> Iterator[MachineCopy]:
    """Live in a copy until the block ends; skips the test where no namespace or no overlay is to be had."""
    unshare = program("unshare", "util-linux")
    if os.getuid() != 0:
        pytest.skip("a copy of the machine is made by root")
    with tempfile.TemporaryDirectory(prefix="copy-") as folder:
        namespaces = ("--mount", "--net", "--pid", "--fork", "--kill-child")
        process = subprocess.Popen(
            [unshare, *namespaces, "bash", "-c", _MAKE, "make", folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                if process.stdout.readline() != "made\n":
                    pytest.skip(f"no copy of the machine can be made here: {process.stderr.read().strip()}")
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                until(lambda: len(children.read_text().split()) == 1)
                made = MachineCopy(first=int(children.read_text()))
                made.run("test -e /.copy")  # what is done there must never be done here
                yield made
            finally:
                process.stdin.close()  # its first process reads until then
                process.wait()
