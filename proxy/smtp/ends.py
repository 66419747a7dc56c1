"""How a session ends: what began it, the last words to the client, and what the upstream did to cause it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.log.words import SessionEnd
from proxy.smtp.reply import Reply


class SessionOver(Exception):  # noqa: N818 - it names an end, not always an error
    """Nothing more is to be done but to say `words`, one reply or more, and to close."""

    def __init__(self, end: SessionEnd, words: bytes = b"", cause: str = "") -> None:
        super().__init__(end.value)
        self.end = end
        self.words = words
        self.cause = cause
        """For the log."""


class UpstreamLost(Exception):  # noqa: N818 - a fact about the upstream
    """The upstream cannot go on. The text is for the log: printable, and holds nothing of a message."""

    def __init__(self, cause: str, before: Sequence[Reply] = ()) -> None:
        super().__init__(cause)
        self.before = tuple(before)
        """Replies that came before it was lost."""


# RFC 3463: 4.3.0 and 4.3.2 mail system, 4.4.2 bad connection, 4.7.0 security. RFC 5321 §3.8: 421 and close.
FAILED: Final = b"451 4.3.0 the server behind failed, try again later\r\n"
CLOSING: Final = b"421 4.3.0 closing, connect again\r\n"
GOODBYE: Final = b"221 2.0.0 goodbye\r\n"
IDLE: Final = (SessionEnd.IDLE, b"421 4.4.2 idle for too long\r\n")
CUT: Final = (SessionEnd.CUT, b"421 4.7.0 this app-specific password was revoked\r\n")
EXPIRED: Final = (SessionEnd.EXPIRED, b"421 4.7.0 this app-specific password has expired\r\n")
STOPPED: Final = (SessionEnd.STOPPING, b"421 4.3.2 the server is stopping, try again later\r\n")
