"""A type for secrets that never prints itself.

Passwords, codes, seeds and app passwords travel as `Secret` from the wire to the hash. `repr`, `str` and
every format show a fixed word, comparison takes constant time, and it can be neither pickled nor hashed.
Only `reveal` and `reveal_bytes` give the value; grep for them to see every place that touches one.
"""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, final

_HIDDEN: Final = "Secret(hidden)"


@final
class Secret:
    """Text that must not reach a log, an exception, an argument list or a repr."""

    __slots__ = ("_text",)

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def from_wire(cls, octets: bytes) -> Secret:
        """Take octets as a client sent them; what is not UTF-8 is kept and matches nothing of ours."""
        return cls(octets.decode("utf-8", "surrogateescape"))

    def reveal(self) -> str:
        """Give the text itself."""
        return self._text

    def reveal_bytes(self) -> bytes:
        """Give the text in UTF-8, octets from the wire as they came."""
        return self._text.encode("utf-8", "surrogateescape")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal_bytes(), other.reveal_bytes())

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return _HIDDEN

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return _HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied out of the process")
