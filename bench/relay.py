"""scripts/bench relay [--gigabytes N] [--runs N] [--idle N]: CPU seconds per GB, beside nginx stream

One stream from an upstream through the proxy to a client, all on loopback; plain on both sides, then TLS to
the client. Only the proxy's own CPU time counts (user and system, from /proc), not that of the ends. The
contestants take turns, so that what else the machine does falls on all alike; the first round warms up.
`--idle N` adds the memory of N idle connections, after each has moved a megabyte.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import statistics
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench._processes import GB, Measured, free_ports, nginx, nginx_lacks, python
from config.authority import issue, make_authority

OURS = "wicketgate"
TITLES = {"plain": "plain on both sides", "tls": "TLS to the client"}


@dataclass(frozen=True)
class Contestant:
    name: str
    process: Measured
    ports: dict[str, int]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench relay")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="moved in each run")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument(
        "--idle", type=int, default=0, help="also measure the memory of so many idle connections"
    )
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        trust = ssl.create_default_context(cafile=make_authority(folder).certificate)
        issue(folder, ["localhost"])
        contestants = enter(stack, folder)
        for kind in TITLES:
            report(kind, measure(contestants, kind, trust, int(options.gigabytes * GB), options.runs))
        if options.idle:
            for kind in TITLES:
                idle(contestants, kind, trust, options.idle)
    return 0


def enter(stack: contextlib.ExitStack, folder: Path) -> list[Contestant]:
    """Start the source and everyone who is to be measured."""
    source, *free = free_ports(9)
    stack.enter_context(python("bench._source", source, ports=[source]))
    found = []
    for loop in ("uvloop", "asyncio"):
        plain, tls = free.pop(), free.pop()
        arguments = (loop, source, plain, tls, folder / "server.pem", folder / "server.key")
        process = stack.enter_context(python("bench._relay_server", *arguments, ports=[plain, tls]))
        name = OURS if loop == "uvloop" else f"{OURS}, asyncio"
        found.append(Contestant(name, process, {"plain": plain, "tls": tls}))
    if missing := nginx_lacks("stream"):
        print(f"without nginx: {missing}")
        return found
    for label, size in (("nginx stream", "16k"), ("nginx stream, 64k", "64k")):
        plain, tls = free.pop(), free.pop()
        body = NGINX.format(plain=plain, tls=tls, source=source, size=size, folder=folder)
        process = stack.enter_context(nginx(folder, "stream", body, ports=[plain, tls]))
        found.append(Contestant(label, process, {"plain": plain, "tls": tls}))
    return found


NGINX = """
stream {{
    access_log off; tcp_nodelay on; proxy_buffer_size {size};
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{ listen 127.0.0.1:{plain}; proxy_pass 127.0.0.1:{source}; }}
    server {{ listen 127.0.0.1:{tls} ssl; proxy_pass 127.0.0.1:{source}; }}
}}
"""


def measure(
    contestants: list[Contestant], kind: str, trust: ssl.SSLContext, octets: int, runs: int
) -> dict[str, list[float]]:
    """CPU seconds per GB of every run but the first, by contestant."""
    spent: dict[str, list[float]] = {each.name: [] for each in contestants}
    for number in range(runs + 1):
        for each in contestants:
            before = each.process.cpu_s()
            fetch(each.ports[kind], trust if kind == "tls" else None, octets)
            if number:
                spent[each.name].append((each.process.cpu_s() - before) * GB / octets)
    return spent


def call(port: int, trust: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    return trust.wrap_socket(sock, server_hostname="localhost") if trust else sock


def fetch(port: int, trust: ssl.SSLContext | None, octets: int) -> None:
    """Ask on a connection of its own for so many octets and read them all."""
    with call(port, trust) as sock:
        ask(sock, octets)


def ask(sock: socket.socket, octets: int) -> None:
    buffer = bytearray(1 << 18)
    sock.sendall(struct.pack("!Q", octets))
    left = octets
    while left:
        got = sock.recv_into(buffer, min(left, len(buffer)))
        if not got:
            raise RuntimeError(f"{left} octets are missing")
        left -= got


def report(kind: str, spent: dict[str, list[float]]) -> None:
    runs = len(spent[OURS])
    print(f"\n{TITLES[kind]}: own CPU seconds per GB, {runs} runs")
    ours = statistics.median(spent[OURS])
    for name, values in spent.items():
        middle = statistics.median(values)
        print(
            f"  {name:22} median {middle:.2f}  least {min(values):.2f}  most {max(values):.2f}"
            f"   {middle / ours:.2f} x {OURS}"
        )


def idle(contestants: list[Contestant], kind: str, trust: ssl.SSLContext, count: int) -> None:
    """Memory of its own that each keeps for connections which have been busy and now say nothing."""
    print(
        f"\n{TITLES[kind]}: KiB of own memory for each of {count} idle connections that have moved a megabyte"
    )
    for each in contestants:
        with contextlib.ExitStack() as stack:
            before = each.process.resident_kib()
            for _ in range(count):
                ask(stack.enter_context(call(each.ports[kind], trust if kind == "tls" else None)), 1_000_000)
            print(f"  {each.name:22} {(each.process.resident_kib() - before) / count:.1f}")
