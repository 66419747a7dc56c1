"""An account as Twisted's handlers want it: `IAccountIMAP` over a `MailHome`.

Only what Twisted's own CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE call does anything here; our
handlers use the home itself. Names are checked before they come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.mail.imap4 import MailboxException

from proxy.embedded.maildir import FolderRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.embedded.maildir import MailHome


class MailAccount:
    """One account, for one session."""

    def __init__(self, home: MailHome) -> None:
        self.home = home

    def create(self, name: str) -> bool:
        """Make a folder."""
        _translated(lambda: self.home.create(name))
        return True

    def delete(self, name: str) -> None:
        """Delete a folder."""
        _translated(lambda: self.home.delete(name))

    def rename(self, oldname: str, newname: str) -> None:
        """Rename a folder."""
        _translated(lambda: self.home.rename(oldname, newname))

    def subscribe(self, name: str) -> None:
        """Put a name on the list of subscriptions."""
        self.home.subscribe(name, wanted=True)

    def unsubscribe(self, name: str) -> None:
        """Take it off."""
        self.home.subscribe(name, wanted=False)


def _translated(deed: Callable[[], None]) -> None:
    try:
        deed()
    except FolderRefusedError as error:
        raise MailboxException(str(error)) from error
