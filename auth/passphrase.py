"""A box that a passphrase opens: what must leave the machine and stay secret, such as copies of the keys.

scrypt (RFC 7914) makes a key of the passphrase, AES-256-GCM (NIST SP 800-38D) seals with it. The terms (salt
and cost) are kept beside the box, for they are needed to open it; what the box belongs to is bound in as
associated data, so that it opens nowhere else.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from auth.seal import KEY_OCTETS
from auth.secret import Secret

LEAST_CHARACTERS: Final = 12
"""Of a passphrase: whoever has the box can guess without end, at a second a guess."""
_SALT_OCTETS: Final = 16
_NONCE_OCTETS: Final = 12
_COST: Final = 2**17
_BLOCKS: Final = 8
_LANES: Final = 1
"""Together 128 MiB and about half a second: OWASP's first choice for scrypt."""
_MOST_COST: Final = 2**20
_MOST_BLOCKS: Final = 16
_MOST_LANES: Final = 4
"""A box made elsewhere must not ask for more than 2 GiB."""


class WrongPassphrase(Exception):  # noqa: N818 - it names what was given
    """The box does not open: another passphrase, another place, or damage. Which one cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the key is made of the passphrase: salt, and scrypt's N, r and p (RFC 7914 §2)."""

    salt: bytes
    cost: int = _COST
    blocks: int = _BLOCKS
    lanes: int = _LANES

    def __post_init__(self) -> None:
        """Refuse what is no cost, or too much. Raises ValueError."""
        power_of_two = self.cost > 1 and not self.cost & (self.cost - 1)
        if not power_of_two or self.cost > _MOST_COST or len(self.salt) != _SALT_OCTETS:
            raise ValueError("not the terms of a passphrase")
        if not (0 < self.blocks <= _MOST_BLOCKS and 0 < self.lanes <= _MOST_LANES):
            raise ValueError("not the terms of a passphrase")

    def key(self, passphrase: Secret) -> bytes:
        """Make the key; takes memory and time."""
        scrypt = Scrypt(salt=self.salt, length=KEY_OCTETS, n=self.cost, r=self.blocks, p=self.lanes)
        return scrypt.derive(passphrase.reveal_bytes())


def new_terms(random: Callable[[int], bytes] = secrets.token_bytes) -> Terms:
    """Make terms with a salt of their own, at today's cost."""
    return Terms(salt=random(_SALT_OCTETS))


def lock(
    passphrase: Secret,
    terms: Terms,
    text: bytes,
    bound_to: bytes,
    *,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """Put `text` into a box that belongs to `bound_to`."""
    nonce = random(_NONCE_OCTETS)
    return nonce + AESGCM(terms.key(passphrase)).encrypt(nonce, text, bound_to)


def unlock(passphrase: Secret, terms: Terms, box: bytes, bound_to: bytes) -> bytes:
    """Open a box. Raises WrongPassphrase."""
    nonce, sealed = box[:_NONCE_OCTETS], box[_NONCE_OCTETS:]
    try:
        return AESGCM(terms.key(passphrase)).decrypt(nonce, sealed, bound_to)
    except (InvalidTag, ValueError):
        raise WrongPassphrase("the passphrase does not open it") from None
