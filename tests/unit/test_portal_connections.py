"""The page *Connections*: how it goes at the servers behind, and what an owner can do about it there.

The port is the real one, before stand-ins of a provider and its mail servers.
"""

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from auth.store.rows import GRANTED
from auth.upstream_tries import UPSTREAM_TRIES, UpstreamTries
from proxy.log.formats import Formatter, LogFormat
from proxy.portal.guard import COOKIE
from proxy.server.connections import ServersBehind
from scopes.model import Identity, IdentityKind, Service
from support.connected import REFUSED, RIGHT, STORED, WRONG, Connected, quarter
from support.oauth_provider import Fault
from support.oauth_town import SIGNS_IN
from support.office import ALICE, BOB, OPERATOR, PRIMARY
from support.portal import portal_stage

PASSWORD = "/connections/password"
LEAVE = "/connections/authorise/home"
IMAP, SUBMISSION = Service.IMAP, Service.SUBMISSION


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    with quarter(tmp_path_factory.mktemp("quarter")) as town:
        yield town


@pytest.fixture
def town(furnished):
    provider = furnished.provider
    provider.login, provider.agrees, provider.fault = ALICE, True, None
    provider.asked.clear()
    provider.sent.clear()
    furnished.mail.passwords = {ALICE: RIGHT.reveal()}
    furnished.mail.signed_in.clear()
    furnished.mail.refused.clear()
    return furnished


class Late:
    """Stands in the place of the port until what it needs is there."""

    def __init__(self):
        self.behind = None

    def __getattr__(self, name):
        return getattr(self.behind, name)


@asynccontextmanager
async def staged(folder, town, config=None):
    """Alice signed in before servers behind; gives the stage, her view of them, and her browser."""
    late = Late()
    async with portal_stage(folder, connections=late) as stage:
        here = stage.here
        tries = UpstreamTries(here.store, here.keys, here.clock)
        late.behind = ServersBehind(config or town.config(), here.store, here.accounts, tries, now=here.clock)
        await here.enrolled()
        visitor, _ = await stage.signed_in()
        yield stage, Connected(town, here, late.behind, await here.accounts.find(ALICE)), visitor


async def gone_to(visitor) -> str:
    """Go as far as to the provider's address, as it stands in the link."""
    page = await visitor.get(LEAVE)
    assert page.path == LEAVE, page.text
    (address,) = [href for href in page.links.values() if href.startswith("https://localhost:")]
    return address


async def back(town, stage, address: str) -> str:
    """Agree there; gives path and query that the browser is sent back to."""
    landed = await asyncio.to_thread(town.agreed, address)
    assert landed.startswith(f"{stage.url}connections/authorised")
    return "/" + landed.removeprefix(stage.url)


async def landed(stage, target: str) -> str:
    """Come back without the cookie, for it is another site's redirect; gives where it goes on."""
    page = await stage.visitor().get(target)
    assert (page.status, page.header("Set-Cookie")) == (200, None)
    return unescape(re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.html)[1])


async def test_a_password_is_missing_saved_refused_and_replaced(tmp_path, town):
    async with staged(tmp_path, town) as (_, it, visitor):
        page = await visitor.get("/connections")
        assert "No password is kept for it yet, so no app can use it." in page.text
        form = await visitor.get(PASSWORD)
        page = await visitor.submit(form, secret=RIGHT.reveal())
        assert page.path == "/connections"
        assert "The new password was tried and is stored." in page.text
        assert "was tried and saved on 15 January. No app has come since." in page.text
        assert [await it.stored(each) for each in (IMAP, SUBMISSION)] == [RIGHT, RIGHT]
        await it.came(GRANTED)
        assert "It works: the last sign-in there was today at" in (await visitor.get("/connections")).text
        await it.came(REFUSED)
        page = await visitor.get("/connections")
        assert "localhost has refused the stored password since 15 January." in page.text
        assert "Replace the password for reading mail" in page.links


async def test_what_was_typed_never_comes_back(tmp_path, town):
    async with staged(tmp_path, town) as (_, it, visitor):
        page = await visitor.submit(await visitor.get(PASSWORD), secret=WRONG.reveal())
        assert (page.status, page.path) == (422, PASSWORD)
        assert "The password is refused by localhost." in page.text
        assert WRONG.reveal() not in page.html
        assert await it.stored() is None


async def test_for_one_server_alone(tmp_path, town):
    async with staged(tmp_path, town) as (_, it, visitor):
        await visitor.submit(await visitor.get(PASSWORD), secret=RIGHT.reveal(), service=["imap"])
        assert (await it.stored(IMAP), await it.stored(SUBMISSION)) == (RIGHT, None)
        for nothing in (None, ["dav"], ["junk"]):
            page = await visitor.submit(await visitor.get(PASSWORD), secret=RIGHT.reveal(), service=nothing)
            assert page.status == 422
            assert "No password is kept for that" in page.text


