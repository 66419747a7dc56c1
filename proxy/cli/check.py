"""`wicketgate check`: whether a configuration is sound, and with `--connect` the servers behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import click

from auth.keycheck import bad_keys
from auth.store.activity import ActivityLog, reports
from auth.store.engine import BUSY_S
from auth.store.errors import StoreMissing, StoreUnavailable
from auth.store.rows import FeedMark
from auth.store.store import Store
from config import storing
from config.inspect import inspect_parts
from config.load import examine
from config.parts import Parts
from config.problems import ConfigErrors, Problem
from config.storing import Keys
from proxy.cli.app import Invocation
from proxy.cli.output import MISUSED, REFUSED, complain, emit, json_option, plain, problem_facts, say
from proxy.cli.questions import ask_hidden, primary_file_option, read_password
from proxy.opening import key_problems, ring_of, store_problem

if TYPE_CHECKING:
    from proxy.cli.connecting import Finding

_BESIDE: Final = ("", "-wal", "-shm")
"""What SQLite keeps under the name of a store file: the file, its log and the log's index."""


class CheckOptions(TypedDict):
    """The options of `check`."""

    connect: bool
    side_door: bool
    primary_file: str | None
    as_json: bool


@click.command(short_help="Say all that is wrong with the configuration.")
@click.argument("email", required=False)
@click.option("--connect", is_flag=True, help="Connect to each server behind, and sign in as EMAIL.")
@click.option("--side-door", is_flag=True, help="With --connect: see that EMAIL's own password is refused.")
@primary_file_option("Read that password from FILE.")
@json_option
@click.pass_obj
@click.pass_context
def check(
    ctx: click.Context, invocation: Invocation, email: str | None, **options: Unpack[CheckOptions]
) -> None:
    """Say all that is wrong: the config file, certificates, keys, folders and the store.

    Changes no configuration. A store that is there is opened as the server does it: what an older version
    made gets the present schema, its files are closed to other users, and it writes ahead into a log. With
    --connect, and without EMAIL, the first account that signs in at a server behind is taken. Exit 0 when all
    is well, 1 when a server behind fails, 2 when something is wrong here.
    """
    _must_fit(email, options)
    file, as_json = invocation.file().absolute(), options["as_json"]
    problems = _problems(file)
    findings = [] if problems or not options["connect"] else _findings(invocation, email, options)
    bad = [finding for finding in findings if finding.what]
    if as_json:
        facts = {"ok": not problems and not bad, "config": str(file)}
        facts |= {"problems": [problem_facts(one) for one in problems]}
        emit(facts | {"servers": [finding.facts for finding in findings]})
    elif not problems:
        say(f"{file}: {'well in itself' if bad else 'all is well'}")
        if options["connect"] and not findings:
            say("no server behind is configured that could be connected to")
    for problem in () if as_json else problems:
        complain(str(problem), invocation.typed(problem.hint))
    for finding in () if as_json else findings:
        _tell(finding, invocation)
    ctx.exit(MISUSED if problems else REFUSED if bad else 0)


def _must_fit(email: str | None, options: CheckOptions) -> None:
    asked = options["side_door"] or options["primary_file"] is not None
    if (email is not None or asked) and not options["connect"]:
        raise click.UsageError("EMAIL, --side-door and --primary-password-file go with --connect")
    if asked and email is None:
        raise click.UsageError("whose password? name EMAIL")


def _problems(file: Path) -> list[Problem]:
    """Give all that is wrong here."""
    try:
        parts, problems = examine(file)
    except ConfigErrors as errors:
        return list(errors.problems)
    problems += inspect_parts(parts, file, datetime.now(UTC))
    problems += asyncio.run(_store_problems(parts, file, {problem.key for problem in problems}))
    return problems


def _findings(invocation: Invocation, email: str | None, options: CheckOptions) -> list[Finding]:
    """Connect to the servers behind; only who does that pays for loading it."""
    from proxy.cli.connecting import look  # noqa: PLC0415

    password = None
    if options["primary_file"] is not None:
        password = read_password(options["primary_file"])
    elif options["side_door"]:
        prompt = f"Password of {plain(str(email))} at the servers behind"
        password = ask_hidden(prompt, otherwise="name a file that holds it with --primary-password-file")
    return asyncio.run(look(invocation.config(), email, password))


def _tell(finding: Finding, invocation: Invocation) -> None:
    """Say what was seen of one server."""
    if finding.what:
        complain(plain(f"{finding.key}: {finding.what}"), invocation.typed(finding.hint))
        return
    seen = f"signed in as {finding.email}" if finding.email else "connected; no account signs in there yet"
    door = "; it refuses that password, as it should" if finding.side_door is False else ""
    say(plain(f"{finding.key}: {finding.address}: {seen}{door}"))


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


def _foreign_files(store: storing.Store, file: Path) -> Iterator[Problem]:
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
    told: storing.Store, keys: Keys | None, file: Path, *, missing_is_known: bool
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


async def _activity_problems(told: storing.Store, file: Path) -> list[Problem]:
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
