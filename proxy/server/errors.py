"""Why the server cannot be started, or cannot go on."""

from __future__ import annotations


class ServeError(Exception):
    """For the administrator; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint
