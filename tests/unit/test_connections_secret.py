"""An owner replaces the secret of a server behind: tried before it is kept, and never a way to guess."""

import asyncio

import pytest

from auth.deed import AccountError, Problem
from auth.secret import Secret
from auth.store.rows import GRANTED, ChangeKind
from auth.upstream_tries import UPSTREAM_TRIES
from proxy.portal.connections_port import State, Way
from scopes.model import Identity, IdentityKind, Service
from support.connected import AWAY, REFUSED, RIGHT, WRONG, connected, quarter
from support.office import ALICE, BOB, OPERATOR, OWNER, refusal

IMAP, SUBMISSION = Service.IMAP, Service.SUBMISSION


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    with quarter(tmp_path_factory.mktemp("quarter")) as town:
        yield town


@pytest.fixture
def town(furnished):
    furnished.mail.passwords = {ALICE: RIGHT.reveal()}
    furnished.mail.signed_in.clear()
    furnished.mail.refused.clear()
    return furnished


async def error(deed) -> AccountError:
    with pytest.raises(AccountError) as refused:
        await deed
    return refused.value


async def test_nothing_is_kept_yet_and_then_it_is(tmp_path, town):
    async with connected(tmp_path, town) as it:
        before = await it.states()
        assert [(each.way, each.state, each.login) for each in before.values()] == [
            (Way.SECRET, State.MISSING, ALICE)
        ] * 2
        assert before[IMAP].server == "localhost"
        await it.replace(RIGHT)
        after = await it.states()
        assert [each.state for each in after.values()] == [State.NEW] * 2
        assert after[IMAP].since == int(it.here.clock.now)
        assert [protocol for protocol, _, _ in town.mail.signed_in] == ["imap", "smtp"]
        assert [await it.stored(service) for service in (IMAP, SUBMISSION)] == [RIGHT, RIGHT]


async def test_it_takes_an_audit_line_of_the_owner_and_a_number(tmp_path, town):
    async with connected(tmp_path, town) as it:
        mark = await it.here.store.feed_mark()
        await it.replace(RIGHT)
        assert (await it.here.store.feed_mark()).seq == mark.seq + 1
        line = (await it.here.accounts.audit(ALICE))[-1]
        assert (line.deed, line.actor_kind, line.where) == (ChangeKind.UPSTREAM_SET, "owner", OWNER.where)
        assert line.detail == f"imap: stored as {ALICE}, submission: stored as {ALICE}"
        assert RIGHT.reveal() not in repr(line)


async def test_a_wrong_one_is_not_kept_and_the_old_one_stays(tmp_path, town):
    async with connected(tmp_path, town) as it:
        await it.replace(RIGHT)
        wrong = await error(it.replace(WRONG))
        assert wrong.problem is Problem.UPSTREAM_REFUSED
        assert wrong.message == "the password is refused by localhost"
        assert "apps go on as before" in wrong.hint
        assert WRONG.reveal() not in wrong.message + wrong.hint
        assert await it.stored() == RIGHT


async def test_one_server_that_refuses_keeps_it_from_both(tmp_path, town):
    """Reading may have another password than sending; who unticks sending has it saved for reading."""
    async with connected(tmp_path, town) as it:
        identities = it.here.accounts.identities
        there = Identity(login="smtp-alice", kind=IdentityKind.STORED)
        await identities.set(ALICE, SUBMISSION, there, WRONG, OPERATOR)
        assert await refusal(it.replace(RIGHT)) is Problem.UPSTREAM_REFUSED
        assert (await it.stored(IMAP), await it.stored(SUBMISSION)) == (None, WRONG)
        await it.replace(RIGHT, IMAP)
        assert (await it.stored(IMAP), await it.stored(SUBMISSION)) == (RIGHT, WRONG)
        assert [login for protocol, _, login in town.mail.refused if protocol == "smtp"] == ["smtp-alice"]


async def test_an_outage_is_no_wrong_password(tmp_path, town):
    async with connected(tmp_path, town, town.config(imap_port=1)) as it:
        away = await error(it.replace(RIGHT))
        assert away.problem is Problem.UPSTREAM_AWAY
        assert away.message == "the password could not be tried: no answer from localhost"
        assert "says nothing about the password" in away.hint
        assert await it.stored() is None


async def test_a_server_that_says_nothing_is_not_waited_for(tmp_path, town):
    async with connected(tmp_path, town, within_s=0.0) as it:
        late = await error(it.replace(RIGHT))
        assert (late.problem, late.message) == (Problem.UPSTREAM_AWAY, "this could not be tried in time")
        assert await it.stored() is None


async def test_guesses_come_to_an_end_and_cost_the_server_nothing_more(tmp_path, town):
    async with connected(tmp_path, town) as it:
        moment = it.here.clock.now
        for number in range(UPSTREAM_TRIES.free):
            it.here.clock.now = moment
            proof = it.here.proof()
            guess = it.behind.replace_secret(it.account, [IMAP], Secret(f"guess {number}"), OWNER, proof)
            assert await refusal(guess) is Problem.UPSTREAM_REFUSED
        tried = len(town.mail.refused)
        again = it.behind.replace_secret(it.account, [IMAP], RIGHT, OWNER, it.here.proof())
        assert await refusal(again) is Problem.TOO_MANY_TRIES
        assert len(town.mail.refused) + len(town.mail.signed_in) == tried == UPSTREAM_TRIES.free
        it.here.clock.now += 1
        await it.replace(RIGHT, IMAP)


