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
from auth.store.activity import ActivityLog, reports
from auth.store.engine import BUSY_S
from auth.store.errors import StoreMissing, StoreUnavailable
from auth.store.rows import FeedMark
from auth.store.store import Store
from config import models
from config.inspect import inspect_parts
from config.load import examine, load
from config.models import Keys
from config.parts import Parts
from config.problems import ConfigErrors, Problem
from config.scaffold import init_dir
from proxy.cli.app import Invocation
from proxy.cli.output import MISUSED, complain, emit, json_option, problem_facts, say
from proxy.opening import key_problems, make_store, ring_of, store_problem

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


@click.command(short_help="Say all that is wrong with the configuration.")
@json_option
@click.pass_obj
@click.pass_context
def check(ctx: click.Context, invocation: Invocation, as_json: bool) -> None:
    """Say all that is wrong: the config file, certificates, keys, folders and the store.

    Changes no configuration. A store that is there is opened as the server does it: what an older version
    made gets the present schema, its files are closed to other users, and it writes ahead into a log. Exit 0
    when all is well, else 2.
    """
    file = invocation.file().absolute()
    try:
        parts, problems = examine(file)
    except ConfigErrors as errors:
        problems = list(errors.problems)
    else:
        problems += inspect_parts(parts, file, datetime.now(UTC))
        problems += asyncio.run(_store_problems(parts, file, {problem.key for problem in problems}))
    if as_json:
        emit({"ok": not problems, "config": str(file), "problems": [problem_facts(one) for one in problems]})
    elif not problems:
        say(f"{file}: all is well")
    else:
        for problem in problems:
            complain(str(problem), invocation.typed(problem.hint))
    ctx.exit(MISUSED if problems else 0)


async def _store_problems(parts: Parts, file: Path, known: set[str]) -> list[Problem]:
    """Open what there is of the store. The activity file may be missing: it is made when it is needed.

    Where something is wrong with its folder (`known`), that no store is there says nothing more.
    """
    if parts.store is None:
        return []
    problems = list(_foreign_files(parts.store, file))
    foreign = {problem.key for problem in problems}
    if "store.url" not in foreign:
        missing_is_known = bool(known & {"server.data", "store.url"})
        problems += await _gate_problems(parts.store, parts.keys, file, missing_is_known=missing_is_known)
    if "store.activity_url" not in foreign:
        problems += await _activity_problems(parts.store, file)
    return problems


def _foreign_files(store: models.Store, file: Path) -> Iterator[Problem]:
    """Find store files that this user cannot use, and such as root has made in the server's own folder."""
    files = (("store.url", store.gate_file), ("store.activity_url", store.activity_file))
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


async def _gate_problems(
    told: models.Store, keys: Keys | None, file: Path, *, missing_is_known: bool
) -> list[Problem]:
    """Open the gate file, and look whether the keys are those it was filled with."""
    try:
        store = await Store.open(told.url, told.activity_url)
        try:
            return await _key_problems(keys, store, file)
        finally:
            await store.close()
    except StoreMissing as missing:
        return [] if missing_is_known else [store_problem(missing, file)]
    except StoreUnavailable as error:
        what = f"{told.gate_file} cannot be opened: {error}"
        hint = "run this as the server's user, and see whether the file is whole and its disk has room"
        return [Problem(file=file, key="store.url", what=what, hint=hint)]


async def _key_problems(keys: Keys | None, store: Store, file: Path) -> list[Problem]:
    """Compare the keys with the store; what cannot be read at all is named elsewhere."""
    if keys is None:
        return []
    try:
        ring = ring_of(keys)
    except ConfigErrors:
        return []
    return key_problems(keys, await bad_keys(store, ring), file)


async def _activity_problems(told: models.Store, file: Path) -> list[Problem]:
    """Read from the activity file, if there is one, whether or not the gate file can be opened."""
    if not os.path.exists(told.activity_file):  # noqa: PTH110 - unlike Path's, this one never raises
        return []
    log = ActivityLog(told.activity_file, busy_s=BUSY_S)
    try:
        await log.read(lambda tx: reports(tx, FeedMark(0, b"")))
    except StoreUnavailable as error:
        what = f"{told.activity_file} cannot be opened: {error}"
        hint = "it may be moved away: only last use and history are lost"
        return [Problem(file=file, key="store.activity_url", what=what, hint=hint)]
    finally:
        await log.close()
    return []
