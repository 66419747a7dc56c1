"""What an account may send as: listed, canonical, counted, in the audit trail, and gone with the account."""

import pytest

from auth.deed import AccountError, Problem
from auth.senders import MOST_LISTED, checked_sender
from auth.store.errors import StoreUnavailable
from support.office import ALICE, BOB, OPERATOR, office, raw, refusal


async def addresses(here, email=ALICE) -> tuple[str, ...]:
    account = await here.accounts.find(email)
    return await here.store.sender_addresses(account.id)


async def test_email_first_then_aliases_then_what_is_listed(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["z@example.org", "al@example.org"])
        await here.person(BOB)
        for address in ("sales@example.net", "*@example.com", "Info@Example.NET"):
            await here.accounts.senders.add("AL@example.org", address, OPERATOR)
        listed = ("*@example.com", "info@example.net", "sales@example.net")
        assert await addresses(here) == (ALICE, "al@example.org", "z@example.org", *listed)
        sending = await here.accounts.senders.of(ALICE)
        assert (sending.account.email, sending.listed) == (ALICE, listed)
        assert await addresses(here, BOB) == (BOB,)


async def test_one_statement_tells_all(tmp_path):
    async with office(tmp_path) as here:
        account_id = await here.person(ALICE, aliases=["al@example.org"])
        await here.accounts.senders.add(ALICE, "*@example.net", OPERATOR)
        before = here.store.statements
        await here.store.sender_addresses(account_id)
        assert here.store.statements == before + 1


async def test_a_removed_alias_is_no_sender_any_more(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["al@example.org"])
        assert await addresses(here) == (ALICE, "al@example.org")
        await here.accounts.aliases.remove(ALICE, "al@example.org", OPERATOR)
        assert await addresses(here) == (ALICE,)


async def test_a_name_is_never_a_pattern_and_one_without_a_domain_no_address(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["al", "*@example.org", "a@b@c", "@d"])
        assert await addresses(here) == (ALICE,)
        assert (await here.accounts.senders.of(ALICE)).own == (ALICE,)
        account_id = await here.person("*@example.com")
        assert await here.store.sender_addresses(account_id) == ()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Sales@Example.NET", "sales@example.net"),
        ("o'brien+x@example.net", "o'brien+x@example.net"),
        ("*@Example.NET", "*@example.net"),
        ("*@localhost", "*@localhost"),
        ("all@example.net", "all@example.net"),
        ("BÜRO@bücher.example", "büro@bücher.example"),
        ("*@BÜCHER.example", "*@bücher.example"),
    ],
)
def test_one_canonical_form(typed, kept):
    assert checked_sender(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "", "*", "*@", "@example.net", "sales", "sales@", "**@example.net", "*@*.example.net", "*@*",
        "s*@example.net", "*.x@example.net", " sales@example.net", "sales@example.net\n", "sales@ex ample",
        "<sales@example.net>", '"sales"@example.net', "sales@[192.0.2.1]", "*@[192.0.2.1]", "*@@example.net",
        "*@a@example.net", "a..b@example.net", "sales@-example.net", "sales@example..net", "s\0@example.net",
        "a" * 65 + "@example.net", "*@" + ".".join(["a" * 63] * 5),
    ],
)  # fmt: skip
def test_what_is_no_address_and_no_domain_is_refused(typed):
    with pytest.raises(AccountError) as refused:
        checked_sender(typed)
    assert refused.value.problem is Problem.BAD_SENDER


@pytest.mark.parametrize("typed", ["k7mq-2xwd-hnrp-4tvc-9zsa", "my password"])
def test_what_may_be_a_secret_is_not_repeated(typed):
    with pytest.raises(AccountError) as refused:
        checked_sender(typed)
    assert typed not in refused.value.message + refused.value.hint


async def test_what_it_may_send_as_already_is_refused_with_the_reason(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["al@example.org"])
        await here.accounts.senders.add(ALICE, "*@example.net", OPERATOR)
        for address, reason in (
            (ALICE, "it is its email"),
            ("AL@example.org", "it is an alias"),
            ("*@EXAMPLE.net", "it is listed"),
        ):
            with pytest.raises(AccountError, match=reason) as refused:
                await here.accounts.senders.add(ALICE, address, OPERATOR)
            assert refused.value.problem is Problem.SENDER_LISTED
        assert len(await here.accounts.audit(ALICE)) == 2


