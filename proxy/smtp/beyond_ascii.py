"""What is beyond ASCII in an address. RFC 6531 §3.3, RFC 6532 §3.1.

Any character may be, but for those that are no text: they could end something for whoever reads them next.
Nothing is brought into another form; what two names have in common is for the server behind to know.
"""

from __future__ import annotations

import unicodedata
from typing import Final

BEYOND: Final = r"\x80-\U0010ffff"
"""In a pattern, within brackets; what it matches is still to be shown to `is_text`."""
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zs", "Zl", "Zp"})
"""Controls, and all that is a space or ends a line."""


def is_text(text: str) -> bool:
    """Tell whether all of `text` that is beyond ASCII is text."""
    if text.isascii():
        return True
    return all(each.isascii() or unicodedata.category(each) not in _NO_TEXT for each in text)
