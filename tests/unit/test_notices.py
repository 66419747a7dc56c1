"""What owners are told: which deeds are news, warnings before an end, and that each is claimed by one."""

import pytest
from sqlalchemy import select, text

from auth.expiring import days_before
from auth.notices import Outbox, invitation
from auth.restoring import Terms, decide
from auth.seal import UnsealError
from auth.secret import Secret
from auth.store import notices
from auth.store.notices import KEPT_S, NoticeKind
from auth.store.rows import RevokedWhy
from auth.store.schema import notice
from support.office import ALICE, NOON, OPERATOR, OWNER, PRIMARY, office, wish

DAY = 86_400
LEASE = 600


@pytest.fixture
async def here(tmp_path):
    """Alice, with nothing told of yet."""
    async with office(tmp_path, tell_owners=True) as here:
        await here.enrolled()
        here.outbox = Outbox(here.store, here.keys, here.clock)
        yield here


async def told(here):
    """Take everything that is due."""
    found = []
    while (due := await here.outbox.next(LEASE)) is not None:
        found.append(due)
        await here.outbox.sent(due)
    return found


def kinds(dues):
    return [due.kind for due in dues]


def labels(due):
    return [each["label"] for each in due.facts["app_passwords"]]


async def test_one_for_every_mint_and_every_revocation(here):
    end = int(here.clock.now) + 10 * DAY
    await here.accounts.mint(ALICE, wish("phone", expires_at=end), OWNER, here.proof())
    (minted,) = await told(here)
    assert (minted.kind, minted.email, labels(minted)) == (NoticeKind.MINTED, ALICE, ["phone"])
    assert (minted.facts["by"], minted.facts["where"]) == ("owner", "192.0.2.7")
    assert minted.facts["app_passwords"][0]["expires_at"] == end
    new = await here.accounts.renew(ALICE, "phone", None, OPERATOR)
    (renewed,) = await told(here)
    assert (renewed.kind, renewed.facts["by"]) == (NoticeKind.RENEWED, "operator")
    assert renewed.facts["app_passwords"][0]["old_ends_at"] == end + 7 * DAY
    await here.store.first_use(new.id, int(here.clock.now), "192.0.2.9")
    assert kinds(await told(here)) == [NoticeKind.REPLACED]
    await here.accounts.revoke(ALICE, "phone", OPERATOR)
    await here.accounts.revoke(ALICE, "phone", OPERATOR)
    assert kinds(await told(here)) == [NoticeKind.REVOKED]


@pytest.mark.parametrize("deed", ["revoke_all", "disable", "remove", "reset_second_factor", "set_primary"])
async def test_one_for_all_that_a_deed_ends(here, deed):
    for label in ("phone", "tablet"):
        await here.mint(label)
    await here.mint("over", expires_at=int(here.clock.now) + 5)
    await told(here)
    here.clock.now += 5
    deeds = {
        "revoke_all": lambda: here.accounts.revoke_all(ALICE, OPERATOR),
        "disable": lambda: here.accounts.disable(ALICE, OPERATOR),
        "remove": lambda: here.accounts.remove(ALICE, OPERATOR),
        "reset_second_factor": lambda: here.accounts.reset_second_factor(ALICE, OPERATOR),
        "set_primary": lambda: here.accounts.set_primary(ALICE, PRIMARY, OPERATOR),
    }
    await deeds[deed]()
    (due,) = await told(here)
    assert (due.kind, due.email, sorted(labels(due))) == (
        NoticeKind.ALL_REVOKED,
        ALICE,
        ["phone", "tablet"],
    ), "what had expired is no news"
    assert due.facts["deed"] == (await here.accounts.audit(ALICE))[-1].deed


async def test_what_ends_nothing_is_no_news(here):
    await here.accounts.aliases.add(ALICE, "ally", OPERATOR)
    await here.accounts.set_primary(ALICE, PRIMARY, OPERATOR)
    await here.accounts.disable(ALICE, OPERATOR)
    assert await told(here) == []


async def test_nobody_reads_the_mail_of_a_printer(here):
    printer = "printer@example.org"
    await here.accounts.add(printer, primary=None, service=True, actor=OPERATOR)
    await here.mint("scans", email=printer, expires_at=int(here.clock.now) + 2 * DAY)
    here.clock.now += 1.5 * DAY
    assert await here.outbox.warn() == 0
    await here.accounts.revoke_all(printer, OPERATOR)
    assert await told(here) == []


async def test_without_mail_nothing_is_written(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint()
        await here.accounts.revoke_all(ALICE, OPERATOR)
        assert await Outbox(here.store, here.keys, here.clock).next(LEASE) is None


async def test_a_deed_that_is_undone_tells_nothing(here):
    """The notice is of the deed's transaction."""

    account_id = (await here.accounts.find(ALICE)).id

    def deed(tx):
        notices.put(tx, notices.Notice(subject="x", account_id=account_id, kind=NoticeKind.MINTED), 1)
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError):
        await here.store.write(deed)
    assert await told(here) == []


