"""The demo's folder: made whole or not at all, read again, and its page of settings."""

import asyncio
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from config.load import load
from config.scaffold import Ports
from proxy.cli.app import program
from proxy.cli.demo import ready_facts
from proxy.cli.demo_folder import DemoFolder, DemoFolderError, open_folder
from proxy.cli.demo_page import page
from proxy.server.listening import Bound
from support.house import RUN, House
from support.office import raw
from support.running import ANY_PORT

LOCAL = "127.0.0.1"
PORTS = Ports(imaps=2993, imap=2143, submissions=2465, submission=2587, https=2443, portal=2444)
BOUND = Bound(imaps=(1,), imap=(2,), submissions=(3,), submission=(4,), https=(5,), portal=(6,))


def opened(path: Path, *hosts: str, bind: str = LOCAL) -> DemoFolder:
    return asyncio.run(open_folder(path, hosts, bind, PORTS))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's folder, made once."""
    path = tmp_path_factory.mktemp("made") / "demo"
    opened(path)
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "demo")
    return tmp_path / "demo"


def shown(folder: DemoFolder, label: str) -> str:
    """Give what the page says of alice's app password."""
    facts = ready_facts(folder, "localhost", BOUND)
    lines = page(folder, facts).partition("alice@example.org")[2].splitlines()
    return next(line for line in lines if line.startswith(f"  {label} "))


def test_the_page_tells_revoked_from_expired(folder: Path) -> None:
    with raw(folder / "data") as connection:
        connection.execute("UPDATE app_password SET expires_at = created_at WHERE label = 'Mail only'")
        connection.execute(
            "UPDATE app_password SET revoked_at = created_at, revoked_why = 'revoked by its owner' "
            "WHERE label = 'Events only'"
        )
    again = opened(folder)
    assert shown(again, "Everything").endswith("opens mail, contacts, events")
    assert shown(again, "Mail only").endswith("expired")
    assert shown(again, "Events only").endswith("revoked")


def test_the_page_keeps_its_columns(folder: Path) -> None:
    again = opened(folder)
    everything, primary = shown(again, "Everything"), shown(again, "primary password")
    assert everything.index("opens mail") == primary.index("only for making")


def test_one_port_for_two_listeners_is_wrong_usage(tmp_path: Path) -> None:
    options = ["demo", "--dir", str(tmp_path / "d"), "--imaps-port", "2555", "--imap-port", "2555"]
    done = CliRunner().invoke(program, options, prog_name="wicketgate")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: --imaps-port and --imap-port are both 2555\nhint: ")
    assert not (tmp_path / "d").exists()


def test_a_demo_whose_port_is_taken_names_the_way_out(folder: Path) -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ["demo", "--dir", folder, *ANY_PORT, "--imaps-port", port]
        done = subprocess.run([*RUN, *options], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "--imaps-port 0" in done.stderr


def test_a_demo_whose_store_was_taken_away_is_refused(folder: Path) -> None:
    for path in (folder / "data").glob("gate.db*"):
        path.unlink()
    with pytest.raises(DemoFolderError, match="is gone") as refused:
        opened(folder)
    assert refused.value.hint == f"remove {folder} to start anew"


def test_a_folder_prepared_by_somebody_else_is_not_filled(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    (tmp_path / ".demo.making").symlink_to(trap)
    opened(tmp_path / "demo")
    assert list(trap.iterdir()) == []
    assert stat.S_IMODE((tmp_path / "demo").stat().st_mode) == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"trap", ".demo.making", "demo"}


@pytest.mark.parametrize("mode", [0o720, 0o702])
@pytest.mark.parametrize("filled", [False, True])
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int, filled: bool) -> None:
    if not filled:
        shutil.rmtree(folder)
        folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(DemoFolderError, match="others can write") as caught:
        opened(folder)
    assert caught.value.hint == f"run: chmod go-w {folder}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(folder: Path) -> None:
    os.chown(folder, 1000, 1000)
    with pytest.raises(DemoFolderError, match="another user, 1000"):
        opened(folder)


@pytest.mark.parametrize(
    ("hosts", "bind", "public", "imaps"),
    [
        (("gate.example.org", "192.0.2.7"), LOCAL, "gate.example.org", "127.0.0.1:2993"),
        ((), "::", "localhost", "[::]:2993"),
        ((), "192.0.2.9", "localhost", "192.0.2.9:2993"),
    ],
)
def test_the_config_file_is_true_for_the_last_start(
    folder: Path, hosts: tuple[str, ...], bind: str, public: str, imaps: str
) -> None:
    for each in (("first.example.org",), hosts):
        file = opened(folder, *each, bind=bind).config
        done = House(file).run("check")
        assert done.exit_code == 0, done.stderr
    config = load(file)
    assert config.server.public_host == public
    assert [str(place) for place in config.listen.imaps] == [imaps]
    assert config.listen.imap[0].port == PORTS.imap
    assert "first.example.org" not in config.tls.certificate[0].names


def test_what_else_was_edited_in_the_config_file_stays(folder: Path) -> None:
    file = folder / "wicketgate.toml"
    text = file.read_text(encoding="utf-8").replace("app_passwords = 25", "app_passwords = 7")
    file.write_text(text, encoding="utf-8")
    opened(folder, "gate.example.org")
    assert load(file).policy.app_passwords == 7
    file.write_text(text.replace("imaps = [", "imaps = [\n"), encoding="utf-8")
    with pytest.raises(DemoFolderError, match="the line of imaps is not there") as caught:
        opened(folder)
    assert caught.value.hint == 'write it again: imaps = ["127.0.0.1:2993"]'
