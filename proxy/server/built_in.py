"""The built-in servers: each is started when a configuration first wants it, and runs until the gate ends.

They outlive the reading of another configuration: a session before one of them goes on.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from config.models import Config
from proxy.embedded.children import EmbeddedDav, EmbeddedDelivery, EmbeddedMail
from proxy.embedded.recipients import Mailboxes, lookup_in
from proxy.server.places import dav_folder, mail_folder


class BuiltIn:
    """Starts them; `stack` ends them. Their folders are those of the configuration the gate began with."""

    def __init__(self, config: Config, stack: AsyncExitStack, mailboxes: Mailboxes) -> None:
        """The built-in delivery finds its recipients in `mailboxes`."""
        self._config = config
        self._stack = stack
        self._mailboxes = mailboxes
        self._mail: EmbeddedMail | None = None
        self._delivery: EmbeddedDelivery | None = None
        self._dav: EmbeddedDav | None = None

    async def mail(self) -> EmbeddedMail:
        """Give the IMAP server."""
        if self._mail is None:
            mail = EmbeddedMail(mail_folder(self._config))
            self._stack.push_async_callback(mail.stop)
            await mail.start()
            self._mail = mail
        return self._mail

    async def delivery(self) -> EmbeddedDelivery:
        """Give the server that delivers messages between the accounts."""
        if self._delivery is None:
            delivery = EmbeddedDelivery(mail_folder(self._config), lookup_in(self._mailboxes))
            self._stack.push_async_callback(delivery.stop)
            await delivery.start()
            self._delivery = delivery
        return self._delivery

    async def dav(self) -> EmbeddedDav:
        """Give the server of contacts and calendars."""
        if self._dav is None:
            dav = EmbeddedDav(dav_folder(self._config))
            self._stack.push_async_callback(dav.stop)
            await dav.start()
            self._dav = dav
        return self._dav
