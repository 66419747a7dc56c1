"""The unit of examples/, and its command run as systemd runs it: user, capabilities, credentials, words.

systemd itself is not needed, so what its sandbox forbids is not tried here.
"""

import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.house import House
from support.programs import missing, program
from support.serving import Log, make_gate
from support.waiting import until

_COMMAND = "/usr/local/bin/wicketgate"
_PRIVILEGED = range(600, 1024)
_WORD_OCTETS = 4096


def unit_text(root: Path, command: Path) -> str:
    """Give the unit with another place of the program."""
    text = (root / "examples/wicketgate.service").read_text("utf-8")
    assert _COMMAND in text
    return text.replace(_COMMAND, str(command))


def command_for_others(root: Path, file: Path) -> Path:
    """Write a `wicketgate` that other users can run too: by the Python of the tests, or by the system's.

    The tests' Python may lie in the home of root, where no service may look.
    """
    places = f"{root}:{sysconfig.get_path('purelib')}"
    as_nobody = [program("setpriv", "util-linux"), "--reuid=nobody", "--clear-groups", "sh", "-c"]
    for python in (sys.executable, "/usr/bin/python3"):
        start = f"PYTHONPATH={places} exec {python} -c 'from proxy.cli import main; main()'"
        tried = subprocess.run([*as_nobody, f"{start} --version"], capture_output=True, check=False)
        if tried.returncode == 0:
            file.write_text(f'#!/bin/sh\n{start} "$@"\n', "utf-8")
            file.chmod(0o755)
            return file
    missing("no Python of this version, or not the project's folder, is within the reach of other users")
    raise AssertionError


def settings(unit: str) -> dict[str, list[str]]:
    """Give the settings of a unit's section [Service], each with its values in order."""
    section = unit.partition("\n[Service]\n")[2].partition("\n[Install]\n")[0]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?m)^(\w+)=(.*)$", section):
        found.setdefault(name, []).append(value)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """/etc/wicketgate of root and /var/lib/wicketgate of the service's user, in a place of the test."""

    folder: Path
    house: House
    """The configuration, for commands that root runs."""
    state: Path
    user: pwd.struct_passwd
    port: int
    """Of IMAP with TLS, below 1024."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a client needs."""
        ca_file = self.house.file.parent / "tls/ca.pem"
        return {"host": "localhost", "ca_file": str(ca_file), "imaps_port": self.port}

    @property
    def owners(self) -> set[str]:
        """Whose the files of the state folder are."""
        found = set()
        for path in (self.state, *self.state.rglob("*")):
            with suppress(FileNotFoundError):  # a log of the store that was folded in meanwhile
                found.add(path.owner())
        return found


@contextmanager
def new_machine() -> Iterator[Machine]:
    """Make the folders as docs/deploy.md says, until the block ends. Needs root."""
    if os.getuid() != 0:
        missing("a service is started by root, as another user")
    folder = Path(tempfile.mkdtemp(prefix="service-"))
    try:
        folder.chmod(0o755)
        house = make_gate(folder / "wicketgate")
        machine = Machine(
            folder=folder, house=house, state=folder / "state", user=pwd.getpwnam("nobody"),
            port=_privileged_port(),
        )  # fmt: skip
        _part(machine)
        yield machine
    finally:
        shutil.rmtree(folder)


def _part(machine: Machine) -> None:
    """Give the service's user the state and nothing else, but for reading the private key of TLS."""
    etc, user = machine.house.file.parent, machine.user
    text = machine.house.file.read_text("utf-8").replace('data = "data"', f'data = "{machine.state}"')
    text = re.sub(r"(?m)^imaps = .*", f'imaps = ["127.0.0.1:{machine.port}"]', text)
    machine.house.file.write_text(text, "utf-8")
    (etc / "data").rename(machine.state)
    for path in (machine.state, *machine.state.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    etc.chmod(0o755)
    (etc / "tls").chmod(0o755)
    os.chown(etc / "tls/server.key", 0, user.pw_gid)
    (etc / "tls/server.key").chmod(0o640)


def _privileged_port() -> int:
    """Give a port that nobody listens on at this moment and that only root, or who may, can listen on."""
    for port in _PRIVILEGED:
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port
    raise AssertionError("no port below 1024 is free")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service at work."""

    process: subprocess.Popen[str]
    log: Log
    supervisor: socket.socket

    def word(self) -> str:
        """Wait for what it tells its supervisor next, by sd_notify(3); of several lines the first."""
        until(lambda: self._is_told() or self.process.poll() is not None)
        assert self._is_told(), self.log.text
        return self.supervisor.recv(_WORD_OCTETS).decode("ascii").partition("\n")[0]

    def _is_told(self) -> bool:
        return bool(select.select([self.supervisor], [], [], 0)[0])


@contextmanager
def started(machine: Machine, unit: str, *, credentials: bool = True) -> Iterator[Service]:
    """Run what the unit starts until the block ends; with the credentials that it loads, or without."""
    told = settings(unit)
    path = machine.folder / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as supervisor:
        supervisor.bind(str(path))
        path.chmod(0o666)
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path)}
        environment |= {"WICKETGATE_CONFIG": str(machine.house.file)}
        if credentials:
            environment["CREDENTIALS_DIRECTORY"] = str(_hand_over(machine, told["LoadCredential"]))
        command = [*as_user(machine.user.pw_uid, machine.user.pw_gid, told), *told["ExecStart"][0].split()]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, cwd="/"
        ) as process:
            assert process.stderr is not None
            log = Log(process.stderr)
            try:
                yield Service(process=process, log=log, supervisor=supervisor)
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                process.wait()
                log.join()
                path.unlink()


def _hand_over(machine: Machine, loaded: list[str]) -> Path:
    """Copy what `LoadCredential=NAME:FOLDER` names to NAME_FILE, for the user alone. See systemd.exec(5)."""
    folder = machine.folder / "credentials"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, _, source in (each.partition(":") for each in loaded):
        for path in (machine.house.file.parent / Path(source).name).iterdir():
            copied = folder / f"{name}_{path.name}"
            copied.write_bytes(path.read_bytes())
            os.chown(copied, machine.user.pw_uid, machine.user.pw_gid)
            copied.chmod(0o400)
    return folder


def as_user(user: int, group: int, told: dict[str, list[str]]) -> list[str]:
    """Give the command before the command: another user, with the capabilities of the unit and no more."""
    kept = ",".join(
        f"+{name.removeprefix('CAP_').lower()}" for name in told["AmbientCapabilities"][0].split()
    )
    who = f"--reuid={user} --regid={group} --clear-groups --no-new-privs"
    only = f"--inh-caps=-all,{kept} --ambient-caps=-all,{kept} --bounding-set=-all,{kept}"
    return [program("setpriv", "util-linux"), *who.split(), *only.split()]
