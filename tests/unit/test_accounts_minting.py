"""New app passwords: the limit, labels, selectors, and what a mint that ends early leaves."""

import asyncio
import signal
import sys
from ipaddress import ip_network

import pytest

from auth import apppassword
from auth.accounts import AccountError, Problem
from auth.apppassword import AppPassword, parse, verifier_message
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.rows import RevokedWhy
from scopes.model import Limits, Scope
from support.office import ALICE, BOB, OPERATOR, OWNER, locked, office, raw, wish


async def refusal(deed) -> Problem:
    with pytest.raises(AccountError) as refused:
        await deed
    return refused.value.problem


async def test_what_is_minted_is_what_is_stored(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint("  My phone ", scopes=[Scope.EVENTS, Scope.MAIL])
        password = parse(minted.password)
        (row,) = await here.accounts.active(ALICE)
        assert minted.id.startswith("ap_")
        assert (row.id, row.label, row.selector) == (minted.id, "My phone", password.selector)
        assert (row.created_by, row.shown_at) == ("operator root", None)
        message = verifier_message(row.account_id, row.selector, password.verifier)
        assert await here.hasher.verify_app(row.verifier_hash, here.keys.pepper(row.key_id, message))
        assert minted.password.reveal() not in repr(minted)
        assert password.verifier.reveal() not in (tmp_path / "gate.db-wal").read_bytes().decode("latin-1")


async def test_shown_is_marked_once(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint()
        number = (await here.store.feed_mark()).seq
        await here.accounts.mark_shown(minted.id)
        shown_at = int(here.clock.now)
        here.clock.now += 10
        await here.accounts.mark_shown(minted.id)
        assert (await here.accounts.active(ALICE))[0].shown_at == shown_at
        assert (await here.store.feed_mark()).seq == number


async def test_no_app_password_without_a_second_factor(tmp_path):
    async with office(tmp_path) as here:
        await here.person()
        assert await refusal(here.mint()) is Problem.NO_SECOND_FACTOR


async def test_two_mints_at_twenty_four_give_one_success(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled()
        for number in range(24):
            await here.mint(f"app {number}")
        results = await asyncio.gather(
            *(desk.mint(f"last {number}") for number, desk in enumerate((here, there, here, there))),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, AccountError)]
        assert [error.problem for error in refused] == [Problem.TOO_MANY_APP_PASSWORDS] * 3
        assert await here.accounts.preview(ALICE) == 25


async def test_ended_ones_do_not_count(tmp_path):
    async with office(tmp_path, limit=2) as here:
        await here.enrolled()
        await here.mint("short", expires_at=int(here.clock.now) + 50)
        await here.mint("revoked")
        assert await refusal(here.mint("third")) is Problem.TOO_MANY_APP_PASSWORDS
        here.clock.now += 49
        assert await refusal(here.mint("third")) is Problem.TOO_MANY_APP_PASSWORDS
        here.clock.now += 1
        await here.mint("third")
        await here.accounts.revoke(ALICE, "revoked", OPERATOR)
        await here.mint("fourth")
        assert {row.label for row in await here.accounts.active(ALICE)} == {"third", "fourth"}


@pytest.mark.parametrize("limit", [0, 26])
async def test_the_limit_is_within_reason(tmp_path, limit):
    with pytest.raises(ValueError):
        async with office(tmp_path, limit=limit):
            pass


async def test_a_label_is_unique_among_the_active_ones(tmp_path):
    async with office(tmp_path) as here, office(tmp_path) as there:
        await here.enrolled()
        await here.enrolled(BOB)
        await here.mint("phone", expires_at=int(here.clock.now) + 5)
        await here.mint("phone", email=BOB)
        assert await refusal(here.mint(" phone ")) is Problem.LABEL_TAKEN
        here.clock.now += 5
        there.clock.now = here.clock.now
        results = await asyncio.gather(here.mint("phone"), there.mint("phone"), return_exceptions=True)
        assert [type(result) for result in results].count(AccountError) == 1


@pytest.mark.parametrize(
    "label",
    [
        "",
        "   ",
        "x" * 65,
        "two\nlines",
        "\x1b[2J",
        "zero\u200bwidth",
        "k7mq-2xwd-hnrp-4tvc-9zsa",
        "ap_" + "a2" * 8,
    ],
)
async def test_a_label_can_be_shown_and_is_no_secret(tmp_path, label):
    async with office(tmp_path) as here:
        await here.enrolled()
        with pytest.raises(AccountError) as refused:
            await here.mint(label)
        assert refused.value.problem is Problem.BAD_LABEL
        assert not label.strip() or label not in str(refused.value)


async def test_the_audit_trail_says_what_the_app_password_may(tmp_path):
    networks = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("all", scopes=[Scope.EVENTS, Scope.CONTACTS, Scope.MAIL])
        await here.mint("short", expires_at=1_893_456_000, scopes=[Scope.EVENTS])
        await here.mint("reader", limits=Limits(read_only=True))
        await here.mint("printer", limits=Limits(send_only=True, networks=networks[:1]))
        await here.mint("narrow", limits=Limits(networks=networks), expires_at=1_893_456_000)
        assert [entry.detail for entry in (await here.accounts.audit())[2:]] == [
            "mail contacts events, without the owner's proof",
            "events, until 2030-01-01T00:00:00Z, without the owner's proof",
            "mail, read-only, without the owner's proof",
            "mail, send-only, from 192.0.2.0/24, without the owner's proof",
            "mail, until 2030-01-01T00:00:00Z, from 192.0.2.0/24 2001:db8::/32, without the owner's proof",
        ]


async def test_scopes_and_expiry_make_sense(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        assert await refusal(here.mint(scopes=())) is Problem.NO_SCOPES
        sender = Limits(send_only=True)
        for scopes in ([Scope.MAIL, Scope.EVENTS], [Scope.CONTACTS]):
            assert await refusal(here.mint(scopes=scopes, limits=sender)) is Problem.BAD_LIMITS
        assert await refusal(here.mint(expires_at=int(here.clock.now))) is Problem.BAD_EXPIRY


def drawing(*selectors: str):
    """Draws the given selectors first, then chance."""
    waiting = list(selectors)

    def generate() -> AppPassword:
        made = apppassword.generate()
        return AppPassword(selector=waiting.pop(0), verifier=made.verifier) if waiting else made

    return generate


async def test_a_selector_is_unique_over_tombstones_too(tmp_path):
    async with office(tmp_path, generate=drawing("aaaa", "aaaa", "bbbb", "aaaa", "bbbb", "cccc")) as here:
        await here.enrolled()
        assert (await here.mint("one")).selector == "aaaa"
        await here.accounts.revoke(ALICE, "one", OPERATOR)
        assert (await here.mint("two")).selector == "bbbb"
        assert (await here.mint("three")).selector == "cccc"


async def test_another_accounts_selector_is_no_matter(tmp_path):
    async with office(tmp_path, generate=drawing("aaaa", "aaaa")) as here:
        await here.enrolled()
        await here.enrolled(BOB)
        assert [(await here.mint(email=email)).selector for email in (ALICE, BOB)] == ["aaaa", "aaaa"]


async def test_a_draw_that_never_ends_is_an_outage_and_spends_no_code(tmp_path):
    async with office(tmp_path, generate=drawing(*["aaaa"] * 12)) as here:
        await here.enrolled()
        await here.mint("one")
        proof = here.proof()
        with pytest.raises(StoreUnavailable, match="selector"):
            await here.accounts.mint(ALICE, wish("two"), OWNER, proof)
        assert len(await here.accounts.history(ALICE)) == 1
        await here.accounts.mint(ALICE, wish("two"), OWNER, proof)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144])
async def test_a_cancelled_mint_leaves_at_most_one_row(tmp_path, turns):
    async with office(tmp_path) as here:
        await here.enrolled()
        minting = asyncio.create_task(here.mint())
        for _ in range(turns):
            await asyncio.sleep(0)
        minting.cancel()
        await asyncio.wait([minting])
        assert (await here.mint("after")).label == "after"
        rows = await here.accounts.active(ALICE)
        assert len(rows) <= 2
        assert len(await here.accounts.audit(ALICE)) == 2 + len(rows)


MINTER = """
import asyncio, sys, time
from pathlib import Path
from support.office import office, ALICE, OPERATOR, wish
async def main():
    async with office(Path(sys.argv[1]), limit=25) as here:
        for number in range(25):
            minted = await here.accounts.mint(ALICE, wish(f"{sys.argv[2]}-{number}"), OPERATOR)
            print(minted.id, flush=True)
            await here.accounts.mark_shown(minted.id)
asyncio.run(main())
"""


async def test_a_killed_mint_leaves_at_most_one_row_that_nobody_saw(tmp_path, root):
    async with office(tmp_path) as here:
        await here.enrolled()
        known: set[str] = set()
        for round_ in range(3):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", MINTER, str(tmp_path), str(round_)),
                stdout=asyncio.subprocess.PIPE,
                env={"PYTHONPATH": f"{root}:{root / 'tests'}"},
            )
            printed = {(await process.stdout.readline()).decode().strip() for _ in range(3)}
            process.send_signal(signal.SIGKILL)
            printed |= {line.decode().strip() async for line in process.stdout}
            await process.wait()
            rows = {row.id: row for row in await here.accounts.active(ALICE)}
            new = set(rows) - known
            assert printed <= new
            assert len(new - printed) <= 1
            assert sum(rows[each].shown_at is None for each in new) <= 2
            known |= new


