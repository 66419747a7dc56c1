"""Invitations: who gets one, what it is good for, and how it ends."""

import asyncio
from dataclasses import dataclass, field

import pytest

from auth.accounts import AccountError, Accounts, Problem
from auth.deed import Fresh
from auth.invitations import GOOD_S, ToInvite
from auth.outage import PrimaryOutage
from auth.primaries import Floor
from auth.secret import Secret
from auth.store.rows import Stage
from support.office import (
    ALICE,
    BOB,
    OPERATOR,
    OWNER,
    PRIMARY,
    Office,
    failures,
    office,
    raw,
    refusal,
    wish,
)

WHERE = "192.0.2.7"
NEW = Secret("a new horse battery")


@dataclass
class Mailboxes:
    """A mail server that keeps primary passwords."""

    passwords: dict[str, str] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    def elsewhere(self, email):
        return True

    def first_sign_in(self, email):
        return False

    async def is_right(self, email, account, primary):
        self.asked += 1
        if self.away:
            raise PrimaryOutage("away")
        return self.passwords.get(email) == primary.reveal()


async def nothing(seconds):
    """Waits for nobody."""


def keep_elsewhere(here: Office, mailboxes: Mailboxes) -> None:
    """Let the mail server keep the primary passwords of this office."""
    here.accounts = Accounts(
        here.store, here.hasher, here.keys, now=here.clock, primaries=mailboxes, floor=Floor(pause=nothing)
    )


async def invited(here: Office, email: str = ALICE) -> Secret:
    """Add a person without a primary password and invite it; give the token."""
    await here.accounts.add(email, primary=None, actor=OPERATOR)
    return (await here.accounts.invitations.invite(email, OPERATOR)).token


async def deeds(here: Office) -> list[tuple[str, str]]:
    return [(str(entry.deed), entry.detail) for entry in await here.accounts.audit(ALICE)]


async def test_who_accepts_sets_the_primary_password_enrols_and_is_in(tmp_path):
    async with office(tmp_path) as here:
        token = await invited(here)
        invitations, portal = here.accounts.invitations, here.accounts.portal
        for _ in range(3):  # whatever looks at links on the way uses nothing up
            found = await invitations.look(token)
        assert (found.account.email, found.elsewhere) == (ALICE, False)
        assert found.expires_at == int(here.clock.now) + GOOD_S
        opened = await invitations.accept(token, NEW, WHERE)
        assert opened.stage is Stage.ENROL
        enrolment = await portal.begin_enrolment(opened.token)
        opened, _ = await portal.confirm_enrolment(opened.token, here.first_code(enrolment), OWNER)
        await here.accounts.mint(ALICE, wish(), OWNER, Fresh(token=opened.token))
        assert [deed for deed, _ in await deeds(here)][1:3] == ["invited", "invitation used"]
        here.seeds[ALICE] = enrolment.seed
        here.clock.now += 60
        begun = await portal.begin(ALICE, NEW, WHERE)
        assert (await portal.answer(begun.token, here.code(), WHERE)).stage is Stage.IN


async def test_it_is_good_once(tmp_path):
    async with office(tmp_path) as here:
        token = await invited(here)
        await here.accounts.invitations.accept(token, NEW, WHERE)
        assert await here.accounts.invitations.look(token) is None
        again = here.accounts.invitations.accept(token, PRIMARY, WHERE)
        assert await refusal(again) is Problem.INVITATION_ENDED
        assert (await here.accounts.portal.begin(ALICE, NEW, WHERE)).stage is Stage.ENROL


