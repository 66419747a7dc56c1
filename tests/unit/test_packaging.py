"""What is shipped and what is locked."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.programs import git_for

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
        [git_for(root), "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
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
