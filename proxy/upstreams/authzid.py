"""Sign-in kind `authzid`: SASL PLAIN as the gate's own user, on behalf of the account. RFC 4616.

The upstream trusts one user of ours to act for others, so no secret of an account is needed. The account's
login there is made from its primary email, whatever name the client signed in with.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from auth.secret import Secret
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant

_WORD: Final = re.compile(r"\{(?:email|user|domain)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authzid:
    """Who the gate is at the upstream, and how accounts are named there."""

    user: str
    secret: Secret
    login: str = "{email}"
    """With `{email}`, `{user}` (before the last @) and `{domain}` (behind it) filled in."""

    def plain(self, grant: Grant) -> Secret:
        """Give the message `authzid NUL authcid NUL password` in base64. Raises `UpstreamFailure`."""
        parts = (self.login_of(grant).encode(), self.user.encode(), self.secret.reveal_bytes())
        if any(not part or b"\0" in part for part in parts):
            raise UpstreamFailure("login, user or secret for the upstream is empty or holds NUL")
        return Secret(b64encode(b"\0".join(parts)).decode("ascii"))

    def login_of(self, grant: Grant) -> str:
        """Give the account's login at the upstream."""
        return login_template(self.login)(grant)


def login_template(text: str) -> Callable[[Grant], str]:
    """Give what makes an account's login from the words in braces."""

    def login(grant: Grant) -> str:
        user, _, domain = grant.email.rpartition("@")
        words = {"{email}": grant.email, "{user}": user, "{domain}": domain}
        return _WORD.sub(lambda word: words[word[0]], text)

    return login
