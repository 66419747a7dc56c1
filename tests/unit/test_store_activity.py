"""What happened: kept within bounds, and of no consequence when it is lost."""

import pytest

from auth.store import activity
from auth.store.errors import StoreUnavailable
from auth.store.rows import GRANTED, FeedMark, LastUse, SignInRecord
from scopes.model import Service
from support.office import ALICE, office, opened, raw

NOW = 1_800_000_000


def record(at: int = NOW, **more) -> SignInRecord:
    usual = {
        "account_id": "ac_1",
        "app_password_id": "ap_1",
        "service": Service.IMAP,
        "peer": "192.0.2.7",
        "outcome": GRANTED,
        "client_name": "Thunderbird",
    }
    return SignInRecord(at=at, **(usual | more))


async def test_a_last_use_is_kept_by_service_and_client(tmp_path):
    async with opened(tmp_path) as store:
        await store.record_sign_ins(
            [
                record(NOW),
                record(NOW + 5, peer="2001:db8::1"),
                record(NOW + 2),
                record(NOW + 1, service=Service.DAV, client_name="DAVx5"),
                record(NOW + 9, outcome="revoked"),
                record(NOW + 9, app_password_id="ap_2"),
            ]
        )
        used = await store.last_used(["ap_1", "ap_3"])
        thunderbird = LastUse(
            app_password_id="ap_1",
            service=Service.IMAP,
            client_name="Thunderbird",
            at=NOW + 5,
            peer="2001:db8::1",
        )
        assert list(used) == ["ap_1"]
        assert used["ap_1"][0] == thunderbird
        assert [(use.service, use.at) for use in used["ap_1"]] == [
            (Service.IMAP, NOW + 5),
            (Service.DAV, NOW + 1),
        ]


async def test_ten_last_uses_are_kept(tmp_path):
    async with opened(tmp_path) as store:
        for number in range(15):
            await store.record_sign_ins([record(NOW + number, client_name=f"app {number}")])
        names = [use.client_name for use in (await store.last_used(["ap_1"]))["ap_1"]]
        assert names == [f"app {number}" for number in range(14, 4, -1)]


async def test_last_uses_of_very_many_app_passwords(tmp_path):
    async with opened(tmp_path) as store:
        ids = [f"ap_{number}" for number in range(1200)]
        await store.record_sign_ins([record(app_password_id=each) for each in ids])
        assert sorted(await store.last_used(iter(ids))) == sorted(ids)


async def test_the_history_is_read_newest_first(tmp_path):
    async with opened(tmp_path) as store:
        records = [record(NOW + number, outcome="bad credentials") for number in range(5)]
        strangers = [record(account_id=None, app_password_id=None, outcome="bad credentials")]
        await store.record_sign_ins(records + strangers)
        assert await store.sign_ins("ac_1") == records[::-1]
        assert await store.sign_ins("ac_1", 2) == records[:-3:-1]
        assert await store.sign_ins("ac_2") == []


async def test_the_last_refusal_of_each_app_password(tmp_path):
    async with opened(tmp_path) as store:
        last = record(NOW + 2, outcome="revoked", client_name="Old phone")
        other = record(NOW, outcome="wrong scope", app_password_id="ap_2")
        await store.record_sign_ins(
            [
                other,
                record(NOW + 1, outcome="revoked"),
                last,
                record(NOW + 3),
                record(NOW + 3, outcome="unavailable"),
                record(NOW + 3, outcome="revoked", account_id="ac_2", app_password_id="ap_3"),
                record(NOW + 3, outcome="bad credentials", app_password_id=None),
            ]
        )
        assert await store.last_refused(["ac_1", "ac_9"]) == {"ap_1": last, "ap_2": other}
        assert await store.last_refused([]) == {}


