"""`scripts/install`: when an environment is made, when it is made again, and why it cannot be made.

A bare copy of the scripts is run with a Python that is a shell script, so nothing is installed.
"""

import subprocess
from pathlib import Path

import pytest

from support.programs import program

WORKS = """
case "$*" in
    "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo made >>log ;;
    *"pip "*) mkdir busy || exit 1; echo "$*" | sed 's/.*--/installed /' >>log; sleep 0.05; rmdir busy ;;
    *version_info[*) echo 3.11 ;;
esac
"""


def bare_copy(python: str, root: Path, clone: Path) -> Path:
    """Copy what the installer needs, and write its Python."""
    clone.mkdir(exist_ok=True)
    for name in ("scripts", "requirements"):
        (clone / name).mkdir()
        for path in (root / name).iterdir():
            copied = clone / name / path.name
            copied.write_bytes(path.read_bytes())
            copied.chmod(path.stat().st_mode)
    (clone / "pyproject.toml").write_bytes((root / "pyproject.toml").read_bytes())
    fake = clone / "python"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    return clone


def begin(clone: Path, *options: str, python: str | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [clone / "scripts/install", *options],
        env={"PATH": "/usr/bin:/bin", "PYTHON": python or str(clone / "python")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def install(clone: Path, *options: str, python: str | None = None) -> tuple[int, str]:
    """Run the installer; gives its exit status and what it said."""
    with begin(clone, *options, python=python) as process:
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def deeds(clone: Path) -> list[str]:
    """What was done since the last question."""
    log = clone / "log"
    done = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return done


EVERYTHING = ["made", "installed requirement requirements/run.txt", "installed editable ."]


@pytest.fixture
def clone(root, tmp_path):
    made = bare_copy(WORKS, root, tmp_path / "clone")
    assert install(made)[0] == 0
    assert deeds(made) == EVERYTHING
    return made


def test_what_is_there_is_not_made_again(clone):
    assert install(clone) == (0, "")
    assert deeds(clone) == []


def test_more_is_put_beside_what_may_be_running(clone):
    assert install(clone, "--dev")[0] == 0
    assert deeds(clone) == ["installed requirement requirements/dev.txt", "installed editable ."]
    assert install(clone) == (0, "")
    assert deeds(clone) == []


def other_locks(clone: Path) -> Path:
    with (clone / "requirements" / "run.txt").open("a") as locks:
        locks.write("# and more\n")
    return clone


def moved(clone: Path) -> Path:
    return clone.rename(clone.with_name("elsewhere"))


def another_python(clone: Path) -> Path:
    python = clone / ".venv" / "bin" / "python"
    python.write_text(python.read_text().replace("3.11", "3.12"))
    return clone


def python_gone(clone: Path) -> Path:
    python = clone / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/bin/python3.1")
    return clone


@pytest.mark.parametrize("change", [other_locks, moved, another_python, python_gone])
def test_what_would_not_work_is_made_anew(clone, change):
    changed = change(clone)
    code, said = install(changed, python=str(changed / "python"))
    assert (code, said.splitlines()) == (0, ["installing into .venv (once; about a minute) ..."])
    assert deeds(changed) == EVERYTHING


def test_two_at_once_take_turns(root, tmp_path):
    program("flock", "util-linux")
    clone = bare_copy(WORKS, root, tmp_path / "clone")
    both = [begin(clone, *options) for options in ((), ("--dev",))]
    for process in both:
        with process:
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert deeds(clone).count("made") == 1
    assert install(clone, "--dev") == (0, "")


@pytest.mark.parametrize(
    ("python", "error", "hint"),
    [
        ('case "$2" in *ensurepip*) exit 1;; esac', "cannot make virtual environments", "python3-venv"),
        ('case "$2" in *version_info*) exit 1;; esac; echo Python 3.9', "Python 3.9 is too old", "PYTHON="),
        ('case "$2" in venv) exit 1;; esac', "could not be made", "writable"),
    ],
)
def test_an_installation_that_cannot_work_says_why_and_what_to_do(root, tmp_path, python, error, hint):
    code, words = install(bare_copy(python, root, tmp_path))
    assert code == 1
    [said, told] = [line for line in words.splitlines() if line.startswith(("error:", "hint:"))]
    assert error in said
    assert hint in told
    assert not (tmp_path / ".venv").exists()


def test_without_any_python_it_says_so(root, tmp_path):
    code, words = install(bare_copy("exit 1", root, tmp_path), python="no-such-python")
    assert code == 1
    assert words.startswith("error: no no-such-python on this machine\nhint: install Python 3.11")


def test_an_unknown_argument_is_refused(root, tmp_path):
    code, words = install(bare_copy(WORKS, root, tmp_path), "--help-me")
    assert code == 1
    assert "unknown argument" in words
