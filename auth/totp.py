"""The second factor: time-based codes (RFC 6238) and recovery codes.

A code counts for its own step of 30 seconds and the one on either side. Whoever accepts it stores its step in
the same transaction as the deed; a code of that step or an earlier one is then a replay and matches nothing.
Recovery codes hold 80 random bits, so a keyed digest stores them safely; they are written in Crockford's
base32 in four groups of four, shorter than an app password so that neither is taken for the other.

Nothing here is stored and no clock is read: time comes in as seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

import pyotp

from auth.seal import KeyRing, framed
from auth.secret import Secret

STEP_S: Final = 30
"""RFC 6238 §5.2 recommends 30 seconds, and authenticators take nothing else for granted."""
DRIFT_STEPS: Final = 1
"""Either side: RFC 6238 §5.2 recommends at most one step for the delay of the network."""
DIGITS: Final = 6
SEED_OCTETS: Final = 20
"""RFC 4226 §4, R6 recommends 160 bits."""

RECOVERY_CODES: Final = 10
_RECOVERY_OCTETS: Final = 10
_RECOVERY_LENGTH: Final = 16
_GROUP_LENGTH: Final = 4
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without i, l, o and u; the first three are read as 1, 1 and 0."""
_RFC_4648: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_CROCKFORD: Final = str.maketrans(_RFC_4648, _CROCKFORD)
_READ_AS: Final = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZILOilo", "abcdefghjkmnpqrstvwxyz110110")
_CODE: Final = re.compile(rf"[0-9]{{{DIGITS}}}")
_TYPED_MOST: Final = 64
"""Characters looked at, decoration included."""


def new_seed(random: Callable[[int], bytes] = secrets.token_bytes) -> Secret:
    """Make the seed of a new authenticator: 160 bits in base32, as authenticators take it."""
    return Secret(base64.b32encode(random(SEED_OCTETS)).decode("ascii"))


def provisioning_uri(seed: Secret, email: str, issuer: str) -> Secret:
    """Give the `otpauth://` URI to show as a QR code. It contains the seed."""
    return Secret(pyotp.TOTP(seed.reveal()).provisioning_uri(name=email, issuer_name=issuer))


def matching_step(seed: Secret, code: Secret, now: float, last_step: int | None) -> int | None:
    """Give the step `code` belongs to, None when it is wrong or was already used.

    `last_step` is the step last accepted for this account. The caller compares it and stores the result in
    one transaction. Every candidate is compared, in constant time.
    """
    typed = "".join(code.reveal()[:_TYPED_MOST].split())
    if not _CODE.fullmatch(typed):
        return None
    totp = pyotp.TOTP(seed.reveal(), digits=DIGITS, interval=STEP_S)
    current, found = int(now // STEP_S), None
    for step in range(max(0, current - DRIFT_STEPS), current + DRIFT_STEPS + 1):
        matches = hmac.compare_digest(totp.generate_otp(step), typed)
        if matches and (last_step is None or step > last_step):
            found = step  # the latest of two alike, so that neither can be used again
    return found


def new_recovery_codes(
    count: int = RECOVERY_CODES, random: Callable[[int], bytes] = secrets.token_bytes
) -> tuple[Secret, ...]:
    """Make recovery codes as they are shown: four groups of four."""
    return tuple(_recovery_code(random(_RECOVERY_OCTETS)) for _ in range(count))


def normalise_recovery(code: Secret) -> Secret | None:
    """Give the 16 plain characters of a typed recovery code; None when it has not the shape."""
    typed = code.reveal()
    if len(typed) > _TYPED_MOST:
        return None
    plain = "".join(char for char in typed if not char.isspace() and char != "-").translate(_READ_AS)
    if len(plain) != _RECOVERY_LENGTH or not set(plain) <= set(_CROCKFORD):
        return None
    return Secret(plain)


def recovery_digest(keys: KeyRing, key_id: str, account_id: str, code: Secret) -> bytes:
    """Digest a normalised recovery code for storing and for look-up, 32 octets. Raises UnknownKey."""
    return keys.pepper(key_id, framed("wicketgate/recovery/1", account_id, code.reveal_bytes()))


def _recovery_code(octets: bytes) -> Secret:
    plain = base64.b32encode(octets).decode("ascii").translate(_TO_CROCKFORD)
    return Secret("-".join(plain[at : at + _GROUP_LENGTH] for at in range(0, len(plain), _GROUP_LENGTH)))