async def test_a_client_name_is_kept_short_and_printable(tmp_path):
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record(client_name="Evil\x1b[2J\r\n\udcff Mail " + "x" * 500)])
        (kept,) = await store.sign_ins("ac_1")
        assert kept.client_name.startswith("Evil [2J Mail xxx")
        assert len(kept.client_name) <= activity.CLIENT_NAME_CHARS


async def test_history_has_an_end_in_time(tmp_path):
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record(NOW), record(NOW + 10)])
        await store.record_sign_ins([record(NOW + activity.HISTORY_S + 1)])
        assert [each.at for each in await store.sign_ins("ac_1")] == [
            NOW + activity.HISTORY_S + 1,
            NOW + 10,
        ]


async def test_history_has_an_end_in_number(tmp_path):
    async with opened(tmp_path) as store:
        await store.record_sign_ins([])
        fill(tmp_path, activity.HISTORY_ROWS, "'ac_' || (2 + n % 200)")
        await store.record_sign_ins([record()])
        assert len(await store.sign_ins("ac_1")) == 1
        assert numbers(tmp_path) == {"strangers": 0, "accounts": activity.HISTORY_ROWS}
        left = [each.peer for each in await store.sign_ins("ac_2", activity.HISTORY_ROWS)]
        assert (len(left), left[-1]) == (999, "200"), "the oldest of all went"


async def test_strangers_push_out_strangers_only(tmp_path):
    stranger = {"account_id": None, "app_password_id": None, "outcome": "bad credentials"}
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record(NOW - 1)])
        fill(tmp_path, activity.HISTORY_ROWS, "NULL", outcome="bad credentials")
        await store.record_sign_ins([record(NOW + 1, **stranger)])
        assert await store.sign_ins("ac_1") == [record(NOW - 1)]
        assert numbers(tmp_path) == {"strangers": activity.STRANGER_ROWS, "accounts": 1}
        await store.record_sign_ins([record(NOW + 2)])
        assert await store.sign_ins("ac_1") == [record(NOW + 2), record(NOW - 1)]


async def test_an_account_pushes_out_its_own_history_only(tmp_path):
    most = activity.ACCOUNT_ROWS
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record(NOW - 1, account_id="ac_2")])
        records = [record(NOW + number) for number in range(most + 10)]
        await store.record_sign_ins(records)
        assert await store.sign_ins("ac_1", 2 * most) == records[:9:-1]
        assert len(await store.sign_ins("ac_2")) == 1


@pytest.mark.parametrize("outcome", ["revoked", "wrong scope", "unavailable"])
async def test_what_is_not_granted_pushes_out_nothing_that_was(tmp_path, outcome):
    most = activity.ACCOUNT_ROWS
    async with opened(tmp_path) as store:
        granted = [record(NOW + number) for number in range(most)]
        await store.record_sign_ins(granted)
        refused = [record(NOW + most + number, outcome=outcome) for number in range(most)]
        for start in range(0, most, 300):
            await store.record_sign_ins(refused[start : start + 300])
        kept = await store.sign_ins("ac_1", 2 * most)
        assert [each for each in kept if each.outcome == GRANTED] == granted[::-1]
        newest = refused[-activity.ACCOUNT_REFUSED_ROWS :]
        assert [each for each in kept if each.outcome != GRANTED] == newest[::-1]


async def test_what_is_granted_pushes_out_nothing_that_was_not(tmp_path):
    most = activity.ACCOUNT_ROWS
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record(NOW, outcome="revoked")])
        await store.record_sign_ins([record(NOW + 1 + number) for number in range(most + 10)])
        kept = await store.sign_ins("ac_1", 2 * most)
        assert (len(kept), kept[-1]) == (most + 1, record(NOW, outcome="revoked"))


