"""`wicketgate demo`: a whole gate on this machine, with accounts, mail and a page of settings to type in.

For looking and for tests. The folder it makes lasts, so a mail program set up once works at every later
start; its passwords lie there in clear, which is why nobody keeps real mail in it.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from config.address import AddressError, host_name, joined
from config.load import load
from config.scaffold import Ports
from proxy.cli.demo_folder import DemoFolder, entries, open_folder, write_config, write_private
from proxy.cli.demo_page import page
from proxy.cli.output import fail, fail_usage
from proxy.log.formats import LogFormat
from proxy.process import run
from proxy.server.errors import ServeError
from proxy.server.listening import Bound
from proxy.server.serving import serve

_PORT: Final = click.IntRange(0, 65_535)
_PORTS: Final = {
    "imaps": (1993, "IMAP with TLS"),
    "imap": (1143, "IMAP with STARTTLS"),
    "smtps": (1465, "Submission with TLS"),
    "submission": (1587, "Submission with STARTTLS"),
    "https": (8443, "Contacts and calendars"),
    "portal": (8444, "The web portal"),
}


_OPTIONS: Final = {
    "imaps": "imaps",
    "imap": "imap",
    "submissions": "smtps",
    "submission": "submission",
    "https": "https",
    "portal": "portal",
}
"""The keys of `[listen]` and the words of the options, which are those of the ready file."""


def _port_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command an option for each listener, `--imaps-port` and so on."""
    for name, (default, what) in reversed(_PORTS.items()):
        option = click.option(
            f"--{name}-port",
            type=_PORT,
            default=default,
            show_default=True,
            help=f"{what}; 0 takes any free one.",
        )
        command = option(command)
    return command


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("wicketgate-demo"),
    show_default=True,
    help="Where the demo's data lies; made when missing, kept for the next start.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="Write ports, accounts and passwords there as JSON once everything answers.",
)
@click.option("--bind", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="The name or address clients use; the certificate carries it. Repeatable, the first is shown.",
)
@_port_options
def demo(folder: Path, ready_file: Path | None, bind: str, hosts: tuple[str, ...], **ports: int) -> None:
    """Run a whole Wicketgate here, with two accounts, mail, contacts and calendars, until Ctrl-C."""
    names = _checked_hosts(bind, hosts)
    _refuse_a_port_twice(ports)
    run(_demo(folder.absolute(), ready_file, bind, names, ports), form=LogFormat.PLAIN, level=logging.WARNING)


def _refuse_a_port_twice(ports: Mapping[str, int]) -> None:
    taken: dict[int, str] = {}
    for option, port in ports.items():
        name = f"--{option.replace('_', '-')}"
        if port in taken:
            hint = "give each listener a port of its own; 0 takes any free one"
            fail_usage(f"{taken[port]} and {name} are both {port}", hint)
        if port:
            taken[port] = name


def _checked_hosts(bind: str, hosts: Sequence[str]) -> tuple[str, ...]:
    try:
        ipaddress.ip_address(bind)
    except ValueError:
        fail_usage(f"--bind {bind}: not an IP address", "write one of this machine's addresses, or 0.0.0.0")
    try:
        return tuple(host_name(host) for host in hosts)
    except AddressError as error:
        fail_usage(f"--host: {error}", error.hint)


async def _demo(
    path: Path, ready_file: Path | None, bind: str, hosts: tuple[str, ...], ports: Mapping[str, int]
) -> None:
    with _ready_file(ready_file) as tell:
        asked = Ports(**{kind: ports[f"{option}_port"] for kind, option in _OPTIONS.items()})
        folder = await open_folder(path, hosts, bind, asked)
        config = load(folder.config)

        def ready(bound: Bound) -> None:
            names = config.tls.certificate[0].names
            served = Ports(**{kind: getattr(bound, kind)[0] for kind in _OPTIONS})
            write_config(folder.config, names, bind, served)
            facts = ready_facts(folder, config.server.public_host, bound)
            tell(facts)
            click.echo(page(folder, facts))

        try:
            await serve(config, ready=ready)
        except ServeError as error:
            fail(str(error), f"{error.hint}; --imaps-port 0 and the like take free ones")


@contextmanager
def _ready_file(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Keep a file that says what answers, and is there only while it does."""
    if path is None:
        yield lambda _: None
        return
    if not path.absolute().parent.is_dir():
        fail_usage(f"--ready-file {path}: the folder is not there", "make it, or name another file")
    path.unlink(missing_ok=True)
    try:
        yield lambda facts: write_private(path, json.dumps(facts, indent=2) + "\n")
    finally:
        path.unlink(missing_ok=True)


def ready_facts(folder: DemoFolder, host: str, bound: Bound) -> dict[str, Any]:
    """Say what a client, or a test, needs to know."""
    return {
        "host": host,
        **{f"{option}_port": getattr(bound, kind)[0] for kind, option in _OPTIONS.items()},
        "dav_url": f"https://{joined(host, bound.https[0])}/",
        "portal_url": f"https://{joined(host, bound.portal[0])}/",
        "ca_file": str(folder.ca_file),
        "config": str(folder.config),
        "accounts": entries(folder),
    }