async def test_of_two_at_once_one_comes_in(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        token = await invited(here)
        results = await asyncio.gather(
            *(desk.accounts.invitations.accept(token, NEW, WHERE) for desk in (here, there)),
            return_exceptions=True,
        )
        (refused,) = [each for each in results if isinstance(each, AccountError)]
        assert refused.problem is Problem.INVITATION_ENDED


async def test_late_used_replaced_and_unknown_are_answered_alike(tmp_path):
    async with office(tmp_path) as here:
        invitations = here.accounts.invitations
        used, replaced = await invited(here), await invited(here, BOB)
        await invitations.accept(used, NEW, WHERE)
        late = (await invitations.invite(BOB, OPERATOR)).token
        said = []
        for token in (used, replaced, Secret("x"), Secret(""), Secret("\udcff" * 100_000)):
            with pytest.raises(AccountError) as ended:
                await invitations.accept(token, NEW, WHERE)
            said.append((ended.value.problem, ended.value.message, ended.value.hint))
        here.clock.now += GOOD_S - 1
        assert await invitations.look(late) is not None
        here.clock.now += 1
        with pytest.raises(AccountError) as ended:
            await invitations.accept(late, NEW, WHERE)
        said.append((ended.value.problem, ended.value.message, ended.value.hint))
        assert len(set(said)) == 1
        assert await invitations.look(late) is None


async def test_a_primary_password_that_is_none_leaves_it_good(tmp_path):
    async with office(tmp_path) as here:
        token = await invited(here)
        short = here.accounts.invitations.accept(token, Secret("short"), WHERE)
        assert await refusal(short) is Problem.BAD_PRIMARY
        assert (await here.accounts.invitations.accept(token, NEW, WHERE)).stage is Stage.ENROL


async def test_without_an_invitation_nothing_is_hashed(tmp_path):
    async with office(tmp_path) as here:
        await invited(here)
        here.hasher.close()  # were something hashed, it would fail
        late = here.accounts.invitations.accept(Secret("x" * 43), NEW, WHERE)
        assert await refusal(late) is Problem.INVITATION_ENDED


@pytest.mark.parametrize(
    "end", ["disabled", "removed", "enrolled", "enrolled and reset", "set by the operator"]
)
async def test_what_makes_it_needless_ends_it_for_good(tmp_path, end):
    async with office(tmp_path) as here:
        token = await invited(here)
        accounts = here.accounts
        if end == "disabled":
            await accounts.disable(ALICE, OPERATOR)
            await accounts.enable(ALICE, OPERATOR)
        elif end == "removed":
            await accounts.remove(ALICE, OPERATOR)
        elif end == "set by the operator":
            await accounts.set_primary(ALICE, PRIMARY, OPERATOR)
        else:
            await here.enrol()
            if end == "enrolled and reset":
                await accounts.reset_second_factor(ALICE, OPERATOR)
        assert await refusal(accounts.invitations.accept(token, NEW, WHERE)) is Problem.INVITATION_ENDED


async def test_who_needs_none_gets_none(tmp_path):
    async with office(tmp_path) as here:
        accounts = here.accounts
        await here.enrolled()
        await accounts.add("printer@example.org", primary=None, service=True, actor=OPERATOR)
        await accounts.add("gone@example.org", primary=None, actor=OPERATOR)
        await accounts.disable("gone@example.org", OPERATOR)
        for name, problem in [
            (ALICE, Problem.ALREADY_ENROLLED),
            ("printer@example.org", Problem.SERVICE_ACCOUNT),
            ("gone@example.org", Problem.ACCOUNT_DISABLED),
            ("nobody@example.org", Problem.NO_SUCH_ACCOUNT),
        ]:
            assert await refusal(accounts.invitations.invite(name, OPERATOR)) is problem
        assert await accounts.invitations.all_to_invite() == accounts_to_invite((), ())


def accounts_to_invite(without, with_one):
    return ToInvite(without=without, invited=with_one)


async def test_who_has_a_good_one_is_told_apart_from_who_has_none(tmp_path):
    async with office(tmp_path) as here:
        invitations = here.accounts.invitations
        await here.person("zoe@example.org")
        await invited(here)
        used = await invited(here, BOB)
        await invitations.accept(used, NEW, WHERE)
        expected = accounts_to_invite((BOB, "zoe@example.org"), (ALICE,))
        assert await invitations.all_to_invite() == expected, "who began and did not enrol needs another one"
        here.clock.now += GOOD_S
        everybody = (ALICE, BOB, "zoe@example.org")
        assert await invitations.all_to_invite() == accounts_to_invite(everybody, ())


async def test_the_token_is_neither_in_the_files_nor_in_anything_printed(tmp_path):
    async with office(tmp_path) as here:
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        made = await here.accounts.invitations.invite(ALICE, OPERATOR, by_mail=True)
        octets = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert made.token.reveal_bytes() not in octets
        assert made.token.reveal() not in repr((made, await here.accounts.invitations.look(made.token)))


async def test_the_mail_of_an_invitation_that_was_replaced_is_not_sent(tmp_path):
    async with office(tmp_path) as here:
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        for _ in range(2):
            await here.accounts.invitations.invite(ALICE, OPERATOR, by_mail=True)
        await here.accounts.add(BOB, primary=None, actor=OPERATOR)
        await here.accounts.invitations.invite(BOB, OPERATOR, by_mail=True)
        await here.accounts.invitations.invite(BOB, OPERATOR)
        with raw(tmp_path) as connection:
            due = connection.execute("SELECT count(*) FROM notice WHERE next_at IS NOT NULL").fetchone()
        assert due == (1,)


# --- a primary password that a mail server keeps ---


async def test_where_a_mail_server_keeps_it_it_is_proved_and_not_set(tmp_path):
    async with office(tmp_path) as here:
        mailboxes = Mailboxes({ALICE: "of the mailbox"})
        keep_elsewhere(here, mailboxes)
        token = await invited(here)
        invitations = here.accounts.invitations
        assert (await invitations.look(token)).elsewhere
        assert await refusal(invitations.accept(token, NEW, WHERE)) is Problem.WRONG_PROOF
        assert await failures(here) == [1, 1, 1], "by name, account and address"
        here.clock.now += 60
        opened = await invitations.accept(token, Secret("of the mailbox"), WHERE)
        assert opened.stage is Stage.ENROL
        assert await failures(here) in ([], [1]), "one address keeps what it tried wrongly"
        assert (await deeds(here))[-1] == ("invitation used", "the primary password proved")
        begun = await here.accounts.portal.begin(ALICE, Secret("of the mailbox"), WHERE)
        assert begun.stage is Stage.ENROL, "a second sign-in needs no invitation"


async def test_an_outage_of_the_mail_server_is_no_try_and_leaves_it_good(tmp_path):
    async with office(tmp_path) as here:
        mailboxes = Mailboxes({ALICE: "of the mailbox"}, away=True)
        keep_elsewhere(here, mailboxes)
        token = await invited(here)
        with pytest.raises(PrimaryOutage):
            await here.accounts.invitations.accept(token, Secret("of the mailbox"), WHERE)
        assert await failures(here) == []
        mailboxes.away = False
        await here.accounts.invitations.accept(token, Secret("of the mailbox"), WHERE)


async def test_a_link_does_not_let_guess_the_password_of_a_mailbox(tmp_path):
    async with office(tmp_path) as here:
        mailboxes = Mailboxes({ALICE: "of the mailbox"})
        keep_elsewhere(here, mailboxes)
        token = await invited(here)
        problems = [
            await refusal(here.accounts.invitations.accept(token, Secret(f"guess {n}"), WHERE))
            for n in range(20)
        ]
        assert problems[-1] is Problem.TOO_MANY_TRIES
        assert mailboxes.asked < 20
        right = here.accounts.invitations.accept(token, Secret("of the mailbox"), WHERE)
        assert await refusal(right) is Problem.TOO_MANY_TRIES


async def test_a_password_changed_there_meanwhile_leaves_the_invitation_good(tmp_path):
    async with office(tmp_path) as here:
        keep_elsewhere(here, Mailboxes({ALICE: "of the mailbox"}))
        token = await invited(here)
        await here.accounts.primary_changed(ALICE, OPERATOR)
        assert (await here.accounts.invitations.look(token)).account.email == ALICE
