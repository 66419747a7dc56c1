"""HAProxy and nginx of the test's own before a gate: one port for each of the gate's, PROXY headers behind.

Balancers connect from `BALANCER`, which the gate's config names, so that tests can be anybody else.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.house import House
from support.programs import missing, program

BALANCER = "127.0.0.2"
_KINDS = ("imaps", "imap", "smtps", "submission", "https")
_PATIENCE_S = 30.0
_TRIES = 5

Ports = Mapping[str, int]
"""By kind; of the gate, or of the balancer for it."""

_HAPROXY = """\
global
  maxconn 200
defaults
  mode tcp
  timeout connect 5s
  timeout client 35m
  timeout server 35m
"""
_HAPROXY_FOR_EACH = """\
frontend {kind}
  bind {host}:{port}
  default_backend {kind}
backend {kind}
  server gate 127.0.0.1:{gate} {how} source {balancer}
"""
_NGINX = """\
load_module {module};
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{
  worker_connections 200;
}}
stream {{
  proxy_protocol on;
  proxy_timeout 35m;
  proxy_bind {balancer};
{servers}}}
"""
_NGINX_FOR_EACH = """\
  server {{
    listen {host}:{port};
    proxy_pass 127.0.0.1:{gate};
  }}
"""


def believe_balancers(house: House) -> House:
    """Name the balancers in a gate's configuration."""
    before, table, after = house.file.read_text("utf-8").partition("\n[listen]\n")
    assert table, "the first configuration reads otherwise by now"
    line = f'proxy_protocol = ["{BALANCER}/32"]\n'
    house.file.write_text(before + table + line + after, "utf-8")
    return house


def haproxy(how: str) -> Callable[[Path, Ports, Ports, str], list[str]]:
    """Give what writes HAProxy's configuration; `how` are the words of `server` about the header."""

    def written(folder: Path, mine: Ports, gate: Ports, host: str) -> list[str]:
        command = program("haproxy", "haproxy")
        parts = [
            _HAPROXY_FOR_EACH.format(
                kind=kind, host=host, port=mine[kind], gate=gate[kind], how=how, balancer=BALANCER
            )
            for kind in mine
        ]
        (folder / "haproxy.cfg").write_text(_HAPROXY + "".join(parts))
        return [command, "-db", "-f", str(folder / "haproxy.cfg")]

    return written


def nginx(folder: Path, mine: Ports, gate: Ports, host: str) -> list[str]:
    """Write nginx's configuration."""
    command = program("nginx", "nginx")
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    if not module.exists():
        missing("nginx has no stream module (Debian package libnginx-mod-stream)")
    servers = [_NGINX_FOR_EACH.format(host=host, port=mine[kind], gate=gate[kind]) for kind in mine]
    text = _NGINX.format(module=module, folder=folder, balancer=BALANCER, servers="".join(servers))
    (folder / "nginx.conf").write_text(text)
    return [command, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


@contextmanager
def running_balancer(
    write: Callable[[Path, Ports, Ports, str], list[str]], facts: Mapping[str, Any], host: str = "127.0.0.1"
) -> Iterator[dict[str, Any]]:
    """Run a balancer before a gate until the block ends; give the facts that clients need then."""
    gate = {kind: facts[f"{kind}_port"] for kind in _KINDS}
    folder = Path(tempfile.mkdtemp(prefix="balancer-"))
    try:
        mine, process = _started(write, folder, gate, host)
        with process:
            try:
                yield {**facts, **{f"{kind}_port": port for kind, port in mine.items()}}
            finally:
                process.terminate()
                process.wait(timeout=_PATIENCE_S)
    finally:
        shutil.rmtree(folder)


def _started(
    write: Callable[[Path, Ports, Ports, str], list[str]], folder: Path, gate: Ports, host: str
) -> tuple[dict[str, int], "subprocess.Popen[bytes]"]:
    """Neither can say which port it was given, so ports are tried, and others when one was taken."""
    said = ""
    for _ in range(_TRIES):
        mine = {kind: _free_port(host) for kind in gate}
        command = write(folder, mine, gate, host.join("[]") if ":" in host else host)
        with (folder / "said").open("wb") as errors:
            process = subprocess.Popen(
                command, stdout=errors, stderr=errors, cwd=folder, env=dict(os.environ)
            )
        if _answers(process, host, mine):
            return mine, process
        said = (folder / "said").read_text()
        if "in use" not in said:
            break
    raise AssertionError(f"the balancer did not start: {said}")


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as sock:
        return int(sock.getsockname()[1])


def _answers(process: "subprocess.Popen[bytes]", host: str, mine: Ports) -> bool:
    """Wait until every port takes connections, or for the end of the process."""
    deadline = time.monotonic() + _PATIENCE_S
    left = list(mine.values())
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, left[-1]), timeout=_PATIENCE_S).close()
        except OSError:
            try:
                process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            left.pop()
            if not left:
                return True
    process.kill()
    process.wait()
    return False
