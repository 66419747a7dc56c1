"""Accounts, their names, and their end."""

import pytest

from auth.accounts import AccountError, Problem, Proof
from auth.secret import Secret
from auth.store.rows import ChangeKind, RevokedWhy
from support.office import ALICE, BOB, OPERATOR, OWNER, PRIMARY, office, refusal, wish


async def test_a_person_is_added_and_found_by_every_name_in_any_case(tmp_path):
    async with office(tmp_path) as here:
        row = await here.accounts.add(
            "Alice@Example.ORG", primary=PRIMARY, aliases=["AL", "al", ALICE], actor=OPERATOR
        )
        assert (row.email, row.aliases, row.is_service, row.has_second_factor) == (
            ALICE,
            ("al",),
            False,
            False,
        )
        assert row.id.startswith("ac_")
        assert len(row.id) == 19
        for name in ("alice@example.org", "ALICE@example.org", "al", "Al"):
            assert await here.accounts.find(name) == row
        assert await here.accounts.all() == [row]
        assert PRIMARY.reveal() not in str(row)


async def test_accounts_are_listed_by_email_with_their_aliases(tmp_path):
    async with office(tmp_path) as here:
        await here.person(BOB, aliases=["b2", "b1"])
        await here.person(ALICE, aliases=["al"])
        assert [(row.email, row.aliases) for row in await here.accounts.all()] == [
            (ALICE, ("al",)),
            (BOB, ("b1", "b2")),
        ]


@pytest.mark.parametrize("email", ["", "mallory", "mal lory@example.org", "a@b@", "k7mq-2xwd-hnrp-4tvc-9zsa"])
async def test_what_is_no_address_is_refused_and_not_repeated(tmp_path, email):
    async with office(tmp_path) as here:
        with pytest.raises(AccountError) as refused:
            await here.person(email)
        assert refused.value.problem is Problem.BAD_NAME
        assert not email or email not in f"{refused.value}{refused.value.hint}"


@pytest.mark.parametrize("taken", [ALICE, "Alice@example.org", "al", "AL"])
async def test_a_name_belongs_to_one_account(tmp_path, taken):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["al"])
        await here.person("carol@example.org")
        with pytest.raises(AccountError) as refused:
            await here.person(BOB, aliases=[taken])
        assert refused.value.problem is Problem.NAME_TAKEN
        with pytest.raises(AccountError) as refused:
            await here.accounts.aliases.add("carol@example.org", taken, OPERATOR)
        assert refused.value.problem is Problem.NAME_TAKEN
        with pytest.raises(AccountError) as refused:
            await here.accounts.find(BOB)
        assert refused.value.problem is Problem.NO_SUCH_ACCOUNT


async def test_an_email_may_not_be_another_ones_alias(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=[BOB])
        with pytest.raises(AccountError) as refused:
            await here.person(BOB)
        assert refused.value.problem is Problem.NAME_TAKEN


async def test_aliases_come_and_go_and_each_is_a_change(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        number = (await here.store.feed_mark()).seq
        await here.accounts.aliases.add(ALICE, "Al", OPERATOR)
        assert (await here.accounts.find("al")).aliases == ("al",)
        await here.accounts.aliases.remove("al", "AL", OPERATOR)
        assert (await here.accounts.find(ALICE)).aliases == ()
        assert [each.kind for each in await here.store.changes_since(number)] == [
            ChangeKind.ALIAS_ADDED,
            ChangeKind.ALIAS_REMOVED,
        ]


@pytest.mark.parametrize("alias", [ALICE, "other", BOB])
async def test_only_an_alias_of_its_own_is_removed(tmp_path, alias):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["al"])
        await here.person(BOB, aliases=["other"])
        with pytest.raises(AccountError) as refused:
            await here.accounts.aliases.remove(ALICE, alias, OPERATOR)
        assert refused.value.problem is Problem.NO_SUCH_ALIAS
        assert (await here.accounts.find("other")).email == BOB