async def test_one_process_gets_it_until_its_claim_has_ended(here, tmp_path):
    await here.mint()
    async with office(tmp_path) as there:
        there.clock.now = here.clock.now
        other = Outbox(there.store, there.keys, there.clock)
        first = await here.outbox.next(LEASE)
        assert (first.tries, await other.next(LEASE)) == (1, None)
        there.clock.now += LEASE
        again = await other.next(LEASE)
        assert (again.id, again.subject, again.created_at) == (first.id, first.subject, first.created_at)
        assert again.tries == 2, "killed in between: sent once more"


async def test_what_is_postponed_comes_again_and_what_is_given_up_does_not(here):
    await here.mint()
    due = await here.outbox.next(LEASE)
    await here.outbox.postpone(due, 60)
    here.clock.now += 59
    assert await here.outbox.next(LEASE) is None
    here.clock.now += 1
    due = await here.outbox.next(LEASE)
    await here.outbox.give_up(due)
    here.clock.now += 10 * DAY
    assert await here.outbox.next(LEASE) is None


async def test_what_is_done_with_is_forgotten(here):
    await here.mint()
    await told(here)

    def rows(tx):
        return [(row.sent_at is not None, row.facts) for row in tx.execute(select(notice))]

    assert await here.store.read(rows) == [(True, "{}")]
    here.clock.now += KEPT_S + 1
    await here.outbox.warn()
    assert await here.store.read(rows) == []


async def test_an_invitation_holds_its_token_sealed(here):
    account = await here.accounts.find(ALICE)
    token = Secret("a very secret token")
    sealed = invitation(here.keys, account.id, token, name="in_1", expires_at=7)
    assert "very secret" not in repr(sealed) + str(sealed.facts)
    await here.store.write(lambda tx: notices.put(tx, sealed, int(here.clock.now)))
    due = await here.outbox.next(LEASE)
    assert (due.kind, due.facts["expires_at"]) == (NoticeKind.INVITATION, 7)
    assert here.outbox.token(due).reveal() == token.reveal()
    await here.store.write(lambda tx: tx.execute(text("UPDATE notice SET subject = 'of another'")))
    here.clock.now += LEASE
    with pytest.raises(UnsealError):
        here.outbox.token(await here.outbox.next(LEASE))


async def test_a_kind_of_a_newer_version_waits_and_holds_nobody_up(here):
    await here.mint("first")
    await here.mint("second")
    newer = text("UPDATE notice SET kind = 'telegram' WHERE id = 1")
    await here.store.write(lambda tx: tx.execute(newer))
    assert [labels(due) for due in await told(here)] == [["second"]]


# --- warnings -----------------------------------------------------------------------------------------------


async def warned_after(here, days):
    """Let time pass, scan twice as two processes would, and give how many warnings came."""
    here.clock.now = NOON + 60 + days * DAY
    await here.outbox.warn()
    await here.outbox.warn()
    return len(await told(here))


async def test_fourteen_three_and_one_day_before_once_each(here):
    await here.mint(expires_at=int(NOON) + 60 + 30 * DAY)
    await told(here)
    moments = (15.9, 16.0, 16.1, 20, 26.9, 27.0, 28, 29.0, 29.9, 30.0, 31)
    assert [await warned_after(here, days) for days in moments] == [0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0]


async def test_only_the_nearest_one_where_several_were_missed(here):
    await here.mint(expires_at=int(NOON) + 60 + 30 * DAY)
    await told(here)
    assert [await warned_after(here, days) for days in (29.5, 29.9)] == [1, 0]


async def test_who_asks_for_ten_days_is_not_told_fourteen_days_before(here):
    await here.mint(expires_at=int(NOON) + 60 + 10 * DAY)
    await told(here)
    assert [await warned_after(here, days) for days in (0.1, 6.9, 7, 9)] == [0, 0, 1, 1]


async def test_what_is_revoked_or_disabled_is_not_warned_of(here):
    await here.mint(expires_at=int(NOON) + 60 + 30 * DAY)
    await here.accounts.revoke(ALICE, "phone", OPERATOR)
    await told(here)
    assert await warned_after(here, 29) == 0


async def test_a_renewed_one_is_warned_of_by_its_new_end(here):
    """Who has not typed the successor in yet would be surprised otherwise."""
    await here.mint(expires_at=int(NOON) + 60 + 30 * DAY)
    await told(here)
    assert await warned_after(here, 28) == 1
    await here.accounts.renew(ALICE, "phone", None, OPERATOR)
    await told(here)
    assert [await warned_after(here, days) for days in (28.5, 34, 36, 37)] == [0, 1, 1, 0]


def test_days_before_says_nothing_of_what_has_no_end():
    class Row:
        expires_at, revoked_at, created_at = None, None, 0

    assert days_before(Row, 5.0) is None
    Row.expires_at = 4
    assert days_before(Row, 5.0) is None, "it is over"


async def test_a_restored_copy_tells_what_the_restore_revoked_and_nothing_older(here):
    await here.mint("phone")
    await here.mint("known to be dead")
    terms = Terms(
        known=None, trusted=False, keys=here.keys, actor=OPERATOR, at=int(here.clock.now), made_at="then"
    )
    await decide(here.store, terms)
    (due,) = await told(here)
    assert (due.kind, sorted(labels(due))) == (NoticeKind.ALL_REVOKED, ["known to be dead", "phone"])
    (row, _) = await here.accounts.history(ALICE)
    assert row.revoked_why is RevokedWhy.RESTORED
