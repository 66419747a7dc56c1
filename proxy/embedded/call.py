"""What a command handler gets and may give back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from proxy.embedded.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from proxy.embedded.account import MailAccount
    from proxy.embedded.mailbox import Mailbox
    from proxy.imap.grammar import Head


class Phase(StrEnum):
    """Where a session stands (RFC 3501 §3)."""

    STRANGER = "not authenticated"
    SIGNED_IN = "authenticated"
    SELECTED = "selected"


class RefusedError(Exception):
    """A command that cannot be done: NO. The text is for the client, code included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One command."""

    tag: bytes
    name: bytes
    """In upper case, without the UID before it."""
    by_uid: bool
    arguments: Arguments

    @classmethod
    def read(cls, head: Head) -> Call:
        """Take the name apart; `UID EXPUNGE` is EXPUNGE by UID. Raises `BadArgumentsError`."""
        arguments = Arguments(head.rest)
        name, by_uid = head.name, head.name == b"UID"
        if by_uid:
            name = arguments.atom()
            arguments.space()
            if name not in _BY_UID:
                name = b"UID " + name  # no such command
        return cls(tag=head.tag, name=name, by_uid=by_uid, arguments=arguments)

    @property
    def may_renumber(self) -> bool:
        """Whether EXPUNGE may be told while this command runs (RFC 3501 §7.4.1)."""
        return self.by_uid or self.name not in {b"FETCH", b"STORE", b"SEARCH"}


_BY_UID: Final = frozenset({b"COPY", b"EXPUNGE", b"FETCH", b"SEARCH", b"STORE"})
"""RFC 3501 §6.4.8 and RFC 4315 §2.1."""


class Session(Protocol):
    """What handlers use of a session."""

    account: MailAccount | None
    mailbox: Mailbox | None

    def await_line(self, tag: bytes, prompt: bytes) -> None:
        """Ask for one line outside the grammar."""

    def start_idling(self) -> None:
        """Tell news as they come."""

    def sign_in(self, tag: bytes, response: bytes) -> None:
        """Check a SASL PLAIN message and answer."""

    def do_CAPABILITY(self, tag: bytes) -> None:  # noqa: N802
        """Twisted's."""

    def do_LOGOUT(self, tag: bytes) -> None:  # noqa: N802
        """Twisted's."""

    def do_CREATE(self, tag: bytes, name: str) -> None:  # noqa: N802
        """Twisted's."""

    def do_DELETE(self, tag: bytes, name: str) -> None:  # noqa: N802
        """Twisted's."""

    def do_RENAME(self, tag: bytes, oldname: str, newname: str) -> None:  # noqa: N802
        """Twisted's."""

    def do_SUBSCRIBE(self, tag: bytes, name: str) -> None:  # noqa: N802
        """Twisted's."""

    def do_UNSUBSCRIBE(self, tag: bytes, name: str) -> None:  # noqa: N802
        """Twisted's."""


if TYPE_CHECKING:
    Outcome = bytes | Generator[bytes | memoryview, None, bytes] | None
    """A text for the tagged OK; pieces to send before it; or nothing: the handler has answered itself."""
    Handler = Callable[[Session, Call], Outcome]


@dataclass(frozen=True, slots=True)
class Rule:
    """When a command is legal, and what does it."""

    phases: frozenset[Phase]
    handler: Handler


def account_of(session: Session) -> MailAccount:
    """The account of a session that has signed in."""
    if session.account is None:
        raise RefusedError("sign in first")
    return session.account


def mailbox_of(session: Session) -> Mailbox:
    """The selected folder of a session that has one."""
    if session.mailbox is None:
        raise RefusedError("select a folder first")
    return session.mailbox
