"""The portal in this process: a real store, real TLS on a free loopback port, a clock that stands still."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from auth.deed import Revocation
from auth.secret import Secret
from config.authority import issue, make_authority
from proxy.net.accept import AcceptLoop, listen
from proxy.net.strangers import Strangers
from proxy.net.tls import CertificateFiles, server_context
from proxy.portal.front_end import PortalFrontEnd, PortalSettings
from proxy.portal.ports import PortalPorts
from proxy.portal.settings import Endpoints
from proxy.portal.transport import Patience
from proxy.ports import Ports
from proxy.sessions import Registry
from proxy.worker import Reports
from support.office import ALICE, PRIMARY, Office, office
from support.visitor import Page, Visitor


class NobodyBehind:
    """No server behind asks this account for anything."""

    async def states(self, account):
        return ()


@dataclass
class Stage:
    """A portal that answers, with the office whose people use it."""

    here: Office
    url: str
    ca_file: str
    registry: Registry
    strangers: Strangers
    cuts: list[Revocation] = field(default_factory=list)
    """What the pages have waited for the workers to cut."""

    def visitor(self, **more: str) -> Visitor:
        """A new browser profile."""
        return Visitor(self.url, self.ca_file, **more)

    async def strangers_while(self, visitor: Visitor, path: str) -> int:
        """How many connections count as strangers while this visitor has a page open."""
        async with visitor.open_on(path) as page:
            assert page.startswith(b"HTTP/1.1 200"), page
            return len(self.strangers)

    async def signed_in(self, email: str = ALICE) -> tuple[Visitor, Page]:
        """Sign somebody in who has a second factor; gives the page behind. The next code is good."""
        visitor = self.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email=email, password=PRIMARY.reveal())
        page = await visitor.submit(page, code=self.here.code(email).reveal())
        assert page.path == "/app-passwords", page.text
        self.here.clock.now += 60
        return visitor, page


def _certificate(folder: Path) -> CertificateFiles:
    """What portals of one run show; the first one makes it."""
    files = CertificateFiles(
        names=("localhost",), certificate=folder / "server.pem", key=folder / "server.key"
    )
    if not files.certificate.exists():  # it is written last
        make_authority(folder)
        issue(folder, ["localhost", "127.0.0.1"])
    return files


@asynccontextmanager
async def portal_stage(
    folder: Path,
    *,
    connections: object | None = None,
    reports: Reports | None = None,
    limit: int = 25,
    patience: Patience | None = None,
) -> AsyncIterator[Stage]:
    """Serve the portal until the block ends."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(office(folder, limit=limit))
        files = _certificate(folder.parent / "the-portal's-tls")
        context = server_context([files], ["http/1.1"])
        registry, strangers = Registry(), Strangers()
        stage = Stage(here, "", str(files.certificate.with_name("ca.pem")), registry, strangers)

        async def cut(revocation: Revocation) -> Reports:
            stage.cuts.append(revocation)
            return reports or Reports(
                sessions_cut=registry.cut(revocation.app_password_ids), silent_workers=0
            )

        portal = PortalPorts(
            accounts=here.accounts,
            history=here.store,
            connections=connections or NobodyBehind(),
            live=registry.live,
            cut=cut,
            endpoints=lambda: _endpoints(stage),
            limit=limit,
            mails=False,
            now=here.clock,
        )
        ports = Ports(gate=None, registry=registry, recorder=None, strangers=strangers)
        settings = PortalSettings(tls=lambda: context, is_ours=_ours(stage), patience=patience or Patience())
        front = PortalFrontEnd(ports, portal, settings)
        loop = AcceptLoop(listen("127.0.0.1", 0), front.handle, strangers)
        stage.url = f"https://localhost:{loop.port}/"
        loop.start()
        stack.push_async_callback(loop.finish, 0.0)
        stack.callback(loop.stop)
        yield stage


def _ours(stage: Stage) -> Callable[[str], bool]:
    return lambda authority: f"https://{authority}/" == stage.url


def _endpoints(stage: Stage) -> Endpoints:
    return Endpoints(
        host="localhost",
        imaps=1993,
        submissions=1465,
        submission=1587,
        dav_url="https://localhost:8443/",
        portal_url=stage.url,
    )


def code_of(key: str, at: float) -> Secret:
    """Give what an authenticator shows that was given this key, as it stands on a page."""
    import pyotp

    return Secret(pyotp.TOTP(key.replace(" ", "")).at(int(at)))