async def test_an_outage_is_not_called_a_wrong_password(tmp_path, town):
    async with staged(tmp_path, town, town.config(imap_port=1)) as (_, _, visitor):
        page = await visitor.submit(await visitor.get(PASSWORD), secret=RIGHT.reveal())
        assert page.status == 422
        assert "no answer from localhost" in page.text
        assert "says nothing about the password" in page.text


async def test_a_fresh_proof_is_asked_for_and_guessing_ends(tmp_path, town):
    async with staged(tmp_path, town) as (stage, it, visitor):
        form = await visitor.get(PASSWORD)
        moment = stage.here.clock.now
        for _ in range(UPSTREAM_TRIES.free):
            assert "is refused by localhost" in (await visitor.submit(form, secret=WRONG.reveal())).text
        tried = len(town.mail.refused)
        page = await visitor.submit(form, secret=RIGHT.reveal())
        assert "This was tried too often." in page.text
        assert len(town.mail.refused) == tried
        assert town.mail.signed_in == []
        stage.here.clock.now = moment + 301
        assert (await visitor.get(PASSWORD)).path == "/confirm"
        late = await visitor.submit(form, secret=RIGHT.reveal())
        assert late.path == "/confirm"
        assert await it.stored() is None
        page = await visitor.submit(late, password=PRIMARY.reveal(), code=stage.here.code().reveal())
        assert page.path == PASSWORD


async def test_another_site_cannot_store_a_password(tmp_path, town):
    async with staged(tmp_path, town) as (_, it, visitor):
        fields = (await visitor.get(PASSWORD)).form(PASSWORD).filled({"secret": RIGHT.reveal()})
        evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await visitor.post(PASSWORD, fields, headers=evil)).status == 403
        stale = [(name, "0" * 64 if name == "csrf" else value) for name, value in fields]
        assert (await visitor.post(PASSWORD, stale)).status == 403
        assert await it.stored() is None


async def test_each_sees_and_changes_their_own(tmp_path, town):
    async with staged(tmp_path, town) as (stage, it, visitor):
        await stage.here.enrolled(BOB)
        bob, _ = await stage.signed_in(BOB)
        there = Identity(login="bob-there", kind=IdentityKind.STORED)
        await stage.here.accounts.identities.set(BOB, IMAP, there, WRONG, OPERATOR)
        assert "bob-there" in (await bob.get("/connections")).text
        assert "bob-there" not in (await visitor.get("/connections")).html
        form = await visitor.get(PASSWORD)
        await visitor.submit(form, secret=RIGHT.reveal(), email=BOB, account=BOB, login="bob-there")
        row = await stage.here.accounts.find(BOB)
        assert await stage.here.accounts.identities.secret(row.id, IMAP) == WRONG
        assert await it.stored() == RIGHT


async def test_a_login_that_looks_like_a_page_is_text(tmp_path, town):
    async with staged(tmp_path, town) as (stage, _, visitor):
        evil = "<script>alert(1)</script>"
        there = Identity(login=evil, kind=IdentityKind.STORED)
        await stage.here.accounts.identities.set(ALICE, IMAP, there, WRONG, OPERATOR)
        for path in ("/connections", PASSWORD):
            page = await visitor.get(path)
            assert evil not in page.html
            assert evil in page.text


async def test_who_is_not_signed_in_sees_nothing(tmp_path, town):
    async with staged(tmp_path, town) as (stage, _, _):
        for path in ("/connections", PASSWORD, LEAVE, "/connections/authorised/here?code=x&state=y"):
            assert (await stage.visitor().get(path)).path == "/sign-in"


async def test_there_and_back(tmp_path, town):
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, it, visitor):
        page = await visitor.get("/connections")
        assert "You have not let Wicketgate in at home yet, so no app can use it." in page.text
        assert LEAVE in page.links.values()
        target = await back(town, stage, await gone_to(visitor))
        onward = await landed(stage, target)
        page = await visitor.get(onward)
        assert page.path == "/connections"
        assert "Home let Wicketgate in, and it works for reading mail and sending mail." in page.text
        assert "let Wicketgate in, and" not in (await visitor.get("/connections")).text
        assert [row.provider for row in (await it.here.accounts.oauth_tokens.of(ALICE)).tokens] == ["home"]
        assert town.provider.sent[0]["redirect_uri"] == f"{stage.url}connections/authorised"


