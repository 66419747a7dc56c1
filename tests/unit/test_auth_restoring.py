"""What a restored copy may authorise, by what the present store knows and whether the backup is trusted."""

from dataclasses import replace
from pathlib import Path

import pytest

from auth.deed import Problem
from auth.restoring import Restored, Terms, decide
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store.copies import copy
from auth.store.known import Known, known
from auth.store.rows import ChangeKind, RevokedWhy
from auth.store.store import Store
from scopes.model import Identity, IdentityKind, Service
from support.office import ALICE, BOB, OPERATOR, OWNER, PRIMARY, Office, office, raw, refusal, urls, wish

NEW = Secret("another horse battery")


def back_up(here: Office) -> Path:
    """Copy the store; what is done afterwards the copy does not know."""
    folder = here.folder / "copy"
    folder.mkdir()
    copy(here.folder / "gate.db", folder / "gate.db", busy_s=1)
    return folder


def present(here: Office) -> Known:
    found = known(here.folder / "gate.db", busy_s=1)
    assert found is not None
    return found


async def restored(
    here: Office, folder: Path, *, knows: Known | None = None, trusted: bool = False
) -> Restored:
    store = await Store.open(*urls(folder))
    try:
        at = int(here.clock.now)
        terms = Terms(
            known=knows, trusted=trusted, keys=here.keys, actor=OPERATOR, at=at, made_at="yesterday"
        )
        return await decide(store, terms)
    finally:
        await store.close()


def labels(found: list) -> list[str]:
    return [lives.row.label for lives in found]


async def states(copied: Office, email: str = ALICE) -> dict[str, RevokedWhy | None]:
    return {row.label: row.revoked_why for row in await copied.accounts.history(email)}


