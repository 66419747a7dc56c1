"""An owner lets the gate in at a provider from the portal: there and back, good once and for one owner."""

import asyncio
import logging

import pytest

from auth.deed import AccountError, Problem
from auth.oauth_tokens import GivenToken
from auth.secret import Secret
from auth.store.rows import GRANTED, ChangeKind
from auth.upstream_tries import UPSTREAM_TRIES
from proxy.limits import AUTHORISE_S
from proxy.portal.connections_port import State, Way
from scopes.model import Identity, IdentityKind, Service
from support.connected import LANDS, REFUSED, STORED, connected, quarter
from support.oauth_provider import Fault
from support.oauth_town import SIGNS_IN
from support.office import ALICE, BOB, OPERATOR, OWNER, refusal

IMAP, SUBMISSION = Service.IMAP, Service.SUBMISSION
BOTH = (IMAP, SUBMISSION)


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
    furnished.mail.signed_in.clear()
    furnished.mail.refused.clear()
    return furnished


def signing_in(folder, town, **more):
    return connected(folder, town, town.config(SIGNS_IN), **more)


async def error(deed) -> AccountError:
    with pytest.raises(AccountError) as refused:
        await deed
    return refused.value


async def begun(it):
    """Go to the provider and agree; give what the session keeps, and where the browser came back to."""
    way = await it.behind.begin(it.account, "home", LANDS)
    return way.kept, await asyncio.to_thread(it.quarter.agrees, way.address)


async def authorised(it) -> list[str]:
    return [row.provider for row in (await it.here.accounts.oauth_tokens.of(ALICE)).tokens]


