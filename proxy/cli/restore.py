"""`wicketgate restore`: a backup in the place of the store, the gate being stopped.

Everything is looked at first, and what will be revoked, what comes back and what is lost is said before
anything is asked. Nobody may serve meanwhile: that is looked at twice, and a gate that starts in between
finds another history and ends every session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click

from auth.restoring import Lives, Restored
from auth.store.known import Found
from auth.store.placing import StoreChanged
from config.models import Config
from proxy.archive.backup import Backup
from proxy.archive.container import ArchiveError
from proxy.archive.manifest import Manifest
from proxy.archive.restore import Request, Restore, Standing, must_be_known, standing
from proxy.archive.workspace import workspace
from proxy.cli.app import Invocation
from proxy.cli.backup import given_passphrase
from proxy.cli.desk import counted, must_not_be_root_for_another, operator
from proxy.cli.output import emit, fail, json_option, note, say
from proxy.cli.password_lists import scope_words
from proxy.cli.questions import confirm, yes_option
from proxy.server.places import workers_folder
from proxy.worker import live_workers


class RestoreOptions(TypedDict):
    """The options of `restore`."""

    replace: bool
    trust_backup: bool
    with_keys: bool
    passphrase_file: str | None
    yes: bool
    as_json: bool


@click.command(short_help="Put a backup in the place of the store.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the store that is there; it is kept beside.")
@click.option("--trust-backup", is_flag=True, help="Let its app passwords live, but those revoked since.")
@click.option("--with-keys", is_flag=True, help="Put keys and secrets back where they are missing.")
@click.option("--passphrase-file", metavar="FILE", help="Read the passphrase from FILE; - is standard input.")
@yes_option
@json_option
@click.pass_obj
def restore(invocation: Invocation, file: Path, **options: Unpack[RestoreOptions]) -> None:
    """Put the backup FILE in the place of the store. The gate must be stopped.

    Every app password in it is revoked, for what was revoked after the backup would live again. With
    --trust-backup they come back, and are listed; what the present store knows to be revoked stays dead
    either way. Certificates and keys are written only where they are missing.
    """
    if options["passphrase_file"] is not None and not options["with_keys"]:
        raise click.UsageError("--passphrase-file goes with --with-keys")
    config = invocation.config()
    must_not_be_root_for_another(config)
    must_be_stopped(config)
    there = standing(config)
    if there.found is not Found.NOTHING and not options["replace"]:
        what = f"there is a store already: {config.store.gate_file}"
        fail(what, "--replace puts the backup in its place and keeps it beside")
    try:
        _restore(config, file, there, options)
    except ArchiveError as error:
        fail(f"{file} cannot be restored: {error}", error.hint)
    except StoreChanged:
        fail("somebody changed the store meanwhile; it stays as it is", "run this again")


def must_be_stopped(config: Config) -> None:
    """Refuse while a gate serves from this store."""
    if workers := live_workers(workers_folder(config)):
        what = f"the gate is running: {counted(len(workers), 'worker')} of it"
        fail(what, "stop it first, as in: systemctl stop wicketgate")


def _restore(config: Config, file: Path, there: Standing, options: RestoreOptions) -> None:
    folder = config.store.gate_file.parent
    with file.open("rb") as opened:
        backup = Backup.read(opened)
        must_be_known(backup)
        secrets: Mapping[str, bytes] = {}
        if options["with_keys"]:
            secrets = backup.secrets(given_passphrase(options["passphrase_file"]))
        request = Request(
            config=config,
            backup=backup,
            secrets=secrets,
            trusted=options["trust_backup"],
            actor=operator(),
        )
        under_way = Restore(request, there)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with workspace(folder) as work:
            restored = asyncio.run(under_way.prepare(work))
            _foretell(restored, backup.manifest, there)
            confirm(f"Restore {file}", _ends(restored, there), yes=options["yes"])
            must_be_stopped(config)
            kept = under_way.put()
            history = under_way.put_history()
    facts = _facts(restored, backup.manifest)
    facts["kept"] = None if kept is None else str(kept)
    facts["files_written"] = list(dict.fromkeys(str(named.path) for named in under_way.missing))
    if options["as_json"]:
        emit(facts)
    else:
        _tell(restored, backup.manifest, facts)
    if not history:
        note("last use and history of sign-ins could not be put back; nothing depends on them")


def _foretell(restored: Restored, manifest: Manifest, there: Standing) -> None:
    """Say by name what comes back and what does not, before anything is asked."""
    for lives in restored.alive:
        note(f"comes back alive: {_named(lives)}")
    for lives in restored.stay_revoked:
        note(f"stays revoked, as the present store knows: {_named(lives)}")
    for email in restored.disabled:
        note(f"comes back disabled, as the present store has it disabled or removed: {email}")
    for email in restored.lost_accounts:
        note(f"is not in the backup, and will be gone: {email}")
    if there.known is None:
        why = (
            "there is no store" if there.found is Found.NOTHING else "the store that is there cannot be read"
        )
        since = f"so what was revoked or changed after {manifest.made_at} cannot be known"
        note(f"{why}, {since}: primary passwords and second factors are those of then")
    elif there.found is Found.DAMAGED:
        note("the store that is there is damaged: what it tells of revocations may not be all of them")
    if restored.spent_codes:
        note(f"{counted(restored.spent_codes, 'recovery code')} may have been used since: none is taken")


def _ends(restored: Restored, there: Standing) -> str:
    """Say what the restore ends."""
    ended = len(restored.revoked) + len(restored.stay_revoked)
    parts = [f"{counted(ended, 'app password')} of the backup will be revoked"]
    if restored.alive:
        parts.append(f"{counted(len(restored.alive), 'app password')} will come back alive")
    if there.found is not Found.NOTHING:
        parts.append("the store that is there will be replaced")
    if restored.lost_app_passwords:
        parts.append(f"{counted(restored.lost_app_passwords, 'app password')} made since will be gone")
    return ", ".join(parts)


def _named(lives: Lives) -> str:
    row = lives.row
    return f"{lives.email}, {row.label} ({row.selector}, {scope_words(row.scopes)})"


def _facts(restored: Restored, manifest: Manifest) -> dict[str, Any]:
    return {
        "made_at": manifest.made_at,
        "accounts": restored.accounts,
        "revoked": [lives.row.id for lives in restored.revoked],
        "stay_revoked": [_lives(lives) for lives in restored.stay_revoked],
        "alive": [_lives(lives) for lives in restored.alive],
        "disabled": restored.disabled,
        "lost_accounts": restored.lost_accounts,
        "lost_app_passwords": restored.lost_app_passwords,
        "spent_recovery_codes": restored.spent_codes,
    }


def _lives(lives: Lives) -> dict[str, str]:
    row = lives.row
    return {"id": row.id, "email": lives.email, "label": row.label, "selector": row.selector}


def _tell(restored: Restored, manifest: Manifest, facts: Mapping[str, Any]) -> None:
    ended = counted(len(restored.revoked) + len(restored.stay_revoked), "app password")
    accounts = counted(restored.accounts, "account")
    alive = f", {counted(len(restored.alive), 'app password')} alive" if restored.alive else ""
    say(f"restored {accounts} as of {manifest.made_at}; {ended} revoked{alive}")
    for written in facts["files_written"]:
        say(f"  written: {written}")
    if facts["kept"] is not None:
        say(f"  the store before: {facts['kept']}")
