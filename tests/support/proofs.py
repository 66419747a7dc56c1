"""Proofs for upstream legs, from the messages they send."""

from __future__ import annotations

from base64 import b64decode, b64encode

from auth.secret import Secret
from proxy.upstreams.proof import Mechanism, Proof


def plain_of(message: Secret) -> Proof:
    """The proof of one SASL PLAIN message in base64."""
    password = Secret(b64decode(message.reveal_bytes()).rpartition(b"\0")[2].decode())
    return Proof(messages={Mechanism.PLAIN: message}, hidden=(password,))


def bearer(token: str = "ya29.token", login: str = "alice@example.org") -> Proof:
    """What OAuth 2 shows: both mechanisms, with one token."""
    xoauth2 = f"user={login}\1auth=Bearer {token}\1\1".encode()
    oauthbearer = f"n,a={login},\1auth=Bearer {token}\1\1".encode()
    return Proof(
        messages={
            Mechanism.OAUTHBEARER: Secret(b64encode(oauthbearer).decode()),
            Mechanism.XOAUTH2: Secret(b64encode(xoauth2).decode()),
        },
        hidden=(Secret(token),),
    )
