"""Files around the config: private ones, keys, the first configuration, and what `inspect` sees of them."""

from __future__ import annotations

import os
import pwd
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from config.inspect import inspect
from config.keys import new_key_text, read_key
from config.load import load
from config.models import Config
from config.private import PrivateFileError, access_hint, read_private, read_secret_text
from config.problems import ConfigErrors
from config.scaffold import CONFIG_NAME, Ports, ScaffoldError, certificate_names, init_dir

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

P256 = bytes.fromhex("2a8648ce3d030107")
"""The curve's object identifier, as certificates hold it."""


def private(path: Path, octets: bytes, mode: int = 0o400) -> Path:
    path.unlink(missing_ok=True)
    path.write_bytes(octets)
    path.chmod(mode)
    return path


def scaffolded(folder: Path) -> tuple[Config, Path]:
    file = init_dir(folder, ["mail.example.org"], now=NOW)
    return load(file), file


def seen(config: Config, file: Path, now: datetime = NOW) -> dict[str, str]:
    return {problem.key: problem.what for problem in inspect(config, file, now)}


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o420, 0o644, 0o401])
def test_a_file_open_to_others_is_no_private_file(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "k", b"x", mode)
    with pytest.raises(PrivateFileError, match=f"mode {mode:04o}") as caught:
        read_private(path)
    assert caught.value.hint == f"run: chmod 0400 {path}"


def test_a_missing_key_is_put_back_and_not_made_anew(tmp_path: Path) -> None:
    config, file = scaffolded(tmp_path / "w")
    ((name, path),) = config.keys.files.items()
    path.unlink()
    (problem,) = inspect(config, file, NOW)
    assert problem.key == f"keys.files.{name}"
    assert problem.what == f"{path} cannot be read: no such file or directory"
    assert problem.hint.startswith("put the file back from your copy")
    assert "make" not in problem.hint


