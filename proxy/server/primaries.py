"""Primary passwords that mail servers keep: each is tried by signing in at `[upstream.imap]` as the person.

Only a server's own word that a password is wrong is a no. That it is away, ill or full, that we cannot tell
it who the account is, that our store cannot be read: all of that is an outage, and says nothing of anyone.
What is typed goes to that server and nowhere else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from auth import names
from auth.deed import AccountError
from auth.identities import Identities, check_secret
from auth.primaries import PrimaryOutage
from auth.secret import Secret
from auth.store.rows import AccountRow
from config.models import Config
from proxy.net.tls import CertificateProblem
from proxy.server.errors import ServeError
from proxy.server.trying import OnTrial, try_sign_in, usual_login
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal, plain
from scopes.model import Identity, IdentityKind, Service

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailboxes:
    """The mail servers of one configuration that keep primary passwords: `auth.primaries.Primaries`."""

    config: Config
    identities: Identities

    def elsewhere(self, email: str) -> bool:
        """Tell whether the primary passwords of this address's domain are kept by a mail server."""
        return self.config.primary_of(email).kind == "imap"

    def first_sign_in(self, email: str) -> bool:
        """Tell whether who has a mailbox there may come in without an invitation."""
        return self.elsewhere(email) and self.config.primary_of(email).create == "first-sign-in"

    async def is_right(self, email: str, account: AccountRow | None, primary: Secret) -> bool:
        """Sign in there; False only where the server says no. Raises PrimaryOutage and StoreUnavailable."""
        if names.email_address(email) is None:
            return False
        try:
            check_secret(primary)
        except AccountError:  # no server could be asked about it
            return False
        try:
            login = await self._login(email, account)
            kind = OnTrial(login, plain(authzid="", authcid=login, password=primary))
            identity = Identity(login=login, kind=IdentityKind.LOGIN)
            await try_sign_in(self.config, Service.IMAP, email, identity, kind)
        except UpstreamRefusal:
            return False
        except (UpstreamFailure, ServeError, CertificateProblem) as trouble:
            log.warning("primary password not tried cause=%s", trouble)
            raise PrimaryOutage("the mail server that knows the primary password does not answer") from None
        return True

    async def _login(self, email: str, account: AccountRow | None) -> str:
        """Give the account's own name there, where it was set for it alone; else as the config says."""
        if account is not None:
            own = (await self.identities.of(account.email)).identities.get(Service.IMAP)
            if own is not None and own.login:
                return own.login
        return usual_login(self.config, Service.IMAP, email)


def primaries_of(config: Config, identities: Identities) -> Mailboxes | None:
    """Give them; None where every primary password is kept here."""
    tables = (config.primary, *(each.primary for each in config.domain if each.primary is not None))
    return Mailboxes(config=config, identities=identities) if any(t.kind == "imap" for t in tables) else None
