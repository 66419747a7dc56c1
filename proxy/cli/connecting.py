"""What `wicketgate check --connect` does: the servers behind, one by one, and a word about each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from auth.identities import Identities
from auth.secret import Secret
from auth.store import queries
from auth.store.store import Store
from config.models import Config
from proxy.cli.advice import advice
from proxy.cli.output import note
from proxy.opening import key_ring, open_store
from proxy.server.mailing import sender_grant
from proxy.server.probing import Behind, Person, own_mail, probe, servers, takes_directly
from proxy.server.providers import safes_of
from proxy.server.sign_ins import Safes
from proxy.upstreams.place import UpstreamFailure
from scopes.model import IdentityKind

_SIDE_DOOR: Final = "close the side door, as docs/deploy.md shows: it needs this password from nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was seen of one server behind."""

    key: str
    address: str
    email: str | None
    """As whom it was signed in at; None: it was connected to alone."""
    what: str = ""
    """What is wrong; empty when all is well."""
    hint: str = ""
    side_door: bool | None = None
    """Whether it takes the account's own password directly; None: that was not tried."""

    @property
    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


async def look(config: Config, email: str | None, password: Secret | None) -> list[Finding]:
    """Look at every server behind, as `email` or as the first account that signs in there.

    `password` is tried as its own password at each; it should be refused. Raises ConfigErrors, AccountError
    and StoreUnavailable.
    """
    keys = key_ring(config)
    store = await open_store(config, keys)
    safes = safes_of(config, store, keys)
    try:
        identities = Identities(store, keys, time.time)
        behind = servers(config, await _people(store, identities, email))
        wanted = [each for each in behind if email is None or each.person]
        if email is None:
            wanted += await _own_mail(config, identities)
        return [await _look_at(config, each, safes, password) for each in wanted]
    finally:
        for tokens in safes.tokens.values():
            await tokens.close()
        await store.close()


async def _own_mail(config: Config, identities: Identities) -> list[Behind]:
    """Give the server that takes the gate's own mails, as their sender."""
    if config.mail is None:
        return []
    grant = await sender_grant(identities, config.mail.sender)
    sender = Person(account_id=grant.account_id, email=grant.email, identities=grant.identities)
    found = own_mail(config, sender)
    return [] if found is None else [found]


async def _people(store: Store, identities: Identities, email: str | None) -> list[Person]:
    if email is None:
        rows = await store.read(queries.all_accounts)
        emails = [row.email for row in rows if row.disabled_at is None]
    else:
        emails = [email]
    known = [await identities.of(each) for each in emails]
    for each in known:
        if each.account.disabled_at is not None:
            note(f"{each.account.email} is disabled: the gate refuses its apps, whatever these servers say")
    return [
        Person(account_id=each.account.id, email=each.account.email, identities=each.identities)
        for each in known
    ]


async def _look_at(config: Config, behind: Behind, safes: Safes, password: Secret | None) -> Finding:
    email = None if behind.person is None else behind.person.email
    what = hint = ""
    side_door = None
    try:
        await probe(config, behind, safes)
        if password is not None and behind.person is not None:
            side_door = await takes_directly(config, behind, password)
    except UpstreamFailure as failure:
        what = str(failure)
        hint = advice(what, stored=behind.own is not None and behind.own.kind is IdentityKind.STORED)
    if side_door:
        what, hint = f"{behind.told.address} takes {email}'s own password directly", _SIDE_DOOR
    return Finding(
        key=behind.key,
        address=str(behind.told.address),
        email=email,
        what=what,
        hint=hint,
        side_door=side_door,
    )
