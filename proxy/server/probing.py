"""Whether each server behind serves an account: connected to, signed in at and left again, one after another.

For the administrator, outside of any session: nothing here is told to clients. What fails is the same
`UpstreamFailure` that would be logged while serving.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from auth.secret import Secret
from config.address import AddressKind
from config.models import Config
from config.parts import upstream_tables
from config.upstream import DavUpstream as DavTable
from config.upstream import ImapUpstream as ImapTable
from config.upstream import SmtpUpstream as SmtpTable
from proxy.dav.upstream import DavUpstream
from proxy.imap.upstream import ImapUpstream
from proxy.letters.message import recipient_of
from proxy.limits import UPSTREAM_CONNECT_S, UPSTREAM_SIGN_IN_S
from proxy.server.behind import place_of, telling_of
from proxy.server.sign_ins import Safes, sign_in_as
from proxy.server.trying import OnTrial
from proxy.smtp.handing_in import HandingIn, Mail, Verdict, hand_in, say_goodbye
from proxy.smtp.upstream import SignedIn, SmtpUpstream
from proxy.upstreams.by_domain import domain_of
from proxy.upstreams.login import login_template, template_filled
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import SignInAs, UpstreamRefusal, plain
from scopes.model import Grant, Identity, Scope, Service

Table = ImapTable | SmtpTable | DavTable
MAIL_SENDER: Final = "mail.sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account to sign in as."""

    account_id: str
    email: str
    identities: Mapping[Service, Identity]

    @property
    def grant(self) -> Grant:
        """What a sign-in would be granted."""
        return Grant(
            account_id=self.account_id,
            email=self.email,
            app_password_id="",
            label="",
            scopes=frozenset(Scope),
            identities=self.identities,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A server behind that is not built in, and the account to sign in there with."""

    key: str
    """Its table, as in `upstream.imap`; `MAIL_SENDER` for the gate's own mails."""
    told: Table
    person: Person | None
    """None: no account signs in there yet."""

    @property
    def own(self) -> Identity | None:
        """Who the person is there, where that was set for it alone."""
        if self.person is None or isinstance(self.told, DavTable):
            return None
        return self.person.identities.get(_service(self.told))


def servers(config: Config, people: Sequence[Person]) -> Iterable[Behind]:
    """Give the servers behind, each with the first of these people that signs in there."""
    for key, told in upstream_tables(config):
        if told.address.kind is not AddressKind.EMBEDDED:
            theirs = [person for person in people if _signs_in_at(config, key, person)]
            yield Behind(key=key, told=told, person=theirs[0] if theirs else None)


def own_mail(config: Config, sender: Person) -> Behind | None:
    """Give the server that takes the gate's own mails, and their sender; None where it is built in."""
    for key, told in upstream_tables(config):
        if key.endswith(".smtp") and _signs_in_at(config, key, sender):
            built_in = told.address.kind is AddressKind.EMBEDDED
            return None if built_in else Behind(key=MAIL_SENDER, told=told, person=sender)
    return None


def _signs_in_at(config: Config, key: str, person: Person) -> bool:
    domain, name = domain_of(person.email), key.rpartition(".")[2]
    own = [
        number
        for number, each in enumerate(config.domain)
        if each.name == domain and getattr(each.upstream, name, None) is not None
    ]
    return key == (f"domain[{own[0]}].upstream.{name}" if own else f"upstream.{name}")


async def probe(config: Config, behind: Behind, safes: Safes) -> None:
    """Connect and sign in; without a person connect alone. Raises `UpstreamFailure`."""
    told, person = behind.told, behind.person
    if person is None:
        connection = await place_of(told).open(timeout_s=UPSTREAM_CONNECT_S)
        connection.abort()
    elif isinstance(told, DavTable):
        await _ask_dav(told, person)
    else:
        kind = sign_in_as(told, _service(told), safes)
        sender = config.mail.sender if behind.key == MAIL_SENDER and config.mail is not None else None
        offered = await _sign_in(config, told, person, kind, sender)
        promised = told.extensions if isinstance(told, SmtpTable) else ()
        if lacking := [each for each in promised if each not in offered]:
            what = f"{told.address} does not offer {', '.join(lacking)}, as its extensions say"
            raise UpstreamFailure(what)


async def takes_directly(config: Config, behind: Behind, password: Secret) -> bool | None:
    """Whether the server lets the person in with this password of its own; None: that cannot be tried there.

    A server that does stands open beside the gate: whoever reaches it needs no second factor. Raises
    `UpstreamFailure`.
    """
    told, person = behind.told, behind.person
    if person is None or isinstance(told, DavTable):
        return None
    login = template_filled(told.login, person.email) if behind.own is None else behind.own.login
    kind = OnTrial(login, plain(authzid="", authcid=login, password=password))
    try:
        await _sign_in(config, told, person, kind)
    except UpstreamRefusal:
        return False
    return True


def _service(told: ImapTable | SmtpTable) -> Service:
    return Service.IMAP if isinstance(told, ImapTable) else Service.SUBMISSION


async def _sign_in(
    config: Config,
    told: ImapTable | SmtpTable,
    person: Person,
    kind: SignInAs | None,
    sender: str | None = None,
) -> Collection[str]:
    """Sign in and leave; give the extensions that a submission server offers.

    `sender` is the address as which that server is to take mails.
    """
    place, telling = place_of(told), telling_of(told)
    if isinstance(told, SmtpTable):
        smtp = SmtpUpstream(
            place=place, sign_in_as=kind, client_address=telling, name=config.server.public_host
        )
        signed_in = await smtp.sign_in(person.grant)
        try:
            if sender is not None:
                await _must_take(told, signed_in, sender)
        finally:
            signed_in.connection.abort()
        return signed_in.extensions
    if kind is not None:
        imap = ImapUpstream(place=place, sign_in_as=kind, client_address=telling)
        (await imap.sign_in(person.grant)).connection.abort()
    return ()


async def _must_take(told: SmtpTable, signed_in: SignedIn, sender: str) -> None:
    """See that mails of this sender are taken, by one to itself that is not sent.

    That it has no mailbox of its own is no fault: it may be one that nobody reads.
    """
    leg = HandingIn(Mail(sender=sender, recipient=recipient_of(sender), text=b""), signed_in.extensions)
    try:
        outcome = await hand_in(
            signed_in.connection, leg, already=signed_in.rest, within_s=UPSTREAM_SIGN_IN_S
        )
    except UpstreamFailure as failure:
        raise UpstreamFailure(f"{told.address} {failure}") from None
    await say_goodbye(signed_in.connection, leg)
    if outcome.verdict is Verdict.LATER:
        raise UpstreamFailure(f"{told.address} {outcome.cause}")


async def _ask_dav(told: DavTable, person: Person) -> None:
    """Ask who we are (RFC 5397), as the person."""
    if told.sign_in is None:
        raise UpstreamFailure(f"no way to sign in at {told.address}")
    upstream = DavUpstream(place_of(told), header=told.sign_in.header, login=login_template(told.login))
    try:
        answer = await upstream.ask(person.grant, "PROPFIND", "/", (("depth", "0"),), b"")
    finally:
        upstream.close()
    if answer.status in (401, 403):
        raise UpstreamRefusal(f"{told.address} refuses our sign-in: {answer.status}")
    if answer.status >= 400:
        raise UpstreamFailure(f"{told.address} answers PROPFIND / with {answer.status}")
