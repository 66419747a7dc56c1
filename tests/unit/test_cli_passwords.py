"""`wicketgate password` and `audit`, as people and scripts use them."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from auth.secret import Secret
from auth.store.rows import AppPasswordRow, RevokedWhy
from config.load import load
from proxy.cli.app import COMMANDS, program
from proxy.cli.desk import Cut, Desk, operator
from proxy.cli.password_lists import active_cells, ending, expires_soon
from scopes.model import Limits, Scope
from support.house import PRIMARY, RUN, House, code, make_house
from support.terminal import on_terminal

ALICE = "alice@example.org"
DAY = 86_400


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Secret]:
    """A house with alice, made once."""
    house = make_house(tmp_path_factory.mktemp("built") / "w")
    return house, house.add(ALICE)


@pytest.fixture
def house(built: tuple[House, Secret], tmp_path: Path) -> House:
    return built[0].copy(tmp_path / "w")


@pytest.fixture
def seed(built: tuple[House, Secret]) -> Secret:
    """The seed of alice's authenticator, enrolled an hour ago."""
    return built[1]


def minted(house: House, label: str, *options: str) -> dict:
    return house.ask("password", "create", ALICE, "--label", label, "--scope", "mail", "--operator", *options)


def row(**changes: object) -> AppPasswordRow:
    facts: dict = {
        "id": "ap_x", "account_id": "ac_x", "selector": "abcd", "verifier_hash": "", "key_id": "k",
        "label": "phone", "scopes": frozenset({Scope.MAIL}), "limits": Limits(), "created_at": 100,
        "created_by": "operator", "shown_at": 101, "expires_at": None, "revoked_at": None,
        "revoked_why": None, "version": 1,
    }  # fmt: skip
    return AppPasswordRow(**(facts | changes))


def test_create_with_proof_gives_exactly_the_facts(house: House, seed: Secret) -> None:
    created = house.ask(
        "password", "create", ALICE, "--label", "phone", "--scope", "events", "--scope", "mail",
        "--expires", "30d", "--primary-password-file", "-", "--code", code(seed), stdin=PRIMARY,
    )  # fmt: skip
    facts = [
        "id",
        "label",
        "selector",
        "scopes",
        "networks",
        "read_only",
        "send_only",
        "expires_at",
        "password",
    ]
    assert list(created) == facts
    assert created["scopes"] == ["mail", "events"]
    assert created["password"].startswith(created["selector"] + "-")
    assert len(created["password"]) == 24
    listed = house.ask("password", "list", ALICE)
    assert [one["id"] for one in listed] == [created["id"]]
    assert listed[0]["perhaps_never_shown"] is False
    assert listed[0]["expires_at"] == created["expires_at"]
    assert "password" not in listed[0]
    assert created["password"] not in house.run("password", "list", ALICE).output


def test_create_shows_the_password_to_a_person_once(house: House, seed: Secret) -> None:
    done = house.run("password", "create", ALICE, "--label", "phone", "--scope", "mail", "--operator")
    listed = house.ask("password", "list", ALICE)
    assert done.stdout.count(f"    {listed[0]['selector']}-") == 1
    assert "not shown again" in done.stdout


@pytest.mark.parametrize(("primary", "digits"), [("wrong password", None), (PRIMARY, "000000")])
def test_a_wrong_proof_is_refused(house: House, seed: Secret, primary: str, digits: str | None) -> None:
    done = house.run(
        "password", "create", ALICE, "--label", "x", "--scope", "mail",
        "--primary-password-file", "-", "--code", digits or code(seed), stdin=primary,
    )  # fmt: skip
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert primary not in done.stderr
    assert house.ask("password", "list", ALICE) == []


def test_on_a_terminal_the_proof_is_asked_without_echo(house: House, seed: Secret) -> None:
    command = (*RUN, "-c", house.file, "password", "create", ALICE, "--label", "phone", "--scope", "mail")
    digits = code(seed)
    done = on_terminal(command, [("Primary password:", PRIMARY), ("Code of the second factor:", digits)])
    assert done.code == 0, done.screen
    assert PRIMARY not in done.screen
    assert digits not in done.screen
    assert house.ask("audit", ALICE)[-1]["actor"]["kind"] == "owner"


