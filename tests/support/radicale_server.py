"""A real Radicale for tests: a process of its own behind waitress on a Unix socket, the user in a header.

It is filled by its own protocol and looked at in its own folder, so what a test compares is what is stored.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, socket

_CHILD = """
import sys, threading, os
from waitress import create_server
import radicale.config
from radicale.app import Application
folder, path = sys.argv[1:]
configuration = radicale.config.load()
configuration.update({
    "auth": {"type": "http_x_remote_user", "delay": "0"},
    "storage": {"filesystem_folder": folder, "_filesystem_fsync": "False"},
    "server": {"delay_on_error": "0"},
    "web": {"type": "none"},
    "logging": {"level": "error"},
}, "test", privileged=True)
server = create_server(Application(configuration), unix_socket=path, threads=4)
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.run()
"""
_START_S = 30.0


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket(AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, field names in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Radicale:
    """A Radicale that answers."""

    socket_path: Path
    folder: Path
    connection: UnixConnection

    def ask(
        self, user: str, method: str, path: str, fields: dict[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Ask it directly, as nobody behind the gate can."""
        self.connection.request(method, path, body or None, {**(fields or {}), "X-Remote-User": user})
        answer = self.connection.getresponse()
        octets = answer.read()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, octets)

    @property
    def collections(self) -> Path:
        """The folder with everybody's collections."""
        return self.folder / "collection-root"

    def stored(self, path: str) -> dict[str, bytes]:
        """Give everything that is stored at and below a path, by file name."""
        top = self.collections / path.strip("/")
        return {
            str(each.relative_to(top)): each.read_bytes()
            for each in sorted(top.rglob("*"))
            if each.is_file() and ".Radicale.cache" not in each.parts
        }

    def keep(self, folder: Path) -> None:
        """Copy all that is stored."""
        shutil.copytree(self.collections, folder)

    def restore(self, folder: Path) -> None:
        """Put back what `keep` has copied."""
        shutil.rmtree(self.collections)
        shutil.copytree(folder, self.collections)


@contextmanager
def radicale() -> Iterator[Radicale]:
    """Run a Radicale until the block ends."""
    with tempfile.TemporaryDirectory(prefix="wg-") as name:
        folder, path = Path(name) / "store", Path(name) / "s"
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(folder), str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection = UnixConnection(path)
        with child, connection_closed(connection):
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield Radicale(path, folder, connection)
            assert child.stdin is not None
            child.stdin.close()
            assert child.wait(_START_S) == 0


@contextmanager
def connection_closed(connection: UnixConnection) -> Iterator[None]:
    """Close a connection at the end."""
    try:
        yield
    finally:
        connection.close()
