"""scripts/bench imap [--signins N] [--gigabytes N] [--runs N]: the whole IMAP gate, beside nginx and Dovecot

TLS to the client, the same trivial mail server behind all; the others reach it by TCP, Wicketgate by a Unix
socket, since it never speaks clear text over TCP. A sign-in is a full TLS handshake, LOGIN and LOGOUT, eight
at a time. Only the proxy's own CPU time counts, with Dovecot that of all its processes. They do not do the
same work: Wicketgate checks an app password and writes the history; nginx asks an HTTP stub that lets
everyone in and whose time is not counted; Dovecot lets everyone in by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench._client import Client
from bench._dovecot import dovecot
from bench._dovecot import lacks as dovecot_lacks
from bench._processes import GB, ROOT, Measured, free_ports, nginx, nginx_lacks, python

AT_A_TIME = 8
EMAIL = "alice@example.org"
OURS = "wicketgate"


@dataclass
class Contestant:
    name: str
    process: Measured
    port: int
    sign_in_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    relay_s: list[float] = field(default_factory=list)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench imap")
    parser.add_argument("--signins", type=int, default=500, help="in each run")
    parser.add_argument("--gigabytes", type=float, default=0.5, help="fetched in each run")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        contestants, client = enter(stack, folder)
        for number in range(options.runs + 1):
            for each in contestants:
                one_run(each, client, options.signins, int(options.gigabytes * GB), keep=number > 0)
    report(contestants)
    return 0


def enter(stack: contextlib.ExitStack, folder: Path) -> tuple[list[Contestant], Client]:
    """Start the mail server and both gates."""
    stub, auth, ours, theirs = free_ports(4)
    socket_path = folder / "imap"
    stack.enter_context(python("bench._imap_stub", stub, socket_path, auth, ports=[stub, auth]))
    house = folder / "house"
    password = prepare(house, socket_path, ours)
    command = [*WICKETGATE, "-c", str(house / "wicketgate.toml"), "serve"]
    gate = stack.enter_context(Measured(command, ports=[ours], log=folder / "wicketgate.log"))
    contestants = [Contestant(OURS, gate, ours)]
    if missing := nginx_lacks("mail"):
        print(f"without nginx: {missing}")
    else:
        for label, size in (("nginx mail", ""), ("nginx mail, 64k", "proxy_buffer 64k;")):
            body = NGINX.format(port=theirs, auth=auth, size=size, tls=house / "tls")
            process = stack.enter_context(nginx(folder, "mail", body, ports=[theirs]))
            contestants.append(Contestant(label, process, theirs))
            (theirs,) = free_ports(1)
    if missing := dovecot_lacks():
        print(f"without Dovecot: {missing}")
    else:
        process = stack.enter_context(dovecot(folder / "dovecot", house / "tls", stub, theirs))
        contestants.append(Contestant("Dovecot proxy", process, theirs))
    trust = ssl.create_default_context(cafile=house / "tls" / "ca.pem")
    return contestants, Client(trust, EMAIL, password)


WICKETGATE = (sys.executable, "-c", "from proxy.cli import main; main()")
NGINX = """
mail {{
    auth_http 127.0.0.1:{auth}/; imap_auth plain login; {size}
    ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key; ssl_protocols TLSv1.2 TLSv1.3;
    server {{ listen 127.0.0.1:{port} ssl; protocol imap; }}
}}
"""


def prepare(house: Path, upstream: Path, port: int) -> str:
    """A configuration for the mail server, a service account, and its app password."""
    run("init", str(house))
    config = house / "wicketgate.toml"
    (house / "secret").write_text("a secret of the bench\n")
    (house / "secret").chmod(0o600)
    text = config.read_text()
    sign_in = 'sign_in = { kind = "authzid", user = "gate", secret_file = "secret" }'
    for old, new in (
        ('imaps = ["127.0.0.1:1993"]', f'imaps = ["127.0.0.1:{port}"]'),
        ('imap = ["127.0.0.1:1143"]', ""),
        ('address = "embedded"', f'address = "unix:{upstream}"\n{sign_in}'),
    ):
        if old not in text:
            raise RuntimeError(f"the configuration has no {old!r} any more")
        text = text.replace(old, new, 1)
    config.write_text(text)
    run("-c", str(config), "account", "add", EMAIL, "--service")
    made = run(
        *("-c", str(config), "password", "create", EMAIL),
        *("--label", "bench", "--scope", "mail", "--operator", "--json"),
    )
    return str(json.loads(made)["password"])


def run(*arguments: str) -> str:
    return subprocess.run(
        [*WICKETGATE, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def one_run(each: Contestant, client: Client, signins: int, octets: int, *, keep: bool) -> None:
    before, started = each.process.cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda _: client.sign_in_and_out(each.port), range(signins)))
    spent, took = each.process.cpu_s() - before, time.perf_counter() - started
    with client.signed_in(each.port) as session:
        before = each.process.cpu_s()
        session.fetch(octets)
        relayed = each.process.cpu_s() - before
    if keep:
        each.sign_in_ms.append(spent * 1_000 / signins)
        each.rate.append(signins / took)
        each.relay_s.append(relayed * GB / octets)


def report(contestants: list[Contestant]) -> None:
    ours = contestants[0]
    print(f"\nmedians of {len(ours.rate)} runs; in brackets: times {OURS}'s")
    print(f"  {'':16} {'ms CPU a sign-in':>18} {'sign-ins a second':>20} {'CPU s a GB relayed':>20}")
    for each in contestants:
        cells = [
            f"{statistics.median(mine):.2f} ({statistics.median(mine) / statistics.median(base):.2f})"
            for mine, base in (
                (each.sign_in_ms, ours.sign_in_ms),
                (each.rate, ours.rate),
                (each.relay_s, ours.relay_s),
            )
        ]
        print(f"  {each.name:16} {cells[0]:>18} {cells[1]:>20} {cells[2]:>20}")
    print("  the rate is that of this machine with client, mail server and gate on it together")