async def test_two_at_once_are_one_at_a_time(tmp_path, town):
    async with connected(tmp_path, town) as it:
        proof = it.proof()
        tries = [it.behind.replace_secret(it.account, [IMAP], RIGHT, OWNER, proof) for _ in range(2)]
        ends = await asyncio.gather(*tries, return_exceptions=True)
        [refused] = [end for end in ends if end is not None]
        assert refused.problem is Problem.TOO_MANY_TRIES
        assert len(town.mail.signed_in) == 1


async def test_the_proof_is_looked_at_again_when_it_is_stored(tmp_path, town):
    async with connected(tmp_path, town) as it:
        wrong = it.here.proof()
        it.here.clock.now += 600
        late = it.behind.replace_secret(it.account, [IMAP], RIGHT, OWNER, wrong)
        assert await refusal(late) is Problem.WRONG_PROOF
        assert await it.stored() is None


async def test_only_where_a_secret_is_kept(tmp_path, town):
    own = 'sign_in = { kind = "oauth2", provider = "home" }'
    async with connected(tmp_path, town, town.config(own)) as it:
        assert await refusal(it.replace(RIGHT)) is Problem.NO_SUCH_IDENTITY
        there = Identity(login=ALICE, kind=IdentityKind.STORED)
        await it.here.accounts.identities.set(ALICE, IMAP, there, WRONG, OPERATOR)
        assert await refusal(it.replace(RIGHT, IMAP, SUBMISSION)) is Problem.NO_SUCH_IDENTITY
        assert await refusal(it.replace(RIGHT, Service.DAV)) is Problem.NO_SUCH_IDENTITY
        await it.replace(RIGHT, IMAP)
        assert town.mail.refused == []


async def test_another_account_under_the_same_name_is_not_written_to(tmp_path, town):
    """Removed and added again while the page was open."""
    async with connected(tmp_path, town) as it:
        await it.here.accounts.remove(ALICE, OPERATOR)
        await it.here.enrolled(ALICE)
        assert await refusal(it.replace(RIGHT)) is Problem.CHANGED_MEANWHILE
        again = await it.here.accounts.find(ALICE)
        assert (await it.here.accounts.identities.of(ALICE)).identities == {}
        assert again.id != it.account.id


async def test_what_is_kept_for_others_is_not_touched(tmp_path, town):
    async with connected(tmp_path, town) as it:
        await it.here.enrolled(BOB)
        there = Identity(login=BOB, kind=IdentityKind.STORED)
        await it.here.accounts.identities.set(BOB, IMAP, there, WRONG, OPERATOR)
        await it.replace(RIGHT)
        bob = await it.here.accounts.find(BOB)
        assert await it.here.accounts.identities.secret(bob.id, IMAP) == WRONG


async def test_how_it_goes_is_told_from_the_history(tmp_path, town):
    async with connected(tmp_path, town) as it:
        await it.replace(RIGHT)

        async def told():
            state = (await it.states())[IMAP]
            return state.state, state.since

        def ago(minutes: int) -> int:
            return int(it.here.clock.now) - 60 * minutes

        await it.came(GRANTED)
        assert await told() == (State.GOOD, ago(0))
        await it.came(AWAY)
        assert await told() == (State.AWAY, ago(0))
        await it.came(REFUSED, REFUSED, AWAY)
        assert await told() == (State.REFUSED, ago(2))
        assert (await it.states())[SUBMISSION].state is State.NEW
        await it.replace(RIGHT)
        assert await told() == (State.NEW, ago(0))
        await it.came(GRANTED)
        assert await told() == (State.GOOD, ago(0))


async def test_what_everybody_has_alike_is_said_to_be_so(tmp_path, town):
    secret = tmp_path / "gate.secret"
    secret.write_text("of the gate\n")
    secret.chmod(0o400)
    own = f'sign_in = {{ kind = "authzid", user = "gate", secret_file = "{secret}" }}\nlogin = "{{user}}"'
    async with connected(tmp_path, town, town.config(own)) as it:
        (imap, _) = (await it.states()).values()
        assert (imap.way, imap.login, imap.state) == (Way.GATE, "alice", State.UNUSED)
        await it.came(REFUSED)
        assert (await it.states())[IMAP].state is State.REFUSED
        assert await refusal(it.replace(RIGHT)) is Problem.NO_SUCH_IDENTITY


async def test_a_history_that_is_gone_is_not_taken_for_good_news(tmp_path, town):
    async with connected(tmp_path, town) as it:
        await it.replace(RIGHT)
        await it.came(REFUSED)
        for file in tmp_path.glob("activity.db*"):
            file.unlink()
        (tmp_path / "activity.db").write_bytes(b"no database at all, and long enough to be seen as one" * 50)
        assert (await it.states())[IMAP].state is State.UNKNOWN


@pytest.mark.parametrize("secret", ["", "two\nlines", "x" * 1_025, "nul\0"])
async def test_what_can_be_no_password_goes_nowhere(tmp_path, town, secret):
    async with connected(tmp_path, town) as it:
        assert await refusal(it.replace(Secret(secret))) is Problem.BAD_UPSTREAM_SECRET
        assert town.mail.refused == town.mail.signed_in == []
