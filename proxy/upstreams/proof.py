"""What is shown to an upstream to sign in, and who gives it: the port of every sign-in kind. SASL, RFC 4422.

A kind makes a `Proof` for a grant; the legs of IMAP and SMTP choose the message whose mechanism the upstream
offers. One message is sent and at most one challenge answered, so a proof is a value. What failed is an
`UpstreamFailure`; that the upstream refuses the proof itself is an `UpstreamRefusal`, and neither is ever the
fault of the app password.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final, Protocol

from auth.secret import Secret
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant


class Mechanism(StrEnum):
    """The SASL mechanisms that we speak upstream."""

    PLAIN = "PLAIN"
    """RFC 4616."""
    OAUTHBEARER = "OAUTHBEARER"
    """RFC 7628."""
    XOAUTH2 = "XOAUTH2"
    """Google's forerunner of OAUTHBEARER, and all that Microsoft has."""

    @property
    def answer_to_error(self) -> bytes | None:
        """What answers the challenge that tells of an error, in base64; None where there is no such thing."""
        return _ANSWERS.get(self)


_ANSWERS: Final[Mapping[Mechanism, bytes]] = {
    Mechanism.OAUTHBEARER: b"AQ==",  # RFC 7628 §3.2.3: a single %x01
    Mechanism.XOAUTH2: b"",
}

_HIDDEN: Final = b"(hidden)"
_TELLING_OCTETS: Final = 8
"""Of the beginning of a secret: fewer stand by chance in what a server says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """SASL messages by mechanism, in base64, the one we would rather send first."""

    messages: Mapping[Mechanism, Secret]
    hidden: tuple[Secret, ...]
    """Secrets in them, to be blotted out should the upstream repeat them."""

    def chosen(self, offered: Collection[str]) -> Mechanism | None:
        """Give the mechanism to use where these (in upper case) are offered; None where none fits."""
        return next((each for each in self.messages if each.value in offered), None)

    @property
    def only(self) -> Mechanism | None:
        """The mechanism where there is but one; it may be tried unasked."""
        return next(iter(self.messages)) if len(self.messages) == 1 else None

    @property
    def names(self) -> str:
        """The mechanisms, in words for the log."""
        return " or ".join(self.messages)

    def without_secrets(self, said: bytes) -> bytes:
        """Blot our secrets out of what an upstream said, also where it repeats but the beginning of one."""
        secrets = [secret.reveal_bytes() for secret in (*self.messages.values(), *self.hidden)]
        for octets in filter(None, secrets):
            said = said.replace(octets, _HIDDEN)
        for octets in secrets:
            said = _without_beginning(said, octets)
        return said


def _without_beginning(said: bytes, secret: bytes) -> bytes:
    """Blot out what begins like the secret, for servers cut off long lines that they repeat."""
    begin, at = secret[:_TELLING_OCTETS], 0
    if len(begin) < _TELLING_OCTETS:
        return said
    while (at := said.find(begin, at)) >= 0:
        pairs = zip(said[at:], secret, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        said = said[:at] + _HIDDEN + said[at + same :]
        at += len(_HIDDEN)
    return said


class UpstreamRefusal(UpstreamFailure):
    """The upstream answers, and does not take our proof; or there is none for this account."""

    def __init__(self, cause: str, code: str = "") -> None:
        super().__init__(cause)
        self.code = code
        """The response code of its reply (RFC 5530), in upper case; empty where there was none."""


class SignInAs(Protocol):
    """A sign-in kind at one upstream."""

    async def proof(self, grant: Grant) -> Proof:
        """Give what is shown for this grant. Raises `UpstreamFailure`."""

    async def refused(self, grant: Grant, proof: Proof) -> bool:
        """Hear that the upstream refused it; whether another try, with a new proof, is worth it."""

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream."""


def plain(*, authzid: str, authcid: str, password: Secret) -> Proof:
    """Give the message `[authzid] NUL authcid NUL password` (RFC 4616 §2). Raises `UpstreamFailure`."""
    parts = (authzid.encode(), authcid.encode(), password.reveal_bytes())
    if not parts[1] or not parts[2] or any(b"\0" in part for part in parts):
        raise UpstreamFailure("login, user or secret for the upstream is empty or holds NUL")
    message = Secret(b64encode(b"\0".join(parts)).decode("ascii"))
    return Proof(messages={Mechanism.PLAIN: message}, hidden=(password,))


def readable(challenge: bytes) -> bytes:
    """Give what a challenge in base64 says, for the log; as it is where it is none."""
    try:
        return b64decode(challenge, validate=True)
    except binascii.Error:
        return challenge