def test_whose_file_cannot_be_read_and_how_to_run_as_that_user(tmp_path: Path) -> None:
    path = private(tmp_path / "k", b"x")
    refusal = PermissionError(13, "Permission denied", str(path))
    me = pwd.getpwuid(os.geteuid()).pw_name
    said = access_hint(refusal, reader=os.geteuid() + 1)
    assert said == f"run this as {me}, whose file it is: sudo -u {me} wicketgate …"
    assert access_hint(refusal).endswith(f"ls -ld {path}"), "the mode is what keeps its owner out"
    hidden = PermissionError(13, "Permission denied", str(path / "below" / "it"))
    assert "whose folder it is" in access_hint(hidden, reader=os.geteuid() + 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_user_without_a_name_is_told_by_number(tmp_path: Path) -> None:
    path = private(tmp_path / "k", b"x")
    os.chown(path, 54_321, 54_321)
    said = access_hint(PermissionError(13, "Permission denied", str(path)))
    assert said == "run this as user 54321, whose file it is: sudo -u '#54321' wicketgate …"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_no_private_file(tmp_path: Path) -> None:
    path = private(tmp_path / "k", b"x")
    os.chown(path, 1000, 1000)
    with pytest.raises(PrivateFileError, match="belongs to another user, 1000"):
        read_private(path)
    os.chown(tmp_path, 1000, 1000)
    assert read_private(path) == b"x", "root at work for the user whose folder it is"


def test_a_systemd_credential_may_show_group_bits(tmp_path: Path) -> None:
    path = private(tmp_path / "k", b"x", 0o440)
    assert read_private(path, credentials=str(tmp_path)) == b"x"
    with pytest.raises(PrivateFileError):
        read_private(path, credentials=str(tmp_path / "elsewhere"))
    private(path, b"x", 0o444)
    with pytest.raises(PrivateFileError):
        read_private(path, credentials=str(tmp_path))


def test_a_credential_is_read_in_the_place_of_the_file_it_stands_for(tmp_path: Path) -> None:
    """As systemd names what it loads from a folder; the file itself may be missing, or out of reach."""
    handed = tmp_path / "handed"
    handed.mkdir()
    private(handed / "keys_2026-11.key", b"handed over", 0o440)
    path = tmp_path / "keys" / "2026-11.key"
    assert read_private(path, credentials=str(handed)) == b"handed over"
    path.parent.mkdir()
    private(path, b"root's own")
    assert read_private(path, credentials=str(handed)) == b"handed over"
    assert read_private(path, credentials="") == b"root's own"
    assert read_private(private(path.with_name("other.key"), b"other"), credentials=str(handed)) == b"other"


def test_a_relative_path_has_a_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").mkdir()
    monkeypatch.chdir(tmp_path / "keys")
    private(tmp_path / "keys_k", b"x")
    assert read_private(Path("k"), credentials=str(tmp_path)) == b"x"


def test_a_credential_that_is_of_no_use_is_told_of(tmp_path: Path) -> None:
    """The file is not read instead: what the service was handed is what its administrator meant."""
    private(tmp_path / "keys_k", b"x", 0o444)
    with pytest.raises(PrivateFileError, match=f"{tmp_path}/keys_k can be read or changed by others"):
        read_private(tmp_path / "keys" / "k", credentials=str(tmp_path))


def test_what_is_not_a_file_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(PrivateFileError, match="no such file"):
        read_private(tmp_path / "absent")
    with pytest.raises(PrivateFileError):
        read_private(tmp_path)
    with pytest.raises(PrivateFileError, match="larger"):
        read_private(private(tmp_path / "big", b"x" * 4097))


def test_a_key_is_read_back(tmp_path: Path) -> None:
    text = new_key_text(lambda size: bytes(range(size)))
    assert read_key(private(tmp_path / "k", text.encode())) == bytes(range(32))


@pytest.mark.parametrize("octets", [b"", b"00" * 31, b"zz" * 32, b"\xff" * 32, b"00" * 33])
def test_what_is_no_key_is_refused_and_never_quoted(tmp_path: Path, octets: bytes) -> None:
    with pytest.raises(PrivateFileError) as caught:
        read_key(private(tmp_path / "k", octets))
    assert "hexadecimal" in str(caught.value)
    assert len(octets) == 0 or octets.decode("latin-1") not in str(caught.value)


def test_a_secret_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert read_secret_text(private(path, "pässword \n".encode())) == "pässword "
    assert read_secret_text(private(path, b"secret\r\n")) == "secret"
    for octets in (b"", b"\n", b"a\nb\n", b"a\0b", b"\xff"):
        with pytest.raises(PrivateFileError):
            read_secret_text(private(path, octets))


def test_all_bad_keys_are_named_at_once(tmp_path: Path) -> None:
    config, _ = scaffolded(tmp_path / "w")
    two = {"a": private(tmp_path / "a", b"short"), "b": tmp_path / "absent"}
    keys = config.keys.model_copy(update={"files": two})
    with pytest.raises(ConfigErrors) as caught:
        keys.load()
    assert [problem.key for problem in caught.value.problems] == ["keys.files.a", "keys.files.b"]


def test_the_first_configuration_is_sound(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    config, file = scaffolded(folder)
    assert file == folder / CONFIG_NAME
    assert inspect(config, file, NOW) == []
    assert [len(key) for key in config.keys.load().values()] == [32]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes["w"] == modes["tls"] == modes["keys"] == modes["data"] == 0o700
    assert modes["ca.key"] == modes["server.key"] == modes["2026-11.key"] == 0o400
    assert config.server.public_host == "mail.example.org"
    assert config.tls.certificate[0].names == ("mail.example.org", "localhost", "127.0.0.1", "::1")
    assert str(config.upstream.imap.address) == "embedded"


def test_ports_and_the_address_to_listen_on(tmp_path: Path) -> None:
    file = init_dir(tmp_path / "w", (), Ports(imaps=0, imap=2143), bind="192.0.2.4", now=NOW)
    config = load(file)
    assert [str(listen) for listen in config.listen.imaps + config.listen.imap] == [
        "192.0.2.4:0",
        "192.0.2.4:2143",
    ]
    assert "192.0.2.4" in config.tls.certificate[0].names
    assert inspect(config, file, NOW) == []


def test_names_of_a_certificate() -> None:
    assert certificate_names(["A.example", "localhost"], "::") == (
        "a.example",
        "localhost",
        "127.0.0.1",
        "::1",
    )
    assert certificate_names([], "192.0.2.9")[-1] == "192.0.2.9"


@pytest.mark.parametrize("name", [CONFIG_NAME, "tls", "keys", "data"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ScaffoldError, match="exists already"):
        init_dir(tmp_path, now=NOW)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScaffoldError, match="cannot be made"):
        init_dir(tmp_path / "file" / "w", now=NOW)


def test_certificates_out_of_their_time_or_without_the_name(tmp_path: Path) -> None:
    config, file = scaffolded(tmp_path / "w")
    key = "tls.certificate[0].certificate"
    assert "expired on 2029-02-20" in seen(config, file, NOW + timedelta(days=821))[key]
    assert "not valid before" in seen(config, file, NOW - timedelta(days=2))[key]
    other = config.tls.certificate[0].model_copy(update={"names": ("*.other.org",)})
    tls = config.tls.model_copy(update={"certificate": (other,)})
    assert "does not name *.other.org" in seen(config.model_copy(update={"tls": tls}), file)[key]


def test_everything_wrong_around_the_file_is_seen_at_once(tmp_path: Path) -> None:
    config, file = scaffolded(tmp_path / "w")
    stranger, _ = scaffolded(tmp_path / "other")
    entry = config.tls.certificate[0]
    mixed = entry.model_copy(update={"key": stranger.tls.certificate[0].key})
    missing = entry.model_copy(update={"certificate": tmp_path / "none.pem"})
    open_key = entry.model_copy(update={"key": private(tmp_path / "open.key", entry.key.read_bytes(), 0o644)})
    garbage = entry.model_copy(update={"certificate": file, "key": file})
    tls = config.tls.model_copy(update={"certificate": (mixed, missing, open_key, garbage)})
    next(iter(config.keys.files.values())).chmod(0o444)
    config.server.data.rmdir()
    config.server.data.touch()
    found = seen(config.model_copy(update={"tls": tls}), file)
    assert set(found) == {
        "tls.certificate[0].key",
        "tls.certificate[1].certificate",
        "tls.certificate[2].key",
        "tls.certificate[3].certificate",
        "tls.certificate[3].key",
        "keys.files.2026-11",
        "server.data",
    }
    assert "is not the key of" in found["tls.certificate[0].key"]
    assert "no such file" in found["tls.certificate[1].certificate"]
    assert "by others" in found["tls.certificate[2].key"]
    assert "is not a folder" in found["server.data"]


def test_a_certificate_whose_kind_of_key_is_unknown(tmp_path: Path) -> None:
    config, file = scaffolded(tmp_path / "w")
    path = config.tls.certificate[0].certificate
    der = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    assert P256 in der
    strange = x509.load_der_x509_certificate(der.replace(P256, P256[:-1] + b"\x7f"))
    path.write_bytes(strange.public_bytes(Encoding.PEM))
    assert "is not the key of" in seen(config, file)["tls.certificate[0].key"]


def test_folders(tmp_path: Path) -> None:
    config, file = scaffolded(tmp_path / "w")
    config.server.data.chmod(0o777)
    assert "everybody can write" in seen(config, file)["server.data"]
    config.server.data.rmdir()
    assert seen(config, file) == {}
    server = config.server.model_copy(update={"data": tmp_path / "no" / "such"})
    assert "cannot be made" in seen(config.model_copy(update={"server": server}), file)["server.data"]


@pytest.mark.parametrize("name", ["embedded.toml", "dovecot.toml"])
def test_examples_load(name: str) -> None:
    example = Path(__file__).parents[2] / "examples" / name
    config = load(example)
    assert config.listen.imaps
    assert config.listen.imap


def test_the_dovecot_example_is_sound_once_its_files_are_there(tmp_path: Path) -> None:
    made, _ = scaffolded(tmp_path / "w")
    text = (Path(__file__).parents[2] / "examples" / "dovecot.toml").read_text(encoding="utf-8")
    pair = made.tls.certificate[0]
    secret = private(tmp_path / "gate.secret", b"not a real secret\n")
    for old, new in {
        "/etc/wicketgate/certificates/mail.example.org/fullchain.pem": pair.certificate,
        "/etc/wicketgate/certificates/mail.example.org/privkey.pem": pair.key,
        "/etc/wicketgate/keys/2026-11.key": made.keys.files["2026-11"],
        "/etc/wicketgate/dovecot-ca.pem": tmp_path / "w" / "tls" / "ca.pem",
        "/etc/wicketgate/keys/dovecot-gate.secret": secret,
        "/var/lib/wicketgate": made.server.data,
        ', "imap.example.org"': "",
    }.items():
        assert old in text
        text = text.replace(old, str(new))
    file = tmp_path / "dovecot.toml"
    file.write_text(text, encoding="utf-8")
    config = load(file)
    assert inspect(config, file, NOW) == []
    secret.chmod(0o644)
    (tmp_path / "w" / "tls" / "ca.pem").write_text("nothing")
    assert set(seen(config, file)) == {"upstream.imap.sign_in.secret_file", "upstream.imap.ca_file"}
