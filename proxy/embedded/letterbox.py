"""One message into the INBOX of several accounts: all of them, and each once.

The copies are written and synced in each Maildir's `tmp`, then renamed into `new`, and the folders are
synced: only then may the sender hear that it was taken. When something fails, what was renamed is taken back.

A crash in between leaves some with the message and a sender who will try again. So a journal is on disk
before the first rename: `ROOT/.delivery/KEY` with the file name of each recipient's copy, where KEY is a
digest of who signed in, the envelope and the octets of the message as received. A try with the same KEY
leaves out whoever has that file in `new` or `cur`. The journal goes once the reply was handed to the
connection. Hence

- the same message sent twice is delivered twice, if the first was answered;
- one tried again after a crash or a lost connection is delivered once; twice only to who has deleted or moved
  it, or when the reply itself was lost after it was handed over (RFC 1047);
- a journal counts for `EMBEDDED_JOURNAL_S`; then it is removed, with what its try left in `tmp`.

One process owns the journal: the caller holds a lock on `folder`, and calls from one thread at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from proxy.embedded.durable import FOLDER_MODE, replace_file, sync_folder, write_synced
from proxy.embedded.folder import make_folder
from proxy.embedded.maildir import account_folder, make_home
from proxy.embedded.messagefile import fresh_base, parse_name
from proxy.limits import EMBEDDED_JOURNAL_LOOK_S, EMBEDDED_JOURNAL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_FOLDER: Final = ".delivery"
_KEY: Final = re.compile(r"[0-9a-f]{64}(?:\.[0-9]+\.new)?\Z")
"""A journal's name, or that of one whose writing was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message with its envelope."""

    account: str
    """Who signed in."""
    sender: str
    """RFC 5321 §4.1.1.2, without the angle brackets; empty for `<>`."""
    recipients: tuple[str, ...]
    """Emails of accounts, each once."""
    text: bytearray = field(repr=False)

    def key(self) -> str:
        """Give the digest of all this; the order of recipients does not count."""
        digest = hashlib.sha256()
        for part in (self.account, self.sender, *sorted(self.recipients), ""):
            octets = part.encode("utf-8")
            digest.update(b"%d:" % len(octets) + octets)
        digest.update(self.text)
        return digest.hexdigest()


class Letterbox:
    """Takes messages into the Maildirs below `root`."""

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], float] = time.time,
        rename: Callable[[Path, Path], None] = os.rename,
    ) -> None:
        self.folder = root / _FOLDER
        self._root = root
        self._now = now
        self._rename = rename
        self._looked = 0.0

    def take(self, mail: Mail, head: bytes) -> str:
        """Deliver a message, with `head` (fields of ours) before it; it is on disk when this returns.

        Gives the key to `forget` once the reply has gone out. Raises `OSError`: then nobody has it, as far as
        that could be brought about. The text of `mail` is used up.
        """
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._clear()
        key = mail.key()
        mail.text[:0] = head
        earlier = self._earlier(key)
        planned, missing = {}, {}
        for email in mail.recipients:
            home = make_home(self._root, email)
            make_folder(home)
            base = earlier.get(email)
            if base is not None and _is_delivered(home, base):
                for part in ("new", "cur"):  # the earlier try may have died before it did so
                    sync_folder(home / part)
            else:
                base = missing[email] = fresh_base(len(mail.text))
            planned[email] = base
        self._sweep(earlier)
        replace_file(self.folder / key, json.dumps(planned).encode("utf-8"))
        copies = [(account_folder(self._root, email), base) for email, base in missing.items()]
        self._hand_in(copies, mail.text)
        return key

    def forget(self, key: str) -> None:
        """Remove a journal: the sender will not try this message again."""
        (self.folder / key).unlink(missing_ok=True)
        sync_folder(self.folder)

    def _hand_in(self, copies: Sequence[tuple[Path, str]], text: bytearray) -> None:
        """Put a copy into each home under its name, all or none."""
        try:
            for home, base in copies:
                write_synced(home / "tmp" / base, text)
            for home, base in copies:
                self._rename(home / "tmp" / base, home / "new" / base)
            for home, _ in copies:
                sync_folder(home / "new")
        except Exception:
            for home, base in copies:
                for part in ("tmp", "new"):
                    with suppress(OSError):
                        (home / part / base).unlink(missing_ok=True)
                        sync_folder(home / part)
            raise

    def _earlier(self, key: str) -> Mapping[str, str]:
        """Read what an earlier try planned: email → file name. Nothing when there was none."""
        try:
            found = json.loads((self.folder / key).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _sweep(self, planned: Mapping[str, str]) -> None:
        """Take away what an earlier try left in `tmp`."""
        for email, base in planned.items():
            with suppress(OSError):
                (account_folder(self._root, email) / "tmp" / base).unlink(missing_ok=True)

    def _clear(self) -> None:
        """Remove journals that no longer count; looks for them now and then."""
        now = self._now()
        if now - self._looked < EMBEDDED_JOURNAL_LOOK_S:
            return
        self._looked = now
        for path in self.folder.iterdir():
            if _KEY.match(path.name) and now - path.stat().st_mtime > EMBEDDED_JOURNAL_S:
                self._sweep(self._earlier(path.name))
                path.unlink()


def _is_delivered(home: Path, base: str) -> bool:
    """Tell whether a message lies in an INBOX. `new` is looked at first: readers move from there to `cur`."""
    if (home / "new" / base).exists():
        return True
    names = (parse_name(entry) for entry in os.listdir(home / "cur"))  # noqa: PTH208 - names, not paths
    return any(name is not None and name.base == base for name in names)
