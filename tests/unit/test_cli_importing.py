"""`wicketgate account import` and `invite`, as typed."""

import json

import pytest

from support.house import House, make_house

LIST = "Email;Aliases\r\nalice@example.org;al\r\nbob@example.org;\r\n\r\n"
BEHIND = '[upstream.imap]\naddress = "imaps://localhost:1"\nsign_in = { kind = "stored" }\n'
MAIL = '\n[mail]\nsender = "gate@example.org"\n'


@pytest.fixture
def house(tmp_path) -> House:
    return make_house(tmp_path / "w")


def before_servers(house: House) -> None:
    """Put a mail server behind that is away, for nothing of this asks it."""
    text = house.file.read_text("utf-8")
    assert text.count('[upstream.imap]\naddress = "embedded"\n') == 1
    house.file.write_text(text.replace('[upstream.imap]\naddress = "embedded"\n', BEHIND), "utf-8")


def written(tmp_path, text: str, mode: int = 0o600) -> str:
    file = tmp_path / "people.csv"
    file.write_bytes(text.encode("utf-8-sig"))
    file.chmod(mode)
    return str(file)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(house, tmp_path):
    before_servers(house)
    house.ask("account", "import", "-", stdin="email\nbob@example.org\n")
    text = "email;aliases;imap_login;imap_secret\nalice@example.org;al alice.a;a;k7 mq\nbob@example.org;b;;\n"
    done = house.run("account", "import", written(tmp_path, text), "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "LINE  EMAIL              WHAT WOULD BE DONE",
        "2     alice@example.org  add; aliases al, alice.a; imap as a (stored)",
        "3     bob@example.org    complete; aliases b",
        "1 account would be added, 1 account would be completed; 0 as they are, 0 disabled and left alone",
        "nothing was changed; without --dry-run it is done",
    ]
    assert [each["email"] for each in house.ask("account", "list")] == ["bob@example.org"]


def test_it_is_done_and_a_second_time_nothing_is(house, tmp_path):
    file = written(tmp_path, LIST)
    done = house.run("account", "import", file)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("2 accounts added, 0 accounts completed; 0 as they are")
    assert "account invite --all" in done.stdout
    again = house.ask("account", "import", file)
    assert (again["added"], again["unchanged"]) == (0, 2)
    assert [each["aliases"] for each in house.ask("account", "list")] == [["al"], []]


def test_bad_rows_are_named_by_file_and_line_and_nothing_is_done(house, tmp_path):
    file = written(tmp_path, LIST + "alice;x\r\nBOB@example.org;y\r\n")
    done = house.run("account", "import", file)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: {file}, line 5: email: this is not an email address",
        "hint: write it as in alice@example.org",
        f"error: {file}, line 6: bob@example.org stands in line 3 already",
        "hint: take it out of one of the two",
        "error: nothing was imported: 2 faults in the list",
    ]
    assert house.ask("account", "list") == []


def test_a_list_that_is_not_there_and_one_in_another_encoding(house, tmp_path):
    away = house.run("account", "import", str(tmp_path / "away.csv"))
    assert (away.exit_code, "no such file" in away.stderr) == (2, True)
    done = house.run("account", "import", "-", stdin="email\njürgen@example.org\n".encode("latin-1"))
    assert done.exit_code == 1
    assert "standard input, line 2: this is not UTF-8 text" in done.stderr


def test_secrets_are_shown_nowhere_and_a_list_that_others_can_read_is_said(house, tmp_path):
    before_servers(house)
    text = 'email,imap_secret\nalice@example.org,"quo""ted secret"\n'
    file = written(tmp_path, text, 0o644)
    for options in (("--dry-run",), ("--json",), ()):
        done = house.run("account", "import", file, *options)
        assert done.exit_code == 0
        assert "can be read or changed by others" in done.stderr
        assert "ted secret" not in done.stdout + done.stderr
    (upstream,) = house.ask("account", "show", "alice@example.org")["upstream"]
    assert (upstream["kind"], upstream["login"]) == ("stored", "alice@example.org")


def test_what_the_store_says_otherwise_is_kept_and_told(house, tmp_path):
    before_servers(house)
    house.run("account", "import", "-", stdin="email,imap_secret\nalice@example.org,one\n")
    done = house.run("account", "import", "-", stdin="email,imap_secret\nalice@example.org,two\n")
    assert done.exit_code == 0
    assert "line 2, alice@example.org: the store says otherwise for imap" in done.stderr
    assert "two" not in done.stderr


def test_a_secret_for_a_built_in_server_is_a_fault_of_the_row(house):
    done = house.run("account", "import", "-", stdin="email,imap_secret\nalice@example.org,s3cret\n")
    assert done.exit_code == 1
    assert "line 2: imap_login, imap_secret: the built-in server needs no login" in done.stderr


# --- invitations ---


def test_links_are_printed_where_the_gate_sends_no_mail(house):
    house.run("account", "import", "-", stdin=LIST)
    done = house.run("account", "invite", "--all")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    assert [email for email, _ in lines] == ["alice@example.org", "bob@example.org"]
    assert all(link.startswith("https://") and "/invitation/" in link for _, link in lines)
    assert len({link for _, link in lines}) == len(lines)


def test_a_second_round_leaves_good_invitations_alone_unless_told(house):
    house.run("account", "import", "-", stdin=LIST)
    assert len(house.ask("account", "invite", "--all")["invited"]) == 2
    again = house.run("account", "invite", "--all")
    assert again.stdout == "nobody is to be invited\n"
    assert "2 earlier invitations still good" in again.stderr
    anew = house.ask("account", "invite", "--all", "--again")
    assert (len(anew["invited"]), anew["still_invited"]) == (2, [])
    house.run("account", "import", "-", stdin="email\ncarol@example.org\n")
    answer = house.ask("account", "invite", "--all")
    assert [each["email"] for each in answer["invited"]] == ["carol@example.org"]
    assert answer["still_invited"] == ["alice@example.org", "bob@example.org"]


def test_with_mail_they_go_out_by_it_and_print_prints_all_the_same(house):
    house.file.write_text(house.file.read_text("utf-8") + MAIL, "utf-8")
    house.run("account", "import", "-", stdin=LIST)
    done = house.run("account", "invite", "--all")
    assert done.stdout == "invited 2 people by mail; it goes out while the gate serves\n"
    printed = house.run("account", "invite", "alice@example.org", "--print")
    assert printed.stdout.startswith("alice@example.org  https://")
    (told,) = house.ask("account", "invite", "al")["invited"]
    assert (told["email"], told["by_mail"], told["link"]) == ("alice@example.org", True, None)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ((), 2, "say EMAIL or --all"),
        (("al", "--all"), 2, "say EMAIL or --all"),
        (("al", "--again"), 2, "--again goes with --all"),
        (("nobody@example.org",), 1, "there is no account nobody@example.org"),
    ],
)
def test_what_cannot_be_meant_is_refused(house, arguments, exit_code, said):
    done = house.run("account", "invite", *arguments)
    assert (done.exit_code, said in done.stderr) == (exit_code, True)


def test_without_a_portal_there_is_nothing_to_invite_to(house):
    text = house.file.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("portal =")]
    house.file.write_text("\n".join(lines), "utf-8")
    done = house.run("account", "invite", "--all")
    assert (done.exit_code, "no portal to invite to" in done.stderr) == (2, True)
    assert json.loads(house.run("account", "list", "--json").stdout) == []
