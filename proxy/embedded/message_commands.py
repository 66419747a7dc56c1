"""Handlers of the commands about the messages of the selected folder: RFC 3501 §6.4, RFC 4315 (UIDPLUS)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy import limits
from proxy.embedded import foldernames
from proxy.embedded.arguments import BadArgumentsError
from proxy.embedded.call import RefusedError, mailbox_of
from proxy.embedded.fetch import Datum, Section, answers, flag_list, read_items
from proxy.embedded.folder import MessageGoneError
from proxy.embedded.folder_commands import target
from proxy.embedded.mailbox import Look, Mailbox, StoreMode
from proxy.embedded.outbox import PAUSE
from proxy.embedded.search import UnknownCharsetError, read_search
from proxy.embedded.sequence import SequenceSet, compact

if TYPE_CHECKING:
    from collections.abc import Generator

    from proxy.embedded.call import Call, Session
    from proxy.embedded.fetch import Item, Octets

_GONE = "[EXPUNGEISSUED] some messages are not there any more"
_LOOK_OCTETS: Final = 1_024
"""What it costs to look at a message of which nothing is read, in octets read."""


class _Pace:
    """Says when a command that goes over many messages has worked long enough for one turn."""

    def __init__(self) -> None:
        self._left = limits.EMBEDDED_TURN_OCTETS

    def after(self, message: Look) -> tuple[bytes, ...]:
        """What to send behind one message: nothing, or a pause."""
        self._left -= _LOOK_OCTETS + message.octets_read
        if self._left > 0:
            return ()
        self._left = limits.EMBEDDED_TURN_OCTETS
        return (PAUSE,)


def _numbers(call: Call, mailbox: Mailbox) -> list[int]:
    """Read the set of messages; a message number that is not in use is an error, such a UID is not."""
    wanted: SequenceSet = call.arguments.sequence_set()
    if call.by_uid:
        return [place + 1 for place in wanted.pick(mailbox.uids)]
    if wanted.largest() > len(mailbox.uids) or not mailbox.uids:
        raise BadArgumentsError("no message of that number")
    return [place + 1 for place in wanted.pick(range(1, len(mailbox.uids) + 1))]


def _writable(mailbox: Mailbox) -> None:
    if not mailbox.writable:
        raise RefusedError("[READ-ONLY] the folder was opened for reading")


def close(session: Session, call: Call) -> bytes:
    """CLOSE (RFC 3501 §6.4.2): expunges without telling."""
    call.arguments.finish()
    mailbox = mailbox_of(session)
    if mailbox.writable:
        mailbox.expunge(mailbox.uids)
    session.mailbox = None
    return b"closed"


def expunge(session: Session, call: Call) -> bytes:
    """EXPUNGE, and UID EXPUNGE (RFC 4315 §2.1); the numbers are told with the news that follow."""
    mailbox = mailbox_of(session)
    among = mailbox.uids
    if call.by_uid:
        among = [mailbox.uids[number - 1] for number in _numbers(call, mailbox)]
    call.arguments.finish()
    _writable(mailbox)
    mailbox.expunge(among)
    return b"expunged"


def search(session: Session, call: Call) -> Generator[bytes, None, bytes]:
    """SEARCH (RFC 3501 §6.4.4)."""
    mailbox = mailbox_of(session)
    try:
        test = read_search(call.arguments)
    except UnknownCharsetError:
        raise RefusedError("[BADCHARSET (US-ASCII UTF-8)] unknown character set") from None
    found = []
    pace = _Pace()
    for number, uid in enumerate(mailbox.uids, 1):
        message = mailbox.look_at(number)
        try:
            if test(message):
                found.append(uid if call.by_uid else number)
        except MessageGoneError:
            continue
        yield from pace.after(message)
    yield b"* %b\r\n" % b" ".join([b"SEARCH", *(b"%d" % one for one in found)])
    return b"searched"


def fetch(session: Session, call: Call) -> Generator[Octets, None, bytes]:
    r"""FETCH (RFC 3501 §6.4.5); looking at a body makes it \Seen."""
    mailbox = mailbox_of(session)
    numbers = _numbers(call, mailbox)
    call.arguments.space()
    items = read_items(call.arguments)
    if call.by_uid and Datum.UID not in items:
        items = (Datum.UID, *items)
    gone = False
    pace = _Pace()
    for number in numbers:
        message = mailbox.look_at(number)
        try:
            pieces = _fetched(mailbox, message, items)
        except MessageGoneError:
            gone = True
        else:
            yield from pieces
            yield from pace.after(message)
    if gone:
        raise RefusedError(_GONE)
    return b"fetched"


def _fetched(mailbox: Mailbox, message: Look, items: tuple[Item, ...]) -> list[Octets]:
    """The whole answer about one message, so that nothing is sent of one that cannot be read."""
    marks = mailbox.writable and any(isinstance(item, Section) and not item.peek for item in items)
    if marks and "\\Seen" not in message.flags():
        mailbox.store(message.uid, ("\\Seen",), StoreMode.ADD)
        items = items if Datum.FLAGS in items else (*items, Datum.FLAGS)
    told = answers(items, message)
    if Datum.FLAGS in items:
        mailbox.know(message.uid)
    return [b"* %d FETCH " % message.number, *told, b"\r\n"]


def store(session: Session, call: Call) -> Generator[bytes, None, bytes]:
    """STORE (RFC 3501 §6.4.6)."""
    mailbox = mailbox_of(session)
    numbers = _numbers(call, mailbox)
    call.arguments.space()
    name, dot, silent = call.arguments.atom().partition(b".")
    if name not in {mode.value.encode("ascii") for mode in StoreMode} or (dot and silent != b"SILENT"):
        raise BadArgumentsError("expected FLAGS, +FLAGS or -FLAGS")
    call.arguments.space()
    flags = call.arguments.bare_flags()
    call.arguments.finish()
    _writable(mailbox)
    gone = False
    for number in numbers:
        uid = mailbox.uids[number - 1]
        try:
            mailbox.store(uid, flags, StoreMode(name.decode("ascii")))
        except MessageGoneError:
            gone = True
            continue
        mailbox.know(uid)
        if not silent:
            shown = b"UID %d FLAGS %b" if call.by_uid else b"FLAGS %b"
            values = (uid, flag_list(mailbox.flags(uid))) if call.by_uid else (flag_list(mailbox.flags(uid)),)
            yield b"* %d FETCH (%b)\r\n" % (number, shown % values)
    if gone:
        raise RefusedError(_GONE)
    return b"stored"


def copy(session: Session, call: Call) -> bytes:
    """COPY (RFC 3501 §6.4.7) with COPYUID (RFC 4315 §3); all messages or none."""
    mailbox = mailbox_of(session)
    numbers = _numbers(call, mailbox)
    call.arguments.space()
    name = foldernames.from_wire(call.arguments.astring())
    call.arguments.finish()
    folder = target(session, name)
    pairs = folder.copy_from(mailbox.folder, [mailbox.uids[number - 1] for number in numbers])
    if not pairs:
        return b"nothing to copy"
    old, new = compact(uid for uid, _ in pairs), compact(uid for _, uid in pairs)
    return b"[COPYUID %d %b %b] copied" % (folder.validity, old, new)
