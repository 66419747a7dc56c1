"""Files that hold secrets: read only when nobody but their owner can.

A service that systemd hands credentials to (LoadCredential=) reads the one that stands for a file in the
file's place, so the files may be root's alone while the configuration names them for the command line too.

A file that the group or others can read or write is refused, with one exception: below the folder that
systemd hands over in CREDENTIALS_DIRECTORY the group bits show an access list for the service's own user, so
there only the bits of others count. It must belong to its reader or to root, because any other owner could
change it; when root is the reader, also to the owner of its folder, for whom root is at work. Nothing here
interprets what a file holds, and no error quotes it.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Final

SECRET_FILE_OCTETS: Final = 4_096
"""More than any password or key needs; a wrong path must not read a mailbox into memory."""

_NOT_HANDED_OVER: Final = (
    "let systemd hand it over: LoadCredential= names its folder, whose files are read when the service starts"
)


class PrivateFileError(Exception):
    """The file cannot be used; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def read_private(path: Path, *, credentials: str | None = None, when_missing: str = "") -> bytes:
    """Read a small file that only its owner may read; raises PrivateFileError.

    `credentials` is the folder of systemd credentials, by default the one named in the environment.
    `when_missing` is the hint for a file that is not there, where making one would be wrong.
    """
    if credentials is None:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = handed_over(path, credentials)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            _check(path, facts, in_credentials=_below(path, credentials))
            octets = file.read(SECRET_FILE_OCTETS + 1)
    except OSError as error:
        match error:
            case FileNotFoundError() if when_missing:
                hint = when_missing
            case PermissionError() if credentials:
                hint = _NOT_HANDED_OVER
            case _:
                hint = access_hint(error)
        raise PrivateFileError(f"{path} cannot be read: {reason(error)}", hint) from None
    if len(octets) > SECRET_FILE_OCTETS:
        raise PrivateFileError(f"{path} is larger than {SECRET_FILE_OCTETS} octets", "name the right file")
    return octets


def handed_over(path: Path, credentials: str) -> Path:
    """Give the credential that stands for a file, where there is one in this folder, else the file itself.

    It is named after the file and its folder, as systemd.exec(5) names what it loads from a whole folder:
    of `LoadCredential=keys:/etc/wicketgate/keys` the file 2026-11.key becomes `keys_2026-11.key`.
    """
    if not credentials:
        return path
    credential = Path(credentials) / f"{path.absolute().parent.name}_{path.name}"
    return credential if os.path.lexists(credential) else path


def read_secret_text(path: Path) -> str:
    """Read a password from its file: one line of UTF-8, the line end dropped; raises PrivateFileError."""
    try:
        text = read_private(path).decode("utf-8")
    except UnicodeDecodeError:
        raise PrivateFileError(f"{path} is not UTF-8 text", "write the password as one line") from None
    line = text.removesuffix("\n").removesuffix("\r")
    if not line or any(mark in line for mark in "\r\n\0"):
        raise PrivateFileError(f"{path} does not hold exactly one line", "write the password as one line")
    return line


def reason(error: OSError) -> str:
    """Say why the system refused, without the path (the caller has named it)."""
    return (error.strerror or type(error).__name__).lower()


def access_hint(error: OSError, *, reader: int | None = None) -> str:
    """Say what to do about a file that cannot be opened; `reader` is who tried, by default this process."""
    match error:
        case FileNotFoundError():
            return "make the file, or mend the path; relative paths start at the config file's folder"
        case PermissionError(filename=str() | os.PathLike() as path):
            return _permission_hint(Path(path), os.geteuid() if reader is None else reader)
        case _:
            return "look at the file and the file system"


def _permission_hint(path: Path, reader: int) -> str:
    """Say whose the file is, or the folder that hides it: mostly a command was run as the wrong user."""
    for place in (path, *path.absolute().parents):
        try:
            owner = place.stat().st_uid
        except OSError:
            continue
        if owner == reader:
            return f"it is this user's own: look at its mode and at that of its folders: ls -ld {place}"
        sudo, name = user_words(owner)
        return f"run this as {name}, whose {'file' if place == path else 'folder'} it is: {sudo} wicketgate …"
    return "look at who owns the file and its folders"


def user_words(user: int) -> tuple[str, str]:
    """Write how to run a command as a user, and the user's name; a user without one has a number."""
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        return f"sudo -u '#{user}'", f"user {user}"
    return f"sudo -u {name}", name


def _check(path: Path, facts: os.stat_result, *, in_credentials: bool) -> None:
    """Refuse what is not a regular file, is open to anyone but the owner, or is somebody else's."""
    mode = facts.st_mode
    if not stat.S_ISREG(mode):
        raise PrivateFileError(f"{path} is not a regular file", "name the file that holds the secret")
    foreign = stat.S_IRWXO if in_credentials else stat.S_IRWXG | stat.S_IRWXO
    if mode & foreign:
        what = f"{path} can be read or changed by others (mode {stat.S_IMODE(mode):04o})"
        raise PrivateFileError(what, f"run: chmod 0400 {path}")
    if facts.st_uid not in _trusted(path):
        what = f"{path} belongs to another user, {facts.st_uid}"
        raise PrivateFileError(what, f"let the user who runs the server own it: chown {os.geteuid()} {path}")


def _trusted(path: Path) -> set[int]:
    """Give the users who may own a private file."""
    reader = os.geteuid()
    return {reader, 0} if reader else {0, path.resolve().parent.stat().st_uid}


def _below(path: Path, folder: str) -> bool:
    """Tell whether `path` lies below `folder`, links resolved."""
    return bool(folder) and path.resolve().is_relative_to(Path(folder).resolve())
