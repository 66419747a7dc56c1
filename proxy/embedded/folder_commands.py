"""Handlers of the commands about folders: RFC 3501 §6.3, RFC 4315 (APPENDUID), RFC 6154 (special use)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from proxy.embedded import foldernames
from proxy.embedded.arguments import Arguments, BadArgumentsError
from proxy.embedded.call import RefusedError, account_of
from proxy.embedded.fetch import flag_list
from proxy.embedded.foldernames import DELIMITER, SPECIAL_USE
from proxy.embedded.mailbox import Mailbox
from proxy.embedded.messagefile import FLAG_LETTERS, letters_for
from proxy.embedded.wirevalues import MONTHS, parenthesised, string

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from proxy.embedded.call import Call, Session
    from proxy.embedded.folder import Folder

_FLAGS: Final = flag_list(tuple(FLAG_LETTERS))
_DATE_TIME: Final = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)


def _name(arguments: Arguments) -> str:
    """A folder's name, the last argument."""
    name = foldernames.from_wire(arguments.astring())
    arguments.finish()
    return name


def select(session: Session, call: Call) -> Generator[bytes, None, bytes]:
    """SELECT and EXAMINE (RFC 3501 §6.3.1); a failed one leaves nothing selected."""
    session.mailbox = None
    folder = account_of(session).home.folder(_name(call.arguments))
    folder.refresh()
    writable = call.name == b"SELECT"
    mailbox = Mailbox(folder, writable=writable)
    session.mailbox = mailbox
    yield b"* FLAGS %b\r\n" % _FLAGS
    yield b"* OK [PERMANENTFLAGS %b] kept\r\n" % (_FLAGS if writable else b"()")
    yield b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(mailbox.uids), mailbox.recent)
    unseen = mailbox.first_unseen()
    if unseen is not None:
        yield b"* OK [UNSEEN %d] first unseen\r\n" % unseen
    yield b"* OK [UIDVALIDITY %d] valid\r\n" % folder.validity
    yield b"* OK [UIDNEXT %d] next\r\n" % folder.next_uid
    return b"[READ-WRITE] selected" if writable else b"[READ-ONLY] examined"


def create(session: Session, call: Call) -> None:
    """CREATE."""
    session.do_CREATE(call.tag, _name(call.arguments))


def delete(session: Session, call: Call) -> None:
    """DELETE."""
    session.do_DELETE(call.tag, _name(call.arguments))


def rename(session: Session, call: Call) -> None:
    """RENAME."""
    old = foldernames.from_wire(call.arguments.astring())
    call.arguments.space()
    session.do_RENAME(call.tag, old, _name(call.arguments))


def subscribe(session: Session, call: Call) -> None:
    """SUBSCRIBE."""
    session.do_SUBSCRIBE(call.tag, _name(call.arguments))


def unsubscribe(session: Session, call: Call) -> None:
    """UNSUBSCRIBE."""
    session.do_UNSUBSCRIBE(call.tag, _name(call.arguments))


def list_folders(session: Session, call: Call) -> Generator[bytes, None, bytes]:
    """LIST and LSUB (RFC 3501 §6.3.8 and §6.3.9), special use told unasked (RFC 6154 §2)."""
    reference = call.arguments.astring()
    call.arguments.space()
    pattern = call.arguments.list_pattern()
    call.arguments.finish()
    if not pattern:
        yield _listed(call.name, ["\\Noselect"], "")
        return b"that is the delimiter"
    wanted = (reference + pattern).decode("latin-1")
    home = account_of(session).home
    folders = home.names()
    names = folders if call.name == b"LIST" else home.subscribed()
    shown = set(names) | {above for name in names for above in foldernames.parents(name)}
    for name in sorted(shown, key=lambda name: (name != foldernames.INBOX, name)):
        real = name in names
        # RFC 3501 §6.3.9: LSUB tells a name that only stands above others when the pattern (%) ends there.
        told = real or call.name == b"LIST" or wanted.endswith("%")
        if told and foldernames.matches(wanted, name):
            attributes = [] if real and name in folders else ["\\Noselect"]
            yield _listed(call.name, attributes + _special(name), name)
    return b"that is all"


def _special(name: str) -> list[str]:
    return [SPECIAL_USE[name]] if name in SPECIAL_USE else []


def _listed(command: bytes, attributes: list[str], name: str) -> bytes:
    flags = parenthesised(attribute.encode("ascii") for attribute in attributes)
    delimiter = string(DELIMITER.encode("ascii"))
    return b"* %b %b %b %b\r\n" % (command, flags, delimiter, string(name.encode("ascii")))


def _count_unseen(folder: Folder) -> int:
    seen = FLAG_LETTERS["\\Seen"]
    return sum(seen not in message.name.letters for message in folder.messages.values())


_STATUS: Final[dict[bytes, Callable[[Folder], int]]] = {
    b"MESSAGES": lambda folder: len(folder.messages),
    b"RECENT": lambda folder: sum(message.recent for message in folder.messages.values()),
    b"UIDNEXT": lambda folder: folder.next_uid,
    b"UIDVALIDITY": lambda folder: folder.validity,
    b"UNSEEN": _count_unseen,
}


def status(session: Session, call: Call) -> Generator[bytes, None, bytes]:
    """STATUS (RFC 3501 §6.3.10)."""
    name = foldernames.from_wire(call.arguments.astring())
    call.arguments.space()
    asked = call.arguments.listed(call.arguments.atom)
    call.arguments.finish()
    if not asked or any(item not in _STATUS for item in asked):
        raise BadArgumentsError("unknown status item")
    folder = account_of(session).home.folder(name)
    folder.refresh()
    facts = parenthesised(b"%b %d" % (item, _STATUS[item](folder)) for item in dict.fromkeys(asked))
    yield b"* STATUS %b %b\r\n" % (string(name.encode("ascii")), facts)
    return b"that is how it stands"


def append(session: Session, call: Call) -> bytes:
    """APPEND (RFC 3501 §6.3.11) with APPENDUID (RFC 4315 §3)."""
    arguments = call.arguments
    name = foldernames.from_wire(arguments.astring())
    arguments.space()
    flags: tuple[str, ...] = ()
    if arguments.match(re.compile(rb"(?=\()")):
        flags = arguments.flags()
        arguments.space()
    received = None
    if arguments.match(re.compile(rb'(?=")')):
        received = _date_time(arguments)
        arguments.space()
    octets = arguments.literal()
    arguments.finish()
    if b"\0" in octets:
        raise BadArgumentsError("a message may not hold NUL")
    folder = target(session, name)
    uid = folder.add(octets, letters=letters_for(flags), received=received)
    return b"[APPENDUID %d %d] kept" % (folder.validity, uid)


def target(session: Session, name: str) -> Folder:
    """The folder that messages shall go into; the client is told that it may make a missing one."""
    home = account_of(session).home
    if not home.has(name):
        raise RefusedError("[TRYCREATE] no such folder")
    return home.folder(name)


def _date_time(arguments: Arguments) -> float:
    """Read an internal date: seconds since 1970."""
    found = arguments.need(_DATE_TIME, "a date and time")
    hours, minutes = int(found[8]), int(found[9])
    zone = timedelta(hours=hours, minutes=minutes) * (-1 if found[7] == b"-" else 1)
    try:
        at = datetime(
            int(found[3]),
            MONTHS.index(found[2].capitalize()) + 1,
            int(found[1]),
            int(found[4]),
            int(found[5]),
            min(int(found[6]), 59),
            tzinfo=timezone(zone) if zone else UTC,
        )
    except ValueError:
        raise BadArgumentsError("expected a date and time") from None
    return at.timestamp()
