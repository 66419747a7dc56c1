"""Radicale as an administrator runs it: `python -m radicale` on a loopback port."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """\
[server]
hosts = 127.0.0.1:{port}
{server}
[auth]
type = http_x_remote_user
[rights]
type = owner_only
permit_overwrite_collection = False
[storage]
filesystem_folder = {folder}
[logging]
level = error
"""
_PATIENCE_S = 30.0


@contextmanager
def running_radicale(folder: Path, server: str = "") -> Iterator[int]:
    """Serve `folder` until the block ends; gives the port. `server` are more lines of that section."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    config = folder.with_suffix(".conf")
    config.write_text(_CONFIG.format(port=port, folder=folder, server=server), encoding="utf-8")
    with subprocess.Popen([sys.executable, "-m", "radicale", "--config", config]) as process:
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=_PATIENCE_S)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "Radicale did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("Radicale does not answer")
