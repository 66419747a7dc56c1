"""The history of sign-ins at the command line: an app that still tries a revoked password is seen."""

import asyncio
import json
from pathlib import Path

import pytest

from auth.store.rows import GRANTED, SignInRecord
from auth.store.store import Store
from config.load import load
from scopes.model import Service
from support.house import House, make_house
from support.office import raw

PRINTER = "printer@example.org"
NOW = 1_800_000_000


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = make_house(tmp_path / "w")
    house.ask("account", "add", PRINTER, "--service")
    return house


def minted(house: House, label: str) -> str:
    return house.ask("password", "create", PRINTER, "--label", label, "--scope", "mail", "--operator")["id"]


def signed_in(house: House, app_password_id: str, *tries: tuple[int, str], client: str = "Old phone") -> None:
    """Write sign-ins into the history, as a worker does."""
    account_id = house.ask("account", "show", PRINTER)["id"]

    async def write() -> None:
        config = load(house.file)
        store = await Store.open(config.store.url, config.store.activity_url)
        try:
            await store.record_sign_ins(
                [
                    SignInRecord(
                        at=NOW - age_s,
                        account_id=account_id,
                        app_password_id=app_password_id,
                        service=Service.IMAP,
                        peer="192.0.2.7",
                        outcome=outcome,
                        client_name=client,
                    )
                    for age_s, outcome in tries
                ]
            )
        finally:
            await store.close()

    asyncio.run(write())


def test_an_app_that_keeps_trying_a_revoked_password_is_seen(house: House) -> None:
    old, new = minted(house, "old"), minted(house, "new")
    house.ask("password", "revoke", PRINTER, "old")
    signed_in(house, old, (300, GRANTED), (200, "revoked"), (100, "revoked"))
    signed_in(house, new, (50, GRANTED))
    refused = {each["label"]: each["last_refused"] for each in house.ask("password", "history", PRINTER)}
    assert refused["old"] == {
        "at": "2027-01-15T07:58:20Z",
        "outcome": "revoked",
        "service": "imap",
        "client": "Old phone",
        "address": "192.0.2.7",
    }
    assert refused["new"] is None
    lines = house.run("password", "history", PRINTER).stdout.splitlines()[1:]
    ends = {line.split()[2]: line for line in lines}
    assert ends["old"].endswith("  2027-01-15 07:58 revoked from 192.0.2.7 (Old phone)")
    assert ends["new"].endswith("  -")


def test_sign_ins_come_newest_first_and_by_pages(house: House) -> None:
    one = minted(house, "phone")
    signed_in(house, one, (30, GRANTED), (20, "wrong scope"), (10, "revoked"))
    facts = house.ask("account", "sign-ins", PRINTER)
    assert [each["outcome"] for each in facts] == ["revoked", "wrong scope", GRANTED]
    assert {(each["app_password_id"], each["label"]) for each in facts} == {(one, "phone")}
    assert house.ask("account", "sign-ins", PRINTER, "--limit", "2") == facts[:2]
    done = house.run("account", "sign-ins", PRINTER, "--limit", "2")
    assert [line.split()[2] for line in done.stdout.splitlines()[1:]] == ["revoked", "wrong"]
    assert done.stderr == "note: there are older ones; --limit shows more\n"
    assert house.run("account", "sign-ins", PRINTER, "--limit", "3").stderr == ""
    assert house.run("account", "sign-ins", PRINTER, "--limit", "0").exit_code == 2


def test_a_page_is_fifty(house: House) -> None:
    signed_in(house, minted(house, "phone"), *((number, GRANTED) for number in range(60)))
    assert len(house.ask("account", "sign-ins", PRINTER)) == 50


def test_no_sign_ins_yet_and_nobody_of_that_name(house: House) -> None:
    assert house.run("account", "sign-ins", PRINTER).stdout == "no sign-ins in the last 30 days\n"
    done = house.run("account", "sign-ins", "nobody@example.org")
    assert (done.exit_code, "there never was an account" in done.stderr) == (1, True)


def test_sign_ins_of_a_removed_account_stay_readable(house: House) -> None:
    signed_in(house, minted(house, "phone"), (10, GRANTED))
    house.ask("account", "remove", PRINTER, "--yes")
    house.ask("account", "add", PRINTER, "--service")
    assert [each["label"] for each in house.ask("account", "sign-ins", PRINTER)] == ["phone"]


def test_a_client_name_moves_no_cursor(house: House) -> None:
    signed_in(house, minted(house, "phone"), (10, "wrong scope"))
    with raw(house.file.parent / "data", "activity.db") as connection:
        connection.execute("UPDATE sign_in SET client_name = ?", ("Evil\x1b[2J\r\nMail",))
    for command in (("account", "sign-ins"), ("password", "history")):
        said = house.run(*command, PRINTER).stdout
        assert r"Evil\x1b[2J\r\nMail" in said
        assert "\x1b" not in said
        assert len(said.splitlines()) == 2
    assert json.loads(house.run("account", "sign-ins", PRINTER, "--json").stdout)


def test_history_does_without_the_activity_file(house: House) -> None:
    minted(house, "phone")
    for path in (house.file.parent / "data").glob("activity.db*"):
        path.unlink()
    (house.file.parent / "data" / "activity.db").mkdir()
    done = house.run("password", "history", PRINTER)
    assert (done.exit_code, "phone" in done.stdout) == (0, True)
    assert "note: when they were last refused cannot be read now" in done.stderr
    assert house.run("account", "sign-ins", PRINTER).exit_code == 1
