"""`wicketgate backup`: the store and what belongs to it in one file, while the gate serves.

The file is written beside its name and renamed when it is whole and on the disk. What it does not hold is
said: without the keys nobody can use it, and that is the point of keeping them elsewhere.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import click

from auth.passphrase import LEAST_CHARACTERS
from auth.secret import Secret
from auth.store.copies import PRIVATE_FILE, sync
from proxy.archive.backup import Plan, make
from proxy.archive.gathering import gather
from proxy.archive.manifest import Manifest
from proxy.archive.workspace import workspace
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted
from proxy.cli.output import emit, fail, fail_usage, json_option, note, say
from proxy.cli.questions import ask_hidden, read_password
from proxy.opening import key_ring
from proxy.server.places import dav_folder, mail_folder

_OTHERWISE: Final = "name a file that holds it with --passphrase-file"


class BackupOptions(TypedDict):
    """The options of `backup`."""

    with_keys: bool
    passphrase_file: str | None
    force: bool
    as_json: bool


@click.command(short_help="Write the store and what belongs to it into one file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--with-keys", is_flag=True, help="Put keys and secrets in too, under a passphrase that is asked for."
)
@click.option("--passphrase-file", metavar="FILE", help="Read the passphrase from FILE; - is standard input.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
@click.pass_obj
def backup(invocation: Invocation, file: Path, **options: Unpack[BackupOptions]) -> None:
    """Write the store, the config file and the certificates into FILE, while the gate serves.

    FILE is a tar that its user alone can read: tar -xOf FILE manifest.json shows what is in it. Without
    --with-keys it can be used only by whoever has the key files.
    """
    config = invocation.config()
    _must_be_free(file, force=options["force"])
    with Desk(config):  # so that the store is there, of this version, and the keys fit it
        pass
    passphrase = _new_passphrase(options["passphrase_file"], with_keys=options["with_keys"])
    plan = Plan(
        config=config,
        config_file=invocation.file(),
        keys=key_ring(config),
        gathered=gather(config, with_secrets=options["with_keys"]),
        passphrase=passphrase,
        at=time.time(),
    )
    manifest = _write(plan, file, force=options["force"])
    if options["as_json"]:
        emit(_facts(file, manifest))
    else:
        _tell(file, manifest)
    _tell_what_is_missing(plan, manifest)


def _must_be_free(file: Path, *, force: bool) -> None:
    """Refuse a name that is taken, is no file, or is in no folder."""
    if str(file) == "-":
        fail_usage(
            "a backup is not written to standard output", "name a file: it gets its name when it is whole"
        )
    if not file.parent.is_dir():
        fail(f"there is no folder {file.parent}", f"run: mkdir -m 0700 {file.parent}")
    if file.exists() and not file.is_file():
        fail(f"{file} is not a file", "name a file")
    if file.exists() and not force:
        fail(f"{file} is there already", "name another file, or replace it with --force")


def _new_passphrase(file: str | None, *, with_keys: bool) -> Secret | None:
    """Take the passphrase, typed twice; None where there are to be no keys."""
    if not with_keys:
        if file is not None:
            raise click.UsageError("--passphrase-file goes with --with-keys")
        return None
    given = given_passphrase(file)
    if len(given.reveal()) < LEAST_CHARACTERS:
        hint = f"take {LEAST_CHARACTERS} characters at least, better six words drawn by dice"
        fail("the passphrase is too short", hint)
    if file is None and ask_hidden("The same again", otherwise=_OTHERWISE) != given:
        fail("the two passphrases differ", "type the same one twice; nothing was written yet")
    return given


def _write(plan: Plan, file: Path, *, force: bool) -> Manifest:
    """Write the backup in a folder of its own, bring it to the disk, and give it its name."""
    with workspace(file.parent) as folder:
        made = folder / "backup"
        descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as opened:
            manifest = make(plan, folder, opened)
            opened.flush()
            os.fsync(opened.fileno())
        _must_be_free(file, force=force)
        made.replace(file)
    sync(file.parent)
    return manifest


def _facts(file: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "file": str(file.absolute()),
        "octets": file.stat().st_size,
        "made_at": manifest.made_at,
        "accounts": manifest.counts.accounts,
        "app_passwords": manifest.counts.app_passwords,
        "history": manifest.activity is not None,
        "keys": [key.id for key in manifest.keys],
        "files": list(manifest.files),
        "secrets": list(manifest.secrets),
        "left_out": list(manifest.left_out),
    }


def _tell(file: Path, manifest: Manifest) -> None:
    counts = manifest.counts
    active = counted(counts.app_passwords, "active app password")
    say(f"wrote {file}, {file.stat().st_size} octets, as of {manifest.made_at}")
    say(f"  store     {counted(counts.accounts, 'account')}, {active}")
    say(f"  history   {'of sign-ins and last use' if manifest.activity else 'none'}")
    say(f"  files     {', '.join(('the config file', *manifest.files))}")
    say(f"  secrets   {', '.join(manifest.secrets) or 'none'}")


def _tell_what_is_missing(plan: Plan, manifest: Manifest) -> None:
    """Say what must be kept elsewhere, and what could not be read."""
    left_out, config = plan.gathered.left_out, plan.config
    if plan.passphrase is None:
        kept = ", ".join(dict.fromkeys(str(named.path) for named in left_out if named.secret))
        note(
            f"keys and secrets are not in it, and without them it is of no use; keep copies elsewhere: {kept}"
        )
    for named in left_out:
        if not named.secret:
            note(f"{named.key} is not in it, for {named.path} cannot be read")
    if manifest.activity is None and config.store.activity_file.exists():
        note("last use and history of sign-ins are not in it, for they cannot be read")
    built_in = [str(folder) for folder in (mail_folder(config), dav_folder(config)) if folder.exists()]
    if built_in:
        note(f"what the built-in servers keep is not in it; copy it apart: {', '.join(built_in)}")


def given_passphrase(file: str | None) -> Secret:
    """Take the passphrase of a backup that is there."""
    return ask_hidden("Passphrase", otherwise=_OTHERWISE) if file is None else read_password(file)
