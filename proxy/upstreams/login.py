"""An account's login at an upstream: its own where one was set, else made from its primary email."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scopes.model import Grant, Service

_WORD: Final = re.compile(r"\{(?:email|user|domain)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """How accounts are called at the upstream of one service."""

    template: str = "{email}"
    """With `{email}`, `{user}` (before the last @) and `{domain}` (behind it) filled in."""
    service: Service | None = None
    """Whose identities count before the template; None: none do."""

    def of(self, grant: Grant) -> str:
        """Give the account's login, whatever name the client signed in with."""
        identity = None if self.service is None else grant.identities.get(self.service)
        return login_template(self.template)(grant) if identity is None else identity.login


def login_template(text: str) -> Callable[[Grant], str]:
    """Give what makes an account's login from the words in braces."""
    return lambda grant: template_filled(text, grant.email)


def template_filled(text: str, email: str) -> str:
    """Fill the words in braces in."""
    user, _, domain = email.rpartition("@")
    words = {"{email}": email, "{user}": user, "{domain}": domain}
    return _WORD.sub(lambda word: words[word[0]], text)
