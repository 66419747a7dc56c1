"""The questions of a sign-in: exact, one statement each, and an outage rather than a guess."""

from ipaddress import ip_network

import pytest
from sqlalchemy import event, insert

from auth.store import keychecks, schema
from auth.store.errors import StoreUnavailable
from auth.store.rows import Located, RevokedWhy
from scopes.model import Limits, Scope
from support.office import ALICE, BOB, OPERATOR, locked, office, raw


async def test_an_app_password_is_located_by_any_name_of_its_account(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled(ALICE, aliases=["al"])
        await here.enrolled(BOB)
        minted = await here.mint()
        account = await here.accounts.find(ALICE)
        expected = Located(account_id=account.id, app_password_id=minted.id)
        assert await here.store.locate(ALICE, minted.selector) == expected
        assert await here.store.locate("al", minted.selector) == expected
        assert await here.store.locate(BOB, minted.selector) is None
        assert await here.store.locate(ALICE, "zzzz") is None
        assert await here.store.locate("nobody@example.org", minted.selector) is None
        assert await here.store.locate(ALICE.upper(), minted.selector) is None


async def test_what_authorises_is_read_whole(tmp_path):
    limits = Limits(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")), read_only=True)
    async with office(tmp_path) as here:
        await here.enrolled()
        expires_at = int(here.clock.now) + 9
        minted = await here.mint(scopes={Scope.EVENTS, Scope.MAIL}, limits=limits, expires_at=expires_at)
        standing = await here.store.standing(minted.id)
        assert (standing.email, standing.disabled) == (ALICE, False)
        row = standing.app_password
        assert (row.id, row.selector, row.label) == (minted.id, minted.selector, "phone")
        assert (row.scopes, row.limits) == ({Scope.EVENTS, Scope.MAIL}, limits)
        assert (row.expires_at, row.revoked_at, row.revoked_why, row.version) == (expires_at, None, None, 1)
        assert await here.store.standing("ap_none") is None


@pytest.mark.parametrize("limits", [Limits(), Limits(read_only=True), Limits(send_only=True)])
async def test_each_limit_is_read_as_it_was_made(tmp_path, limits):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint(limits=limits)
        assert (await here.store.standing(minted.id)).app_password.limits == limits


async def test_a_revoked_one_is_still_read_and_its_version_moved(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint()
        before = await here.store.standing(minted.id)
        await here.accounts.disable(ALICE, OPERATOR)
        after = await here.store.standing(minted.id)
        assert after.disabled
        assert after.app_password.revoked_why is RevokedWhy.DISABLED
        assert after.app_password.version == before.app_password.version + 1
        assert after.app_password.verifier_hash == before.app_password.verifier_hash
        assert (await here.store.locate(ALICE, minted.selector)).app_password_id == minted.id


async def test_a_removed_account_is_not_located_but_its_row_says_so(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint()
        await here.accounts.remove(ALICE, OPERATOR)
        assert await here.store.locate(ALICE, minted.selector) is None
        assert (await here.store.standing(minted.id)).disabled


async def test_a_verifier_is_replaced_only_while_it_is_the_old_one(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint()
        old = (await here.store.standing(minted.id)).app_password
        number = (await here.store.feed_mark()).seq
        await here.store.write(lambda tx: keychecks.insert_check_value(tx, "k2", b"2"))
        await here.store.replace_verifier(minted.id, "another", "new", "k2")
        assert (await here.store.standing(minted.id)).app_password == old
        await here.store.replace_verifier(minted.id, old.verifier_hash, "new", "k2")
        row = (await here.store.standing(minted.id)).app_password
        assert (row.verifier_hash, row.key_id, row.version) == ("new", "k2", old.version)
        assert (await here.store.feed_mark()).seq == number


@pytest.mark.parametrize(
    "damage",
    [
        "scopes = 'mail everything'",
        "limits = 'not json'",
        "limits = '{}'",
        "limits = '{\"networks\": []}'",
        'limits = \'{"networks": [], "read_only": true}\'',
        'limits = \'{"networks": [], "read_only": 0, "send_only": false}\'',
        'limits = \'{"networks": [], "read_only": true, "send_only": true}\'',
        'limits = \'{"networks": ["nowhere"], "read_only": false, "send_only": false}\'',
        'limits = \'{"networks": [], "read_only": false, "send_only": false, "hours": "9-17"}\'',
        "limits = '[\"networks\"]'",
        "revoked_at = 1, revoked_why = 'the moon'",
    ],
)
async def test_a_row_that_is_not_understood_is_an_outage(tmp_path, damage):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint()
        with raw(tmp_path) as connection:
            connection.execute(f"UPDATE app_password SET {damage}")
        with pytest.raises(StoreUnavailable, match="cannot be understood"):
            await here.store.standing(minted.id)
        with pytest.raises(StoreUnavailable):
            await here.accounts.active(ALICE)
        assert (await here.accounts.revoke_all(ALICE, OPERATOR)).change is not None or "revoked" in damage


async def test_an_audit_line_that_is_not_understood_is_an_outage(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        with raw(tmp_path) as connection:
            connection.execute(
                "INSERT INTO audit VALUES (99,1,'o','o','o','a new deed','ac','a',NULL,NULL,'')"
            )
        with pytest.raises(StoreUnavailable):
            await here.accounts.audit()


async def test_a_locked_store_still_lets_people_in(tmp_path):
    async with office(tmp_path, busy_s=0.05) as here:
        await here.enrolled()
        minted = await here.mint()
        with locked(tmp_path):
            assert await here.store.locate(ALICE, minted.selector) is not None
            assert (await here.store.standing(minted.id)).app_password.revoked_at is None
            with pytest.raises(StoreUnavailable):
                await here.store.replace_verifier(minted.id, "a", "b", "k1")


async def sign_in_statements(here, name, minted) -> list[str]:
    """What one sign-in sends to the store."""
    said: list[str] = []

    def listen(_connection, _cursor, statement, *_):
        said.append(statement)

    engine = here.store._gate._engine.sync_engine
    before = here.store.statements
    event.listen(engine, "before_cursor_execute", listen)
    located = await here.store.locate(name, minted.selector)
    await here.store.standing(located.app_password_id)
    event.remove(engine, "before_cursor_execute", listen)
    assert here.store.statements - before == len(said)
    return said


def add_many(tx):
    """Ten thousand more accounts, each with an alias and an app password."""
    numbers = range(10_000)
    accounts = [
        {"id": f"ac_{n}", "email": f"u{n}@example.net", "is_service": False, "created_at": 1, "version": 1}
        for n in numbers
    ]
    names = [{"name": f"u{n}@example.net", "account_id": f"ac_{n}", "is_email": True} for n in numbers]
    passwords = [
        {
            "id": f"ap_{n}",
            "account_id": f"ac_{n}",
            "selector": "aaaa",
            "verifier_hash": "x",
            "key_id": "k1",
            "label": "l",
            "scopes": "mail",
            "limits": "{}",
            "created_at": 1,
            "created_by": "test",
            "version": 1,
        }
        for n in numbers
    ]
    tx.execute(insert(schema.account), accounts)
    tx.execute(insert(schema.account_name), names)
    tx.execute(insert(schema.app_password), passwords)


async def test_a_sign_in_asks_twice_whatever_the_number_of_accounts_and_app_passwords(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint("first")
        alone = await sign_in_statements(here, ALICE, minted)
        for number in range(24):
            await here.mint(f"more {number}")
        await here.store.write(add_many)
        crowded = await sign_in_statements(here, ALICE, minted)
        assert len(alone) == 2
        assert crowded == alone
        with raw(tmp_path) as connection:
            for statement in crowded:
                marks = statement.count("?")
                plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", ("x",) * marks).fetchall()
                assert all("SEARCH" in step[3] and "SCAN" not in step[3] for step in plan), plan
