"""An owner's view of servers behind: stand-ins of a provider, the port over them, accounts in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth.deed import Proof
from auth.refusal import Reason
from auth.secret import Secret
from auth.store.rows import AccountRow, SignInRecord
from auth.upstream_tries import UpstreamTries
from config.authority import write_file
from config.load import load
from config.models import Config
from proxy.net.tls import CertificateFiles, client_context
from proxy.portal.connections_port import ServiceState
from proxy.server.connections import ServersBehind
from scopes.model import Service
from support.browser import sent_back
from support.configs import GOOD, written
from support.dialects import GMAIL, Dialect
from support.mail_servers import upstream
from support.oauth_provider import CLIENT_SECRET, OAuthProvider
from support.oauth_provider import running as running_provider
from support.oauth_town import provider_table
from support.office import ALICE, OWNER, Office, office
from support.sockets import make_certificate
from support.stand_ins import StandIn
from support.stand_ins import running as running_stand_in

STORED = 'sign_in = { kind = "stored" }'
PORTAL = "https://apps.example.org/"
LANDS = f"{PORTAL}connections/authorised"
REFUSED, AWAY = Reason.UPSTREAM_REFUSED.value, Reason.UNAVAILABLE.value
RIGHT, WRONG = Secret("abcd efgh ijkl mnop"), Secret("qrst uvwx yzab cdef")


@dataclass
class Quarter:
    """Servers that can stand behind, and what a configuration says of them."""

    folder: Path
    provider: OAuthProvider
    mail: StandIn
    certificate: CertificateFiles

    def config(self, imap: str = STORED, smtp: str | None = None, imap_port: int | None = None) -> Config:
        """Give a configuration that signs in so; its provider may be asked from the portal."""
        ca_file = self.certificate.certificate
        way = "smtp+starttls" if self.mail.dialect.smtp_before else "smtps"
        places = {
            "imap": (f"imaps://localhost:{imap_port or self.mail.imap_port}", imap),
            "smtp": (f"{way}://localhost:{self.mail.smtp_port}", smtp or imap),
        }
        tables = [f"[upstream.{name}]\n{upstream(at, ca_file, how)}" for name, (at, how) in places.items()]
        table = provider_table("home", self.provider, self.folder / "client.secret", ca_file)
        before = GOOD.partition("[upstream.imap]")[0]
        return load(written(self.folder, "\n".join([before, *tables, table, "portal = true"])))

    def agrees(self, address: str) -> str:
        """Be the owner at the provider; gives path and query that the browser is sent back to."""
        back = self.agreed(address)
        assert back.startswith(LANDS)
        return "/" + back.removeprefix(PORTAL)

    def agreed(self, address: str) -> str:
        """The same, for whatever address the provider was told."""
        return sent_back(address, client_context(self.certificate.certificate))


@contextmanager
def quarter(folder: Path, dialect: Dialect = GMAIL) -> Iterator[Quarter]:
    """Let a provider and its mail servers answer until the block ends."""
    with ExitStack() as stack:
        certificate = make_certificate(folder, "localhost")
        provider = stack.enter_context(running_provider(OAuthProvider(), certificate))
        mail = stack.enter_context(running_stand_in(StandIn(dialect, tokens=provider), certificate))
        write_file(folder / "client.secret", f"{CLIENT_SECRET}\n".encode(), 0o400)
        yield Quarter(folder, provider, mail, certificate)


@dataclass
class Connected:
    """Alice, who is enrolled, and the port."""

    quarter: Quarter
    here: Office
    behind: ServersBehind
    account: AccountRow

    async def states(self) -> dict[Service, ServiceState]:
        return {each.service: each for each in await self.behind.states(self.account)}

    def proof(self) -> Proof:
        """A new one; the clock moves on so that its code was not used before."""
        self.here.clock.now += 60
        return self.here.proof()

    async def replace(self, secret: Secret, *services: Service) -> None:
        wanted = services or (Service.IMAP, Service.SUBMISSION)
        await self.behind.replace_secret(self.account, wanted, secret, OWNER, self.proof())

    async def stored(self, service: Service = Service.IMAP) -> Secret | None:
        return await self.here.accounts.identities.secret(self.account.id, service)

    async def came(self, *outcomes: str, service: Service = Service.IMAP) -> None:
        """Let apps come, a minute each."""
        for outcome in outcomes:
            self.here.clock.now += 60
            record = SignInRecord(
                at=int(self.here.clock.now), account_id=self.account.id, app_password_id="ap_1",
                service=service, peer="192.0.2.7", outcome=outcome,
            )  # fmt: skip
            await self.here.store.record_sign_ins([record])

    async def authorise(self) -> Any:
        """Go to the provider, agree, come back."""
        begun = await self.behind.begin(self.account, "home", LANDS)
        target = await asyncio.to_thread(self.quarter.agrees, begun.address)
        return await self.behind.finish(self.account, begun.kept, target, OWNER)


@asynccontextmanager
async def connected(
    folder: Path, quarter: Quarter, config: Config | None = None, **more: Any
) -> AsyncIterator[Connected]:
    """Accounts in `folder` before the servers of a quarter."""
    async with office(folder) as here:
        await here.enrolled(ALICE)
        tries = UpstreamTries(here.store, here.keys, here.clock)
        behind = ServersBehind(
            config or quarter.config(), here.store, here.accounts, tries, now=here.clock, **more
        )
        yield Connected(quarter, here, behind, await here.accounts.find(ALICE))
