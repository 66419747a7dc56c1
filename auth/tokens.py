"""Tokens of 256 random bits, in a cookie or a link. The store has their SHA-256 alone.

So many bits need no salt, no key and no slow hash: who reads the store can make no cookie of what is there.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from auth.secret import Secret

_OCTETS: Final = 32


def new_token(random: Callable[[int], bytes] = secrets.token_bytes) -> Secret:
    """Make a token: 43 characters that a cookie and an address can hold as they are (RFC 4648 §5)."""
    return Secret(base64.urlsafe_b64encode(random(_OCTETS)).decode("ascii").rstrip("="))


def token_digest(token: Secret) -> bytes:
    """Give what is stored of a token; of anything that was sent in place of one, too."""
    return hashlib.sha256(token.reveal_bytes()).digest()