async def test_several_accounts_may_list_the_same_address(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        await here.person(BOB)
        await here.accounts.senders.add(ALICE, "info@example.net", OPERATOR)
        await here.accounts.senders.add(BOB, "info@example.net", OPERATOR)
        await here.accounts.senders.remove(BOB, "info@example.net", OPERATOR)
        assert await addresses(here) == (ALICE, "info@example.net")


async def test_each_deed_is_a_change_with_its_line_in_the_audit_trail(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        number = (await here.store.feed_mark()).seq
        await here.accounts.senders.add(ALICE, "Info@Example.net", OPERATOR)
        await here.accounts.senders.remove(ALICE, "INFO@example.net", OPERATOR)
        assert (await here.store.feed_mark()).seq == number + 2
        assert [change.kind for change in await here.store.changes_since(number)] == [
            "sender added",
            "sender removed",
        ]
        said = [(entry.deed, entry.detail, entry.at) for entry in await here.accounts.audit(ALICE)][1:]
        at = int(here.clock.now)
        assert said == [("sender added", "info@example.net", at), ("sender removed", "info@example.net", at)]


async def test_a_deed_without_its_audit_line_is_not_done(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        with raw(tmp_path) as connection:
            connection.execute("DROP TABLE change")  # the last step of every deed
        with pytest.raises(StoreUnavailable):
            await here.accounts.senders.add(ALICE, "info@example.net", OPERATOR)
        assert await addresses(here) == (ALICE,)
        assert len(await here.accounts.audit(ALICE)) == 1


async def test_only_what_is_listed_can_be_taken_away(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["al@example.org"])
        await here.accounts.senders.add(ALICE, "*@example.net", OPERATOR)
        for address, hint in (
            (ALICE, "its own email"),
            ("al@example.org", "wicketgate account alias remove alice@example.org al@example.org"),
            ("info@example.net", "wicketgate account sender list alice@example.org"),
        ):
            with pytest.raises(AccountError) as refused:
                await here.accounts.senders.remove(ALICE, address, OPERATOR)
            assert refused.value.problem is Problem.NO_SUCH_SENDER
            assert hint in refused.value.hint
        assert await addresses(here) == (ALICE, "al@example.org", "*@example.net")


async def test_their_number_is_bounded(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        await here.person(BOB)
        with raw(tmp_path) as connection:
            connection.executemany(
                "INSERT INTO account_sender SELECT account_id, ? FROM account_name WHERE name = ?",
                [(f"a{number}@example.net", ALICE) for number in range(MOST_LISTED - 1)],
            )
        await here.accounts.senders.add(ALICE, "last@example.net", OPERATOR)
        more = here.accounts.senders.add(ALICE, "more@example.net", OPERATOR)
        assert await refusal(more) is Problem.TOO_MANY_SENDERS
        await here.accounts.senders.add(BOB, "more@example.net", OPERATOR)
        await here.accounts.senders.remove(ALICE, "a0@example.net", OPERATOR)
        await here.accounts.senders.add(ALICE, "more@example.net", OPERATOR)


async def test_a_removed_account_sends_as_nobody_and_its_successor_begins_anew(tmp_path):
    async with office(tmp_path) as here:
        account_id = await here.person(ALICE, aliases=["al@example.org"])
        await here.accounts.senders.add(ALICE, "*@example.net", OPERATOR)
        await here.accounts.remove(ALICE, OPERATOR)
        assert await here.store.sender_addresses(account_id) == ()
        with raw(tmp_path) as connection:
            assert connection.execute("SELECT * FROM account_sender").fetchall() == []
        await here.person(ALICE)
        assert await addresses(here) == (ALICE,)


async def test_a_name_that_nobody_has_is_refused(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE)
        await here.accounts.senders.add(ALICE, "info@example.net", OPERATOR)
        for name in (BOB, "info@example.net", "*@example.net"):
            assert await refusal(here.accounts.senders.of(name)) is Problem.NO_SUCH_ACCOUNT


async def test_no_answer_is_an_outage(tmp_path):
    async with office(tmp_path) as here:
        account_id = await here.person(ALICE)
        with raw(tmp_path) as connection:
            connection.execute("ALTER TABLE account_sender RENAME TO gone")
        with pytest.raises(StoreUnavailable):
            await here.store.sender_addresses(account_id)
