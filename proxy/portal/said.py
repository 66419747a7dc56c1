"""What the next page says of a deed, by the word that is kept for it: fixed words, which no link makes up."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SAID: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signed-out": "You are signed out.",
        "ended": "You were signed out because nothing was done for a while. Sign in again to go on.",
        "password-changed": "Your primary password is changed. Your app passwords were revoked.",
        "secret-replaced": "The new password was tried and is stored.",
        "not-begun-here": "That permission was not asked for from here, or too long ago. Begin again.",
        "authenticator-replaced": "Your new authenticator counts from now on. Your app passwords stay.",
        "others-signed-out": "Everybody else who was signed in to your account here is signed out.",
    }
)
