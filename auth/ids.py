"""Identifiers of accounts and app passwords: drawn by the machine, the same shape for good.

`ac_` or `ap_` and 16 lower-case characters, 80 random bits. They are no secret.
"""

from __future__ import annotations

import base64
import secrets
import string
from typing import Final

ACCOUNT: Final = "ac_"
INVITATION: Final = "in_"
APP_PASSWORD: Final = "ap_"  # noqa: S105 - a prefix

_OCTETS: Final = 10
_CHARS: Final = 16
"""What ten octets are in base32 (RFC 4648 §6), which needs no padding for them."""
_SYMBOLS: Final = frozenset(string.ascii_lowercase + "234567")


def new_id(prefix: str) -> str:
    """Make an identifier."""
    return prefix + base64.b32encode(secrets.token_bytes(_OCTETS)).decode("ascii").lower()


def looks_like_id(text: str) -> bool:
    """Tell whether `text` has the shape of an app password's id."""
    drawn = text.removeprefix(APP_PASSWORD)
    return drawn != text and len(drawn) == _CHARS and _SYMBOLS.issuperset(drawn)