async def test_a_locked_store_mints_nothing(tmp_path):
    async with office(tmp_path, busy_s=0.05) as here:
        await here.enrolled()
        with locked(tmp_path), pytest.raises(StoreUnavailable):
            await here.mint()
        assert await here.accounts.history(ALICE) == []


async def test_revoking_by_id_label_or_selector(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        first, second, third = [await here.mint(label) for label in ("one", "two", "three")]
        for minted, which in ((first, first.id), (second, " two "), (third, third.selector)):
            here.clock.now += 1
            done = await here.accounts.revoke(ALICE, which, OPERATOR)
            assert (done.app_password_ids, done.app_password.id) == ((minted.id,), minted.id)
            (change,) = await here.store.changes_since(done.change.seq - 1)
            assert change.app_password_ids == (minted.id,)
            again = await here.accounts.revoke(ALICE, which, OPERATOR)
            assert (again.change, again.app_password_ids, again.app_password.id) == (None, (), minted.id)
        now = int(here.clock.now)
        ended = {row.label: (row.revoked_at, row.revoked_why) for row in await here.accounts.history(ALICE)}
        assert ended == {
            label: (now - back, RevokedWhy.BY_OPERATOR)
            for label, back in (("one", 2), ("two", 1), ("three", 0))
        }


async def test_the_owner_is_named_as_who_revoked(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint()
        await here.accounts.revoke(ALICE, "phone", OWNER)
        assert (await here.accounts.history(ALICE))[0].revoked_why is RevokedWhy.BY_OWNER


async def test_nobody_revokes_what_is_anothers(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.enrolled(BOB)
        minted = await here.mint()
        assert await refusal(here.accounts.revoke(BOB, minted.id, OPERATOR)) is Problem.NO_SUCH_APP_PASSWORD
        assert await here.accounts.preview(ALICE) == 1


async def test_an_active_one_is_meant_before_a_dead_one_of_the_same_label(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        for _ in range(2):
            await here.mint()
            await here.accounts.revoke(ALICE, "phone", OPERATOR)
        expired = await here.mint("phone", expires_at=int(here.clock.now) + 5)
        here.clock.now += 5
        active = await here.mint("phone")
        assert (await here.accounts.revoke(ALICE, "phone", OPERATOR)).app_password_ids == (active.id,)
        assert (await here.accounts.revoke(ALICE, "phone", OPERATOR)).app_password_ids == (expired.id,)
        assert (await here.accounts.revoke(ALICE, "phone", OPERATOR)).change is None


async def test_a_label_that_is_another_ones_selector_is_refused(tmp_path):
    async with office(tmp_path, generate=drawing("aaaa")) as here:
        await here.enrolled()
        await here.mint("one")
        for label in ("aaaa", "AAAA"):
            assert await refusal(here.mint(label)) is Problem.LABEL_TAKEN
        await here.accounts.revoke(ALICE, "one", OPERATOR)
        assert (await here.mint("aaaa")).label == "aaaa", "what names a dead one may name a live one"


async def test_a_selector_that_is_another_ones_label_is_drawn_again(tmp_path):
    async with office(tmp_path, generate=drawing("bbbb", "aaaa", "cccc")) as here:
        await here.enrolled()
        await here.mint("AAAA")
        assert (await here.mint("two")).selector == "cccc"


async def test_labels_and_selectors_are_told_apart_by_letters_not_by_case(tmp_path):
    async with office(tmp_path, generate=drawing("5nxp")) as here:
        await here.enrolled()
        first = await here.mint("Mail Stra\u00dfe")
        for label in ("MAIL STRASSE", "mail stra\u00dfe"):
            assert await refusal(here.mint(label)) is Problem.LABEL_TAKEN
        assert (await here.accounts.revoke(ALICE, "5NXP", OPERATOR)).app_password_ids == (first.id,)
        second = await here.mint("MAIL STRASSE")
        ended = await here.accounts.revoke(ALICE, "Mail Stra\u00dfe", OPERATOR)
        assert ended.app_password_ids == (second.id,), "a live one is meant before a dead one spelt like this"


async def test_of_two_labels_of_old_that_differ_in_case_the_one_spelt_so_is_meant(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        lower, upper = await here.mint("mail only"), await here.mint("other")
        with raw(tmp_path) as file:
            file.execute("UPDATE app_password SET label = 'MAIL ONLY' WHERE id = ?", (upper.id,))
        with pytest.raises(AccountError) as refused:
            await here.accounts.revoke(ALICE, "Mail only", OPERATOR)
        assert refused.value.problem is Problem.AMBIGUOUS
        assert "wicketgate password history" in refused.value.hint, "the table that shows ids"
        assert (await here.accounts.revoke(ALICE, "MAIL ONLY", OPERATOR)).app_password_ids == (upper.id,)
        assert (await here.accounts.revoke(ALICE, "Mail only", OPERATOR)).app_password_ids == (lower.id,)


async def test_an_id_names_its_own_whatever_another_is_called(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        one, other = await here.mint("one"), await here.mint("other")
        with raw(tmp_path) as file:
            file.execute("UPDATE app_password SET label = ? WHERE id = ?", (one.id, other.id))
        for change in (True, False):
            done = await here.accounts.revoke(ALICE, f" {one.id}\n", OPERATOR)
            assert done.app_password.id == one.id
            assert (done.change is not None) is change
        assert [row.id for row in await here.accounts.active(ALICE)] == [other.id]


@pytest.mark.parametrize("label", ["ap_", "ap_phone", "AP_" + "A" * 16, "ap_" + "a" * 17, "ap_" + "1" * 16])
async def test_a_label_may_begin_like_an_id(tmp_path, label):
    async with office(tmp_path) as here:
        await here.enrolled()
        assert (await here.mint(label)).label == label


async def test_revoking_all_takes_the_expired_too_and_once(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = [await here.mint("a"), await here.mint("b", expires_at=int(here.clock.now) + 5)]
        here.clock.now += 5
        assert await here.accounts.preview(ALICE) == 1
        done = await here.accounts.revoke_all(ALICE, OPERATOR)
        assert set(done.app_password_ids) == {each.id for each in minted}
        here.clock.now -= 5
        assert await here.accounts.preview(ALICE) == 0
        number = (await here.store.feed_mark()).seq
        assert (await here.accounts.revoke_all(ALICE, OPERATOR)).change is None
        assert (await here.store.feed_mark()).seq == number


async def test_a_secret_is_never_in_the_store(tmp_path):
    async with office(tmp_path) as here:
        codes = await here.enrolled()
        await here.mint()
        secrets = [here.seeds[ALICE], Secret("correct horse battery"), *codes]
    octets = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [secret for secret in secrets if secret.reveal_bytes() in octets]
    assert ALICE.encode() in octets
