"""docs/json.md is held to the commands: each is run, and prints exactly the fields that are described."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner

from auth.secret import Secret
from auth.store.rows import GRANTED, SignInRecord
from proxy.cli.app import program
from proxy.cli.demo import ready_facts
from proxy.cli.demo_folder import DemoAccount, DemoFolder, DemoPassword
from proxy.cli.sign_ins import sign_in_facts
from proxy.server.listening import Bound
from scopes.model import Scope, Service
from support.house import PRIMARY, RUN, House, make_house

ALICE = "alice@example.org"

TOLD_ELSEWHERE = {
    "The demo's ready file",
    "wicketgate account authorize",
    "wicketgate account enrol-2fa",
    "wicketgate account set-upstream",
    "wicketgate account sign-ins",
}
"""What needs a demo, a terminal or a server behind."""


@pytest.fixture(scope="module")
def described(root: Path) -> dict[str, list[set[str]]]:
    """The fields of each table, by heading."""
    text = (root / "docs" / "json.md").read_text(encoding="utf-8")
    found: dict[str, list[set[str]]] = {}
    for section in text.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        tables = re.findall(r"\| field \| meaning \|\n\|---\|---\|\n((?:\|.*\n?)+)", body)
        found[heading.strip("`")] = [
            {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}
            for table in tables
        ]
    return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return make_house(tmp_path_factory.mktemp("json") / "w")


def of(answer: Any) -> set[str]:
    """Give the fields of an object, or of the entries of a list."""
    return set(answer[0] if isinstance(answer, list) else answer)


def test_every_command_prints_the_fields_that_are_described(
    described: dict[str, list[set[str]]], house: House, tmp_path: Path
) -> None:
    made = CliRunner().invoke(program, ["init", str(tmp_path / "w"), "--json"])
    seen = {"init": of(json.loads(made.stdout)), "check": of(house.ask("check"))}

    def ask(*arguments: str, stdin: str = "", name: str = "") -> None:
        command = name or " ".join(arguments[:2])
        fields = of(house.ask(*arguments, stdin=stdin))
        assert seen.setdefault(command, fields) == fields

    house.add(ALICE)
    add = ("account", "add", "b@example.org", "--primary-password-file", "-")
    ask(*add, stdin=PRIMARY)
    ask("account", "list", name="account add")
    ask("account", "import", "-", stdin="email\np@example.org\n")
    ask("account", "invite", "p@example.org", "--print")
    ask("account", "show", ALICE)
    ask("account", "alias", "add", ALICE, "al", name="account alias add")
    ask("account", "alias", "remove", ALICE, "al", name="account alias add")
    ask("account", "sender", "add", ALICE, "*@example.net", name="account sender add")
    ask("account", "sender", "list", ALICE, name="account sender list")
    ask("account", "sender", "remove", ALICE, "*@example.net", name="account sender add")
    for label in ("a", "b"):
        ask("password", "create", ALICE, "--label", label, "--scope", "mail", "--operator")
    house.ask("password", "create", ALICE, "--label", "c", "--scope", "mail", "--expires", "9d", "--operator")
    ask("password", "renew", ALICE, "c", "--expires", "never", "--operator")
    ask("password", "expiring", "--within", "30d")
    ask("password", "list", ALICE)
    ask("password", "history", ALICE)
    ask("audit", ALICE, name="audit")
    ask("backup", str(tmp_path / "b"), name="backup")
    ask("restore", str(tmp_path / "b"), "--replace", "--trust-backup", "--yes", name="restore")
    ask("password", "revoke", ALICE, "a")
    ask("password", "revoke-all", ALICE, "--yes")
    ask("account", "set-password", ALICE, "--yes", "--primary-password-file", "-", stdin=PRIMARY)
    ask("account", "reset-2fa", ALICE, "--yes")
    ask("account", "disable", ALICE, "--yes")
    ask("account", "enable", ALICE)
    ask("account", "remove", ALICE, "--yes", name="account disable")
    assert {name: [fields] for name, fields in seen.items()} == {
        heading.removeprefix("wicketgate "): tables
        for heading, tables in described.items()
        if heading not in TOLD_ELSEWHERE
    }


def test_an_enrolment_prints_the_two_objects_that_are_described(
    described: dict[str, list[set[str]]], house: House
) -> None:
    house.ask("account", "add", "c@example.org", "--primary-password-file", "-", stdin=PRIMARY)
    command = [*RUN, "-c", house.file, "account", "enrol-2fa", "c@example.org", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        rest, _ = process.communicate(pyotp.TOTP(first["secret"]).now() + "\n", timeout=60)
    assert [set(first), set(json.loads(rest))] == described["wicketgate account enrol-2fa"]


def test_sign_ins_print_the_fields_that_are_described(described: dict[str, list[set[str]]]) -> None:
    record = SignInRecord(
        at=1, account_id="ac_x", app_password_id="ap_x", service=Service.IMAP, peer="", outcome=GRANTED
    )
    assert [set(sign_in_facts(record, {}))] == described["wicketgate account sign-ins"]


def test_the_ready_file_holds_the_fields_that_are_described(
    described: dict[str, list[set[str]]], tmp_path: Path
) -> None:
    password = DemoPassword(label="x", scopes=(Scope.MAIL,), password=Secret("p"))
    account = DemoAccount(
        email=ALICE, primary=Secret("p"), totp_secret=Secret("t"), app_passwords=(password,)
    )
    folder = DemoFolder(path=tmp_path, accounts=(account,))
    bound = Bound(imaps=(1,), imap=(2,), submissions=(3,), submission=(4,), https=(5,), portal=(6,))
    facts = ready_facts(folder, "localhost", bound)
    assert [set(facts)] == described["The demo's ready file"]
    assert set(facts["accounts"][0]) == {"email", "primary_password", "totp_secret", "app_passwords"}
    assert set(facts["accounts"][0]["app_passwords"][0]) == {"label", "scopes", "password", "active"}
