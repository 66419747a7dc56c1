"""Many people at once, into the store: what is added, what stays, and that one bad row changes nothing."""

import pytest

from auth.accounts import AccountError, Problem
from auth.importing import Outcome
from auth.roster import MOST_ROWS, RosterError, read_roster
from auth.secret import Secret
from scopes.model import Identity, IdentityKind, Service
from support.office import ALICE, BOB, OPERATOR, Office, office, refusal

HEAD = "email,aliases,imap_login,imap_secret,smtp_login,smtp_secret"


def usual(email, service):
    """How the config calls them; nothing can be set for printers."""
    if email.startswith("built-in"):
        raise AccountError(Problem.BAD_LOGIN, "the built-in server needs no login", "take it out")
    return f"{service}-{email.partition('@')[0]}"


def listed(*rows: str, head: str = HEAD):
    return read_roster("\n".join((head, *rows)).encode())


async def brought_in(here: Office, *rows: str) -> list[tuple[int, str, str]]:
    """Import; give line, email and outcome, once it is seen that the dry run said the same."""
    roster = listed(*rows)
    said = await here.accounts.importing.preview(roster, usual)
    done = await here.accounts.importing.carry_out(roster, usual, OPERATOR)
    assert said == done
    return [(each.line, each.email, each.outcome.value) for each in done]


async def faults(here: Office, *rows: str) -> list[tuple[int, str]]:
    before = await everything(here)
    with pytest.raises(RosterError) as refused:
        await here.accounts.importing.carry_out(listed(*rows), usual, OPERATOR)
    with pytest.raises(RosterError) as previewed:
        await here.accounts.importing.preview(listed(*rows), usual)
    assert previewed.value.faults == refused.value.faults
    assert await everything(here) == before
    return [(fault.line, fault.what) for fault in refused.value.faults]


async def everything(here: Office):
    return await here.accounts.all(), await here.accounts.audit()


async def behind(here: Office, email: str):
    """Who an account is at the servers behind, with its secret."""
    known = await here.accounts.identities.of(email)
    return {
        service: (identity, await here.accounts.identities.secret(known.account.id, service))
        for service, identity in known.identities.items()
    }


async def test_people_come_in_with_their_names_and_what_they_have_behind(tmp_path):
    async with office(tmp_path) as here:
        assert await brought_in(
            here,
            "Alice@Example.org,al alice.a@example.org,alice.imap,app secret,,",
            'bob@example.org,,,,bob.smtp,"quo""ted"',
            "carol@example.org,,carol.c,,,",
        ) == [(2, ALICE, "added"), (3, BOB, "added"), (4, "carol@example.org", "added")]
        alice, bob, _ = await here.accounts.all()
        assert alice.aliases == ("al", "alice.a@example.org")
        assert (alice.primary_hash, alice.is_service, bob.aliases) == (None, False, ())
        stored = IdentityKind.STORED
        assert await behind(here, "al") == {
            Service.IMAP: (Identity(login="alice.imap", kind=stored), Secret("app secret"))
        }
        assert await behind(here, BOB) == {
            Service.SUBMISSION: (Identity(login="bob.smtp", kind=stored), Secret('quo"ted'))
        }
        assert await behind(here, "carol@example.org") == {Service.IMAP: (Identity(login="carol.c"), None)}
        trail = [(str(each.deed), each.detail) for each in await here.accounts.audit(ALICE)]
        assert trail == [
            ("account added", "person, imported, aliases al alice.a@example.org"),
            ("upstream login set", "imap: stored as alice.imap"),
        ]


async def test_a_secret_alone_goes_with_the_login_of_the_config(tmp_path):
    async with office(tmp_path) as here:
        await brought_in(here, "alice@example.org,,,one,,two")
        logins = {service: identity.login for service, (identity, _) in (await behind(here, ALICE)).items()}
        assert logins == {Service.IMAP: "imap-alice", Service.SUBMISSION: "submission-alice"}


async def test_the_same_list_again_changes_nothing(tmp_path):
    async with office(tmp_path) as here:
        rows = ("alice@example.org,al,alice,s3cret,,", "bob@example.org,,,,b,")
        await brought_in(here, *rows)
        before = await everything(here)
        assert [outcome for _, _, outcome in await brought_in(here, *rows)] == ["unchanged"] * 2
        assert await everything(here) == before


