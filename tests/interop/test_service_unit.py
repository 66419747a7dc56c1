"""The unit of examples/: sound to systemd, and its command does as the unit expects it to."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.imap import connect
from support.programs import program
from support.service import command_for_others, new_machine, settings, started, unit_text

ALICE = "alice@example.org"
EXPOSURE = 20
"""In tenths, as `systemd-analyze security` weighs it: below 2 of 10 is what it calls OK."""


@pytest.fixture(scope="module")
def machine():
    with new_machine() as made:
        yield made


@pytest.fixture(scope="module")
def unit(root, machine):
    return unit_text(root, command_for_others(root, machine.folder / "wicketgate.sh"))


def analyze(*arguments):
    command = [program("systemd-analyze", "systemd"), "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong(unit, tmp_path):
    file = tmp_path / "wicketgate.service"
    file.write_text(unit, "utf-8")
    verified = analyze("verify", file)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    file.write_text(unit.replace("ProtectHome=", "ProtectHomes="), "utf-8")
    assert "ProtectHomes" in analyze("verify", file).stderr, "it finds what is wrong, where something is"


def test_little_of_the_machine_is_within_its_reach(unit, tmp_path):
    file = tmp_path / "wicketgate.service"
    file.write_text(unit, "utf-8")
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", file)
    assert judged.returncode == 0, judged.stdout


def test_its_time_to_stop_is_longer_than_the_gate_takes(unit):
    """30 s, which the gate promises for SIGTERM; beyond what is here systemd kills it."""
    assert int(settings(unit)["TimeoutStopSec"][0]) > 30


def test_it_serves_reloads_and_stops_as_a_user_of_its_own(machine, unit, dial):
    """The key files are root's, and so is whoever runs the commands; the store is the service's."""
    assert {path.stat().st_mode & 0o777 for path in (machine.house.file.parent / "keys").iterdir()} == {0o400}
    machine.house.add(ALICE)
    assert machine.owners == {machine.user.pw_name}, "root makes a log of the store for its owner"
    with started(machine, unit) as service:
        assert service.word() == "READY=1"
        password = machine.house.ask(
            "password", "create", ALICE, "--label", "phone", "--scope", "mail", "--operator"
        )["password"]
        client = dial(machine.facts)
        client.login(ALICE, password)
        service.process.send_signal(signal.SIGHUP)
        assert [service.word(), service.word()] == ["RELOADING=1", "READY=1"]
        service.log.wait_for("configuration read again")
        assert client.noop()[0] == "OK", "what was open stays open"
        connect(machine.facts).logout()
        assert machine.house.run("password", "revoke", ALICE, "phone").exit_code == 0
        with pytest.raises((client.abort, client.error)):
            client.noop()
        service.process.send_signal(signal.SIGTERM)
        assert service.word() == "STOPPING=1"
        assert service.process.wait(timeout=30) == 0, service.log.text
    assert machine.owners == {machine.user.pw_name}


def test_it_can_do_what_the_unit_says_and_no_more(machine, unit):
    with started(machine, unit) as service:
        assert service.word() == "READY=1"
        status = re.findall(r"(?m)^(Uid|CapEff|CapBnd|NoNewPrivs):\s+(\w+)", _status(service.process.pid))
    assert dict(status) == {
        "Uid": str(machine.user.pw_uid),
        "CapEff": f"{1 << 10:016x}",  # CAP_NET_BIND_SERVICE
        "CapBnd": f"{1 << 10:016x}",
        "NoNewPrivs": "1",
    }


def _status(process: int) -> str:
    return Path(f"/proc/{process}/status").read_text("ascii")


def test_without_its_credentials_it_cannot_read_the_keys(machine, unit):
    with started(machine, unit, credentials=False) as service:
        assert service.process.wait(timeout=30) == 2
        service.log.join()
    assert "keys.files" in service.log.text
    assert "permission denied" in service.log.text


def test_a_credential_that_was_not_handed_over_is_named(machine, unit):
    """As for a key that was added since the service started: systemd reads its folder only then."""
    other = unit.replace("LoadCredential=keys:", "LoadCredential=other:")
    with started(machine, other) as service:
        assert service.process.wait(timeout=30) == 2
        service.log.join()
    assert "let systemd hand it over: LoadCredential=" in service.log.text
