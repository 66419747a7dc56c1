"""Accounts and folders on disk: names that cannot become paths, and the life of folders."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedded import foldernames
from proxy.embedded.foldernames import BadNameError, from_text, from_wire, matches, of_directory
from proxy.embedded.maildir import FolderRefusedError, MailHome, account_folder, deliver
from support.embedded import ALICE, HELLO, NOON_NS, files_below, home


@pytest.mark.parametrize("email", [ALICE, "../../etc/passwd", "a/b@c", "", "\0", "%u", "a" * 5000, "café@é"])
def test_no_name_of_an_account_becomes_a_path(tmp_path, email):
    folder = account_folder(tmp_path, email)
    assert folder.parent == tmp_path
    assert folder.name == hashlib.sha256(email.encode()).hexdigest()


def test_delivery_makes_what_is_missing(tmp_path):
    root = tmp_path / "mail"
    deliver(root, ALICE, HELLO.replace(b"\r\n", b"\n"))
    deliver(root, ALICE, HELLO, "Sent", ("\\Seen",))
    deliver(root, ALICE, HELLO, "Müll.Alt")
    mail = home(root)
    assert mail.folder("INBOX").read(1) == HELLO
    assert mail.folder("INBOX").messages[1].recent
    assert mail.folder("Sent").messages[1].name.letters == "S"
    assert mail.folder("M&APw-ll.Alt").read(1) == HELLO
    assert (account_folder(root, ALICE) / "account").read_text() == ALICE + "\n"
    assert all(path.stat().st_mode & 0o077 == 0 for path in root.rglob("*") if path.is_dir())
    with pytest.raises(BadNameError):
        deliver(root, ALICE, HELLO, "../../elsewhere")


def test_every_account_starts_with_the_special_folders(tmp_path):
    mail = home(tmp_path)
    assert mail.names() == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
    assert mail.subscribed() == mail.names()


def test_folders_are_made_renamed_and_deleted(tmp_path):
    mail = home(tmp_path)
    mail.create("Work.2026")
    uid = mail.folder("Work.2026").add(HELLO, letters="", received=None)
    folder, validity = mail.folder("Work.2026"), mail.folder("Work.2026").validity
    mail.rename("Work", "Old")
    assert mail.folder("Old.2026") is folder
    assert (folder.validity, folder.read(uid)) == (validity, HELLO)
    assert not mail.has("Work.2026")
    mail.delete("Old.2026")
    assert not mail.has("Old.2026")
    folder.refresh()
    assert folder.messages == {}
    assert files_below(tmp_path) == []


def test_a_folder_made_again_has_another_validity(tmp_path):
    mail = home(tmp_path)
    seen = set()
    for _ in range(3):
        mail.create("x")
        seen.add(mail.folder("x").validity)
        mail.delete("x")
    assert len(seen) == 3
    assert min(seen) >= NOON_NS // 10**9


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        (lambda mail: mail.create("Sent"), "ALREADYEXISTS"),
        (lambda mail: mail.create("INBOX"), "ALREADYEXISTS"),
        (lambda mail: mail.delete("INBOX"), "CANNOT"),
        (lambda mail: mail.delete("none"), "NONEXISTENT"),
        (lambda mail: mail.rename("none", "x"), "NONEXISTENT"),
        (lambda mail: mail.rename("INBOX", "x"), "CANNOT"),
        (lambda mail: mail.rename("Sent", "INBOX"), "CANNOT"),
        (lambda mail: mail.rename("Sent", "Trash"), "ALREADYEXISTS"),
        (lambda mail: mail.rename("Sent", "Sent.below"), "CANNOT"),
        (lambda mail: (mail.create("a." + "b" * 150), mail.rename("a", "c" * 60)), "CANNOT"),
        (lambda mail: mail.folder("none"), "NONEXISTENT"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code(tmp_path, deed, code):
    mail = home(tmp_path)
    before = mail.names()
    with pytest.raises(FolderRefusedError, match=rf"\[{code}\]"):
        deed(mail)
    assert set(before) <= set(mail.names())


def test_what_a_crash_left_of_a_deleted_folder_is_cleared_away(tmp_path):
    home(tmp_path)
    left = account_folder(tmp_path, ALICE) / "wicketgate-deleted-0123"
    (left / "cur").mkdir(parents=True)
    MailHome(tmp_path, ALICE)
    assert not left.exists()


def test_subscriptions_last_and_need_no_folder(tmp_path):
    home(tmp_path).subscribe("not.there", wanted=True)
    mail = home(tmp_path)
    assert "not.there" in mail.subscribed()
    mail.subscribe("not.there", wanted=False)
    mail.subscribe("Sent", wanted=False)
    assert home(tmp_path).subscribed() == ["INBOX", "Archive", "Drafts", "Junk", "Trash"]
    (account_folder(tmp_path, ALICE) / "subscriptions").unlink()
    assert mail.subscribed() == []


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b".",
        b"..",
        b"a..b",
        b".a",
        b"a/b",
        b"/etc",
        b"a*",
        b"a%",
        b"a\\b",
        b"a\0",
        b"a\x7f",
        b"a\r\nb",
        b"a\xe9",
        b"&",
        b"&a",
        b"&ZZ",
        b"&AC8-",
        b"&AGE-",
        b"&2D0-",
        b"&AOk=-",
        b"&A-",
        b"x" * 201,
    ],
)
def test_names_that_are_none(octets):
    with pytest.raises(BadNameError):
        from_wire(octets)


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"inbox", "INBOX"),
        (b"Inbox", "INBOX"),
        (b"a.b.", "a.b"),
        (b"M&APw-ll", "M&APw-ll"),
        (b"R&-D", "R&-D"),
    ],
)
def test_names_that_are_some(octets, name):
    assert from_wire(octets) == name


@given(st.text())
def test_a_name_is_one_directory_right_below_the_home_or_refused(text):
    try:
        name = from_text(text)
    except (BadNameError, UnicodeEncodeError):
        return
    path = foldernames.directory(name)
    assert path == "." or (path.startswith(".") and "/" not in path and path not in {".", ".."})
    assert name == "INBOX" or of_directory(path) == name


@pytest.mark.parametrize("entry", ["cur", ".", "..", ".a..b", ".INBOX", ".inbox", ".a.", ".é", ".a\n"])
def test_entries_that_are_no_folders(entry):
    assert of_directory(entry) is None


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "a.b", True),
        ("%", "a.b", False),
        ("%", "a", True),
        ("a%", "ab", True),
        ("a.%", "a.b", True),
        ("a.%", "a.b.c", False),
        ("a*c", "a.b.c", True),
        ("%.%", "a.b", True),
        ("a", "A", False),
        ("inbox", "INBOX", True),
        ("InB%", "INBOX", True),
        ("", "a", False),
        ("*b*", "abc", True),
        ("a.b", "aXb", False),
        ("*" * 900 + "x", "a" * 200, False),
        ("*" * 2000, "a", False),
    ],
)
def test_list_patterns(pattern, name, expected):
    assert matches(pattern, name) is expected


def test_a_pattern_made_to_backtrack_costs_little():
    assert not matches("*a" * 400, "a" * 200 + "b")