async def test_whoever_lands_keeps_the_cookie_that_could_not_be_sent(tmp_path, town):
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, _, visitor):
        held = visitor.cookies[COOKIE]
        onward = await landed(stage, "/connections/authorised?code=a&state=b&evil=%22%3E%3Cscript%3E")
        assert parse_qs(urlsplit(onward).query) == {"code": ["a"], "state": ["b"]}
        assert urlsplit(onward).path == "/connections/authorised/here"
        assert visitor.cookies[COOKIE] == held


async def test_a_code_is_taken_once(tmp_path, town):
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, _, visitor):
        onward = await landed(stage, await back(town, stage, await gone_to(visitor)))
        first, second = await asyncio.gather(visitor.get(onward), visitor.get(onward))
        assert {first.path, second.path} == {"/connections"}
        assert len(town.provider.asked) == 1
        again = await visitor.get(onward)
        assert "was not asked for from here" in again.text
        assert len(town.provider.asked) == 1


async def test_a_code_of_somebody_elses_is_not_taken(tmp_path, town):
    """Login CSRF: who opens an attacker's address must not have the attacker's mailbox from then on."""
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, it, visitor):
        await stage.here.enrolled(BOB)
        bob, _ = await stage.signed_in(BOB)
        town.provider.login = BOB
        theirs = await landed(stage, await back(town, stage, await gone_to(bob)))
        page = await visitor.get(theirs)
        assert "was not asked for from here" in page.text
        own = await gone_to(visitor)
        page = await visitor.get(theirs)
        assert "was not asked for from here" in page.text
        assert town.provider.asked == []
        town.provider.login = ALICE
        page = await visitor.get(await landed(stage, await back(town, stage, own)))
        assert "it works for reading mail" in page.text  # what was begun here was not spoilt by it
        assert (await it.here.accounts.oauth_tokens.of(BOB)).tokens == ()


async def test_another_session_of_the_same_account_did_not_begin_it(tmp_path, town):
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, _, visitor):
        other, _ = await stage.signed_in()
        onward = await landed(stage, await back(town, stage, await gone_to(visitor)))
        assert "was not asked for from here" in (await other.get(onward)).text
        assert "it works for" in (await visitor.get(onward)).text


async def test_to_go_to_a_provider_takes_a_fresh_proof_and_to_come_back_does_not(tmp_path, town):
    """Whoever goes there may take longer than a proof is fresh."""
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, _, visitor):
        address = await gone_to(visitor)
        stage.here.clock.now += 400
        assert (await visitor.get(LEAVE)).path == "/confirm"
        page = await visitor.get(await landed(stage, await back(town, stage, address)))
        assert "it works for" in page.text


async def test_a_no_at_the_provider_and_a_provider_that_is_out_are_told_apart(tmp_path, town):
    async with staged(tmp_path, town, town.config(SIGNS_IN)) as (stage, _, visitor):
        town.provider.agrees = False
        page = await visitor.get(await landed(stage, await back(town, stage, await gone_to(visitor))))
        assert (page.path, "No permission came from home." in page.text) == ("/connections", True)
        town.provider.agrees = True
        onward = await landed(stage, await back(town, stage, await gone_to(visitor)))
        town.provider.fault = Fault.BROKEN
        page = await visitor.get(onward)
        assert "No answer came from home." in page.text
        assert "apps go on as before" in page.text


async def test_a_provider_that_is_not_the_accounts_is_not_gone_to(tmp_path, town):
    async with staged(tmp_path, town, town.config(STORED)) as (_, _, visitor):
        for path in (LEAVE, "/connections/authorise/elsewhere"):
            page = await visitor.get(path)
            assert page.status == 422
            assert "nothing here that you could permit there" in page.text
        assert (await visitor.get(PASSWORD)).path == PASSWORD
    (tmp_path / "there").mkdir()
    async with staged(tmp_path / "there", town, town.config(SIGNS_IN)) as (_, _, visitor):
        assert (await visitor.get(PASSWORD)).path == "/connections"


async def test_neither_code_nor_state_nor_what_was_typed_is_in_the_log(tmp_path, town, caplog):
    caplog.set_level(logging.DEBUG)
    async with staged(tmp_path, town, town.config(SIGNS_IN, STORED)) as (stage, _, visitor):
        town.provider.login = "mallory@example.net"
        target = await back(town, stage, await gone_to(visitor))
        page = await visitor.get(await landed(stage, target))
        assert "is refused by the mail server" in page.text
        await visitor.submit(await visitor.get(PASSWORD), secret=WRONG.reveal())
    log = "\n".join(map(Formatter(LogFormat.LOGFMT).format, caplog.records))
    assert log.count("portal: tried for alice@example.org") == 2
    query = parse_qs(urlsplit(target).query)
    for secret in (
        query["code"][0],
        query["state"][0],
        WRONG.reveal(),
        town.provider.asked[0]["code_verifier"],
    ):
        assert secret not in log