@pytest.mark.parametrize("outcome", ["revoked", "unavailable"])
async def test_one_app_password_does_not_push_out_the_last_refusal_of_another(tmp_path, outcome):
    most = activity.ACCOUNT_REFUSED_ROWS
    async with opened(tmp_path) as store:
        early = [record(NOW + n, outcome="expired", app_password_id="ap_2") for n in range(2)]
        await store.record_sign_ins(early)
        flood = [record(NOW + 2 + number, outcome=outcome) for number in range(most + 10)]
        await store.record_sign_ins(flood)
        assert (await store.last_refused(["ac_1"]))["ap_2"] == early[1]
        assert await store.sign_ins("ac_1", 2 * most) == [*flood[:-most:-1], early[1]]


async def test_refusals_of_many_accounts_push_out_refusals_only(tmp_path):
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record(NOW - 1)])
        fill(tmp_path, activity.HISTORY_ROWS, "'ac_' || (2 + n % 400)", outcome="revoked")
        await store.record_sign_ins([record(NOW + 1, account_id="ac_2", outcome="revoked")])
        assert await store.sign_ins("ac_1") == [record(NOW - 1)]
        assert numbers(tmp_path) == {"strangers": 0, "accounts": activity.HISTORY_REFUSED_ROWS + 1}


def fill(folder, rows: int, account_id: str, outcome: str = GRANTED) -> None:
    """Put so many rows into the history; `account_id` is SQL and may say `n`, which counts them."""
    with raw(folder, "activity.db") as connection:
        connection.execute(
            f"WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {rows - 1}) "
            "INSERT INTO sign_in (at, account_id, service, peer, outcome, client_name) "
            f"SELECT {NOW}, {account_id}, 'imap', n, '{outcome}', '' FROM c"
        )


def numbers(folder) -> dict[str, int]:
    """How many rows there are."""
    with raw(folder, "activity.db") as connection:
        strangers, accounts = connection.execute(
            "SELECT count(*) FILTER (WHERE account_id IS NULL), count(account_id) FROM sign_in"
        ).fetchone()
    return {"strangers": strangers, "accounts": accounts}


async def test_workers_report_and_old_reports_go(tmp_path):
    async with opened(tmp_path) as store:
        fifth, again = FeedMark(5, b"a"), FeedMark(5, b"b")
        await store.report("w_1", fifth, 2)
        await store.report("w_2", fifth, 0)
        await store.report("w_1", fifth, 3)
        await store.report("w_1", again, 1)
        assert await store.reports(fifth) == {"w_1": 3, "w_2": 0}
        assert await store.reports(again) == {"w_1": 1}
        store._now = lambda: NOW * 2.0
        await store.report("w_1", FeedMark(7, b"c"), 1)
        assert await store.reports(fifth) == {}


async def test_a_broken_activity_file_disturbs_no_sign_in(tmp_path):
    (tmp_path / "activity.db").write_bytes(b"rubbish" * 1000)
    async with office(tmp_path, busy_s=0.05) as here:
        await here.enrolled()
        minted = await here.mint()
        assert await here.store.locate(ALICE, minted.selector) is not None
        assert await here.store.standing(minted.id) is not None
        assert (await here.store.feed_mark()).seq > 0
        for call in (
            here.store.record_sign_ins([record()]),
            here.store.last_used([minted.id]),
            here.store.report("w", FeedMark(1, b"a"), 1),
            here.store.reports(FeedMark(1, b"a")),
            here.store.sign_ins("ac_1"),
        ):
            with pytest.raises(StoreUnavailable, match="activity store cannot be opened"):
                await call
        (tmp_path / "activity.db").unlink()
        await here.store.record_sign_ins([record()])
        assert "ap_1" in await here.store.last_used(["ap_1"])


async def test_a_word_that_is_not_understood_is_an_outage(tmp_path):
    async with opened(tmp_path) as store:
        await store.record_sign_ins([record()])
        with raw(tmp_path, "activity.db") as connection:
            connection.execute("UPDATE sign_in SET service = 'gopher'")
            connection.execute("UPDATE last_use SET service = 'gopher'")
        with pytest.raises(StoreUnavailable):
            await store.sign_ins("ac_1")
        with pytest.raises(StoreUnavailable):
            await store.last_used(["ap_1"])