async def test_there_and_back(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        before = (await it.states())[IMAP]
        assert (before.way, before.state, before.provider) == (Way.PROVIDER, State.MISSING, "home")
        assert before.can_authorise
        done = await it.authorise()
        assert (done.provider, done.taken, done.refused, done.untried) == ("home", BOTH, (), ())
        assert [each.state for each in (await it.states()).values()] == [State.NEW] * 2
        assert [protocol for protocol, _, _ in town.mail.signed_in] == ["imap", "smtp"]
        line = (await it.here.accounts.audit(ALICE))[-1]
        assert (line.deed, line.actor_kind, line.detail) == (ChangeKind.AUTHORISED, "owner", "home")


async def test_what_the_provider_is_told(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        await it.authorise()
        (sent,) = town.provider.sent
        assert (sent["redirect_uri"], sent["login_hint"]) == (LANDS, ALICE)
        assert (len(sent["state"]), sent["code_challenge_method"]) == (43, "S256")
        assert town.provider.asked[0]["redirect_uri"] == LANDS


async def test_each_way_has_a_state_and_a_verifier_of_its_own(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        for _ in range(2):
            await it.authorise()
        first, second = town.provider.sent
        assert first["state"] != second["state"]
        assert first["code_challenge"] != second["code_challenge"]


async def test_a_way_is_of_one_account_alone(tmp_path, town):
    """What one owner's session kept is no use to another, whoever comes back with it."""
    async with signing_in(tmp_path, town) as it:
        await it.here.enrolled(BOB)
        bob = await it.here.accounts.find(BOB)
        kept, target = await begun(it)
        assert it.behind.is_answer(kept, it.account, target)
        assert not it.behind.is_answer(kept, bob, target)
        assert await refusal(it.behind.finish(bob, kept, target, OWNER)) is Problem.NOT_AUTHORISED
        assert town.provider.asked == []


async def test_a_code_that_belongs_to_another_way_goes_nowhere(tmp_path, town):
    """Somebody who gets the owner to open an address with a code of his own would have his mailbox read."""
    async with signing_in(tmp_path, town) as it:
        kept, _ = await begun(it)
        _, others = await begun(it)
        for target in (
            others,
            "/connections/authorised",
            "/connections/authorised?code=x",
            f"{others}&state=x",
        ):
            assert not it.behind.is_answer(kept, it.account, target)
            assert await refusal(it.behind.finish(it.account, kept, target, OWNER)) is Problem.NOT_AUTHORISED
        assert town.provider.asked == []


async def test_a_code_is_good_once(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        kept, target = await begun(it)
        await it.behind.finish(it.account, kept, target, OWNER)
        assert await refusal(it.behind.finish(it.account, kept, target, OWNER)) is Problem.NOT_AUTHORISED
        assert await authorised(it) == ["home"]


async def test_a_way_is_not_good_for_ever(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        kept, target = await begun(it)
        assert it.behind.is_answer(kept, it.account, target)
        it.here.clock.now += AUTHORISE_S
        assert not it.behind.is_answer(kept, it.account, target)
        assert await refusal(it.behind.finish(it.account, kept, target, OWNER)) is Problem.NOT_AUTHORISED


async def test_the_owner_says_no(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        town.provider.agrees = False
        kept, target = await begun(it)
        assert it.behind.is_answer(kept, it.account, target)
        said = await error(it.behind.finish(it.account, kept, target, OWNER))
        assert (said.problem, said.message) == (Problem.NOT_AUTHORISED, "no permission came from home")
        assert await authorised(it) == []


async def test_somebody_else_agreed(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        town.provider.login = "mallory@example.net"
        said = await error(it.authorise())
        assert said.problem is Problem.UPSTREAM_REFUSED
        assert f"as the owner of {ALICE}" in said.hint
        assert await authorised(it) == []


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.BUSY, Fault.GARBAGE, Fault.CUT, Fault.REDIRECT])
async def test_a_provider_that_is_out_is_no_refusal(tmp_path, town, fault):
    async with signing_in(tmp_path, town) as it:
        kept, target = await begun(it)
        town.provider.fault = fault
        said = await error(it.behind.finish(it.account, kept, target, OWNER))
        assert (said.problem, said.message) == (Problem.UPSTREAM_AWAY, "no answer came from home")
        assert await authorised(it) == []


async def test_a_mail_server_that_is_out_is_no_refusal_either(tmp_path, town):
    config = town.config(SIGNS_IN, STORED, imap_port=1)
    async with connected(tmp_path, town, config) as it:
        assert (await error(it.authorise())).problem is Problem.UPSTREAM_AWAY
        assert await authorised(it) == []


async def test_one_server_that_is_out_does_not_keep_the_other_waiting(tmp_path, town):
    async with connected(tmp_path, town, town.config(SIGNS_IN, imap_port=1)) as it:
        done = await it.authorise()
        assert (done.taken, done.refused, done.untried) == ((SUBMISSION,), (), (IMAP,))
        assert await authorised(it) == ["home"]


async def test_tries_come_to_an_end_before_the_provider_is_asked(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        town.provider.login = "mallory@example.net"
        for _ in range(UPSTREAM_TRIES.free):
            assert (await error(it.authorise())).problem is Problem.UPSTREAM_REFUSED
        asked = len(town.provider.asked)
        assert (await error(it.authorise())).problem is Problem.TOO_MANY_TRIES
        assert len(town.provider.asked) == asked == UPSTREAM_TRIES.free


async def test_a_provider_that_the_account_does_not_sign_in_by_is_not_gone_to(tmp_path, town):
    (tmp_path / "there").mkdir()
    async with connected(tmp_path, town) as it:
        assert await refusal(it.behind.begin(it.account, "home", LANDS)) is Problem.NOT_AUTHORISED
    async with signing_in(tmp_path / "there", town) as it:
        assert await refusal(it.behind.begin(it.account, "elsewhere", LANDS)) is Problem.NOT_AUTHORISED


async def test_a_provider_that_does_not_know_the_portal_is_not_gone_to(tmp_path, town):
    config = town.config(SIGNS_IN)
    home = config.oauth2["home"].model_copy(update={"portal": False})
    async with connected(tmp_path, town, config.model_copy(update={"oauth2": {"home": home}})) as it:
        assert not (await it.states())[IMAP].can_authorise
        assert await refusal(it.behind.begin(it.account, "home", LANDS)) is Problem.NOT_AUTHORISED


async def test_an_account_of_its_own_way_keeps_its_login(tmp_path, town):
    """The config has passwords for all; this account alone signs in by the provider, under another name."""
    there = "liddell@gmail.example"
    town.provider.login = there
    async with connected(tmp_path, town) as it:
        own = Identity(login=there, kind=IdentityKind.OAUTH2, provider="home")
        await it.here.accounts.identities.set(ALICE, IMAP, own, None, OPERATOR)
        done = await it.authorise()
        assert done.taken == (IMAP,)
        assert (await it.here.accounts.identities.of(ALICE)).identities == {IMAP: own}
        assert town.provider.sent[0]["login_hint"] == there


async def test_a_token_that_the_provider_takes_no_more_is_told_since_when(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        await it.authorise()
        await it.came(GRANTED, REFUSED)
        first = int(it.here.clock.now)
        vault = it.here.accounts.oauth_tokens.vault("home")
        row = await vault.read(it.account.id)
        it.here.clock.now += 3_600
        assert await vault.mark_refused(it.account.id, row.version)
        told = (await it.states())[IMAP]
        assert (told.state, told.since) == (State.REFUSED, first)
        await it.authorise()
        assert (await it.states())[IMAP].state is State.NEW


async def test_an_account_removed_on_the_way_gets_nothing(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        kept, target = await begun(it)
        await it.here.accounts.remove(ALICE, OPERATOR)
        await it.here.enrolled(ALICE)
        assert await refusal(it.behind.finish(it.account, kept, target, OWNER)) is Problem.CHANGED_MEANWHILE
        assert await authorised(it) == []


async def test_what_is_stored_is_replaced(tmp_path, town):
    async with signing_in(tmp_path, town) as it:
        old = GivenToken(secret=Secret("rt.old"))
        await it.here.accounts.oauth_tokens.authorise(ALICE, "home", old, {}, OPERATOR)
        await it.authorise()
        stored = await it.here.accounts.oauth_tokens.vault("home").read(it.account.id)
        assert stored.refresh != old.secret


async def test_neither_code_nor_state_nor_verifier_is_written_anywhere(tmp_path, town, caplog):
    caplog.set_level(logging.DEBUG)
    async with signing_in(tmp_path, town) as it:
        town.provider.login = "mallory@example.net"
        kept, target = await begun(it)
        said = await error(it.behind.finish(it.account, kept, target, OWNER))
        town.provider.fault = Fault.GARBAGE
        await error(it.authorise())
    (form, _) = town.provider.asked
    words = caplog.text + said.message + said.hint + repr(kept)
    assert "is refused by the mail server" in words
    for secret in (form["code"], form["code_verifier"], town.provider.sent[0]["state"]):
        assert secret not in words