async def test_every_app_password_is_revoked_and_it_is_written_down(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.enrolled(BOB)
        for label, email in (("phone", ALICE), ("tablet", ALICE), ("laptop", BOB)):
            await here.mint(label, email)
        await here.mint("old")
        await here.accounts.revoke(ALICE, "old", OPERATOR)
        folder, before = back_up(here), await here.store.feed_mark()
        done = await restored(here, folder)
    assert sorted(labels(done.revoked)) == ["laptop", "phone", "tablet"]
    assert (done.accounts, done.alive, done.stay_revoked) == (2, [], [])
    async with office(folder) as copied:
        assert await states(copied) == {
            "phone": RevokedWhy.RESTORED,
            "tablet": RevokedWhy.RESTORED,
            "old": RevokedWhy.BY_OPERATOR,
        }
        last = (await copied.accounts.audit(ALICE))[-1]
        assert (last.deed, last.actor_name) == (ChangeKind.RESTORED, "root")
        assert last.detail == "a backup of yesterday; 2 of its app passwords revoked"
        assert (await copied.accounts.audit(BOB))[-1].detail.endswith("1 of its app passwords revoked")
        mark = await copied.store.feed_mark()
        assert mark.seq == before.seq + 2
        ended = [change.app_password_ids for change in await copied.store.changes_since(before.seq)]
        assert sorted(len(ids) for ids in ended) == [1, 2]


async def test_expired_ones_are_revoked_too(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("phone", expires_at=int(here.clock.now) + 60)
        folder = back_up(here)
        here.clock.now += 3600
        done = await restored(here, folder)
    assert done.revoked == [], "it was not active any more"
    async with office(folder) as copied:
        assert await states(copied) == {"phone": RevokedWhy.RESTORED}


async def test_a_trusted_backup_comes_back_alive(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("phone")
        folder = back_up(here)
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        done = await restored(here, folder, trusted=True)
    assert (labels(done.alive), done.revoked) == (["phone"], [])
    async with office(folder) as copied:
        assert await states(copied) == {"phone": None}


@pytest.mark.parametrize("trusted", [False, True])
async def test_what_the_present_store_knows_to_be_revoked_stays_dead(tmp_path, trusted):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("phone")
        await here.mint("tablet")
        folder = back_up(here)
        await here.accounts.revoke(ALICE, "phone", OWNER)
        (gone,) = [row for row in await here.accounts.history(ALICE) if row.label == "phone"]
        done = await restored(here, folder, knows=present(here), trusted=trusted)
    assert labels(done.stay_revoked) == ["phone"]
    assert labels(done.alive if trusted else done.revoked) == ["tablet"]
    async with office(folder) as copied:
        (row,) = [row for row in await copied.accounts.history(ALICE) if row.label == "phone"]
        assert (row.revoked_at, row.revoked_why) == (gone.revoked_at, RevokedWhy.BY_OWNER)


@pytest.mark.parametrize("deed", ["disable", "remove"])
async def test_an_account_that_was_ended_since_comes_back_disabled(tmp_path, deed):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("phone")
        folder = back_up(here)
        await getattr(here.accounts, deed)(ALICE, OPERATOR)
        done = await restored(here, folder, knows=present(here), trusted=True)
    assert (done.disabled, done.alive) == ([ALICE], [])
    async with office(folder) as copied:
        assert (await copied.accounts.find(ALICE)).disabled_at == int(here.clock.now)
        assert None not in (await states(copied)).values()


async def test_proofs_are_those_of_the_present_store(tmp_path):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        folder = back_up(here)
        await here.accounts.set_primary(ALICE, NEW, OPERATOR)
        proof = replace(here.proof(), primary=NEW, code=codes[0])
        await here.accounts.mint(ALICE, wish("tablet"), OWNER, proof)
        done = await restored(here, folder, knows=present(here), trusted=True)
        assert done.spent_codes == 0
        async with office(folder) as copied:
            copied.clock.now = here.clock.now
            copied.seeds = here.seeds
            used = replace(proof)
            assert await refusal(copied.accounts.mint(ALICE, wish("x"), OWNER, used)) is Problem.WRONG_PROOF
            copied.clock.now += 3600
            old = here.proof()
            wrong = replace(old, code=codes[1])
            assert await refusal(copied.accounts.mint(ALICE, wish("y"), OWNER, wrong)) is Problem.WRONG_PROOF
            copied.clock.now += 3600
            right = replace(proof, code=codes[1])
            await copied.accounts.mint(ALICE, wish("z"), OWNER, right)


async def test_an_authenticator_that_was_replaced_since_is_not_taken_any_more(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        stolen = here.seeds[ALICE]
        folder = back_up(here)
        await here.accounts.reset_second_factor(ALICE, OPERATOR)
        await here.enrol()
        await restored(here, folder, knows=present(here), trusted=True)
        async with office(folder) as copied:
            copied.clock.now = here.clock.now
            copied.seeds[ALICE] = stolen
            deed = copied.accounts.mint(ALICE, wish("x"), OWNER, copied.proof())
            assert await refusal(deed) is Problem.WRONG_PROOF
            copied.clock.now += 3600
            copied.seeds[ALICE] = here.seeds[ALICE]
            await copied.accounts.mint(ALICE, wish("x"), OWNER, copied.proof())


async def test_proofs_made_with_a_newer_key_come_with_its_check_value(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        folder = back_up(here)
    keys = KeyRing({"k1": bytes(range(32)), "k2": b"2" * 32}, "k2")
    async with office(tmp_path, keys=keys) as here:
        await here.accounts.set_primary(ALICE, NEW, OPERATOR)
        await restored(here, folder, knows=present(here))
    async with office(folder, keys=keys) as copied:
        assert (await copied.accounts.find(ALICE)).primary_key_id == "k2"


async def test_proofs_of_a_key_that_is_not_at_hand_are_not_carried(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        folder = back_up(here)
    both = KeyRing({"k1": bytes(range(32)), "k2": b"2" * 32}, "k2")
    async with office(tmp_path, keys=both) as here:
        await here.accounts.set_primary(ALICE, NEW, OPERATOR)
        knows = present(here)
    async with office(folder) as copied:
        terms = Terms(known=knows, trusted=True, keys=copied.keys, actor=OPERATOR, at=7, made_at="then")
        done = await decide(copied.store, terms)
        assert done.spent_codes == 10, "which were used since is not known"
        assert (await copied.accounts.find(ALICE)).primary_key_id == "k1"


@pytest.mark.parametrize(("trusted", "spent"), [(False, 10), (True, 0)])
async def test_where_nothing_is_known_codes_that_may_be_used_are_spent(tmp_path, trusted, spent):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        folder = back_up(here)
        shown = here.proof()
        await here.accounts.mint(ALICE, wish("phone"), OWNER, shown)
        done = await restored(here, folder, trusted=trusted)
        assert done.spent_codes == spent
        async with office(folder) as copied:
            copied.clock.now, copied.seeds = here.clock.now, here.seeds
            again = copied.accounts.mint(ALICE, wish("x"), OWNER, shown)
            assert await refusal(again) is Problem.WRONG_PROOF, "this code was seen before the restore"
            copied.clock.now += 3600
            by_recovery = copied.accounts.mint(ALICE, wish("y"), OWNER, replace(shown, code=codes[0]))
            if trusted:
                await by_recovery
            else:
                assert await refusal(by_recovery) is Problem.WRONG_PROOF
            copied.clock.now += 3600
            await copied.accounts.mint(ALICE, wish("z"), OWNER, copied.proof())


async def test_who_an_account_is_upstream_is_as_the_present_store_has_it(tmp_path):
    stored, own = Identity(login="a.liddell", kind=IdentityKind.STORED), Secret("own")
    async with office(tmp_path) as here:
        await here.person()
        await here.person(BOB)
        for email in (ALICE, BOB):
            await here.accounts.identities.set(email, Service.IMAP, stored, Secret("old"), OPERATOR)
        folder = back_up(here)
        await here.accounts.identities.set(ALICE, Service.IMAP, stored, own, OPERATOR)
        await here.accounts.identities.clear(BOB, Service.IMAP, OPERATOR)
        with raw(tmp_path) as store:
            store.execute("INSERT INTO oauth_token SELECT id, 'x', 'k1', x'00', 1, 2, 3, 4 FROM account")
        await restored(here, folder, knows=present(here))
        ids = {email: (await here.accounts.find(email)).id for email in (ALICE, BOB)}
    async with office(folder) as copied:
        secret = await copied.accounts.identities.secret(ids[ALICE], Service.IMAP)
        assert secret == own
        assert await copied.accounts.identities.secret(ids[BOB], Service.IMAP) is None
        with raw(folder) as store:
            assert len(store.execute("SELECT * FROM oauth_token").fetchall()) == 2


async def test_the_audit_trail_goes_on(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        folder = back_up(here)
        await here.mint("phone")
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        told = await here.accounts.audit()
        await restored(here, folder, knows=present(here))
    async with office(folder) as copied:
        trail = await copied.accounts.audit()
        assert trail[:-1] == told
        assert trail[-1].deed is ChangeKind.RESTORED


async def test_a_trail_of_another_store_is_none_of_ours(tmp_path):
    (tmp_path / "other").mkdir()
    async with office(tmp_path) as here, office(tmp_path / "other") as other:
        await here.enrolled()
        await other.enrolled(BOB)
        await other.mint("phone", BOB)
        folder, told = back_up(here), await here.accounts.audit()
        await restored(here, folder, knows=present(other))
    async with office(folder) as copied:
        assert (await copied.accounts.audit())[:-1] == told


async def test_what_the_backup_has_not_is_named(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("phone")
        folder = back_up(here)
        await here.mint("tablet")
        await here.person(BOB)
        done = await restored(here, folder, knows=present(here))
    assert (done.lost_accounts, done.lost_app_passwords) == ([BOB], 1)


@pytest.mark.parametrize("trusted", [False, True])
async def test_what_was_revoked_stays_dead_also_by_way_of_a_backup_that_has_it_not(tmp_path, trusted):
    async with office(tmp_path) as here:
        await here.enrolled()
        before, after = tmp_path / "before", tmp_path / "after"
        for folder, label in ((before, "phone"), (after, "tablet")):
            await here.mint(label)
            back_up(here).rename(folder)
        await here.accounts.revoke(ALICE, "tablet", OWNER)
        await restored(here, before, knows=present(here), trusted=trusted)
    async with office(before) as there:
        done = await restored(there, after, knows=present(there), trusted=True)
    assert labels(done.stay_revoked) == (["tablet"] if trusted else ["phone", "tablet"])
    assert labels(done.alive) == (["phone"] if trusted else [])
    async with office(after) as copied:
        assert (await states(copied))["tablet"] is RevokedWhy.RESTORED


@pytest.mark.parametrize("trusted", [False, True])
async def test_what_was_alive_and_is_gone_lives_again_only_where_both_backups_are_trusted(tmp_path, trusted):
    async with office(tmp_path) as here:
        await here.enrolled()
        before, after = tmp_path / "before", tmp_path / "after"
        back_up(here).rename(before)
        await here.mint("tablet")
        back_up(here).rename(after)
        await restored(here, before, knows=present(here), trusted=trusted)
    async with office(before) as there:
        done = await restored(there, after, knows=present(there), trusted=True)
    assert labels(done.alive if trusted else done.stay_revoked) == ["tablet"]


async def test_an_empty_store_is_another_history_too(tmp_path):
    async with office(tmp_path) as here:
        folder, before = back_up(here), await here.store.feed_mark()
        done = await restored(here, folder)
    assert done == Restored()
    async with office(folder) as copied:
        assert (await copied.store.feed_mark()).token != before.token


@pytest.mark.parametrize("trusted", [True, False])
async def test_no_session_of_the_portal_and_no_unused_invitation_comes_back(tmp_path, trusted):
    async with office(tmp_path) as here:
        await here.enrolled()
        begun = await here.accounts.portal.begin(ALICE, PRIMARY, "192.0.2.7")
        opened = await here.accounts.portal.answer(begun.token, here.code(), "192.0.2.7")
        for digest, used_at in ((b"used", 1), (b"unused", None)):
            await here.store.write(
                lambda tx, digest=digest, used_at=used_at: tx.exec_driver_sql(
                    "INSERT INTO invitation SELECT ?, id, 1, 2, ? FROM account", (digest, used_at)
                )
            )
        folder = back_up(here)
        await restored(here, folder, knows=present(here), trusted=trusted)
        async with office(folder) as copied:
            copied.clock.now = here.clock.now
            assert await here.accounts.portal.look(opened.token) is not None
            assert await copied.accounts.portal.look(opened.token) is None
        with raw(folder) as connection:
            assert connection.execute("SELECT digest FROM invitation").fetchall() == [(b"used",)]
