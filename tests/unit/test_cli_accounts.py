"""`wicketgate account`, as people and scripts use it."""

import json
import os
import pwd
import re
import subprocess
import time
from pathlib import Path

import pyotp
import pytest

from support.house import PRIMARY, RUN, House, code, make_house
from support.terminal import on_terminal

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with an empty store, made once."""
    house = make_house(tmp_path_factory.mktemp("built") / "w")
    assert house.ask("account", "list") == []
    return house


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    return built.copy(tmp_path / "w")


def minted(house: House, label: str = "phone") -> str:
    return house.ask("password", "create", ALICE, "--label", label, "--scope", "mail", "--operator")["id"]


def test_add_list_and_show(house: House) -> None:
    added = house.ask(
        "account", "add", ALICE, "--alias", "a@example.org", "--primary-password-file", "-", stdin=PRIMARY
    )
    assert (added["email"], added["aliases"], added["kind"]) == (ALICE, ["a@example.org"], "person")
    assert (added["second_factor"], added["state"], added["disabled_at"]) == (False, "enabled", None)
    assert house.ask("account", "list") == [added]
    assert house.ask("account", "show", "A@Example.org") == added | {
        "senders": [],
        "upstream": [],
        "authorised": [],
        "app_passwords": 0,
    }
    screen = house.run("account", "show", ALICE).stdout
    assert "second factor  missing" in screen
    assert ALICE in house.run("account", "list").stdout


def test_an_empty_house_says_what_to_do(house: House) -> None:
    assert f"wicketgate -c {house.file} account add" in house.run("account", "list").stdout
    assert house.ask("account", "list") == []
    assert house.ask("audit") == []


def test_a_service_account_has_no_password(house: House) -> None:
    assert house.ask("account", "add", "printer@example.org", "--service")["kind"] == "service"
    done = house.run(
        "account", "add", "b@example.org", "--service", "--primary-password-file", "-", stdin="x"
    )
    assert done.exit_code == 2
    created = house.ask(
        "password", "create", "printer@example.org", "--label", "p", "--scope", "mail", "--operator"
    )
    assert created["scopes"] == ["mail"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("account", "show"),
        ("account", "disable", "--yes"),
        ("account", "enable"),
        ("account", "remove", "--yes"),
        ("account", "set-password", "--yes", "--primary-password-file", "-"),
        ("account", "enrol-2fa"),
        ("account", "reset-2fa", "--yes"),
        ("account", "alias", "list"),
        ("account", "sender", "list"),
        ("password", "list"),
        ("password", "history"),
        ("password", "revoke-all", "--yes"),
        ("password", "create", "--operator", "--label", "x", "--scope", "mail"),
    ],
)
def test_an_unknown_account_is_refused_with_a_reason(house: House, arguments: tuple[str, ...]) -> None:
    done = house.run(*arguments, "nobody@example.org", stdin="long enough password\n")
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("error: ")
    assert "account" in done.stderr
    assert "\nhint: " in done.stderr


def test_add_is_refused_with_a_reason(house: House) -> None:
    house.add(ALICE)
    for arguments, stdin in (((ALICE,), PRIMARY), (("no-address",), PRIMARY), (("b@example.org",), "short")):
        done = house.run("account", "add", *arguments, "--primary-password-file", "-", stdin=stdin)
        assert done.exit_code == 1, done.output
        assert done.stderr.startswith("error: ")
        assert stdin not in done.stderr
    assert len(house.ask("account", "list")) == 1


def test_a_name_that_is_taken_or_none_is_refused_before_a_password_is_asked_for(house: House) -> None:
    house.ask("account", "add", ALICE, "--alias", "a", "--primary-password-file", "-", stdin=PRIMARY)
    for arguments, words in (
        ((ALICE,), f"error: {ALICE} signs in to an account already"),
        (("b@example.org", "--alias", "A"), "error: a signs in to an account already"),
        (("b",), "error: this is not an email address"),
    ):
        done = house.run("account", "add", *arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith(words), "not that there is no terminal to ask on"


def test_without_a_terminal_the_password_comes_from_a_file(house: House) -> None:
    done = house.run("account", "add", ALICE, stdin=PRIMARY)
    assert done.exit_code == 2
    assert "--primary-password-file" in done.stderr


def test_on_a_terminal_the_password_is_typed_twice_and_never_seen(house: House) -> None:
    command = (*RUN, "-c", house.file, "account", "add", ALICE)
    first, again = "New primary password:", "The same again:"
    slips = [(first, PRIMARY), (again, PRIMARY + "x"), (first, "short"), (first, PRIMARY)]
    done = on_terminal(command, [*slips, (again, "another")])
    assert done.code == 1
    assert re.findall("error: .*", done.screen) == [
        "error: the two passwords differ",
        "error: a primary password has 8 to 256 characters",
        "error: the two passwords differ",
    ], "three times, and a short one is not asked for again"
    done = on_terminal(command, [*slips, (again, PRIMARY)])
    assert done.code == 0
    assert f"added {ALICE}" in done.screen
    assert PRIMARY not in done.screen
    other = (*RUN, "-c", house.file, "account", "add", "bob@example.org")
    stopped = on_terminal(other, [("New primary password:", "\x03")])
    assert stopped.code == 1
    assert "error: stopped" in stopped.screen
    assert "Traceback" not in stopped.screen


def test_disable_revokes_and_says_how_many_first(house: House) -> None:
    house.add(ALICE)
    ids = {minted(house, "phone"), minted(house, "laptop")}
    refused = house.run("account", "disable", ALICE)
    assert (refused.exit_code, refused.stderr.splitlines()[1]) == (2, "hint: say --yes")
    command = (*RUN, "-c", house.file, "account", "disable", ALICE)
    declined = on_terminal(command, [("2 app passwords will be revoked. Go on? [y/N]:", "n")])
    assert (declined.code, "nothing was changed" in declined.screen) == (1, True)
    facts = house.ask("account", "disable", ALICE, "--yes")
    assert set(facts.pop("revoked")) == ids
    assert facts == {"email": ALICE, "state": "disabled", "sessions_cut": 0, "silent_workers": 0}
    assert house.ask("account", "show", ALICE)["state"] == "disabled"
    assert house.ask("account", "enable", ALICE)["state"] == "enabled"
    assert house.ask("password", "list", ALICE) == []


def test_remove_and_add_again(house: House) -> None:
    house.add(ALICE)
    minted(house)
    old = house.ask("account", "show", ALICE)["id"]
    assert len(house.ask("account", "remove", ALICE, "--yes")["revoked"]) == 1
    assert house.ask("account", "list") == []
    added = house.ask("account", "add", ALICE, "--primary-password-file", "-", stdin=PRIMARY)
    assert added["id"] != old
    assert "account removed" in [entry["deed"] for entry in house.ask("audit")]


def test_remove_says_that_mail_contacts_and_calendars_stay(house: House) -> None:
    house.ask("account", "add", "printer@example.org", "--service")
    words = "its mail, contacts and calendars stay at the server behind, and whoever gets this name later"
    command = (*RUN, "-c", house.file, "account", "remove", "printer@example.org")
    assert words in on_terminal(command, [("will see them. Go on? [y/N]: ", "n")]).screen
    assert words in house.run("account", "remove", "printer@example.org", "--yes").stderr


def test_a_new_primary_password_revokes_all(house: House) -> None:
    seed = house.add(ALICE)
    minted(house)
    facts = house.ask(
        "account", "set-password", ALICE, "--yes", "--primary-password-file", "-", stdin="another good one\n"
    )
    assert len(facts["revoked"]) == 1
    create = ("password", "create", ALICE, "--label", "new", "--scope", "mail", "--code", code(seed))
    assert house.run(*create, "--primary-password-file", "-", stdin=PRIMARY).exit_code == 1
    assert house.run(*create, "--primary-password-file", "-", stdin="another good one").exit_code == 0


def test_aliases(house: House) -> None:
    house.add(ALICE)
    assert house.ask("account", "alias", "add", ALICE, "al@example.org")["aliases"] == ["al@example.org"]
    assert house.run("account", "alias", "list", ALICE).stdout == "al@example.org\n"
    assert house.run("account", "alias", "add", ALICE, "al@example.org").exit_code == 1
    assert house.ask("account", "alias", "remove", ALICE, "al@example.org")["aliases"] == []
    assert house.run("account", "alias", "remove", ALICE, "al@example.org").exit_code == 1
    house.ask("account", "alias", "add", ALICE, "al@example.org")
    assert house.ask("account", "alias", "remove", "al@example.org", "al@example.org")["aliases"] == []


def enrol_by_script(house: House, *options: str, offset_s: int = 0) -> tuple[int, str, str]:
    """Drive `enrol-2fa --json` as a script does; give exit code, secret and the last line."""
    command = [*RUN, "-c", house.file, "account", "enrol-2fa", ALICE, "--json", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        secret = json.loads(process.stdout.readline())["secret"]
        process.stdin.write(pyotp.TOTP(secret).at(time.time() + offset_s) + "\n")
        process.stdin.close()
        last = process.stdout.read()
        return process.wait(60), secret, last


def test_enrolment_by_a_script(house: House) -> None:
    house.run("account", "add", ALICE, "--primary-password-file", "-", stdin=PRIMARY)
    exit_code, _, _ = enrol_by_script(house, offset_s=-3600)
    assert exit_code == 1
    assert house.ask("account", "show", ALICE)["second_factor"] is False
    exit_code, _, last = enrol_by_script(house)
    assert exit_code == 0
    facts = json.loads(last)
    assert facts["email"] == ALICE
    assert len(set(facts["recovery_codes"])) == 10
    assert house.ask("account", "show", ALICE)["second_factor"] is True


def test_replacing_the_authenticator_needs_a_code_and_keeps_app_passwords(house: House) -> None:
    seed = house.add(ALICE)
    minted(house)
    done = house.run("account", "enrol-2fa", ALICE, stdin="000000\n")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--code" in done.stderr
    assert enrol_by_script(house, "--code", "000000")[0] == 1
    assert enrol_by_script(house, "--code", code(seed))[0] == 0
    assert len(house.ask("password", "list", ALICE)) == 1


def test_enrolment_on_a_terminal_shows_a_qr_code_and_asks_again(house: House) -> None:
    house.run("account", "add", ALICE, "--primary-password-file", "-", stdin=PRIMARY)
    command = (*RUN, "-c", house.file, "account", "enrol-2fa", ALICE)
    done = on_terminal(command, [("Code it shows now:", "abc"), ("Code it shows now:", "\x03")])
    assert done.code == 1
    assert "otpauth://totp/" in done.screen
    assert "\u2580" in done.screen or "\u2584" in done.screen
    assert "error: " in done.screen


def test_the_present_code_is_asked_for_last_so_that_it_is_fresh(house: House) -> None:
    seed = house.add(ALICE)
    command = (*RUN, "-c", house.file, "account", "enrol-2fa", ALICE)

    def of_the_new_one(screen: str) -> str:
        return pyotp.TOTP(screen.partition("?secret=")[2].partition("&")[0]).now()

    present = "Code of the present authenticator, or a recovery code:"
    done = on_terminal(
        command,
        [
            ("Code it shows now:", of_the_new_one),
            (present, "000000"),
            ("Code it shows now:", of_the_new_one),
            (present, code(seed)),
        ],
    )
    assert done.code == 0, done.screen
    assert "has a second factor now" in done.screen
    secret = done.screen.partition("?secret=")[2].partition("&")[0]
    assert " ".join(re.findall("....", secret)) in done.screen


def test_reset_revokes_all(house: House) -> None:
    house.add(ALICE)
    minted(house)
    assert house.run("account", "reset-2fa", ALICE).exit_code == 2
    facts = house.ask("account", "reset-2fa", ALICE, "--yes")
    assert (facts["second_factor"], len(facts["revoked"])) == (False, 1)
    refused = house.run("password", "create", ALICE, "--label", "x", "--scope", "mail", "--operator")
    assert refused.exit_code == 1
    assert "enrol-2fa" in refused.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("account", "disable", "--yes"), "disabled alice@example.org;"),
        (("account", "enable"), "enabled alice@example.org"),
        (("account", "set-password", "--yes", "--primary-password-file", "-"), "of alice@example.org;"),
        (("account", "reset-2fa", "--yes"), "alice@example.org has no second factor"),
        (("account", "remove", "--yes"), "removed alice@example.org;"),
        (("password", "revoke-all", "--yes"), "1 app password revoked"),
        (("password", "revoke", "phone"), "revoked phone"),
    ],
)
def test_an_account_called_by_an_alias_is_named_by_its_email(
    house: House, tmp_path: Path, command: tuple[str, ...], words: str
) -> None:
    house.add(ALICE)
    house.ask("account", "alias", "add", ALICE, "ally")
    minted(house)
    twin = house.copy(tmp_path / "twin")
    verb, options = command[:2], command[2:]
    stdin = PRIMARY if "-" in options else ""
    assert house.ask(*verb, "Ally", *options, stdin=stdin)["email"] == ALICE
    assert words in twin.run(*verb, "Ally", *options, stdin=stdin).stdout


@pytest.mark.parametrize(
    "command",
    [
        ("account", "disable"),
        ("account", "remove"),
        ("account", "set-password", "--primary-password-file", "-"),
        ("account", "reset-2fa"),
        ("password", "revoke-all"),
    ],
)
def test_without_a_question_it_is_said_first_how_many_will_end(
    house: House, command: tuple[str, ...]
) -> None:
    house.add(ALICE)
    minted(house, "phone")
    minted(house, "laptop")
    done = house.run(*command, ALICE, "--yes", stdin=PRIMARY)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("note: ")
    assert f"{ALICE}" in done.stderr
    assert ": 2 app passwords will be revoked" in done.stderr


def test_the_audit_trail_names_the_user_not_what_the_environment_says(house: House) -> None:
    command = [*RUN, "-c", house.file, "account", "add", "printer@example.org", "--service"]
    said = dict.fromkeys(("LOGNAME", "USER", "USERNAME", "SUDO_USER"), "somebody")
    subprocess.run(command, env=os.environ | said, check=True, capture_output=True, timeout=60)
    (entry,) = house.ask("audit")
    assert entry["actor"] == {
        "kind": "operator",
        "name": pwd.getpwuid(os.getuid()).pw_name,
        "where": "command line, sudo by somebody",
    }


def test_what_comes_next_is_said(house: House) -> None:
    here = f"wicketgate -c {house.file}"
    said = house.run("account", "add", "o'brien@example.org", "--service").stdout
    assert f"""next: {here} password create 'o'"'"'brien@example.org' --label LABEL""" in said
    said = house.run("account", "add", ALICE, "--primary-password-file", "-", stdin=PRIMARY).stdout
    assert f"next: {here} account enrol-2fa {ALICE}\n" in said
    assert "has no aliases" in house.run("account", "alias", "list", ALICE).stdout


def test_a_locked_store_is_an_outage_not_a_refusal_of_anyone(house: House) -> None:
    house.add(ALICE)
    (house.file.parent / "data" / "gate.db").write_bytes(b"rubbish" * 1000)
    done = house.run("account", "list")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: the store cannot answer")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_makes_no_store_for_another_user(tmp_path: Path) -> None:
    house = make_house(tmp_path / "w")
    (house.file.parent / "data" / "gate.db").unlink()
    os.chown(house.file.parent / "data", 1000, 1000)
    done = house.run("account", "add", "printer@example.org", "--service")
    assert done.exit_code == 2
    assert "sudo -u '#1000'" in done.stderr
    assert not (house.file.parent / "data" / "gate.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_makes_no_activity_file_for_another_user(house: House) -> None:
    data = house.file.parent / "data"
    (data / "activity.db").unlink(missing_ok=True)
    for path in (data, data / "gate.db"):
        os.chown(path, 1000, 1000)
    assert house.run("account", "list").exit_code == 2
    assert not (data / "activity.db").exists()


def test_a_missing_key_file_is_a_matter_of_configuration(house: House) -> None:
    next((house.file.parent / "keys").iterdir()).unlink()
    done = house.run("account", "list")
    assert done.exit_code == 2
    assert "keys.files." in done.stderr