async def test_a_longer_list_adds_what_is_new_and_takes_nothing_away(tmp_path):
    async with office(tmp_path) as here:
        await here.person(aliases=["old"])
        assert await brought_in(here, "alice@example.org,new,a,,,", "bob@example.org,,,,,") == [
            (2, ALICE, "completed"),
            (3, BOB, "added"),
        ]
        assert (await here.accounts.find("new")).aliases == ("new", "old")
        assert [each[2] for each in await brought_in(here, "alice@example.org,,,,,")] == ["unchanged"]
        assert (await here.accounts.find("new")).aliases == ("new", "old")
        assert (await here.accounts.find(ALICE)).primary_hash is not None


async def test_what_was_replaced_since_is_kept_and_said(tmp_path):
    async with office(tmp_path) as here:
        rows = ("alice@example.org,,alice,first,a,",)
        await brought_in(here, *rows)
        newer = Identity(login="alice", kind=IdentityKind.STORED)
        await here.accounts.identities.set(ALICE, Service.IMAP, newer, Secret("second"), OPERATOR)
        (done,) = await here.accounts.importing.carry_out(listed(*rows), usual, OPERATOR)
        assert (done.outcome, done.kept) == (Outcome.UNCHANGED, (Service.IMAP,))
        assert (await behind(here, ALICE))[Service.IMAP] == (newer, Secret("second"))


async def test_a_secret_is_added_to_a_login_that_was_alone(tmp_path):
    async with office(tmp_path) as here:
        await brought_in(here, "alice@example.org,,alice,,other,")
        (done,) = await here.accounts.importing.carry_out(
            listed("alice@example.org,,alice,s3cret,another,s3cret"), usual, OPERATOR
        )
        assert (done.outcome, done.kept) == (Outcome.COMPLETED, (Service.SUBMISSION,))
        assert (await behind(here, ALICE))[Service.IMAP][1] == Secret("s3cret")


async def test_who_was_disabled_stays_so_and_gets_nothing(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        await here.accounts.disable(ALICE, OPERATOR)
        await here.accounts.add(BOB, primary=None, aliases=["al"], actor=OPERATOR)
        before = await everything(here)
        assert await brought_in(here, "alice@example.org,al new,a,b,,") == [(2, ALICE, "disabled")]
        assert await everything(here) == before


async def test_every_bad_row_is_named_and_nothing_is_done(tmp_path):
    async with office(tmp_path) as here:
        await here.person(BOB, aliases=["bobby@example.org"])
        await here.accounts.add("printer@example.org", primary=None, service=True, actor=OPERATOR)
        found = await faults(
            here,
            "good@example.org,g,,,,",
            "no-address,,,,,",
            "carol@example.org,bob@example.org,,,,",
            "bobby@example.org,,,,,",
            "printer@example.org,,,,,",
            "GOOD@example.org,,,,,",
            "dave@example.org,G dave@example.org,,,,",
            'erin@example.org,,"bad\tlogin","two\nlines",,',
            ",,x,,,",
            "built-in@example.org,,,s3cret,,",
        )
        assert found == [
            (3, "email: this is not an email address"),
            (4, "bob@example.org signs in to bob@example.org"),
            (5, "bobby@example.org is an alias of bob@example.org"),
            (6, "printer@example.org is a service account"),
            (7, "good@example.org stands in line 2 already"),
            (8, "g stands in line 2 already"),
            (9, "imap_login, imap_secret: a login at the server behind has 1 to 256 printable characters"),
            (11, "there is no email"),
            (12, "imap_login, imap_secret: the built-in server needs no login"),
        ]


async def test_a_secret_in_the_wrong_column_is_not_repeated(tmp_path):
    async with office(tmp_path) as here:
        (fault,) = await faults(here, "alice@example.org,k7mq-2xwd-hnrp-4tvc-9zsa,,,,")
        assert fault == (2, "aliases: this cannot be a name to sign in by")


async def test_the_longest_list_takes_as_few_statements_as_a_short_one(tmp_path):
    async with office(tmp_path) as here:
        taken = []
        for name, rows in (("short", 1), ("long", MOST_ROWS), ("long", MOST_ROWS)):
            people = [f"{name}{n}@example.org,{name}a{n},i,secret {n},s,other {n}" for n in range(rows)]
            before = here.store.statements
            await here.accounts.importing.carry_out(listed(*people), usual, OPERATOR)
            taken.append(here.store.statements - before)
        assert taken[0] == taken[1] > taken[2]
        assert len(await here.accounts.all()) == MOST_ROWS + 1


async def test_a_removed_account_of_the_same_name_does_not_come_back(tmp_path):
    async with office(tmp_path) as here:
        before = await here.person()
        await here.accounts.remove(ALICE, OPERATOR)
        await brought_in(here, "alice@example.org,,,,,")
        assert (await here.accounts.find(ALICE)).id != before
        assert await refusal(here.accounts.find("al")) is Problem.NO_SUCH_ACCOUNT