def test_what_cannot_be_is_said_before_secrets_are_asked_for(house: House, seed: Secret) -> None:
    house.ask("account", "add", "printer@example.org", "--service")
    house.ask("account", "add", "new@example.org", "--primary-password-file", "-", stdin=PRIMARY)
    for email, words in (
        ("nobody@example.org", "error: there is no account nobody@example.org\nhint: "),
        ("printer@example.org", "error: printer@example.org is a service account: it has no primary "),
        ("new@example.org", "error: new@example.org has no second factor"),
    ):
        done = house.run("password", "create", email, "--label", "x", "--scope", "mail")
        assert done.exit_code == 1
        assert done.stderr.startswith(words), "not that there is no terminal to ask on"
    hint = house.run("password", "create", "printer@example.org", "--label", "x", "--scope", "mail").stderr
    assert "say --operator" in hint


@pytest.mark.parametrize(
    "options",
    [
        ("--operator", "--code", "123456"),
        ("--code", "123456"),
        ("--operator", "--expires", "yesterday"),
        ("--operator", "--expires", "2020-01-01"),
        ("--operator", "--from", "10.0.0.1/8"),
        ("--operator", "--from", "fe80::1%eth0"),
        ("--operator", "--from", "10.0.0.1/33"),
        ("--operator", "--scope", "everything"),
        ("--operator", "--read-only", "--send-only"),
    ],
)
def test_wrong_usage(house: House, seed: Secret, options: tuple[str, ...]) -> None:
    done = house.run("password", "create", ALICE, "--label", "x", "--scope", "mail", *options)
    assert done.exit_code == 2, done.output
    assert "\nhint: " in done.stderr
    assert house.ask("password", "list", ALICE) == []


def test_an_address_within_a_network_is_refused_with_the_network(house: House, seed: Secret) -> None:
    options = ("--label", "x", "--scope", "mail", "--operator", "--from", "10.1.2.3/8")
    assert "write 10.0.0.0/8" in house.run("password", "create", ALICE, *options).stderr


def test_what_is_refused_with_a_reason(house: House, seed: Secret) -> None:
    minted(house, "phone")
    done = house.run("password", "create", ALICE, "--label", "phone", "--scope", "mail", "--operator")
    assert done.exit_code == 1
    assert "phone" in done.stderr
    done = house.run("password", "revoke", ALICE, "tablet")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")


def test_what_expires_soon_is_shown(house: House, seed: Secret) -> None:
    minted(house, "soon", "--expires", "13d")
    minted(house, "later", "--expires", "15d", "--from", "192.0.2.0/24")
    listed = {one["label"]: one for one in house.ask("password", "list", ALICE)}
    assert listed["soon"]["expires_soon"] is True
    assert listed["later"]["expires_soon"] is False
    assert listed["later"]["networks"] == ["192.0.2.0/24"]
    screen = house.run("password", "list", ALICE).stdout
    assert "1 app password will expire within 14 days" in screen
    assert "expires in 13 days" in screen
    assert "only from 192.0.2.0/24" in screen


