"""The key ring: peppers for hashes, and sealing of the few secrets that must be read again.

A sealed value is AES-256-GCM (NIST SP 800-38D) twice: a fresh data key seals the text, the master key's
sealing sub-key wraps the data key. Both are bound to table, row, account, purpose and key id, so that a value
copied into another row, or read for another purpose, does not open. Each master key serves only as the input
of HKDF-SHA-256 (RFC 5869); pepper and sealing never share a key.

Keys arrive as octets. This module opens no file, and neither a key nor a plaintext is ever in a message.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auth.secret import Secret

KEY_OCTETS: Final = 32
"""Of a master key, a sub-key and a data key: AES-256."""

_NONCE_OCTETS: Final = 12
"""NIST SP 800-38D §5.2.1.1 recommends 96 bits."""
_TAG_OCTETS: Final = 16
_WRAPPED_OCTETS: Final = _NONCE_OCTETS + KEY_OCTETS + _TAG_OCTETS
_FORMAT: Final = b"\x01"
"""First octet of every box, so that another layout can follow one day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed value as it is stored, and the id of the master key that opens it."""

    key_id: str
    box: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The one place a sealed value belongs to."""

    table: str
    row_id: str
    account_id: str
    purpose: str


class UnknownKey(Exception):  # noqa: N818 - it names what was asked for
    """The key ring holds no key of this id: a matter of configuration, never of a wrong password."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key {key_id!r} in the key ring")
        self.key_id = key_id


class UnsealError(Exception):
    """The box does not open here: damaged, moved from another row, or not ours."""


def framed(*parts: str | bytes) -> bytes:
    """Join `parts` without ambiguity: each is preceded by its length in four octets."""
    octets = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in octets)


class KeyRing:
    """Master keys by id, and which of them new values are made with."""

    def __init__(
        self,
        keys: Mapping[str, bytes],
        current: str,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Take 32-octet master keys. Raises UnknownKey or ValueError, which names ids but no octets."""
        for key_id, key in keys.items():
            if not key_id or len(key) != KEY_OCTETS:
                raise ValueError(f"key {key_id!r} needs an id and exactly {KEY_OCTETS} octets")
        if current not in keys:
            raise UnknownKey(current)
        self.current_id = current
        self._random = random
        self._peppers = {key_id: _sub_key(key, "pepper") for key_id, key in keys.items()}
        self._sealers = {key_id: AESGCM(_sub_key(key, "seal")) for key_id, key in keys.items()}

    def __repr__(self) -> str:
        return f"KeyRing(ids={sorted(self._peppers)!r}, current={self.current_id!r})"

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the keys in it."""
        return frozenset(self._peppers)

    def check_value(self, key_id: str) -> bytes:
        """Give 32 octets that only this key yields and that tell nothing of it. Raises UnknownKey."""
        return self.pepper(key_id, framed("wicketgate/key check/1", key_id))

    def pepper(self, key_id: str, message: bytes) -> bytes:
        """HMAC-SHA-256 of `message`, 32 octets. `message` names its purpose. Raises UnknownKey."""
        try:
            key = self._peppers[key_id]
        except KeyError:
            raise UnknownKey(key_id) from None
        return hmac.digest(key, message, "sha256")

    def seal(self, plaintext: Secret, binding: Binding) -> Sealed:
        """Seal `plaintext` for the place `binding` names, under the current key."""
        key_id = self.current_id
        data_key = self._random(KEY_OCTETS)
        wrapped = _encrypt(self._sealers[key_id], self._random, data_key, _bound("key", binding, key_id))
        inner = _encrypt(
            AESGCM(data_key), self._random, plaintext.reveal_bytes(), _bound("value", binding, key_id)
        )
        return Sealed(key_id=key_id, box=_FORMAT + wrapped + inner)

    def unseal(self, sealed: Sealed, binding: Binding) -> Secret:
        """Open a sealed value. Raises UnknownKey, or UnsealError when it was not sealed for `binding`."""
        try:
            sealer = self._sealers[sealed.key_id]
        except KeyError:
            raise UnknownKey(sealed.key_id) from None
        if sealed.box[:1] != _FORMAT:
            raise UnsealError("a sealed value of an unknown format")
        wrapped, inner = sealed.box[1 : 1 + _WRAPPED_OCTETS], sealed.box[1 + _WRAPPED_OCTETS :]
        data_key = _decrypt(sealer, wrapped, _bound("key", binding, sealed.key_id))
        return Secret.from_wire(_decrypt(AESGCM(data_key), inner, _bound("value", binding, sealed.key_id)))


def _sub_key(master: bytes, purpose: str) -> bytes:
    """Derive the key for one purpose (RFC 5869; no salt, the master key is uniformly random)."""
    info = f"wicketgate/{purpose}/1".encode()
    return HKDF(algorithm=SHA256(), length=KEY_OCTETS, salt=None, info=info).derive(master)


def _bound(layer: str, binding: Binding, key_id: str) -> bytes:
    """The associated data of one layer of the envelope."""
    where = (binding.table, binding.row_id, binding.account_id, binding.purpose, key_id)
    return framed("wicketgate/sealed/1", layer, *where)


def _encrypt(cipher: AESGCM, random: Callable[[int], bytes], text: bytes, associated: bytes) -> bytes:
    nonce = random(_NONCE_OCTETS)
    return nonce + cipher.encrypt(nonce, text, associated)


def _decrypt(cipher: AESGCM, octets: bytes, associated: bytes) -> bytes:
    if len(octets) < _NONCE_OCTETS + _TAG_OCTETS:
        raise UnsealError("a sealed value cut short")
    try:
        return cipher.decrypt(octets[:_NONCE_OCTETS], octets[_NONCE_OCTETS:], associated)
    except InvalidTag:
        raise UnsealError("a sealed value that does not belong here") from None
