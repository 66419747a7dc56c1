"""Sign-in names: one canonical form, one case rule, exact look-up.

The canonical form is Unicode NFC in lower case, the whole name, on every protocol: `Alice@Example.org` is
`alice@example.org`. A name must be clean in the sense of the PRECIS IdentifierClass (RFC 8264 §4.2), before
and after it is brought into that form, and right-to-left parts must keep the Bidi Rule (RFC 5893 §2).
Stricter than RFC 8265 §3.3: full-width forms, and characters that merely decompose to others (the Kelvin
sign), are refused instead of mapped, and so is every character that needs its context to be judged. So
look-alikes, zero-width characters and direction marks are never another way to write a name.

Nothing is trimmed, no domain is added, and `xn--` labels and their Unicode form are two names.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain
from typing import Final

NAME_OCTETS: Final = 320
"""RFC 3696 errata 1690 and RFC 5321 §4.5.3.1: 64 before the @, 255 after it."""
LOCAL_OCTETS: Final = 64
DOMAIN_OCTETS: Final = 255
LABEL_OCTETS: Final = 63
"""RFC 1035 §2.3.4."""
EVERYBODY: Final = "*@"
"""Before a domain, among what an account may send as: every address there. In a name it means just itself."""

_LETTER_DIGITS: Final = frozenset({"Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"})
"""RFC 8264 §9.1."""
_VALID_ANYWAY: Final = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
"""RFC 8264 §9.6 (RFC 5892 §2.6), PVALID."""
_REFUSED: Final = frozenset(
    chr(code)
    for code in chain(
        (0x0640, 0x07FA, 0x302E, 0x302F, *range(0x3031, 0x3036), 0x303B),  # RFC 5892 §2.6, DISALLOWED
        (0x00B7, 0x0375, 0x05F3, 0x05F4, 0x30FB, *range(0x0660, 0x066A), *range(0x06F0, 0x06FA)),  # CONTEXTO
        (*range(0x1100, 0x1200), *range(0xA960, 0xA980), *range(0xD7B0, 0xD800)),  # §9.9, old Hangul jamo
        # §9.13, invisible (Default_Ignorable_Code_Point) though letters or marks by category
        (0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x3164, *range(0xFE00, 0xFE10), 0xFFA0),
        range(0xE0000, 0xE1000),
    )
)

_FIRST_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"})
_LAST_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "EN", "AN"})

_VISIBLE: Final = re.compile(r"[!-~]+")
"""ASCII7 of RFC 8264 §9.11, all of which the IdentifierClass holds."""
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
"""Dot-string of RFC 5321 §4.1.2 with RFC 6531 §3.3, after folding; quoted local parts are not taken."""
_LABEL: Final = re.compile(r"[a-z0-9\x80-\U0010ffff](?:[a-z0-9\x80-\U0010ffff-]*[a-z0-9\x80-\U0010ffff])?")
"""Letters, digits and inner hyphens (RFC 5321 §4.1.2), or an internationalised label."""


def canonical(name: str) -> str | None:
    """Give the form of `name` to look up and to store; None when it is not clean or over 320 octets."""
    if not name or len(name) > NAME_OCTETS:
        return None
    if name.isascii():  # what follows says the same of them, and is asked at every sign-in
        return name.lower() if _VISIBLE.fullmatch(name) else None
    if not all(map(_is_clean, name)):
        return None
    lower = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    if len(lower.encode()) > NAME_OCTETS or not all(map(_is_clean, lower)):
        return None
    return lower if all(map(_keeps_direction, re.split(r"[@.]", lower))) else None


def email_address(name: str) -> str | None:
    """Give the canonical form of an address (RFC 5321 §2.3.11); None when it is none we take."""
    address = canonical(name)
    if address is None:
        return None
    local, at, domain = address.rpartition("@")
    if not at or len(local.encode()) > LOCAL_OCTETS or len(domain.encode()) > DOMAIN_OCTETS:
        return None
    if not _LOCAL.fullmatch(local) or not all(map(_is_label, domain.split("."))):
        return None
    return address


def sends_as_itself(name: str) -> bool:
    """Tell whether a name to sign in by (canonical) is an address that its account may send as."""
    return not name.startswith(EVERYBODY) and email_address(name) == name


def _is_clean(char: str) -> bool:
    """Tell whether the IdentifierClass holds `char` (RFC 8264 §8, in its order)."""
    if char in _VALID_ANYWAY:
        return True
    if char in _REFUSED:
        return False
    if char.isascii():
        return "!" <= char <= "~"
    # HasCompat, §9.17; surrogates, controls, spaces, symbols and unassigned code points fall to the last test
    return unicodedata.normalize("NFKC", char) == char and unicodedata.category(char) in _LETTER_DIGITS


def _keeps_direction(part: str) -> bool:
    """Tell whether `part` keeps the Bidi Rule; one without right-to-left characters always does."""
    directions = [unicodedata.bidirectional(char) for char in part]
    if not _FIRST_RIGHT_TO_LEFT.intersection(directions) and "AN" not in directions:
        return True
    last = next((each for each in reversed(directions) if each != "NSM"), "")
    return (
        directions[0] in _FIRST_RIGHT_TO_LEFT
        and _RIGHT_TO_LEFT.issuperset(directions)
        and last in _LAST_RIGHT_TO_LEFT
        and not {"EN", "AN"}.issubset(directions)
    )


def _is_label(label: str) -> bool:
    return len(label.encode()) <= LABEL_OCTETS and _LABEL.fullmatch(label) is not None
