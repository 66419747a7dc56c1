"""`wicketgate init`: a first configuration."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Final

import click

from config.load import load
from config.scaffold import init_dir
from proxy.cli.output import emit, json_option, say
from proxy.opening import make_store

_BESIDE: Final = ("", "-wal", "-shm")
"""What SQLite keeps under the name of a store file: the file, its log and the log's index."""


@click.command(short_help="Write a first configuration into DIR.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name or address that apps will use, beside localhost; the first is the public one. Repeatable.",
)
@json_option
def init(folder: Path, hosts: tuple[str, ...], as_json: bool) -> None:
    """Write a config file, keys, a private authority with a certificate and an empty store into DIR.

    Nothing that exists is overwritten. What is made starts as it is, with the built-in servers.
    """
    file = init_dir(folder.absolute(), hosts)
    config = load(file)
    asyncio.run(make_store(config))
    if as_json:
        names = list(config.tls.certificate[0].names)
        emit({"config": str(file), "ca_file": str(file.parent / "tls" / "ca.pem"), "names": names})
        return
    say(f"made {file}")
    say(f"devices must trust {file.parent / 'tls' / 'ca.pem'}")
    listen = config.listen
    services = (
        ("mail", (*listen.imaps, *listen.imap)),
        ("sending", (*listen.submissions, *listen.submission)),
        ("contacts and calendars", listen.https),
    )
    say("it listens on this machine alone, with the built-in servers behind it:")
    for service, places in services:
        say(f"  {service}: {', '.join(str(place) for place in places)}")
    say("for real use edit [listen], [[tls.certificate]] and the [upstream] tables")
    say("")
    say("next:")
    say(f"  export WICKETGATE_CONFIG={shlex.quote(str(file))}")
    say("  wicketgate account add you@example.org")
    say("  wicketgate account enrol-2fa you@example.org")
    say("  wicketgate password create you@example.org --label Phone --scope mail")
    say("  wicketgate check")
    say("  wicketgate serve")
