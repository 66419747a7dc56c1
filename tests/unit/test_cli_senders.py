"""`wicketgate account sender`: what an account may send as, added, listed with the reason, taken away."""

from pathlib import Path

import pytest

from support.house import House, make_house

ALICE = "alice@example.org"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = make_house(tmp_path / "w")
    made.ask("account", "add", ALICE, "--service", "--alias", "al@example.org", "--alias", "al")
    return made


def test_addresses_and_domains_come_and_go(house: House) -> None:
    added = house.ask("account", "sender", "add", ALICE, "Sales@example.NET")
    assert added == {"email": ALICE, "senders": ["sales@example.net"]}
    said = house.run("account", "sender", "add", "al", "*@example.com")
    assert said.stdout == f"{ALICE} may now send as *@example.com\n"
    assert house.ask("account", "show", ALICE)["senders"] == ["*@example.com", "sales@example.net"]
    removed = house.ask("account", "sender", "remove", ALICE, "SALES@example.net")
    assert removed == {"email": ALICE, "senders": ["*@example.com"]}
    said = house.run("account", "sender", "remove", ALICE, "*@example.com")
    assert said.stdout == f"{ALICE} may no longer send as *@example.com\n"
    assert house.ask("account", "show", ALICE)["senders"] == []


def test_all_it_may_send_as_is_listed_with_the_reason(house: House) -> None:
    house.ask("account", "sender", "add", ALICE, "*@example.com")
    assert house.ask("account", "sender", "list", "AL") == [
        {"address": ALICE, "why": "email"},
        {"address": "al@example.org", "why": "alias"},
        {"address": "*@example.com", "why": "listed"},
    ]
    assert house.run("account", "sender", "list", ALICE).stdout.splitlines() == [
        "ADDRESS            WHY",
        "alice@example.org  email",
        "al@example.org     alias",
        "*@example.com      listed",
    ]
    assert "also sends as  *@example.com\n" in house.run("account", "show", ALICE).stdout


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("add", ALICE, "nobody"), "this is no address to send as", "*@example.net for every address"),
        (("add", ALICE, ALICE), f"may send as {ALICE} already: it is its email", "sender list"),
        (
            ("add", ALICE, "al@example.org"),
            "already: it is an alias",
            "account sender list alice@example.org",
        ),
        (("add", "bob@example.org", "x@example.net"), "there is no account bob@example.org", "account list"),
        (("remove", ALICE, "x@example.net"), f"x@example.net is not listed for {ALICE}", "sender list"),
        (("remove", ALICE, "al@example.org"), "is not listed", "account alias remove alice@example.org al@"),
    ],
)
def test_what_is_refused_has_a_reason_and_a_command_that_can_be_typed(
    house: House, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    done = house.run("account", "sender", *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    said, advice = done.stderr.splitlines()
    assert said.startswith("error: ")
    assert error in said
    assert hint in advice
    assert "wicketgate" not in advice or f"wicketgate -c {house.file} account " in advice


@pytest.mark.parametrize(("rule", "is_said"), [("upstream", True), ("own", False), ("report", False)])
def test_where_the_list_counts_for_nothing_it_is_said(house: House, rule: str, is_said: bool) -> None:
    text = house.file.read_text("utf-8")
    assert "\n[policy]\n" in text
    house.file.write_text(text.replace("\n[policy]\n", f'\n[policy]\nsender = "{rule}"\n'), "utf-8")
    done = house.run("account", "sender", "add", ALICE, "*@example.com")
    assert done.exit_code == 0, done.stderr
    assert ("note: senders are left to the server behind" in done.stderr) == is_said


def test_the_audit_trail_names_the_address(house: House) -> None:
    house.ask("account", "sender", "add", ALICE, "*@example.com")
    house.ask("account", "sender", "remove", ALICE, "*@example.com")
    said = [(entry["deed"], entry["detail"]) for entry in house.ask("audit", ALICE)[1:]]
    assert said == [("sender added", "*@example.com"), ("sender removed", "*@example.com")]
