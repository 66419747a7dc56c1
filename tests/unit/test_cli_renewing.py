"""`wicketgate password renew` and `expiring`: what ends soon, and its successor."""

from pathlib import Path

import pytest

from support.house import House, make_house

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with alice, made once."""
    house = make_house(tmp_path_factory.mktemp("built") / "w")
    house.add(ALICE)
    return house


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    return built.copy(tmp_path / "w")


def minted(house: House, label: str, *options: str) -> dict:
    return house.ask("password", "create", ALICE, "--label", label, "--scope", "mail", "--operator", *options)


def test_renew_makes_a_successor_with_all_that_the_old_one_had(house: House) -> None:
    old = minted(house, "phone", "--expires", "13d", "--from", "192.0.2.0/24")
    new = house.ask("password", "renew", ALICE, "phone", "--operator", "--expires", "90d")
    same = ("label", "scopes", "networks", "read_only", "send_only")
    assert [new[fact] for fact in same] == [old[fact] for fact in same]
    listed = {one["id"]: one for one in house.ask("password", "list", ALICE)}
    assert listed[new["id"]]["replaces"] == old["id"]
    assert listed[new["id"]]["expires_at"] == new["expires_at"] > listed[old["id"]]["expires_at"]
    assert listed[old["id"]]["expires_at"] == new["old_ends_at"] > old["expires_at"]
    assert "not used yet" in house.run("password", "list", ALICE).stdout


def test_renew_may_never_end(house: House) -> None:
    minted(house, "phone", "--expires", "13d")
    done = house.run("password", "renew", ALICE, "phone", "--operator", "--expires", "never")
    assert done.exit_code == 0
    assert "ends when this one is first used, and on 2" in done.stderr
    (new,) = [one for one in house.ask("password", "list", ALICE) if one["replaces"]]
    assert new["expires_at"] is None


@pytest.mark.parametrize(
    ("which", "options", "words"),
    [
        ("forever", (), "never ends"),
        ("phone", ("--expires", "2d"), "before 'phone'"),
        ("nothing", (), "no app password of that"),
    ],
)
def test_renew_refuses_with_a_reason(house: House, which, options, words) -> None:
    minted(house, "forever")
    minted(house, "phone", "--expires", "13d")
    done = house.run("password", "renew", ALICE, which, "--operator", *options)
    assert done.exit_code == 1
    assert words in done.stderr


def test_what_expires_is_listed_of_all_accounts_the_next_one_first(house: House) -> None:
    assert house.run("password", "expiring").stdout == "nothing expires within that time\n"
    house.ask("account", "add", "printer@example.org", "--service")
    options = ("--scope", "mail", "--operator", "--label")
    house.ask("password", "create", "printer@example.org", *options, "scans", "--expires", "2d")
    minted(house, "phone", "--expires", "13d")
    minted(house, "tablet", "--expires", "15d")
    house.ask("password", "renew", ALICE, "tablet", "--operator")
    found = house.ask("password", "expiring")
    assert [(one["email"], one["kind"], one["label"]) for one in found] == [
        ("printer@example.org", "service", "scans"),
        (ALICE, "person", "phone"),
    ]
    found = house.ask("password", "expiring", "--within", "4w")
    assert [(one["label"], one["renewed"]) for one in found][-2:] == [("tablet", False), ("tablet", True)]
    screen = house.run("password", "expiring", "--within", "4w").stdout
    assert "service account" in screen
    assert "its successor was not used yet" in screen
    assert house.run("password", "expiring", "--within", "2030-01-01").exit_code == 2
