"""`wicketgate demo` as a process of a test: started, waited for by what it prints, ended by its id."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

WICKETGATE = Path(sys.executable).with_name("wicketgate")
ANY_PORT = tuple(f"--{name}-port=0" for name in ("imaps", "imap", "smtps", "submission", "https", "portal"))
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Demo:
    """A demo that answers."""

    process: subprocess.Popen[str]
    page: str
    facts: dict[str, Any]
    command: Path
    """The `wicketgate` that belongs to it."""

    def account(self, email: str) -> dict[str, Any]:
        """Give one account of the ready file."""
        return next(each for each in self.facts["accounts"] if each["email"] == email)

    def password(self, email: str, label: str) -> str:
        """Give one app password in clear."""
        return next(
            each["password"] for each in self.account(email)["app_passwords"] if each["label"] == label
        )

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command against the demo's configuration."""
        return subprocess.run(
            [self.command, "-c", self.facts["config"], *arguments],
            input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def ask(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command that must succeed and give its JSON."""
        done = self.cli(*arguments, "--json", stdin=stdin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def running_demo(folder: Path, ready_file: Path, *options: str, script: Path | None = None) -> Iterator[Demo]:
    """Run the demo on free ports until the block ends; `script` is another clone's `scripts/demo`."""
    start: Sequence[str | Path] = [script] if script else [WICKETGATE, "demo"]
    command = script.parent.parent / ".venv/bin/wicketgate" if script else WICKETGATE
    with (
        tempfile.TemporaryFile("w+") as errors,  # no pipe: a demo that warns a lot must not wait for a reader
        subprocess.Popen(
            [*start, "--dir", folder, "--ready-file", ready_file, *ANY_PORT, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process,
    ):  # fmt: skip
        try:
            yield Demo(process, _page(process, errors), json.loads(ready_file.read_text("utf-8")), command)
        finally:
            stop(process)


def _page(process: subprocess.Popen[str], errors: IO[str]) -> str:
    """Read the page of settings; its last line says that all stands."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip().endswith(" audit"):
            return "".join(lines)
    errors.seek(0)
    raise AssertionError(f"the demo did not start: {errors.read()}")


def stop(process: subprocess.Popen[str]) -> int:
    """End a process as Ctrl-C does and give its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode
