"""Mail servers that keep primary passwords: what their answers to a sign-in are taken for."""

import asyncio
import shutil
import tempfile
from base64 import b64encode
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from auth.identities import Identities
from auth.outage import PrimaryOutage
from auth.secret import Secret
from config.load import load
from config.models import Config
from proxy.server.primaries import Mailboxes
from scopes.model import Identity, Service
from support.house import make_house
from support.office import ALICE, BOB, OPERATOR, office

GREETING = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready"
PRIMARY = Secret("of the mailbox")


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> str:
    """The text of a configuration."""
    return make_house(tmp_path_factory.mktemp("primaries") / "w").file.read_text("utf-8")


class Server:
    """Answers every sign-in alike, and remembers what was shown."""

    def __init__(self, verdict: str | None) -> None:
        self.verdict = verdict
        self.shown: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(f"{GREETING}\r\n".encode())
            tag, _, rest = (await reader.readline()).decode().partition(" ")
            self.shown.append(rest.split()[-1].encode())
            if self.verdict is not None:
                writer.write(f"{tag} {self.verdict}\r\n".encode())
            else:
                await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def asking(folder: Path, text: str, verdict: str | None, *, more: str = "", within_s: float = 20.0):
    """Give a server behind, what asks it, and the office with its accounts."""
    place = Path(tempfile.mkdtemp(prefix="wg-"))
    server = Server(verdict)
    listener = await asyncio.start_unix_server(server.serve, place / "s")
    try:
        async with office(folder) as here:
            identities = Identities(here.store, here.keys, here.clock)
            config = configured(folder, text, f"unix:{place / 's'}", more)
            yield server, Mailboxes(config, identities, within_s=within_s), here
    finally:
        listener.close()
        await listener.wait_closed()
        shutil.rmtree(place)


def configured(folder: Path, text: str, address: str, more: str) -> Config:
    wanted = f'[upstream.imap]\naddress = "{address}"\nsign_in = {{ kind = "stored" }}\n'
    assert text.count('[upstream.imap]\naddress = "embedded"\n') == 1
    text = text.replace('[upstream.imap]\naddress = "embedded"\n', wanted)
    assert text.count('[primary]\nkind = "local"\n') == 1
    text = text.replace('[primary]\nkind = "local"\n', '[primary]\nkind = "imap"\n')
    file = folder / "wicketgate.toml"
    file.write_text(text + more, "utf-8")
    return load(file)


def plain(login: str) -> bytes:
    return b64encode(f"\0{login}\0{PRIMARY.reveal()}".encode())


async def test_a_server_that_takes_it_says_that_it_is_right(tmp_path, first):
    async with asking(tmp_path, first, "OK [CAPABILITY IMAP4rev1] in") as (server, mailboxes, here):
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        assert await mailboxes.is_right(ALICE, await here.accounts.find(ALICE), PRIMARY)
        assert await mailboxes.is_right(BOB, None, PRIMARY), "also of nobody: it costs the same"
        assert server.shown == [plain(ALICE), plain(BOB)]


async def test_it_is_asked_as_the_account_is_called_there(tmp_path, first):
    async with asking(tmp_path, first, "OK [CAPABILITY IMAP4rev1] in") as (server, mailboxes, here):
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        own = Identity(login="al")
        await here.accounts.identities.set(ALICE, Service.IMAP, own, None, OPERATOR)
        await mailboxes.is_right(ALICE, await here.accounts.find(ALICE), PRIMARY)
        assert server.shown == [plain("al")]


@pytest.mark.parametrize(
    "verdict",
    [
        "NO [AUTHENTICATIONFAILED] Authentication failed.",
        "NO [authenticationfailed] no",
        "NO LOGIN failed.",
        "NO",
        "NO [EXPIRED] choose another",
    ],
)
async def test_a_server_that_says_that_it_is_wrong_is_believed(tmp_path, first, verdict):
    async with asking(tmp_path, first, verdict) as (_, mailboxes, _):
        assert await mailboxes.is_right(ALICE, None, PRIMARY) is False


@pytest.mark.parametrize(
    "verdict",
    [
        "NO [UNAVAILABLE] the directory is away",
        "NO [LIMIT] too many connections",
        "NO [ALERT] webmail only, today",
        "NO [AUTHORIZATIONFAILED] not you",
        "NO [CONTACTADMIN] disabled",
        "NO [WEBALERT https://x.example/] sign in there",
        "BAD what",
        "BYE",
        None,
    ],
)
async def test_every_other_answer_is_an_outage(tmp_path, first, verdict, caplog):
    silent = verdict is None
    async with asking(tmp_path, first, verdict, within_s=0.2 if silent else 20.0) as (_, mailboxes, _):
        with pytest.raises(PrimaryOutage) as away:
            await mailboxes.is_right(ALICE, None, PRIMARY)
        assert f"the primary password of {ALICE} cannot be tried" in caplog.text
        for text in (caplog.text, str(away.value)):
            assert PRIMARY.reveal() not in text
            assert plain(ALICE).decode() not in text


async def test_a_server_that_is_not_there_is_an_outage(tmp_path, first):
    async with office(tmp_path) as here:
        config = configured(tmp_path, first, f"unix:{tmp_path / 'nobody'}", "")
        mailboxes = Mailboxes(config, Identities(here.store, here.keys, here.clock))
        with pytest.raises(PrimaryOutage):
            await mailboxes.is_right(ALICE, None, PRIMARY)


async def test_each_domain_has_its_own_kind(tmp_path, first):
    more = """
[[domain]]
name = "example.net"
primary = { kind = "local" }
[[domain]]
name = "example.com"
primary = { kind = "imap", create = "first-sign-in" }
"""
    async with asking(tmp_path, first, "OK", more=more) as (_, mailboxes, _):
        asked = {
            domain: (mailboxes.elsewhere(f"a@{domain}"), mailboxes.first_sign_in(f"a@{domain}"))
            for domain in ("example.org", "example.net", "example.com")
        }
        assert asked == {
            "example.org": (True, False),
            "example.net": (False, False),
            "example.com": (True, True),
        }
