"""`wicketgate init`: a first configuration, to try things out or for servers that are there."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click

from config.address import host_name
from config.load import load
from config.models import Config
from config.scaffold import init_dir
from config.setups import NO_CLIENT_ID, SECRET_FILE, Kind, Setup
from proxy.cli.output import emit, json_option, say
from proxy.opening import make_store

_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)


class InitOptions(TypedDict):
    """The options of `init`."""

    hosts: tuple[str, ...]
    kind: str | None
    server: str | None
    client_id: str | None
    certificate: Path | None
    key: Path | None
    as_json: bool


@click.command(short_help="Write a first configuration into DIR.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--for", "kind", type=click.Choice([each.value for each in Kind]), help="What stands behind.")
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name or address that apps will use; the first is the public one. Repeatable. Needed with --for; "
    "without it localhost is another.",
)
@click.option("--certificate", metavar="FILE", type=_FILE, help="The certificate for these names, as PEM.")
@click.option("--key", metavar="FILE", type=_FILE, help="The private key of that certificate.")
@click.option(
    "--server", metavar="HOST", help="With --for dovecot or cyrus: the host it is on; localhost otherwise."
)
@click.option("--client-id", metavar="ID", help="With --for microsoft365: of the application there.")
@json_option
def init(folder: Path, **options: Unpack[InitOptions]) -> None:
    """Write a config file, keys and an empty store into DIR, and a certificate where none is named.

    Nothing that exists is overwritten. Without --for it starts as it is, with the built-in servers, on this
    machine alone; with it, it listens where apps expect it, before the servers that are named.
    """
    file = init_dir(folder.absolute(), options["hosts"], setup=_setup(options))
    config = load(file)
    asyncio.run(make_store(config))
    own_authority = file.parent / "tls" / "ca.pem" if options["certificate"] is None else None
    if options["as_json"]:
        names = list(config.tls.certificate[0].names)
        ca_file = None if own_authority is None else str(own_authority)
        emit({"config": str(file), "ca_file": ca_file, "names": names})
        return
    say(f"made {file}")
    if own_authority is not None:
        say(f"devices must trust {own_authority}")
    _say_where(config, built_in=options["kind"] is None)
    _say_next(file, options)


def _setup(options: InitOptions) -> Setup | None:
    """Give what stands behind; None are the built-in servers."""
    if (options["certificate"] is None) != (options["key"] is None):
        raise click.UsageError("--certificate and --key go together")
    if options["kind"] is None:
        for name in ("certificate", "server", "client_id"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --for")
        return None
    kind = Kind(options["kind"])
    if not options["hosts"]:
        raise click.UsageError("--for needs --host: the name that apps connect to")
    if options["server"] is not None and not kind.trusts_the_gate:
        raise click.UsageError(f"--server has no meaning for {kind}, whose hosts are known")
    if options["client_id"] is not None and kind is not Kind.MICROSOFT365:
        raise click.UsageError(f"--client-id has no meaning for {kind}")
    return Setup(
        kind=kind,
        certificate=options["certificate"],
        key=options["key"],
        server=host_name(options["server"] or "localhost"),
        client_id=options["client_id"] or NO_CLIENT_ID,
    )


def _say_where(config: Config, *, built_in: bool) -> None:
    listen = config.listen
    services = (
        ("mail", (*listen.imaps, *listen.imap)),
        ("sending", (*listen.submissions, *listen.submission)),
        ("contacts and calendars", listen.https),
        ("the portal", listen.portal),
    )
    say(
        "it listens on this machine alone, with the built-in servers behind it:"
        if built_in
        else "it listens on:"
    )
    for service, places in services:
        if places:
            say(f"  {service}: {', '.join(str(place) for place in places)}")
    if config.portal_url is not None:
        say(f"people make their own app passwords at {config.portal_url}")
    if built_in:
        say("for real use edit [listen], [[tls.certificate]] and the [upstream] tables, or see: init --help")


def _say_next(file: Path, options: InitOptions) -> None:
    kind = None if options["kind"] is None else Kind(options["kind"])
    say("")
    say("next:")
    if kind is not None and kind.trusts_the_gate:
        say(f"  let {kind} know the login gate, with the password in {file.parent / SECRET_FILE}")
    say(f"  export WICKETGATE_CONFIG={shlex.quote(str(file))}")
    say("  wicketgate account add you@example.org")
    if kind is Kind.MICROSOFT365:
        if options["client_id"] is None:
            say("  write the id of the application that you register there into client_id: docs/oauth.md")
        say("  wicketgate account authorize you@example.org")
    elif kind is not None and not kind.trusts_the_gate:
        say("  wicketgate account set-upstream you@example.org")
    say("  wicketgate account enrol-2fa you@example.org")
    say("  wicketgate password create you@example.org --label Phone --scope mail")
    say("  wicketgate check" if kind is None else "  wicketgate check --connect")
    say("  wicketgate serve")
