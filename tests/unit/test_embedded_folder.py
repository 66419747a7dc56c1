"""One Maildir folder: valid Maildir on disk, UIDs for life, and what other programs do beside us."""

import errno
import os

import pytest

from proxy.embedded import uidlist
from proxy.embedded.folder import UID_FILE, Folder, MessageGoneError, make_folder, put
from proxy.embedded.messagefile import FileName, fresh_base, letters_for, parse_name, with_crlf
from support.embedded import HELLO, files_below

LATER_NS = 4_000_000_000 * 10**9


@pytest.fixture
def path(tmp_path):
    make_folder(tmp_path / "box")
    return tmp_path / "box"


def opened(path, validity=7, *, settled=False):
    """A folder; `settled` lets it trust the time stamps on disk at once."""
    return Folder(path, lambda: validity, wall_ns=lambda: LATER_NS if settled else 0)


def test_a_message_added_is_a_valid_maildir_message(path):
    folder = opened(path)
    uid = folder.add(HELLO, letters="FS", received=1_000_000_000)
    [name] = files_below(path)
    assert name.startswith("cur/")
    assert name.endswith(":2,FS")
    assert (path / name).read_bytes() == HELLO
    assert (path / name).stat().st_mode & 0o777 == 0o600
    assert folder.received(uid) == 1_000_000_000
    assert folder.size(uid) == len(HELLO)


def test_uids_and_validity_outlive_the_process(path):
    first = opened(path, 7)
    uids = [first.add(HELLO, letters="", received=None) for _ in range(3)]
    first.remove([uids[1]])
    again = opened(path, 8)
    assert again.validity == 7
    assert list(again.messages) == [1, 3]
    assert again.add(HELLO, letters="", received=None) == 4


def test_the_uid_of_a_removed_last_message_is_not_given_again(path):
    folder = opened(path)
    folder.remove([folder.add(HELLO, letters="", received=None)])
    assert opened(path).add(HELLO, letters="", received=None) == 2


def test_mail_from_outside_gets_uids_in_the_order_of_delivery(path):
    for second in ("1700000009", "1700000010", "999999999"):
        (path / "new" / f"{second}.M1P1.host").write_bytes(b"Subject: %b\n\n" % second.encode())
    folder = opened(path)
    bases = [message.name.base for message in folder.messages.values()]
    assert bases == ["999999999.M1P1.host", "1700000009.M1P1.host", "1700000010.M1P1.host"]
    assert all(message.recent for message in folder.messages.values())
    assert folder.claim() == {1, 2, 3}
    assert all(name.startswith("cur/") and name.endswith(":2,") for name in files_below(path))


def test_the_list_is_on_disk_before_a_uid_is_known(path):
    (path / "new" / "1700000000.a.host").write_bytes(HELLO)
    folder = opened(path)
    assert uidlist.read(path / UID_FILE).uids == {"1700000000.a.host": 1}
    folder.add(HELLO, letters="", received=None)
    assert uidlist.read(path / UID_FILE).next_uid == 3


def test_a_crash_between_list_and_rename_costs_a_uid_and_nothing_else(path):
    folder = opened(path)
    folder.add(HELLO, letters="", received=None)
    lost = uidlist.read(path / UID_FILE)
    lost.give("1700000000.never-renamed.host")
    uidlist.write(path / UID_FILE, lost)
    again = opened(path)
    assert list(again.messages) == [1]
    assert again.add(HELLO, letters="", received=None) == 3


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"wicketgate-uids 1 7 3",
        b"wicketgate-uids 2 7 3\n",
        b"wicketgate-uids 1 0 3\n",
        b"wicketgate-uids 1 x 3\n",
        b"wicketgate-uids 1 7 3\n2 a\n1 b\n",
        b"wicketgate-uids 1 7 2\n2 a\n",
        b"wicketgate-uids 1 7 3\n1 a\n2 a\n",
        b"wicketgate-uids 1 7 3\n1 \n",
        b"wicketgate-uids 1 7 3\n1 a\n2 b",
        b"\xff\xfe",
    ],
)
def test_a_damaged_list_starts_over_under_a_new_validity(path, damage):
    opened(path, 7).add(HELLO, letters="", received=None)
    (path / UID_FILE).write_bytes(damage)
    folder = opened(path, 8)
    assert folder.validity == 8
    assert list(folder.messages) == [1]


def test_other_programs_may_mark_move_and_delete(path):
    folder = opened(path)
    uids = [folder.add(HELLO, letters="", received=None) for _ in range(3)]
    seen, gone, kept = (path / folder.messages[uid].file for uid in uids)
    seen.rename(seen.with_name(seen.name + "S"))
    gone.unlink()
    folder.refresh()
    assert {uid: message.name.letters for uid, message in folder.messages.items()} == {1: "S", 3: ""}
    assert kept.exists()


