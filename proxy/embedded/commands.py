"""Which commands there are, in which phase each is legal, and what does it. Everything else is BAD.

What belongs to the network's side of the gate (STARTTLS, LOGIN, COMPRESS, UNAUTHENTICATE) is not here, so it
cannot be reached.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.embedded import folder_commands as folders
from proxy.embedded import message_commands as messages
from proxy.embedded.call import Phase, RefusedError, Rule

if TYPE_CHECKING:
    from proxy.embedded.call import Call, Session

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}|=")


def _capability(session: Session, call: Call) -> None:
    call.arguments.finish()
    session.do_CAPABILITY(call.tag)


def _logout(session: Session, call: Call) -> None:
    call.arguments.finish()
    session.do_LOGOUT(call.tag)


def _noop(session: Session, call: Call) -> bytes:  # noqa: ARG001 - the news are told behind it
    """NOOP and CHECK."""
    call.arguments.finish()
    return b"done"


def _authenticate(session: Session, call: Call) -> None:
    """AUTHENTICATE PLAIN, with or without an initial response (RFC 4959)."""
    if call.arguments.atom() != b"PLAIN":
        raise RefusedError("[CANNOT] only PLAIN")
    if call.arguments.at_end:
        session.await_line(call.tag, b"")
        return
    call.arguments.space()
    response = call.arguments.need(_BASE64, "base64")[0]
    call.arguments.finish()
    session.sign_in(call.tag, b"" if response == b"=" else response)


def _idle(session: Session, call: Call) -> None:
    """IDLE (RFC 2177)."""
    call.arguments.finish()
    session.await_line(call.tag, b"idling")
    session.start_idling()


_ALWAYS: Final = frozenset(Phase)
_STRANGER: Final = frozenset({Phase.STRANGER})
_SIGNED_IN: Final = frozenset({Phase.SIGNED_IN, Phase.SELECTED})
_SELECTED: Final = frozenset({Phase.SELECTED})

COMMANDS: Final = {
    b"CAPABILITY": Rule(_ALWAYS, _capability),
    b"NOOP": Rule(_ALWAYS, _noop),
    b"LOGOUT": Rule(_ALWAYS, _logout),
    b"AUTHENTICATE": Rule(_STRANGER, _authenticate),
    b"SELECT": Rule(_SIGNED_IN, folders.select),
    b"EXAMINE": Rule(_SIGNED_IN, folders.select),
    b"CREATE": Rule(_SIGNED_IN, folders.create),
    b"DELETE": Rule(_SIGNED_IN, folders.delete),
    b"RENAME": Rule(_SIGNED_IN, folders.rename),
    b"SUBSCRIBE": Rule(_SIGNED_IN, folders.subscribe),
    b"UNSUBSCRIBE": Rule(_SIGNED_IN, folders.unsubscribe),
    b"LIST": Rule(_SIGNED_IN, folders.list_folders),
    b"LSUB": Rule(_SIGNED_IN, folders.list_folders),
    b"STATUS": Rule(_SIGNED_IN, folders.status),
    b"APPEND": Rule(_SIGNED_IN, folders.append),
    b"IDLE": Rule(_SIGNED_IN, _idle),
    b"CHECK": Rule(_SELECTED, _noop),
    b"CLOSE": Rule(_SELECTED, messages.close),
    b"EXPUNGE": Rule(_SELECTED, messages.expunge),
    b"SEARCH": Rule(_SELECTED, messages.search),
    b"FETCH": Rule(_SELECTED, messages.fetch),
    b"STORE": Rule(_SELECTED, messages.store),
    b"COPY": Rule(_SELECTED, messages.copy),
}
"""RFC 3501 §6.1 to §6.4; UID COPY, EXPUNGE, FETCH, SEARCH and STORE are these by UID."""
