"""The mail servers that keep primary passwords: asked by a sign-in with the person's own one.

`auth.primaries.Primaries` over one configuration. Only a server that says that the password is wrong says so
here. That it is away, has no room, wants something else, or answers in a way that is not known, is an outage:
an allow-list, for what is taken for "wrong" counts against a person. What the server says goes into the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from auth.deed import AccountError
from auth.identities import Identities, check_secret
from auth.outage import PrimaryOutage
from auth.secret import Secret
from auth.store.rows import AccountRow
from config.models import Config
from proxy.limits import PRIMARIES_AT_ONCE, PRIMARY_ASK_S
from proxy.net.tls import CertificateProblem
from proxy.server.errors import ServeError
from proxy.server.trying import OnTrial, try_sign_in, usual_login
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal, plain
from scopes.model import Identity, Service

log = logging.getLogger(__name__)

_WRONG: Final = frozenset({"", "AUTHENTICATIONFAILED", "EXPIRED"})
"""RFC 5530 §3. Most servers say the second, older ones no code at all; what has expired is none any more."""


class Mailboxes:
    """Asks the IMAP server behind each account whose domain says so. One event loop."""

    def __init__(self, config: Config, identities: Identities, *, within_s: float = PRIMARY_ASK_S) -> None:
        """`within_s` is for one answer, waiting for a turn included."""
        self._config = config
        self._identities = identities
        self._within_s = within_s
        self._turns = asyncio.Semaphore(PRIMARIES_AT_ONCE)

    def elsewhere(self, email: str) -> bool:
        """Tell whether the mail server keeps the primary password of this address."""
        return self._config.primary_of(email).kind == "imap"

    def first_sign_in(self, email: str) -> bool:
        """Tell whether who has a mailbox there may come in without an invitation."""
        return self.elsewhere(email) and self._config.primary_of(email).create == "first-sign-in"

    async def is_right(self, email: str, account: AccountRow | None, primary: Secret) -> bool:
        """Sign in with it once, as the account is called there. Raises PrimaryOutage and StoreUnavailable."""
        try:
            check_secret(primary)
        except AccountError:  # no server can be asked about it
            return False
        own = await self._identities.login("" if account is None else account.id, Service.IMAP)
        try:
            async with asyncio.timeout(self._within_s), self._turns:
                await self._try(email, own, primary)
        except UpstreamRefusal as refused:
            if refused.code in _WRONG:
                return False
            raise _outage(email, str(refused)) from None
        except (UpstreamFailure, CertificateProblem, ServeError) as failure:
            raise _outage(email, str(failure)) from None
        except TimeoutError:
            raise _outage(email, f"no answer within {self._within_s:.0f} s") from None
        return True

    async def _try(self, email: str, own: str | None, primary: Secret) -> None:
        login = own or usual_login(self._config, Service.IMAP, email)
        shown = OnTrial(login, plain(authzid="", authcid=login, password=primary))
        await try_sign_in(self._config, Service.IMAP, email, Identity(login=login), shown)


def primaries_of(config: Config, identities: Identities) -> Mailboxes | None:
    """Make it where the config lets a mail server keep any primary password."""
    tables = (config.primary, *(each.primary for each in config.domain if each.primary is not None))
    return Mailboxes(config, identities) if any(each.kind == "imap" for each in tables) else None


def _outage(email: str, cause: str) -> PrimaryOutage:
    log.warning("the primary password of %s cannot be tried: %s", email, cause)
    return PrimaryOutage("the mail server that knows the primary password does not answer as it should")