def test_a_file_renamed_behind_our_back_is_found_again(path):
    folder = opened(path)
    uid = folder.add(HELLO, letters="", received=None)
    file = path / folder.messages[uid].file
    file.rename(file.with_name(file.name + "F"))
    assert folder.read(uid) == HELLO
    assert folder.messages[uid].name.letters == "F"


def test_a_message_taken_away_is_gone(path):
    folder = opened(path)
    uid = folder.add(HELLO, letters="", received=None)
    (path / folder.messages[uid].file).unlink()
    for use in (folder.read, folder.received, lambda uid: folder.mark(uid, "S")):
        with pytest.raises(MessageGoneError):
            use(uid)
    folder.remove([uid])


def test_nothing_is_read_anew_while_nothing_changes(path):
    folder = opened(path, settled=True)
    folder.add(HELLO, letters="", received=None)
    folder.refresh()
    before = folder.messages
    folder.refresh()
    assert folder.messages is before
    put(path, HELLO)
    os.utime(path / "new", ns=(5, 5))
    folder.refresh()
    assert len(folder.messages) == 2


def test_a_young_time_stamp_is_not_trusted(path):
    folder = opened(path)  # its clock says that the stamps were made just now
    folder.refresh()
    stamps = [(path / part).stat().st_mtime_ns for part in ("new", "cur")]
    put(path, HELLO)
    for part, stamp in zip(("new", "cur"), stamps, strict=True):
        os.utime(path / part, ns=(stamp, stamp))
    folder.refresh()
    assert len(folder.messages) == 1


def test_a_copy_keeps_flags_date_and_content(path, tmp_path):
    make_folder(tmp_path / "other")
    source, target = opened(path), opened(tmp_path / "other", 9)
    uids = [source.add(HELLO, letters=letters, received=1e9) for letters in ("S", "")]
    assert target.copy_from(source, uids) == [(1, 1), (2, 2)]
    assert [message.name.letters for message in target.messages.values()] == ["S", ""]
    assert target.read(1) == HELLO
    assert target.received(2) == 1e9
    source.remove(uids)
    assert target.read(1) == HELLO


def test_a_copy_is_all_or_nothing(path, tmp_path):
    make_folder(tmp_path / "other")
    source, target = opened(path), opened(tmp_path / "other")
    uids = [source.add(HELLO, letters="", received=None) for _ in range(2)]
    (path / source.messages[uids[1]].file).unlink()
    with pytest.raises(MessageGoneError):
        target.copy_from(source, uids)
    assert files_below(tmp_path / "other") == []


def test_a_copy_where_nothing_can_be_linked(path, tmp_path):
    def no_links(source, target):
        raise OSError(errno.EPERM, "no links here")

    make_folder(tmp_path / "other")
    source = opened(path)
    target = Folder(tmp_path / "other", lambda: 7, link=no_links)
    uid = source.add(HELLO, letters="F", received=1e9)
    assert target.copy_from(source, [uid]) == [(uid, 1)]
    assert (target.read(1), target.received(1), target.messages[1].name.letters) == (HELLO, 1e9, "F")


def test_a_folder_that_was_deleted_is_empty(path):
    folder = opened(path)
    folder.add(HELLO, letters="", received=None)
    path.rename(path.with_name("away"))
    folder.refresh()
    assert folder.messages == {}


def test_foreign_files_are_read_with_crlf_and_counted_so(path):
    (path / "cur" / "1700000000.x.host:2,S").write_bytes(b"Subject: x\n\nline\n")
    folder = opened(path)
    assert folder.size(1) == len(b"Subject: x\r\n\r\nline\r\n")
    assert folder.read(1) == b"Subject: x\r\n\r\nline\r\n"


def test_unknown_letters_and_strange_names(path):
    (path / "cur" / "1.keeps-its-keywords:2,Sab").write_bytes(HELLO)
    (path / "cur" / ".hidden").write_bytes(HELLO)
    (path / "cur" / "new\nline").write_bytes(HELLO)
    (path / "cur" / os.fsdecode(b"2.not-\xff-utf8")).write_bytes(HELLO)
    (path / "cur" / "3.no-info").write_bytes(HELLO)
    assert len(opened(path).messages) == 3
    again = opened(path)
    assert [message.name.letters for message in again.messages.values()] == ["Sab", "", ""]
    again.mark(1, "Fab")
    assert (path / "cur" / "1.keeps-its-keywords:2,Fab").exists()


def test_names_and_letters():
    assert parse_name("1.a.b,W=120:2,SF") == FileName(base="1.a.b,W=120", letters="FS")
    assert parse_name("1.a.b,W=120:2,SF").size == 120
    assert parse_name("1.a.b,W=x").size is None
    assert parse_name(":2,S") is None
    assert fresh_base(3) != fresh_base(3)
    assert letters_for(("\\seen", "\\DELETED", "$Forwarded", "\\Recent", "custom")) == "PST"
    assert with_crlf(b"a\nb\r\nc") == b"a\r\nb\r\nc"
    clean = b"a\r\nb\r\n"
    assert with_crlf(clean) is clean