def test_days_are_counted_as_people_do() -> None:
    for left, words in (
        (5 * DAY - 2, "expires in 5 days"),
        (DAY - 2, "in 1 day"),
        (DAY // 3, "less than a day"),
    ):
        assert active_cells(row(expires_at=1000 + left), {}, 1000.0)[-1].endswith(words)


def test_a_network_named_twice_is_kept_once(house: House, seed: Secret) -> None:
    minted(house, "phone", "--from", "10.0.0.0/8", "--from", "10.0.0.0/8", "--from", "192.0.2.1")
    assert house.ask("password", "list", ALICE)[0]["networks"] == ["10.0.0.0/8", "192.0.2.1/32"]


def test_what_only_reads_or_only_sends_is_shown(house: House, seed: Secret) -> None:
    minted(house, "archive", "--read-only")
    minted(house, "printer", "--send-only", "--from", "192.0.2.7")
    minted(house, "phone")
    listed = house.ask("password", "list", ALICE)
    assert {one["label"]: (one["read_only"], one["send_only"]) for one in listed} == {
        "archive": (True, False),
        "printer": (False, True),
        "phone": (False, False),
    }
    screen = house.run("password", "list", ALICE).stdout
    assert "read-only" in screen
    assert "send-only; only from 192.0.2.7/32" in screen
    assert [one["read_only"] for one in house.ask("audit", ALICE)[-3:]] == [True, False, False]
    options = ("--label", "till", "--scope", "mail", "--operator", "--send-only", "--from", "192.0.2.7")
    said = house.run("password", "create", ALICE, *options).stdout
    assert said.startswith("till (mail; send-only; only from 192.0.2.7/32), signing in as alice@example.org:")
    options = ("--label", "all", "--scope", "mail", "--scope", "events", "--operator", "--send-only")
    done = house.run("password", "create", ALICE, *options)
    assert (done.exit_code, "leave events out" in done.stderr) == (1, True)


@pytest.mark.parametrize("key", ["id", "label", "selector"])
def test_revoke_by_any_name_and_its_history(house: House, seed: Secret, key: str) -> None:
    created = minted(house, "phone")
    facts = house.ask("password", "revoke", ALICE, created[key])
    assert facts == {
        "email": ALICE,
        "label": "phone",
        "selector": created["selector"],
        "revoked": [created["id"]],
        "sessions_cut": 0,
        "silent_workers": 0,
    }
    assert "was revoked already" in house.run("password", "revoke", ALICE, created["id"]).stdout
    assert house.ask("password", "list", ALICE) == []
    past = house.ask("password", "history", ALICE)
    assert [(one["id"], one["state"], one["ended_why"]) for one in past] == [
        (created["id"], "revoked", RevokedWhy.BY_OPERATOR.value)
    ]
    assert past[0]["ended_at"] is not None
    assert RevokedWhy.BY_OPERATOR.value in house.run("password", "history", ALICE).stdout


def test_revoke_all_asks_first(house: House, seed: Secret) -> None:
    ids = {minted(house, "a")["id"], minted(house, "b")["id"]}
    assert house.run("password", "revoke-all", ALICE).exit_code == 2
    command = (*RUN, "-c", house.file, "password", "revoke-all", ALICE)
    question = "Revoke all of alice@example.org: 2 app passwords will be revoked. Go on? [y/N]: "
    for answer in ("n", "", "maybe", "\x03"):
        done = on_terminal(command, [(question, answer)])
        assert done.code == 1
        assert "\nerror: " in done.screen
    assert len(house.ask("password", "list", ALICE)) == 2
    assert set(house.ask("password", "revoke-all", ALICE, "--yes")["revoked"]) == ids
    again = house.ask("password", "revoke-all", ALICE, "--yes")
    assert (again["revoked"], again["sessions_cut"]) == ([], 0)
    assert on_terminal(command, []).screen == "0 app passwords revoked, 0 sessions cut\n"


def test_sessions_that_workers_report_are_told(house: House, seed: Secret) -> None:
    minted(house, "phone")

    with Desk(load(house.file)) as desk:
        revocation = desk.run(desk.accounts.revoke(ALICE, "phone", operator()))
        assert revocation.change is not None
        desk.run(desk.store.report("w_test", revocation.change, 3))
        cut = desk.cut(revocation)
    assert (cut.facts["sessions_cut"], cut.text) == (3, "1 app password revoked, 3 sessions cut")


def test_a_silent_worker_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cut = Cut(app_password_ids=("ap_x",), sessions=1, silent_workers=1)
    cut.warn()
    assert "1 worker did not answer in time" in capsys.readouterr().err
    assert cut.text == "1 app password revoked, 1 session cut"


@pytest.fixture
def gone() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_password_nobody_could_read_is_listed_as_perhaps_never_shown(
    house: House, seed: Secret, gone: int, options: tuple[str, ...]
) -> None:
    command = [*RUN, "-c", house.file, "password", "create", ALICE, "--label", "phone", "--scope", "mail"]
    done = subprocess.run(
        [*command, "--operator", *options],
        stdout=gone,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "could not be shown" in done.stderr
    assert "Traceback" not in done.stderr
    assert [one["perhaps_never_shown"] for one in house.ask("password", "list", ALICE)] == [True]
    assert "perhaps never shown" in house.run("password", "list", ALICE).stdout
    assert "perhaps never shown" in house.run("password", "history", ALICE).stdout


def test_lists_do_without_the_activity_file_and_do_not_say_never(house: House, seed: Secret) -> None:
    minted(house, "phone")
    assert "never" in house.run("password", "list", ALICE).stdout.splitlines()[1].split()
    for path in (house.file.parent / "data").glob("activity.db*"):
        path.unlink()
    (house.file.parent / "data" / "activity.db").mkdir()
    done = house.run("password", "list", ALICE)
    assert done.exit_code == 0
    assert "unknown" in done.stdout.splitlines()[1].split()
    assert "note: when they were last used" in done.stderr
    (facts,) = house.ask("password", "list", ALICE)
    assert (facts["last_used_at"], facts["last_used"], facts["last_used_known"]) == (None, None, False)
    assert "unknown" in house.run("password", "history", ALICE).stdout
    assert house.ask("password", "history", ALICE)[0]["last_refused_known"] is False


def test_audit(house: House, seed: Secret) -> None:
    minted(house, "phone")
    house.ask("account", "add", "printer@example.org", "--service")
    entries = house.ask("audit")
    assert [entry["deed"] for entry in entries][-2:] == ["app password created", "account added"]
    mint = house.ask("audit", ALICE)[-1]
    assert (mint["label"], mint["actor"]["kind"], mint["email"]) == ("phone", "operator", ALICE)
    (phone,) = house.ask("password", "list", ALICE)
    for fact in ("selector", "scopes", "networks", "read_only", "send_only", "expires_at"):
        assert mint[fact] == phone[fact], "what the detail says in words is there as a field too"
    assert entries[-1]["scopes"] is None
    assert house.ask("audit", "--since", "1d")[-1] == entries[-1]
    assert house.run("audit", "--since", "whenever").exit_code == 2
    assert "app password created" in house.run("audit").stdout


def test_how_an_app_password_ended() -> None:
    revoked = {"revoked_at": 200, "revoked_why": RevokedWhy.BY_OWNER}
    assert ending(row(), 300) == ("active", None, "")
    assert ending(row(expires_at=250), 300) == ("expired", 250, "expired")
    assert ending(row(expires_at=250, **revoked), 300) == ("revoked", 200, "revoked by its owner")
    assert ending(row(expires_at=150, **revoked), 300) == ("expired", 150, "expired")
    assert ending(row(expires_at=150, **revoked), 100)[0] != "active", "the clock was set back"


def test_soon_is_fourteen_days() -> None:
    now = time.time()
    assert not expires_soon(row(), now)
    assert expires_soon(row(expires_at=int(now) + 14 * DAY), now)
    assert not expires_soon(row(expires_at=int(now) + 14 * DAY + 2), now)
    assert not expires_soon(row(expires_at=int(now) - 1), now)


def test_no_command_takes_a_password_as_an_argument() -> None:
    def parameters(command: click.Command) -> Iterator[click.Parameter]:
        yield from command.params
        if isinstance(command, click.Group) and command is not program:
            for inner in command.commands.values():
                yield from parameters(inner)

    context = click.Context(program)
    commands = [program.get_command(context, name) for name in COMMANDS if name not in {"demo", "serve"}]
    names = {name for command in commands if command for one in parameters(command) for name in one.opts}
    secrets = {name for name in names for word in ("password", "secret", "passphrase") if word in name}
    assert secrets == {"--primary-password-file", "--secret-file", "--passphrase-file"}


def test_json_is_ascii_on_any_terminal(house: House, seed: Secret) -> None:
    minted(house, "Küche")
    done = house.run("password", "list", ALICE, "--json")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)[0]["label"] == "Küche"