async def test_an_alias_is_a_clean_name(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        for alias in ("", "two words", "k7mq2xwdhnrp4tvc9zsa"):
            with pytest.raises(AccountError) as refused:
                await here.accounts.aliases.add(ALICE, alias, OPERATOR)
            assert refused.value.problem is Problem.BAD_NAME


async def test_a_service_account_has_neither_primary_password_nor_second_factor(tmp_path):
    printer = "printer@example.org"
    async with office(tmp_path) as here:
        row = await here.accounts.add(printer, primary=None, service=True, actor=OPERATOR)
        assert row.is_service
        for refused_deed in (
            here.accounts.add(BOB, primary=PRIMARY, service=True, actor=OPERATOR),
            here.accounts.begin_enrolment(printer),
            here.accounts.set_primary(printer, PRIMARY, OPERATOR),
        ):
            with pytest.raises(AccountError) as refused:
                await refused_deed
            assert refused.value.problem is Problem.SERVICE_ACCOUNT
        assert (await here.mint(email=printer)).password


async def test_a_person_may_be_added_before_there_is_a_primary_password_and_proves_nothing(tmp_path):
    async with office(tmp_path) as here:
        await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        proof = Proof(primary=Secret(""), code=Secret(""))
        assert await refusal(here.accounts.revoke_all(ALICE, OWNER, proof)) is Problem.WRONG_PROOF
        await here.accounts.set_primary(ALICE, PRIMARY, OPERATOR)
        proof = Proof(primary=PRIMARY, code=Secret(""))
        assert (await here.accounts.revoke_all(ALICE, OWNER, proof)).change is None


@pytest.mark.parametrize(
    "primary", ["", "seven77", "x" * 257, "line\nline end", "tab\tcharacter", "a" * 8 + "\udc80"]
)
async def test_a_primary_password_is_long_enough_and_can_be_typed(tmp_path, primary):
    async with office(tmp_path) as here:
        with pytest.raises(AccountError) as refused:
            await here.accounts.add(ALICE, primary=Secret(primary), actor=OPERATOR)
        assert refused.value.problem is Problem.BAD_PRIMARY
        await here.person()
        with pytest.raises(AccountError):
            await here.accounts.set_primary(ALICE, Secret(primary), OPERATOR)


async def test_disabling_ends_all_and_enabling_revives_none(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = [await here.mint(label) for label in ("phone", "laptop")]
        done = await here.accounts.disable(ALICE, OPERATOR)
        assert done.app_password_ids == tuple(sorted(each.id for each in minted))
        (change,) = await here.store.changes_since(done.change.seq - 1)
        assert (change.kind, change.app_password_ids) == (ChangeKind.ACCOUNT_DISABLED, done.app_password_ids)
        assert (await here.accounts.disable(ALICE, OPERATOR)).change is None
        with pytest.raises(AccountError) as refused:
            await here.mint("new")
        assert refused.value.problem is Problem.ACCOUNT_DISABLED
        await here.accounts.enable(ALICE, OPERATOR)
        number = (await here.store.feed_mark()).seq
        await here.accounts.enable(ALICE, OPERATOR)
        assert (await here.store.feed_mark()).seq == number
        assert await here.accounts.active(ALICE) == []
        assert {row.revoked_why for row in await here.accounts.history(ALICE)} == {RevokedWhy.DISABLED}
        assert (await here.mint("phone")).id not in {each.id for each in minted}


async def test_a_removed_account_is_a_tombstone_and_its_name_is_free(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled(ALICE, aliases=["al"])
        old = await here.accounts.find(ALICE)
        minted = await here.mint()
        done = await here.accounts.remove("al", OPERATOR)
        assert done.app_password_ids == (minted.id,)
        assert await here.accounts.all() == []
        for name in (ALICE, "al"):
            with pytest.raises(AccountError):
                await here.accounts.find(name)
        assert [row.revoked_why for row in await here.accounts.history(ALICE)] == [RevokedWhy.ACCOUNT_REMOVED]
        assert (await here.accounts.audit(ALICE))[-1].deed is ChangeKind.ACCOUNT_REMOVED
        await here.enrolled()
        new = await here.accounts.find(ALICE)
        assert new.id != old.id
        assert await here.store.locate(ALICE, minted.selector) is None
        again = await here.mint()
        assert [row.id for row in await here.accounts.active(ALICE)] == [again.id]
        assert {row.id for row in await here.accounts.history(ALICE)} == {minted.id, again.id}


async def test_nothing_of_a_removed_account_proves_anything(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.accounts.remove(ALICE, OPERATOR)

        def look(tx):
            row = tx.exec_driver_sql("SELECT primary_hash, seed_box, last_step FROM account").one()
            return tuple(row), tx.exec_driver_sql("SELECT count(*) FROM recovery_code").scalar_one()

        assert await here.store.read(look) == ((None, None, None), 0)


async def test_names_that_never_were(tmp_path):
    async with office(tmp_path) as here:
        for question in (
            here.accounts.find("no one"),
            here.accounts.history(BOB),
            here.accounts.audit(BOB),
            here.accounts.active(BOB),
            here.accounts.remove(BOB, OPERATOR),
            here.accounts.disable(BOB, OPERATOR),
            here.accounts.revoke_all(BOB, OPERATOR),
            here.accounts.reset_second_factor(BOB, OPERATOR),
            here.accounts.mint(BOB, wish(), OPERATOR),
        ):
            with pytest.raises(AccountError) as refused:
                await question
            assert refused.value.problem is Problem.NO_SUCH_ACCOUNT


async def test_the_audit_trail_says_what_was_added(tmp_path):
    async with office(tmp_path) as here:
        await here.person(ALICE, aliases=["Al", "a.l@example.net"])
        await here.person(BOB)
        await here.accounts.add(
            "printer@example.org", primary=None, service=True, aliases=["lp"], actor=OPERATOR
        )
        assert [entry.detail for entry in await here.accounts.audit()] == [
            "person, aliases a.l@example.net al",
            "person",
            "service account, aliases lp",
        ]


async def test_the_audit_trail_says_who_did_what_to_whom(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.person(BOB)
        minted = await here.mint()
        here.clock.now += 100
        later = int(here.clock.now)
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        everything = await here.accounts.audit()
        assert [entry.deed for entry in everything] == [
            ChangeKind.ACCOUNT_ADDED,
            ChangeKind.SECOND_FACTOR_ENROLLED,
            ChangeKind.ACCOUNT_ADDED,
            ChangeKind.MINTED,
            ChangeKind.REVOKED,
        ]
        assert [entry.email for entry in await here.accounts.audit(BOB)] == [BOB]
        (last,) = await here.accounts.audit(ALICE, later)
        assert (last.actor_kind, last.actor_name, last.where, last.at) == (
            "operator",
            "root",
            "command line",
            later,
        )
        assert (last.app_password_id, last.label, last.email) == (minted.id, "phone", ALICE)
        assert everything[3].detail == "mail, without the owner's proof"
        assert (await here.store.feed_mark()).seq == len(everything)
