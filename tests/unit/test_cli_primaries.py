"""The command line where the mail server keeps the primary passwords, and it is away."""

import pytest

from support.house import PRIMARY, House, make_house

ALICE = "alice@example.org"


@pytest.fixture
def house(tmp_path) -> House:
    house = make_house(tmp_path / "w")
    text = house.file.read_text("utf-8")
    away = f'[upstream.imap]\naddress = "unix:{tmp_path / "nobody"}"\nsign_in = {{ kind = "stored" }}\n'
    for before, after in (
        ('[upstream.imap]\naddress = "embedded"\n', away),
        ('[primary]\nkind = "local"\n', '[primary]\nkind = "imap"\n'),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    house.file.write_text(text, "utf-8")
    return house


def test_a_person_is_added_without_a_question(house):
    done = house.run("account", "add", ALICE)
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"account invite {ALICE}" in done.stdout


@pytest.mark.parametrize("command", ["add", "set-password"])
def test_a_primary_password_is_not_taken_and_not_asked_for(house, command):
    if command == "set-password":
        house.run("account", "add", ALICE)
    done = house.run("account", command, ALICE, "--primary-password-file", "-", stdin=PRIMARY)
    assert done.exit_code == 1
    assert f"error: the primary password of {ALICE} is that of the mailbox" in done.stderr
    assert "hint: change it at the mail server" in done.stderr


def test_an_outage_is_said_to_be_one_and_counts_against_nobody(house):
    house.add(ALICE)
    options = ("--label", "x", "--scope", "mail", "--code", "000000", "--primary-password-file", "-")
    for _ in range(8):
        done = house.run("password", "create", ALICE, *options, stdin=PRIMARY)
        assert done.exit_code == 1
        assert "error: the mail server that knows the primary password does not answer" in done.stderr


def test_a_hook_says_that_it_was_changed_there(house):
    house.run("account", "add", ALICE)
    answer = house.ask("account", "primary-changed", ALICE)
    assert answer == {"email": ALICE, "revoked": [], "sessions_cut": 0, "silent_workers": 0}
    (line,) = [each for each in house.ask("audit", ALICE) if each["deed"] == "primary password changed"]
    assert line["detail"].startswith("at the mail server, as was told")
    nobody = house.run("account", "primary-changed", "nobody@example.org")
    assert (nobody.exit_code, "there is no account" in nobody.stderr) == (1, True)


def test_where_it_is_kept_here_a_hook_has_nothing_to_say(tmp_path):
    house = make_house(tmp_path / "w")
    house.add(ALICE)
    done = house.run("account", "primary-changed", ALICE)
    assert (done.exit_code, "account set-password" in done.stderr) == (1, True)


def test_a_person_to_be_invited_is_added_without_a_primary_password(tmp_path):
    house = make_house(tmp_path / "w")
    done = house.run("account", "add", ALICE, "--invited")
    assert (done.exit_code, f"account invite {ALICE}" in done.stdout) == (0, True)
    assert house.ask("account", "invite", ALICE)["invited"][0]["link"].startswith("https://")
    for more in (("--service",), ("--primary-password-file", "-")):
        assert house.run("account", "add", "b@example.org", "--invited", *more).exit_code == 2
