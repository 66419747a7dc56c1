"""The servers behind the gate, made from the config. The built-in ones are started and stopped here."""

from __future__ import annotations

from contextlib import AsyncExitStack

from auth.secret import Secret
from config.address import AddressKind
from config.models import Config
from config.private import read_secret_text
from config.upstream import SignIn, SubmissionSignIn, Upstream
from proxy.dav.upstream import DavUpstream
from proxy.embedded.children import EmbeddedDav, EmbeddedDelivery, EmbeddedMail
from proxy.embedded.recipients import Mailboxes, lookup_in
from proxy.imap.upstream import ImapUpstream
from proxy.net.tls import CertificateFiles, client_context
from proxy.server.errors import ServeError
from proxy.server.places import dav_folder, mail_folder
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.login import Logins, login_template
from proxy.upstreams.place import Place


async def imap_upstream(config: Config, stack: AsyncExitStack) -> ImapUpstream | None:
    """Make the way to the IMAP server behind."""
    told = config.upstream.imap
    if told is None:
        return None
    if told.address.kind is AddressKind.EMBEDDED:
        mail = EmbeddedMail(mail_folder(config))
        stack.push_async_callback(mail.stop)
        await mail.start()
        place = Place(address=told.address, embedded_socket=lambda: mail.socket_path)
        return ImapUpstream(place=place, sign_in_as=Authzid(user=mail.user, secret=mail.secret))
    return ImapUpstream(place=_place(told), sign_in_as=_authzid(told, told.sign_in))


async def submission_upstream(
    config: Config, stack: AsyncExitStack, mailboxes: Mailboxes
) -> SmtpUpstream | None:
    """Make the way to the submission server behind; the built-in one finds its recipients in `mailboxes`."""
    told = config.upstream.smtp
    if told is None:
        return None
    name = config.server.public_host
    if told.address.kind is AddressKind.EMBEDDED:
        delivery = EmbeddedDelivery(mail_folder(config), lookup_in(mailboxes))
        stack.push_async_callback(delivery.stop)
        await delivery.start()
        place = Place(address=told.address, embedded_socket=lambda: delivery.socket_path)
        sign_in_as = Authzid(user=delivery.user, secret=delivery.secret)
        return SmtpUpstream(place=place, sign_in_as=sign_in_as, name=name)
    if told.sign_in is not None and told.sign_in.kind == "none":
        return SmtpUpstream(place=_place(told), sign_in_as=None, name=name)
    return SmtpUpstream(place=_place(told), sign_in_as=_authzid(told, told.sign_in), name=name)


async def dav_upstream(config: Config, stack: AsyncExitStack) -> DavUpstream | None:
    """Make the way to the server of contacts and calendars behind."""
    told = config.upstream.dav
    if told is None:
        return None
    if told.address.kind is AddressKind.EMBEDDED:
        dav = EmbeddedDav(dav_folder(config))
        stack.push_async_callback(dav.stop)
        await dav.start()
        place = Place(address=told.address, embedded_socket=lambda: dav.socket_path)
        upstream = DavUpstream(place, header=dav.header, login=login_template("{email}"))
    elif told.sign_in is None:
        raise ServeError(f"no way to sign in at {told.address}", "write its sign_in")
    else:
        upstream = DavUpstream(_place(told), header=told.sign_in.header, login=login_template(told.login))
    stack.callback(upstream.close)
    return upstream


def _place(told: Upstream) -> Place:
    """Say where a server that is not built in is, and read what TLS needs."""
    context = None
    if told.address.over_tls:
        shown = None
        if told.client_certificate is not None and told.client_key is not None:
            shown = CertificateFiles(names=(), certificate=told.client_certificate, key=told.client_key)
        context = client_context(told.ca_file, shown)
    return Place(address=told.address, tls=context, server_name=told.server_name)


def _authzid(told: Upstream, sign_in: SignIn | SubmissionSignIn | None) -> Authzid:
    if sign_in is None or sign_in.user is None or sign_in.secret_file is None:
        raise ServeError(f"no way to sign in at {told.address}", "write its sign_in")
    secret = Secret(read_secret_text(sign_in.secret_file))
    return Authzid(user=sign_in.user, secret=secret, logins=Logins(template=told.login))
