"""What is shipped, what is locked, and how an installation that cannot work says so."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("auth", "config", "proxy", "scopes")


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=root, check=True, capture_output=True,
    )  # fmt: skip
    [built] = folder.iterdir()
    with zipfile.ZipFile(built) as archive:
        return sorted(archive.namelist())


def test_the_wheel_holds_the_four_packages_and_nothing_else(root, wheel):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    info = "wicketgate-0.1.0.dist-info"
    facts = [
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    ]
    present = [name for name in listed.stdout.split() if (root / name).exists()]
    assert wheel == sorted([*present, *facts])


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_every_locked_package_has_hashes_and_no_index_is_named(root, name):
    text = (root / "requirements" / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", text).strip())
    assert len(entries) > 20
    assert [entry for entry in entries if "--hash=sha256:" not in entry or "==" not in entry] == []
    assert "://" not in text
    assert "index-url" not in text


def test_the_locks_hold_everything_the_project_asks_for(root):
    wanted = re.findall(
        r'(?m)^    "([a-z0-9-]+)[\[>=]', (root / "pyproject.toml").read_text(encoding="utf-8")
    )
    locked = (root / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert len(wanted) > 20
    assert [name for name in wanted if not re.search(rf"(?m)^{name}==", locked)] == []


def scripts(root) -> list[Path]:
    return sorted((root / "scripts").iterdir())


def test_scripts_are_the_five_and_short(root):
    assert [path.name for path in scripts(root)] == ["bench", "check", "demo", "install", "test"]
    for path in scripts(root):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path
        assert path.stat().st_mode & 0o111, path


def install_with(python: str, root: Path, clone: Path) -> subprocess.CompletedProcess[str]:
    """Run the installer of a bare copy with a Python that is a script."""
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
    return subprocess.run(
        [clone / "scripts/install"], env={"PATH": "/usr/bin:/bin", "PYTHON": str(fake)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("python", "error", "hint"),
    [
        ('case "$2" in *ensurepip*) exit 1;; esac', "cannot make virtual environments", "python3-venv"),
        ('case "$2" in *version_info*) exit 1;; esac; echo Python 3.9', "Python 3.9 is too old", "PYTHON="),
        ('case "$2" in venv) exit 1;; esac', "could not be made", "writable"),
    ],
)
def test_an_installation_that_cannot_work_says_why_and_what_to_do(root, tmp_path, python, error, hint):
    done = install_with(python, root, tmp_path)
    assert done.returncode == 1
    [said, told] = [line for line in done.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert error in said
    assert hint in told
    assert not (tmp_path / ".venv").exists()


def test_without_any_python_it_says_so(root, tmp_path):
    install_with("exit 1", root, tmp_path)
    done = subprocess.run(
        [tmp_path / "scripts/install"], env={"PATH": "/usr/bin:/bin", "PYTHON": "no-such-python"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: no no-such-python on this machine\nhint: install Python 3.11")


def test_an_unknown_argument_is_refused(root):
    done = subprocess.run(
        [root / "scripts/install", "--help-me"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "unknown argument" in done.stderr
