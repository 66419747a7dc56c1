"""`wicketgate init` and `wicketgate check`: a first configuration, and whether one is sound."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from auth.keycheck import bad_keys
from auth.store.errors import StoreUnavailable
from auth.store.store import Store
from config.inspect import inspect
from config.load import load
from config.models import Config
from config.problems import ConfigErrors, Problem
from config.scaffold import init_dir
from proxy.cli.app import Invocation
from proxy.cli.output import MISUSED, complain, emit, json_option, problem_facts, say
from proxy.opening import key_problems, key_ring

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
    """Write a commented config file, a master key and a private authority with a certificate into DIR.

    Nothing that exists is overwritten. What is made starts as it is, with the built-in mail server.
    """
    file = init_dir(folder.absolute(), hosts)
    config = load(file)
    if as_json:
        names = list(config.tls.certificate[0].names)
        emit({"config": str(file), "ca_file": str(file.parent / "tls" / "ca.pem"), "names": names})
        return
    say(f"made {file}")
    say(f"devices must trust {file.parent / 'tls' / 'ca.pem'}")
    places = ", ".join(str(place) for place in (*config.listen.imaps, *config.listen.imap))
    say(f"it listens on {places}, with the built-in mailbox behind it: edit [listen] and [upstream.imap]")
    say("")
    say("next:")
    say(f"  export WICKETGATE_CONFIG={shlex.quote(str(file))}")
    say("  wicketgate account add you@example.org")
    say("  wicketgate account enrol-2fa you@example.org")
    say("  wicketgate password create you@example.org --label phone --scope mail")
    say("  wicketgate serve")


@click.command(short_help="Say all that is wrong with the configuration.")
@json_option
@click.pass_obj
@click.pass_context
def check(ctx: click.Context, invocation: Invocation, as_json: bool) -> None:
    """Say all that is wrong: the config file, certificates, keys, folders and the store.

    Changes nothing but the schema of a store that an older version made. Exit 0 when all is well, else 2.
    """
    file = invocation.file().absolute()
    try:
        config = load(file)
        problems = [*inspect(config, file, datetime.now(UTC)), *asyncio.run(_store_problems(config, file))]
    except ConfigErrors as errors:
        problems = list(errors.problems)
    if as_json:
        emit({"ok": not problems, "config": str(file), "problems": [problem_facts(one) for one in problems]})
    elif not problems:
        say(f"{file}: all is well")
    else:
        for problem in problems:
            complain(str(problem), problem.hint)
    ctx.exit(MISUSED if problems else 0)


def _foreign_files(config: Config, file: Path) -> Iterator[Problem]:
    """Find store files that this user cannot use, and such as root has made in the server's own folder."""
    files = (("store.url", config.store.gate_file), ("store.activity_url", config.store.activity_file))
    for key, path in ((key, path.with_name(path.name + end)) for key, path in files for end in _BESIDE):
        try:
            owner, user = path.stat().st_uid, path.parent.stat().st_uid
        except OSError:
            continue
        if not os.access(path, os.R_OK | os.W_OK):
            hint = "let the user who runs the server own it, mode 0600"
            yield Problem(file=file, key=key, what=f"{path} cannot be written to", hint=hint)
        elif owner == 0 != user:
            what = f"{path} belongs to root, its folder to user {user}, whose server cannot open it"
            yield Problem(file=file, key=key, what=what, hint=f"run: chown {user} {path}")


async def _store_problems(config: Config, file: Path) -> list[Problem]:
    """Open what there is of the store; what is not there yet is made by the first command that needs it."""
    if not os.path.exists(config.store.gate_file):  # noqa: PTH110 - unlike Path's, this one never raises
        return []
    if foreign := list(_foreign_files(config, file)):
        return foreign
    try:
        store = await Store.open(config.store.url, config.store.activity_url)
        try:
            keys = await _key_problems(config, store, file)
            return [*keys, *await _activity_problems(config, store, file)]
        finally:
            await store.close()
    except StoreUnavailable as error:
        what = f"{config.store.gate_file} cannot be opened: {error}"
        hint = "run this as the server's user, and see whether the file is whole and its disk has room"
        return [Problem(file=file, key="store.url", what=what, hint=hint)]


async def _key_problems(config: Config, store: Store, file: Path) -> list[Problem]:
    """Look whether the keys are those of the store; what cannot be read at all is named elsewhere."""
    try:
        ring = key_ring(config)
    except ConfigErrors:
        return []
    return key_problems(config, await bad_keys(store, ring), file)


async def _activity_problems(config: Config, store: Store, file: Path) -> list[Problem]:
    """Read from the activity file, if there is one."""
    try:
        if config.store.activity_file.exists():
            await store.reports(0)
    except StoreUnavailable as error:
        what = f"{config.store.activity_file} cannot be opened: {error}"
        hint = "it may be moved away: only last use and history are lost"
        return [Problem(file=file, key="store.activity_url", what=what, hint=hint)]
    return []
