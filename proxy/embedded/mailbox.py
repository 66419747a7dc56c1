r"""What one session sees of a folder: its own numbers, its own \Recent, what it has been told.

Message numbers change only in `news`, at the moments the protocol allows (RFC 3501 §5.5 and §7.4.1); a
message that somebody else took away in between is still numbered and answers with `MessageGoneError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from proxy.embedded import mime
from proxy.embedded.fetch import flag_list
from proxy.embedded.folder import Folder, MessageGoneError
from proxy.embedded.mailtext import MailText
from proxy.embedded.messagefile import FLAG_LETTERS, flags_of, letters_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy.embedded.mime import Part


class StoreMode(StrEnum):
    """How STORE changes flags."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    TAKE = "-FLAGS"


class Mailbox:
    """A selected folder."""

    def __init__(self, folder: Folder, *, writable: bool) -> None:
        self.folder = folder
        self.writable = writable
        self.uids: list[int] = []
        """UID of each message number, less one."""
        self._recent: set[int] = set()
        self._told: dict[int, str] = {}  # letters of each message as the client knows them
        self._admit_new()

    @property
    def recent(self) -> int:
        r"""How many messages are \Recent to this session."""
        return len(self._recent)

    def first_unseen(self) -> int | None:
        r"""Number of the first message without \Seen."""
        seen = FLAG_LETTERS["\\Seen"]
        return next((n for n, uid in enumerate(self.uids, 1) if seen not in self._told[uid]), None)

    def flags(self, uid: int) -> tuple[str, ...]:
        r"""A message's flags, \Recent included. Raises `MessageGoneError`."""
        message = self.folder.messages.get(uid)
        if message is None:
            raise MessageGoneError
        return (*flags_of(message.name.letters), *(("\\Recent",) if uid in self._recent else ()))

    def look_at(self, number: int) -> Look:
        """One message to read from."""
        return Look(number=number, uid=self.uids[number - 1], mailbox=self)

    def store(self, uid: int, flags: Iterable[str], mode: StoreMode) -> None:
        """Change a message's flags; those that cannot be kept are ignored. Raises `MessageGoneError`."""
        message = self.folder.messages.get(uid)
        if message is None:
            raise MessageGoneError
        now, given = set(message.name.letters), set(letters_for(flags))
        match mode:
            case StoreMode.REPLACE:
                letters = (now - set(FLAG_LETTERS.values())) | given
            case StoreMode.ADD:
                letters = now | given
            case StoreMode.TAKE:
                letters = now - given
        self.folder.mark(uid, "".join(sorted(letters)))

    def know(self, uid: int) -> None:
        """The client knows this message's flags: `news` need not tell."""
        message = self.folder.messages.get(uid)
        if message is not None:
            self._told[uid] = message.name.letters

    def expunge(self, among: Iterable[int]) -> None:
        r"""Take away those messages that are marked \Deleted."""
        deleted = FLAG_LETTERS["\\Deleted"]
        messages = self.folder.messages
        self.folder.remove(
            uid for uid in list(among) if uid in messages and deleted in messages[uid].name.letters
        )

    def news(self, *, renumber: bool) -> Iterator[bytes]:
        """What the client has not been told yet, as untagged replies; `renumber` allows EXPUNGE."""
        self.folder.refresh()
        messages = self.folder.messages
        if renumber:
            for place in range(len(self.uids) - 1, -1, -1):
                if self.uids[place] not in messages:
                    uid = self.uids.pop(place)
                    self._told.pop(uid, None)
                    self._recent.discard(uid)
                    yield b"%d EXPUNGE" % (place + 1)
        if self._admit_new():
            yield b"%d EXISTS" % len(self.uids)
            yield b"%d RECENT" % self.recent
        for number, uid in enumerate(self.uids, 1):
            if uid in messages and messages[uid].name.letters != self._told[uid]:
                self.know(uid)
                yield b"%d FETCH (UID %d FLAGS %b)" % (number, uid, flag_list(self.flags(uid)))

    def _admit_new(self) -> bool:
        """Number the messages that have come; whoever may write takes the recent ones as its own."""
        messages = self.folder.messages
        recent = {uid for uid, message in messages.items() if message.recent}
        if self.writable and recent:
            recent = self.folder.claim()
        last = self.uids[-1] if self.uids else 0
        fresh = [uid for uid in messages if uid > last]
        self._recent |= recent & set(fresh)
        self.uids += fresh
        self._told.update((uid, messages[uid].name.letters) for uid in fresh)
        return bool(fresh)


@dataclass(slots=True, kw_only=True)
class Look:
    """One message while a command reads it; the file is read once, when first needed."""

    number: int
    uid: int
    mailbox: Mailbox
    _part: Part | None = field(default=None, init=False, repr=False)
    _text: MailText | None = field(default=None, init=False, repr=False)

    @property
    def largest(self) -> tuple[int, int]:
        """The largest message number and the largest UID."""
        uids = self.mailbox.uids
        return len(uids), uids[-1]

    def flags(self) -> tuple[str, ...]:
        r"""IMAP flags, \Recent included."""
        return self.mailbox.flags(self.uid)

    def received(self) -> float:
        """The internal date, seconds since 1970."""
        return self.mailbox.folder.received(self.uid)

    def size(self) -> int:
        """Octets with CRLF."""
        return self.mailbox.folder.size(self.uid)

    @property
    def octets_read(self) -> int:
        """How much of the message has been read for this."""
        return len(self._part.text) if self._part is not None else 0

    def part(self) -> Part:
        """The message taken apart."""
        if self._part is None:
            self._part = mime.parse(self.mailbox.folder.read(self.uid))
        return self._part

    def text(self) -> MailText:
        """What can be read in the message, the same object each time."""
        if self._text is None:
            self._text = MailText(self.part())
        return self._text
