"""scripts/bench crowd [--signins N]: how long an honest sign-in takes while a crowd is at the door

Each crowd meets a gate started anew, so every honest sign-in is the first of its app password and is hashed.
Honest people come from an address of their own, one at a time, over TLS. Crowd, client, mail server and gate
share the machine, so the figures say what a crowd costs at worst.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench._client import Client
from bench._processes import ROOT, Measured, free_ports, python
from bench.imap import EMAIL, WICKETGATE, prepare, run

HONEST = "127.99.0.1"
HONEST_PAUSE_S = 0.1
PASSWORDS = 25
"""The most an account may have."""


@dataclass(frozen=True)
class Crowd:
    title: str
    kind: str = ""
    connections: int = 0
    addresses: int = 1


CROWDS = (
    Crowd("nobody"),
    Crowd("300 silent, one address", "silent", 300, 1),
    Crowd("300 silent, 300 addresses", "silent", 300, 300),
    Crowd("1,000 silent, 1,000 addresses", "silent", 1_000, 1_000),
    Crowd("300 guessing, one address", "guessing", 300, 1),
    Crowd("1,000 guessing, 17 addresses", "guessing", 1_000, 17),
    Crowd("1,000 guessing, 1,000 addresses", "guessing", 1_000, 1_000),
)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench crowd")
    parser.add_argument("--signins", type=int, default=PASSWORDS, help=f"honest ones, {PASSWORDS} at most")
    parser.add_argument("--only", default="", help="crowds whose title holds this")
    options = parser.parse_args(argv)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, most), most))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        stub, auth, port = free_ports(3)
        stack.enter_context(python("bench._imap_stub", stub, folder / "imap", auth, ports=[stub, auth]))
        house = folder / "house"
        passwords = [prepare(house, folder / "imap", port), *more(house, min(options.signins, PASSWORDS) - 1)]
        print(f"{'at the door':34} {'in':>7} {'median ms':>10} {'worst ms':>9}", flush=True)
        for crowd in (each for each in CROWDS if options.only in each.title):
            command = [*WICKETGATE, "-c", str(house / "wicketgate.toml"), "serve"]
            with Measured(command, ports=[port], log=folder / "log"), gathered(crowd, port):
                report(crowd, house, port, passwords)
    return 0


def more(house: Path, count: int) -> Iterator[str]:
    """Make `count` more app passwords."""
    for number in range(count):
        made = run(
            *("-c", str(house / "wicketgate.toml"), "password", "create", EMAIL),
            *("--label", f"bench {number}", "--scope", "mail", "--operator", "--json"),
        )
        yield str(json.loads(made)["password"])


@contextlib.contextmanager
def gathered(crowd: Crowd, port: int) -> Iterator[None]:
    """Have the crowd at the door; it leaves with the block."""
    if not crowd.kind:
        yield
        return
    command = [sys.executable, "-m", "bench._crowd"]
    arguments = [str(port), crowd.kind, str(crowd.connections), str(crowd.addresses)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what being dropped looks like from there
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.communicate()


def report(crowd: Crowd, house: Path, port: int, passwords: list[str]) -> None:
    trust = ssl.create_default_context(cafile=house / "tls" / "ca.pem")
    took, failed = [], []
    for password in passwords:
        began = time.perf_counter()
        try:
            Client(trust, EMAIL, password, source=HONEST).sign_in_and_out(port)
        except (OSError, RuntimeError) as error:
            failed.append(str(error))
        else:
            took.append((time.perf_counter() - began) * 1_000)
        time.sleep(HONEST_PAUSE_S)
    middle, worst = (f"{statistics.median(took):.0f}", f"{max(took):.0f}") if took else ("-", "-")
    print(
        f"{crowd.title:34} {len(took):>4}/{len(passwords)} {middle:>10} {worst:>9}", *failed[:1], flush=True
    )
