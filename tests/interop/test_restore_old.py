"""A backup of the first version's store is brought up on the way, with all that is in it."""

import time
from functools import partial
from pathlib import Path

from auth.store.copies import copy
from proxy.archive.backup import vouch
from proxy.archive.container import write
from proxy.archive.manifest import Counts, Key, Manifest, StoreFile
from support.backups import data, key_file
from support.house import House, make_house
from support.office import ALICE, raw
from support.old_stores import KEYS, old_store, revision_of


def with_their_key(folder: Path) -> House:
    """Make a configuration whose key is that of the old store, without a store."""
    house = make_house(folder)
    old = key_file(house)
    house.file.write_text(house.file.read_text("utf-8").replace(old.stem, "k1"), "utf-8")
    old.unlink()
    old.with_stem("k1").write_text(bytes(range(32)).hex())
    old.with_stem("k1").chmod(0o400)
    (data(house) / "gate.db").unlink()
    return house


def old_backup(folder: Path) -> Path:
    """Write a backup as the first version would have written it, a live app password in it."""
    folder.mkdir()
    old_store(folder)
    with raw(folder) as store:
        store.execute(
            "INSERT INTO app_password SELECT 'ap_live', account_id, 'aaaa', 'hash', key_id, 'tablet', "
            "scopes, limits, 8, 'owner', 8, NULL, NULL, NULL, 1 FROM app_password"
        )
    copy(folder / "gate.db", folder / "copy.db", busy_s=1)
    manifest = Manifest(
        made_by="wicketgate 0.0",
        made_at="2026-01-01T00:00:00Z",
        public_host="localhost",
        gate=StoreFile(member="gate.db", revision="0001"),
        activity=None,
        counts=Counts(accounts=1, app_passwords=1),
        keys=(Key(id="k1", check_value=KEYS.check_value("k1").hex()),),
        files=(),
        secrets=(),
        left_out=(),
        lock=None,
    )
    with (folder / "b").open("wb") as file:
        members = {"manifest.json": manifest.text, "gate.db": folder / "copy.db"}
        write(file, members, int(time.time()), partial(vouch, KEYS, "k1"))
    return folder / "b"


def test_it_is_brought_up_and_what_was_alive_is_revoked(tmp_path: Path) -> None:
    house = with_their_key(tmp_path / "w")
    done = house.ask("restore", str(old_backup(tmp_path / "old")), "--yes")
    assert done["revoked"] == ["ap_live"]
    assert revision_of(data(house)) != "0001"
    assert house.run("check").exit_code == 0
    ended = {row["id"]: row["ended_why"] for row in house.ask("password", "history", ALICE)}
    assert ended == {"ap_old": "revoked by its owner", "ap_live": "restored from a backup"}
    assert [path.name for path in data(house).iterdir() if "before" in path.name] == []
