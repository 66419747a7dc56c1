"""App passwords: made, read back and told apart from everything else.

Twenty characters of an alphabet of 31, drawn without bias. The first four are the selector, which is no
secret and finds the row; the other sixteen are the verifier, 79 random bits. People paste with blanks, line
ends and the hyphens of the groups, so white space and hyphens are dropped and ASCII capitals folded before
anything else looks at it. A text that is then not of this shape never costs a look-up or a hash.

Nothing here stores, hashes or compares.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auth.seal import framed
from auth.secret import Secret

ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, o, 0 and 1, which are read for one another. ASCII: some clients cannot send anything else."""
SELECTOR_LENGTH: Final = 4
LENGTH: Final = 20
GROUP_LENGTH: Final = 4
"""Shown as five groups of four; wide enough to read, short enough to type from another screen."""

_PASTED_MOST: Final = 256
"""Characters looked at, decoration included; a longer text is something else."""
_DECORATION: Final = re.compile(r"[\s\u00ad\u2010\u2011-]+")
"""White space, and what pages and editors make of our hyphens: soft, U+2010 and non-breaking ones too."""
_FOLD: Final = str.maketrans({upper: upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
_SYMBOLS: Final = frozenset(ALPHABET)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPassword:
    """An app password in its two parts."""

    selector: str
    """Finds the row; shown in lists."""
    verifier: Secret

    def text(self) -> Secret:
        """The 20 characters without groups."""
        return Secret(self.selector + self.verifier.reveal())

    def grouped(self) -> Secret:
        """The form people see: five groups of four."""
        plain = self.text().reveal()
        groups = (plain[at : at + GROUP_LENGTH] for at in range(0, LENGTH, GROUP_LENGTH))
        return Secret("-".join(groups))


def generate(randbelow: Callable[[int], int] = secrets.randbelow) -> AppPassword:
    """Make a new app password. `randbelow(n)` draws evenly from 0 to n - 1."""
    plain = "".join(ALPHABET[randbelow(len(ALPHABET))] for _ in range(LENGTH))
    return _split(plain)


def parse(secret: Secret) -> AppPassword | None:
    """Read what a client sent as an app password; None when it has not the shape. Never raises."""
    pasted = secret.reveal()
    if len(pasted) > _PASTED_MOST:
        return None
    plain = _DECORATION.sub("", pasted).translate(_FOLD)
    if len(plain) != LENGTH or not _SYMBOLS.issuperset(plain):
        return None
    return _split(plain)


def looks_like_one(text: str) -> bool:
    """Tell whether `text` has the shape: such a name or label was pasted into the wrong field."""
    return parse(Secret(text)) is not None


def verifier_message(account_id: str, selector: str, verifier: Secret) -> bytes:
    """What is peppered before it is hashed: it binds the verifier to its account and its selector."""
    return framed("wicketgate/app/1", account_id, selector, verifier.reveal_bytes())


def _split(plain: str) -> AppPassword:
    return AppPassword(selector=plain[:SELECTOR_LENGTH], verifier=Secret(plain[SELECTOR_LENGTH:]))
