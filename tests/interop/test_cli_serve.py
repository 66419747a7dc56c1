"""`wicketgate serve` that cannot start for a cause in the configuration, and one that starts with a flaw."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.authority import issue
from support.house import RUN, House
from support.serving import behind, make_gate, running_gate


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A gate before a server that does not answer."""
    return make_gate(tmp_path / "w", behind(tmp_path, f"unix:{tmp_path}/none", "s3cret-s3cret"))


def refused(house: House) -> str:
    done = subprocess.run(
        [*RUN, "-c", house.file, "serve"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert all(line.startswith(("error: ", "hint: ")) for line in done.stderr.splitlines())
    return done.stderr


def test_every_cause_is_named_at_once(house: House) -> None:
    folder = house.file.parent
    (folder / "tls" / "server.key").unlink()
    (folder / "tls" / "server.key").write_bytes((folder / "tls" / "ca.key").read_bytes())
    (folder / "tls" / "server.key").chmod(0o400)
    (folder.parent / "upstream.secret").chmod(0o644)
    next((folder / "keys").iterdir()).chmod(0o644)
    said = refused(house)
    assert [line.split(": ")[2] for line in said.splitlines() if line.startswith("error: ")] == [
        "tls.certificate[0].key",
        f"keys.files.{next((folder / 'keys').iterdir()).stem}",
        "upstream.imap.sign_in.secret_file",
    ]


@pytest.mark.parametrize(
    ("missing", "key"),
    [("tls/server.pem", "tls.certificate[0].certificate"), ("../upstream.secret", "secret_file")],
)
def test_a_missing_file_is_a_matter_of_configuration(house: House, missing: str, key: str) -> None:
    (house.file.parent / missing).unlink()
    said = refused(house)
    assert f"{key}: " in said
    assert "no such file" in said


def test_a_data_folder_that_cannot_be_made(house: House) -> None:
    text = house.file.read_text(encoding="utf-8")
    house.file.write_text(text.replace('data = "data"', 'data = "/dev/null/none"'), encoding="utf-8")
    assert "server.data: the folder /dev/null/none does not exist and cannot be made" in refused(house)


def test_a_store_that_cannot_be_opened_is_told_with_what_else_was_seen(house: House) -> None:
    data = house.file.parent / "data"
    for path in data.glob("gate.db*"):
        path.unlink()
    (data / "gate.db").mkdir()
    data.chmod(0o707)
    said = refused(house)
    assert f"server.data: everybody can write to the folder {data}" in said
    assert "error: the store cannot answer: the gate store cannot be opened" in said


def test_an_expired_certificate_is_noted_and_served(house: House) -> None:
    issue(house.file.parent / "tls", ["localhost", "127.0.0.1", "::1"], now=datetime(2020, 1, 1, tzinfo=UTC))
    with running_gate(house) as serving:
        note = serving.log.wait_for("logger=proxy.cli.serve")
        assert "expired on " in note
        assert "renew it" in note


def test_a_sound_configuration_is_served_without_a_word(house: House) -> None:
    with running_gate(house) as serving:
        pass
    assert "logger=proxy.cli.serve" not in serving.log.text
