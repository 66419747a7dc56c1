"""Processes to be measured: started here, ended here by their id, their CPU time read from the kernel."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_MODULES = (
    Path("/usr/lib/nginx/modules"),
    Path("/usr/lib64/nginx/modules"),
    Path("/usr/share/nginx/modules"),
)
ROOT = Path(__file__).parent.parent
GB = 1_000_000_000


class Measured:
    """One process of its own, ended when the block is left."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        ports: Sequence[int | Path],
        log: Path | None = None,
        family: bool = False,
    ) -> None:
        """Start it and wait until all `ports` of 127.0.0.1 and Unix sockets answer; `log` takes what it says.

        `family`: it starts processes of its own, and they count too.
        """
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._family = family
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(log.open("ab")) if log else None
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stderr=errors, start_new_session=family
            )
        try:
            for port in ports:
                self._await(port)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_s(self) -> float:
        """User and system time so far, in seconds."""
        processes = Path("/proc").glob("[0-9]*") if self._family else [Path(f"/proc/{self._process.pid}")]
        spent = 0
        for process in processes:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                session, times = int(fields[3]), fields[11:15] if self._family else fields[11:13]
                if not self._family or session == self._process.pid:
                    spent += sum(map(int, times))
        return spent / _TICKS

    def resident_kib(self) -> int:
        """Memory of its own, in KiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))

    def _await(self, port: int | Path) -> None:
        for _ in range(200):
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._process.args!r} ended at once")
            try:
                _call(port).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self._process.args!r} does not answer on {port}")


def _call(port: int | Path) -> socket.socket:
    if isinstance(port, int):
        return socket.create_connection(("127.0.0.1", port), timeout=1)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(port))
    except OSError:
        sock.close()
        raise
    return sock


def python(module: str, *arguments: object, ports: Sequence[int | Path]) -> Measured:
    """Start a module of ours."""
    return Measured([sys.executable, "-m", module, *map(str, arguments)], ports=ports)


def nginx_lacks(*modules: str) -> str | None:
    """What is missing to run nginx with these modules; None when nothing is."""
    if shutil.which("nginx") is None:
        return "nginx is not installed (Debian: nginx-light)"
    for module in modules:
        if _module(module) is None:
            return f"nginx has no {module} module here (Debian: libnginx-mod-{module})"
    return None


def nginx(folder: Path, module: str, body: str, *, ports: Sequence[int]) -> Measured:
    """Start nginx as one process, with nothing of the system's configuration; no `module` is its own HTTP."""
    config = folder / f"nginx-{'-'.join(map(str, ports))}.conf"
    config.write_text(
        (f"load_module {_module(module)};\n" if module else "")
        + f"daemon off; master_process off; pid {config}.pid; error_log {config}.log;\n"
        + "events { worker_connections 4096; }\n"
        + body
    )
    return Measured(["nginx", "-q", "-p", str(folder), "-e", f"{config}.log", "-c", str(config)], ports=ports)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _module(name: str) -> Path | None:
    return next((p for folder in _MODULES if (p := folder / f"ngx_{name}_module.so").exists()), None)
