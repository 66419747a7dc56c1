"""One Maildir folder with lasting UIDs, shared by every session that looks at it.

Invariants: a message is written and synced in `tmp`, its UID is on disk, and only then is it renamed into
place; `messages` is in the order of UIDs; a file that other programs put in, rename, mark or take away is
noticed at the next `refresh`. One process owns the UID list (`mail` holds a lock); foreign programs may
deliver and change flags at any time. Blocking file work on purpose: this serves one machine and few people.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from proxy.embedded import uidlist
from proxy.embedded.durable import FOLDER_MODE, sync_folder, write_synced
from proxy.embedded.messagefile import FileName, arrival, fresh_base, parse_name, with_crlf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")

UID_FILE: Final = "wicketgate-uids"
_PARTS: Final = ("tmp", "new", "cur")
_SETTLING_NS: Final = 2_000_000_000
"""A folder's time stamp may stand still this long while names change (HFS+ and FAT: up to 2 s)."""


@dataclass(slots=True)
class Message:
    """One message of a folder."""

    uid: int
    name: FileName
    file: str
    """Where it lies, relative to the folder."""
    size: int | None = None
    """Octets with CRLF, once known."""

    @property
    def recent(self) -> bool:
        """Still in `new`: no session has been told of it as its own (RFC 3501 §2.3.2)."""
        return self.file.startswith("new/")


class MessageGoneError(Exception):
    """The message's file is not there any more."""


def make_folder(path: Path) -> None:
    """Make an empty Maildir, or complete one; the folder above it must be there."""
    for one in (path, *(path / part for part in _PARTS)):
        one.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_folder(path)


def place(path: Path, octets: bytes, *, letters: str = "", received: float | None = None) -> FileName:
    """Write a message into the folder's `tmp`, synced; the caller renames it. Returns its name.

    Bare LF become CRLF. `received` is the internal date in seconds since 1970; None is now.
    """
    text = with_crlf(octets)
    name = FileName(base=fresh_base(len(text)), letters=letters)
    waiting = path / "tmp" / name.base
    write_synced(waiting, text)
    if received is not None:
        os.utime(waiting, (received, received))
    return name


def put(path: Path, octets: bytes, *, letters: str = "") -> None:
    """Deliver as any Maildir program does: no UID, seen by whoever looks next. Into `new` without flags."""
    name = place(path, octets, letters=letters)
    final = path / "cur" / name.text() if letters else path / "new" / name.base
    (path / "tmp" / name.base).rename(final)
    sync_folder(final.parent)


