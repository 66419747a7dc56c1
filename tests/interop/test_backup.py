"""Backup, revoke, restore, over the wire: what was revoked is refused, whoever trusts the backup.

The gate really serves, commands run in processes of their own, and a restore is killed at many moments.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.cutting import idle
from support.house import House
from support.imap import refusal, subjects
from support.office import raw
from support.programs import program
from support.running import WICKETGATE
from support.serving import Serving, answer, make_gate, running_gate
from support.terminal import on_terminal

ALICE = "alice@example.org"
PRINTER = "printer@example.org"
KILLS = 100 if os.environ.get("WICKETGATE_TESTS_LONG") == "1" else 6
REVOKED = '[AUTHENTICATIONFAILED] the app-specific password "phone" was revoked'


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = make_gate(tmp_path / "w")
    made.add(ALICE)
    return made


def restore(house: House, file: Path, *options: str) -> dict:
    return house.ask("restore", str(file), "--replace", "--yes", *options)


@pytest.mark.parametrize("trust", [(), ("--trust-backup",)], ids=["", "trusted"])
def test_revoked_after_the_backup_it_is_refused_after_the_restore(house, dial, tmp_path, trust):
    with running_gate(house) as gate:
        phone, tablet = gate.mint(ALICE), gate.mint(ALICE, "tablet")
        idle(dial(gate.facts), ALICE, phone)
        gate.ask("backup", str(tmp_path / "b"))
        gate.ask("password", "revoke", ALICE, "phone")
    done = restore(house, tmp_path / "b", *trust)
    assert [each["label"] for each in done["stay_revoked"]] == ["phone"]
    with running_gate(house) as gate:
        assert refusal(dial(gate.facts), ALICE, phone) == REVOKED
        if trust:
            dial(gate.facts).login(ALICE, tablet)
        else:
            assert refusal(dial(gate.facts), ALICE, tablet) == REVOKED.replace("phone", "tablet")


def test_what_a_restore_has_revoked_no_later_one_revives(house, dial, tmp_path):
    with running_gate(house) as gate:
        phone = gate.mint(ALICE)
        gate.ask("backup", str(tmp_path / "b"))
    restore(house, tmp_path / "b")
    assert restore(house, tmp_path / "b", "--trust-backup")["alive"] == []
    with running_gate(house) as gate:
        assert refusal(dial(gate.facts), ALICE, phone) == REVOKED


def test_only_a_trusted_backup_lets_app_passwords_live(house, dial, tmp_path):
    with running_gate(house) as gate:
        phone = gate.mint(ALICE)
        gate.ask("backup", str(tmp_path / "b"))
    assert [each["label"] for each in restore(house, tmp_path / "b", "--trust-backup")["alive"]] == ["phone"]
    with running_gate(house) as gate:
        client = dial(gate.facts)
        client.login(ALICE, phone)
        assert subjects(client) == []
    assert len(restore(house, tmp_path / "b")["revoked"]) == 1
    with running_gate(house) as gate:
        assert refusal(dial(gate.facts), ALICE, phone) == REVOKED


def test_a_running_gate_refuses_a_restore_and_goes_on(house, dial, tmp_path):
    with running_gate(house) as gate:
        phone = gate.mint(ALICE)
        gate.ask("backup", str(tmp_path / "b"))
        with gate.command("restore", str(tmp_path / "b"), "--replace", "--yes") as process:
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors.splitlines()[0]) == (
            1,
            "error: the gate is running: 1 worker of it",
        )
        dial(gate.facts).login(ALICE, phone)


def test_a_backup_is_of_one_moment_while_app_passwords_are_made_and_used(house, dial, tmp_path):
    house.ask("account", "add", PRINTER, "--service")
    with running_gate(house) as gate:
        phone = gate.mint(ALICE)
        with busy(gate, phone, dial):
            for number in range(5):
                gate.ask("backup", str(tmp_path / f"b{number}"))
    counts = []
    for number in range(5):
        folder = tmp_path / f"out{number}"
        folder.mkdir()
        subprocess.run(["tar", "-xf", tmp_path / f"b{number}", "-C", folder], check=True)
        with raw(folder) as store:
            assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert store.execute("PRAGMA foreign_key_check").fetchall() == []
            made = store.execute("SELECT COUNT(*) FROM app_password").fetchone()
            told = "SELECT COUNT(*) FROM audit WHERE deed = 'app password created'"
            assert store.execute(told).fetchone() == made
            newest = store.execute("SELECT COUNT(*), MAX(seq) FROM change").fetchone()
            assert store.execute("SELECT seq, seq FROM feed").fetchone() == newest
            counts.append(made[0])
    assert counts == sorted(counts)
    restore(house, tmp_path / "b4")
    with raw(house.file.parent / "data") as store:
        assert store.execute("SELECT COUNT(*) FROM app_password").fetchone() == (counts[-1],)


@contextmanager
def busy(gate: Serving, phone: str, dial) -> Iterator[None]:
    """Mint and revoke, and sign in, beside the block and until it ends; what fails there fails here."""
    over = threading.Event()

    def until_over(deed: Callable[[], object]) -> None:
        while not over.is_set():
            deed()

    def mint() -> None:
        gate.mint(PRINTER, "brief")
        answer(gate.command("password", "revoke", PRINTER, "brief"))

    with ThreadPoolExecutor() as pool:
        running = [
            pool.submit(until_over, deed) for deed in (mint, lambda: dial(gate.facts).login(ALICE, phone))
        ]
        try:
            yield
        finally:
            over.set()
    for each in running:
        each.result()


# --- as docs/backup.md says ---------------------------------------------------------------------------------


def commands_under(root: Path, heading: str) -> list[str]:
    """Give the lines of the first shell block below a heading of docs/backup.md."""
    text = (root / "docs" / "backup.md").read_text(encoding="utf-8")
    block = text.split(f"\n## {heading}\n", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return block.splitlines()


def typed(folder: Path, machine: Path, commands: list[str], answers: list[tuple[str, str]]) -> str:
    """Type the commands in `folder` on a terminal, /etc and /var/backups being folders of the test."""
    script = "set -e\n" + "\n".join(commands)
    for there, here in (("/etc/wicketgate", machine), ("/var/backups/wicketgate", folder / "backups")):
        script = script.replace(there, str(here))
    path = f"{WICKETGATE.parent}:{os.environ['PATH']}"
    done = on_terminal(["sh", "-c", f"cd {folder}\n{script}"], answers, os.environ | {"PATH": path})
    assert done.code == 0, done.screen
    return done.screen


def test_a_new_machine_is_set_up_by_the_commands_of_the_page(house, dial, root, tmp_path):
    nightly = commands_under(root, "Every night")
    (tmp_path / "backups").mkdir(mode=0o700)
    phrase = "six words drawn by dice"
    with running_gate(house) as gate:
        phone = gate.mint(ALICE)
        export = f"export WICKETGATE_CONFIG={house.file}"
        asked = [("Passphrase", phrase), ("again", phrase)]
        typed(tmp_path, tmp_path, [export, *(f"{line} --with-keys" for line in nightly)], asked)
    (made,) = (tmp_path / "backups").iterdir()
    made.rename(tmp_path / "last.backup")
    shutil.copy(house.file.parent / "tls" / "ca.pem", tmp_path)
    shutil.rmtree(house.file.parent)
    machine = tmp_path / "machine"
    new = commands_under(root, "Restore on a new machine")
    screen = typed(tmp_path, machine, new, [("Passphrase", phrase), ("Go on? [y/N]", "y")])
    assert f"{machine / 'wicketgate.toml'}: all is well" in screen
    with running_gate(House(machine / "wicketgate.toml")) as gate:
        trusting = gate.facts | {"ca_file": str(tmp_path / "ca.pem")}  # what devices trusted before
        assert refusal(dial(trusting), ALICE, phone) == REVOKED


def test_a_store_is_replaced_by_the_commands_of_the_page(house, dial, root, tmp_path):
    with running_gate(house) as gate:
        phone = gate.mint(ALICE)
        gate.ask("backup", str(tmp_path / "last.backup"))
    commands = commands_under(root, "Restore over a store")
    mine = [line for line in commands if not line.startswith("systemctl")]
    assert [line.split()[1] for line in commands if line not in mine] == ["stop", "start"]
    export = f"export WICKETGATE_CONFIG={house.file}"
    typed(tmp_path, tmp_path, [export, *mine], [("Go on? [y/N]", "y")])
    with running_gate(house) as gate:
        assert refusal(dial(gate.facts), ALICE, phone) == REVOKED


def test_the_units_of_the_page_are_sound(root, tmp_path):
    text = (root / "docs" / "backup.md").read_text(encoding="utf-8")
    units = [block.split("```", 1)[0] for block in text.split("```ini\n")[1:]]
    files = [tmp_path / unit.splitlines()[0].rpartition("/")[2] for unit in units]
    for file, unit in zip(files, units, strict=True):
        file.write_text(unit)
    assert [file.name for file in files] == ["wicketgate-backup.service", "wicketgate-backup.timer"]
    done = subprocess.run(
        [program("systemd-analyze", "systemd"), "verify", "--man=no", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "wicketgate" in line]) == (0, [])


def test_the_command_of_the_unit_writes_a_backup_of_today(house, root, tmp_path):
    text = (root / "docs" / "backup.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("ExecStart=/bin/sh -c"))
    script = line.partition("'")[2].rstrip("'").replace("$$", "$").replace("%%", "%")
    script = script.replace("/var/backups/wicketgate", str(tmp_path))
    path = f"{WICKETGATE.parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "WICKETGATE_CONFIG": str(house.file)}
    for _ in range(2):
        subprocess.run(["/bin/sh", "-c", script], env=env, check=True, capture_output=True)
    (made,) = tmp_path.glob("*.backup")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.backup", made.name)
