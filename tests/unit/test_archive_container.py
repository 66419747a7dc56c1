"""The file of a backup: an ordinary tar in which no octet can differ unnoticed."""

import hashlib
import io
import subprocess
import tarfile
from contextlib import suppress

import pytest

from proxy.archive.container import Archive, ArchiveError, write

AT = 1_800_000_000


def vouch(digest: bytes) -> tuple[str, bytes]:
    return "k1", hashlib.sha256(b"key" + digest).digest()


def written(members: dict) -> bytes:
    file = io.BytesIO()
    write(file, members, AT, vouch)
    return file.getvalue()


SMALL = written({"manifest.json": b"{}\n", "gate.db": bytes(range(256)) * 3})


@pytest.mark.parametrize("octets", [0, 1, 511, 512, 513, 3_000_000])
def test_what_was_put_in_comes_out(tmp_path, octets):
    held = tmp_path / "held"
    held.write_bytes(b"x" * octets)
    archive = Archive.read(io.BytesIO(written({"a": b"first", "b": held, "c": b""})))
    assert list(archive.members) == ["a", "b", "c"]
    assert archive.text("a") == b"first"
    archive.extract("b", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == held.read_bytes()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_the_seal_holds_the_digest_of_what_stands_before_it_and_the_key_that_vouches():
    seal = Archive.read(io.BytesIO(SMALL)).seal
    with tarfile.open(fileobj=io.BytesIO(SMALL)) as tar:
        before = SMALL[: tar.getmember("seal").offset]
    assert seal.sha256 == hashlib.sha256(before).hexdigest()
    assert (seal.key, seal.hmac_sha256) == ("k1", vouch(hashlib.sha256(before).digest())[1].hex())


def test_tar_reads_it_without_a_word(tmp_path):
    (tmp_path / "b").write_bytes(SMALL)
    done = subprocess.run(["tar", "-tf", tmp_path / "b"], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (["manifest.json", "gate.db", "seal"], "")


def test_no_octet_may_differ():
    whole, unnoticed = Archive.read(io.BytesIO(SMALL)), []
    for at in range(len(SMALL)):
        changed = bytearray(SMALL)
        changed[at] ^= 0x20
        with suppress(ArchiveError):
            read = Archive.read(io.BytesIO(changed))
            vouched = (read.seal.key, read.seal.hmac_sha256)  # what only the holder of the key can judge
            if vouched == (whole.seal.key, whole.seal.hmac_sha256):
                unnoticed.append(at)
    assert unnoticed == []


def test_none_may_be_missing_and_none_may_follow():
    for end in range(len(SMALL)):
        with pytest.raises(ArchiveError):
            Archive.read(io.BytesIO(SMALL[:end]))
    with pytest.raises(ArchiveError):
        Archive.read(io.BytesIO(SMALL + b"\0"))


def test_a_file_of_another_kind_is_told_apart(tmp_path):
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(__file__, "manifest.json")
    for octets in ((tmp_path / "other.tar").read_bytes(), b"SQLite format 3\0" * 100, b""):
        with pytest.raises(ArchiveError, match="no backup"):
            Archive.read(io.BytesIO(octets))


def test_a_member_that_is_not_there_and_one_that_nobody_writes():
    archive = Archive.read(io.BytesIO(SMALL))
    with pytest.raises(ArchiveError, match="it holds no"):
        archive.text("secrets.sealed")
    large = Archive.read(io.BytesIO(written({"a": bytes(5_000_000)})))
    with pytest.raises(ArchiveError, match="a size that nobody writes"):
        large.text("a")


def test_a_name_that_a_tar_cannot_hold_is_refused():
    with pytest.raises(ArchiveError, match="too long a name"):
        written({"x" * 300: b""})
