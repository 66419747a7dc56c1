"""scripts/bench dav [--requests N] [--runs N]: a GET of 1 KB, beside nginx with auth_request

TLS to the client, connections kept alive, 1 and 16 of them at a time; behind both the same trivial DAV server
on a Unix socket. Only the proxy's own CPU time counts, without the handshakes. They do not do the same work:
Wicketgate proves the app password, looks at the change feed before each answer, asks what kind of thing the
path is and lets through what its scope allows; nginx asks the trivial server whether anybody may come in,
which says yes and whose time is not counted. The contestants take turns; the first round warms up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import ssl
import statistics
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench._dav_stub import OCTETS
from bench._http_client import DavClient
from bench._processes import Measured, free_ports, nginx, nginx_lacks, python
from bench.imap import EMAIL, WICKETGATE, run

OURS = "wicketgate"
GOAL_US = 200
AT_A_TIME = (1, 16)
PATH = f"/{EMAIL}/book/bench.vcf"


@dataclass
class Contestant:
    name: str
    process: Measured
    port: int
    cpu_us: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in AT_A_TIME})
    rate: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in AT_A_TIME})


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench dav")
    parser.add_argument("--requests", type=int, default=16_000, help="in each run")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        contestants, client = enter(stack, folder)
        for number in range(options.runs + 1):
            for connections in AT_A_TIME:
                for each in contestants:
                    one_run(each, client, options.requests // connections, connections, keep=number > 0)
    report(contestants)
    return 0


def enter(stack: contextlib.ExitStack, folder: Path) -> tuple[list[Contestant], DavClient]:
    """Start the DAV server and both gates."""
    ours, theirs = free_ports(2)
    stub = folder / "dav"
    stack.enter_context(python("bench._dav_stub", stub, ports=[stub]))
    house = folder / "house"
    password = prepare(house, stub, ours)
    command = [*WICKETGATE, "-c", str(house / "wicketgate.toml"), "serve"]
    gate = stack.enter_context(Measured(command, ports=[ours], log=folder / "wicketgate.log"))
    contestants = [Contestant(OURS, gate, ours)]
    if missing := nginx_lacks():
        print(f"without nginx: {missing}")
    else:
        body = NGINX.format(port=theirs, stub=stub, folder=folder, tls=house / "tls")
        process = stack.enter_context(nginx(folder, "", body, ports=[theirs]))
        contestants.append(Contestant("nginx, auth_request", process, theirs))
    trust = ssl.create_default_context(cafile=house / "tls" / "ca.pem")
    return contestants, DavClient(trust, EMAIL, password, PATH, OCTETS)


NGINX = """
http {{
    access_log off; tcp_nodelay on; keepalive_requests 1000000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_certificate {tls}/server.pem; ssl_certificate_key {tls}/server.key; ssl_protocols TLSv1.2 TLSv1.3;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Remote-User {user};
    upstream stub {{ server unix:{stub}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        location / {{ auth_request /allow; proxy_pass http://stub; }}
        location = /allow {{ internal; proxy_pass http://stub; proxy_pass_request_body off; }}
    }}
}}
""".replace("{user}", EMAIL)
CONFIG = """
[server]
public_host = "localhost"
data = "data"
[[tls.certificate]]
names = ["localhost", "127.0.0.1"]
certificate = "tls/server.pem"
key = "tls/server.key"
[listen]
https = ["127.0.0.1:{port}"]
[keys]
current = "{key}"
files = {{ "{key}" = "keys/{key}.key" }}
[upstream.contacts]
address = "unix:{stub}"
sign_in = {{ kind = "trusted-header", header = "X-Remote-User" }}
"""


def prepare(house: Path, stub: Path, port: int) -> str:
    """A configuration for the DAV server, a service account, and its app password."""
    run("init", str(house))
    config = house / "wicketgate.toml"
    key = tomllib.loads(config.read_text())["keys"]["current"]
    config.write_text(CONFIG.format(port=port, key=key, stub=stub))
    run("-c", str(config), "account", "add", EMAIL, "--service")
    made = run(
        *("-c", str(config), "password", "create", EMAIL),
        *("--label", "bench", "--scope", "contacts", "--operator", "--json"),
    )
    return str(json.loads(made)["password"])


def one_run(each: Contestant, client: DavClient, share: int, connections: int, *, keep: bool) -> None:
    """So many requests on each connection, once all of them have had their first."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(connections) as pool:
        sessions = [stack.enter_context(client.connected(each.port)) for _ in range(connections)]
        before, started = each.process.cpu_s(), time.perf_counter()
        list(pool.map(lambda session: session.get(share), sessions))
        spent, took = each.process.cpu_s() - before, time.perf_counter() - started
    if keep:
        each.cpu_us[connections].append(spent * 1e6 / (share * connections))
        each.rate[connections].append(share * connections / took)


def report(contestants: Sequence[Contestant]) -> None:
    ours = contestants[0]
    print(f"\nmedians of {len(ours.rate[1])} runs; in brackets: times {OURS}'s")
    titles = [f"{count} connection{'s'[: count != 1]}" for count in AT_A_TIME]
    print(f"  {'':20}" + "".join(f"{title:>40}" for title in titles))
    print(f"  {'':20}" + f"{'us CPU a request':>20}{'requests a second':>20}" * len(AT_A_TIME))
    for each in contestants:
        cells = [
            f"{middle(mine, count):,.0f} ({middle(mine, count) / middle(base, count):.2f})"
            for count in AT_A_TIME
            for mine, base in ((each.cpu_us, ours.cpu_us), (each.rate, ours.rate))
        ]
        print(f"  {each.name:20}" + "".join(f"{cell:>20}" for cell in cells))
    print("  the rate is that of this machine with client, DAV server and gate on it together")
    for count, title in zip(AT_A_TIME, titles, strict=True):
        cost = middle(ours.cpu_us, count)
        verdict = "reached" if cost <= GOAL_US else "missed"
        print(f"  goal, at most {GOAL_US} us of own CPU a request, {title}: {verdict} ({cost:.0f} us)")


def middle(values: dict[int, list[float]], count: int) -> float:
    return statistics.median(values[count])
