"""The mail of accounts on disk: which folders one has, and how mail gets in from outside.

An account's home is `ROOT/<SHA-256 of its email>`, so a name never becomes a path, whatever it holds; the
file `account` inside says whose it is. The home is a Maildir++: valid Maildirs, INBOX at its top. Beside the
messages lie `subscriptions`, and `wicketgate-validity` with the last UIDVALIDITY given, so that a folder that
is deleted and made again never repeats one. `MailHome` belongs to one process; `deliver` works from any.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING, Final

from proxy.embedded import foldernames
from proxy.embedded.durable import FOLDER_MODE, replace_file, sync_folder
from proxy.embedded.folder import Folder, make_folder, put
from proxy.embedded.foldernames import DELIMITER, INBOX, LONGEST, SPECIAL_USE, directory
from proxy.embedded.messagefile import letters_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_OWNER_FILE: Final = "account"
_VALIDITY_FILE: Final = "wicketgate-validity"
_SUBSCRIPTIONS_FILE: Final = "subscriptions"
_DELETED: Final = "wicketgate-deleted-"
_MARK_FILE: Final = "maildirfolder"
"""Maildir++: says that a Maildir is a folder of another one."""


class FolderRefusedError(Exception):
    """A folder cannot be made, renamed, deleted or opened. The text is for the client, code included."""


def account_folder(root: Path, email: str) -> Path:
    """The home of an account. `email` is the account's canonical email; nothing is made."""
    return root / hashlib.sha256(email.encode("utf-8")).hexdigest()


def deliver(root: Path, email: str, message: bytes, folder: str = INBOX, flags: Iterable[str] = ()) -> None:
    """Put a message into an account's folder, making what is missing; it is on disk when this returns.

    `folder` is plain text, `flags` are IMAP flags. Works beside a running server, which sees the message at
    its next look. Raises `BadNameError` and `OSError`.
    """
    home = make_home(root, email)
    path = home / directory(foldernames.from_text(folder))
    make_folder(path)
    put(path, message, letters=letters_for(flags))


def make_home(root: Path, email: str) -> Path:
    """Make an account's home with INBOX and the special-use folders, or complete it; returns it."""
    home = account_folder(root, email)
    if (home / _OWNER_FILE).exists():
        return home
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    home.mkdir(mode=FOLDER_MODE, exist_ok=True)
    for name in (INBOX, *SPECIAL_USE):
        make_folder(home / directory(name))
    names = "".join(f"{name}\n" for name in (INBOX, *SPECIAL_USE))
    replace_file(home / _SUBSCRIPTIONS_FILE, names.encode("ascii"))
    replace_file(home / _OWNER_FILE, f"{email}\n".encode())
    sync_folder(root)
    return home


class MailHome:
    """The folders of one account. Names are checked ones (`foldernames.from_wire`)."""

    def __init__(self, root: Path, email: str, *, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._home = make_home(root, email)
        self._wall_ns = wall_ns
        self._open: dict[str, Folder] = {}
        for left in self._home.glob(f"{_DELETED}*"):
            shutil.rmtree(left)

    def names(self) -> list[str]:
        """Every folder, INBOX first."""
        found = (foldernames.of_directory(entry) for entry in os.listdir(self._home))  # noqa: PTH208
        return [INBOX, *sorted(name for name in found if name is not None and self.has(name))]

    def has(self, name: str) -> bool:
        """Whether there is such a folder."""
        return (self._home / directory(name) / "cur").is_dir()

    def folder(self, name: str) -> Folder:
        """Open a folder, the same object for every session. Raises `FolderRefusedError`."""
        if not self.has(name):
            raise FolderRefusedError("[NONEXISTENT] no such folder")
        if name not in self._open:
            path = self._home / directory(name)
            make_folder(path)
            self._open[name] = Folder(path, self._new_validity, wall_ns=self._wall_ns)
        return self._open[name]

    def create(self, name: str) -> None:
        """Make a folder; those above it need not exist. Raises `FolderRefusedError`."""
        if self.has(name):
            raise FolderRefusedError("[ALREADYEXISTS] there is such a folder already")
        path = self._home / directory(name)
        make_folder(path)
        (path / _MARK_FILE).touch()
        sync_folder(self._home)

    def delete(self, name: str) -> None:
        """Delete a folder and its messages; folders below it stay. Raises `FolderRefusedError`."""
        if name == INBOX:
            raise FolderRefusedError("[CANNOT] INBOX stays")
        if not self.has(name):
            raise FolderRefusedError("[NONEXISTENT] no such folder")
        away = self._home / f"{_DELETED}{secrets.token_hex(8)}"
        (self._home / directory(name)).rename(away)
        sync_folder(self._home)
        self._open.pop(name, None)
        shutil.rmtree(away)

    def rename(self, old: str, new: str) -> None:
        """Rename a folder and those below it, UIDs and UIDVALIDITY included. Raises `FolderRefusedError`."""
        if INBOX in (old, new):
            raise FolderRefusedError("[CANNOT] INBOX keeps its name")
        if new.startswith(old + DELIMITER):
            raise FolderRefusedError("[CANNOT] a folder cannot move below itself")
        moves = {name: new + name[len(old) :] for name in self.names() if f"{name}.".startswith(f"{old}.")}
        if not moves:
            raise FolderRefusedError("[NONEXISTENT] no such folder")
        if any(len(name) > LONGEST for name in moves.values()):
            raise FolderRefusedError("[CANNOT] a folder below it would get too long a name")
        if any(self.has(name) for name in moves.values()):
            raise FolderRefusedError("[ALREADYEXISTS] there is such a folder already")
        for source, target in moves.items():
            path = self._home / directory(target)
            (self._home / directory(source)).rename(path)
            if source in self._open:
                self._open[target] = self._open.pop(source)
                self._open[target].path = path
        sync_folder(self._home)

    def subscribed(self) -> list[str]:
        """The names the account has subscribed to, folders or not (RFC 3501 §6.3.6)."""
        try:
            return (self._home / _SUBSCRIPTIONS_FILE).read_text("ascii").splitlines()
        except FileNotFoundError:
            return []

    def subscribe(self, name: str, *, wanted: bool) -> None:
        """Put a name on the list, or take it off."""
        rest = [known for known in self.subscribed() if known != name]
        names = [*rest, name] if wanted else rest
        replace_file(self._home / _SUBSCRIPTIONS_FILE, "".join(f"{one}\n" for one in names).encode("ascii"))

    def _new_validity(self) -> int:
        """A UIDVALIDITY this account has never had: the time, or one more than the last."""
        path = self._home / _VALIDITY_FILE
        try:
            last = int(path.read_text("ascii"))
        except (FileNotFoundError, ValueError):
            last = 0
        validity = max(self._wall_ns() // 1_000_000_000, last + 1)
        replace_file(path, b"%d\n" % validity)
        return validity