class Folder:
    """The messages of one Maildir folder."""

    def __init__(
        self,
        path: Path,
        new_validity: Callable[[], int],
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        link: Callable[[Path, Path], None] = os.link,
    ) -> None:
        self.path = path
        self.messages: dict[int, Message] = {}
        self._wall_ns = wall_ns
        self._link = link
        self._stamps: tuple[int, ...] | None = None  # as of the last look; None: look again
        found = uidlist.read(path / UID_FILE)
        self._uids = found or uidlist.UidList(validity=new_validity())
        if found is None:
            self._save()
        self.refresh()

    @property
    def validity(self) -> int:
        """UIDVALIDITY."""
        return self._uids.validity

    @property
    def next_uid(self) -> int:
        """UIDNEXT."""
        return self._uids.next_uid

    def refresh(self) -> None:
        """Bring `messages` up to what is on disk; costs two `stat` when nothing has changed."""
        stamps = self._read_stamps()
        if stamps is not None and stamps == self._stamps:
            return
        found = self._scan()
        if any(base not in found for base in self._uids.uids):
            # One look can miss a name that another program is just changing: gone is what two looks miss.
            found |= self._scan()
        self._take_over(found)
        settled = stamps is not None and self._wall_ns() - max(stamps) > _SETTLING_NS
        self._stamps = stamps if settled else None

    def claim(self) -> set[int]:
        """Move every message from `new` to `cur`; returns their UIDs, the caller's to call recent."""
        claimed = set()
        for message in self.messages.values():
            if not message.recent:
                continue
            try:
                self._rename(message, message.name)
            except FileNotFoundError:
                self._stamps = None
            else:
                claimed.add(message.uid)
        return claimed

    def add(self, octets: bytes, *, letters: str, received: float | None) -> int:
        """Append a message and return its UID; when this returns, it is on disk."""
        return self._adopt([place(self.path, octets, letters=letters, received=received)])[0]

    def copy_from(self, source: Folder, uids: Iterable[int]) -> list[tuple[int, int]]:
        """Copy messages of another folder, all or none; returns pairs of old and new UID.

        Raises `MessageGoneError` when one of them has vanished from the source, then nothing is copied.
        """
        placed: list[tuple[int, FileName]] = []
        try:
            for uid in uids:
                placed.append((uid, self._place_copy(source, uid)))  # noqa: PERF401 - undone below
        except (OSError, MessageGoneError):
            for _, name in placed:
                (self.path / "tmp" / name.base).unlink(missing_ok=True)
            raise
        fresh = self._adopt([name for _, name in placed])
        return list(zip((uid for uid, _ in placed), fresh, strict=True))

    def mark(self, uid: int, letters: str) -> None:
        """Set a message's letters. Raises `MessageGoneError`."""
        message = self._message(uid)
        name = FileName(base=message.name.base, letters=letters)
        if name != message.name or message.recent:
            self._with_file(uid, lambda _: self._rename(message, name))

    def remove(self, uids: Iterable[int]) -> None:
        """Take messages away for good; those already gone are no error."""
        removed = False
        for uid in uids:
            try:
                self._with_file(uid, lambda path: path.unlink())
            except MessageGoneError:
                continue
            message = self.messages.pop(uid)
            del self._uids.uids[message.name.base]
            removed = True
        if removed:
            sync_folder(self.path / "cur")
            self._save()

    def read(self, uid: int) -> bytes:
        """The message with CRLF lines. Raises `MessageGoneError`."""
        octets = with_crlf(self._with_file(uid, lambda path: path.read_bytes()))
        self._message(uid).size = len(octets)
        return octets

    def size(self, uid: int) -> int:
        """RFC822.SIZE; read from the file only where its name does not say. Raises `MessageGoneError`."""
        message = self._message(uid)
        if message.size is None:
            message.size = message.name.size
        return len(self.read(uid)) if message.size is None else message.size

    def received(self, uid: int) -> float:
        """The internal date: the file's time, seconds since 1970. Raises `MessageGoneError`."""
        return self._with_file(uid, lambda path: path.stat().st_mtime)

    # --- the disk -------------------------------------------------------------------------------------------

    def _message(self, uid: int) -> Message:
        try:
            return self.messages[uid]
        except KeyError:
            raise MessageGoneError from None

    def _with_file(self, uid: int, use: Callable[[Path], T]) -> T:
        """Use a message's file; when another program has just renamed it, look once more."""
        try:
            return use(self.path / self._message(uid).file)
        except FileNotFoundError:
            self._stamps = None
            self.refresh()
        try:
            return use(self.path / self._message(uid).file)
        except FileNotFoundError:
            raise MessageGoneError from None

    def _rename(self, message: Message, name: FileName) -> None:
        target = f"cur/{name.text()}"
        (self.path / message.file).rename(self.path / target)
        message.file, message.name = target, name

    def _place_copy(self, source: Folder, uid: int) -> FileName:
        """Put a copy into `tmp`: a link where the file system can, for a placed message never changes."""
        message = source._message(uid)
        size, letters = source.size(uid), message.name.letters
        name = FileName(base=fresh_base(size), letters=letters)
        waiting = self.path / "tmp" / name.base
        try:
            source._with_file(uid, lambda file: self._link(file, waiting))
        except OSError:
            octets, received = source.read(uid), source.received(uid)
            name = place(self.path, octets, letters=letters, received=received)
        return name

    def _adopt(self, names: list[FileName]) -> list[int]:
        """Give UIDs to messages waiting in `tmp`, bring the list to disk, then rename them into place."""
        if not names:
            return []
        self.refresh()
        uids = [self._uids.give(name.base) for name in names]
        self._save()
        for uid, name in zip(uids, names, strict=True):
            file = f"cur/{name.text()}"
            (self.path / "tmp" / name.base).rename(self.path / file)
            self.messages[uid] = Message(uid, name, file)
        sync_folder(self.path / "cur")
        return uids

    def _read_stamps(self) -> tuple[int, ...] | None:
        try:
            return tuple((self.path / part).stat().st_mtime_ns for part in ("new", "cur"))
        except FileNotFoundError:
            return None

    def _scan(self) -> dict[str, tuple[FileName, str]]:
        """Every message by base name. `new` first: a message on its way to `cur` is seen at least once."""
        found = {}
        for part in ("new", "cur"):
            try:
                entries = os.listdir(self.path / part)  # noqa: PTH208 - names, not paths
            except FileNotFoundError:
                continue
            for entry in entries:
                name = parse_name(entry)
                if name is not None:
                    found[name.base] = (name, f"{part}/{entry}")
        return found

    def _take_over(self, found: dict[str, tuple[FileName, str]]) -> None:
        """Forget the gone, give UIDs to the new, and take every name as it now is."""
        known = self._uids.uids
        gone = [base for base in known if base not in found]
        fresh = sorted((base for base in found if base not in known), key=arrival)
        for base in gone:
            del known[base]
        for base in fresh:
            self._uids.give(base)
        if (gone or fresh) and self.path.is_dir():
            self._save()
        sizes = {uid: message.size for uid, message in self.messages.items()}
        self.messages = {uid: Message(uid, *found[base], sizes.get(uid)) for base, uid in known.items()}

    def _save(self) -> None:
        uidlist.write(self.path / UID_FILE, self._uids)
