"""`wicketgate serve` as a process of a test: its log is read as it is written, it is ended by its id."""

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from config.load import load
from config.scaffold import Ports, init_dir
from proxy.opening import make_store
from support.house import House
from support.running import WICKETGATE

_BUILT_IN = 'address = "embedded"'
_CHEAP = """
[policy.hashing]
app = { memory_kib = 1024 }
primary = { memory_kib = 19456, passes = 2 }
"""
_PATIENCE_S = 30.0


class Log:
    """What a process writes, line by line, read by a thread so that the process never waits for a reader."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def wait_for(self, words: str) -> str:
        """Give the first line with these words, as soon as it is there."""
        with self._more:
            self._more.wait_for(lambda: self._ended or words in self.text, _PATIENCE_S)
            assert words in self.text, f"{words!r} is not in the log:\n{self.text}"
            return next(line for line in self._lines if words in line)

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self._lines)

    def join(self) -> None:
        """Read to the end."""
        self._thread.join()

    def _follow(self) -> None:
        for line in self._stream:
            with self._more:
                self._lines.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()


@dataclass(frozen=True)
class Serving:
    """A gate that answers."""

    house: House
    process: subprocess.Popen[str]
    log: Log
    facts: dict[str, Any]
    """What a client needs: `host`, `ca_file`, and the ports as the demo's ready file calls them."""

    @property
    def data(self) -> Path:
        """Where its store lies."""
        return self.house.file.parent / "data"

    def mint(self, email: str, label: str = "phone", *more: str) -> str:
        """Make an app password that opens mail, as the operator."""
        options = ("--label", label, "--scope", "mail", "--operator", *more)
        return self.house.ask("password", "create", email, *options)["password"]

    def command(self, *arguments: str, stdin: str = "") -> "subprocess.Popen[str]":
        """Begin a command in a process of its own, with JSON wanted; end it with `answer`."""
        process = subprocess.Popen(
            [WICKETGATE, "-c", self.house.file, *arguments, "--json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        return process

    def ask(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command in a process of its own, which must succeed, and give its JSON."""
        return answer(self.command(*arguments, stdin=stdin))


def answer(process: "subprocess.Popen[str]") -> Any:
    """Wait for a command that must succeed and give its JSON."""
    with process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output)


def make_gate(folder: Path, upstream: str = _BUILT_IN) -> House:
    """Make a configuration with free ports and cheap hashes; these lines describe the upstream."""
    file = init_dir(folder, ports=Ports(imaps=0, imap=0, submissions=0, submission=0, https=0, portal=0))
    before, built_in, after = file.read_text("utf-8").partition(f"\n{_BUILT_IN}\n")
    assert built_in, "the first configuration reads otherwise by now"
    file.write_text(f"{before}\n{upstream}\n{after}{_CHEAP}", "utf-8")
    asyncio.run(make_store(load(file)))
    return House(file)


def behind(folder: Path, address: str, secret: str, **more: object) -> str:
    """Give the lines of `[upstream.imap]`, for a server where we are `gate`; the secret goes to `folder`."""
    file = folder / "upstream.secret"
    file.write_text(secret + "\n")
    file.chmod(0o400)
    sign_in = f'{{ kind = "authzid", user = "gate", secret_file = "{file}" }}'
    lines = [f'address = "{address}"', f"sign_in = {sign_in}"]
    return "\n".join(lines + [f'{key} = "{value}"' for key, value in more.items()])


@contextmanager
def running_gate(house: House) -> Iterator[Serving]:
    """Serve a configuration until the block ends, which must be a clean end."""
    with subprocess.Popen(
        [WICKETGATE, "-c", house.file, "serve"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        log = Log(process.stderr)
        try:
            yield Serving(house, process, log, _facts(house, log.wait_for("serving imaps=")))
            process.terminate()
            assert process.wait(timeout=_PATIENCE_S) == 0, log.text
        finally:
            _end(process)
            log.join()


def _facts(house: House, line: str) -> dict[str, Any]:
    ports: dict[str, Any] = {
        f"{kind}_port": int(port) for kind, port in re.findall(r"(\w+)=\((\d+),\)", line)
    }
    assert ports, line
    ports["smtps_port"] = ports.pop("submissions_port", None)  # as the demo's ready file calls it
    dav = {"dav_url": f"https://localhost:{ports['https_port']}/"} if "https_port" in ports else {}
    return {"host": "localhost", "ca_file": str(house.file.parent / "tls" / "ca.pem"), **ports, **dav}


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
