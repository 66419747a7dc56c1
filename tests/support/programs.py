"""Programs the tests drive: skipped when missing, unless everything was asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REQUIRE_ALL = os.environ.get("WICKETGATE_TESTS_REQUIRE_ALL") == "1"


def program(name: str, package: str) -> str:
    """Give the path of a program, or skip the test with the Debian package that brings it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        missing(f"{name} is not installed (Debian package {package}; scripts/test --install brings it)")
    return path


def git_for(clone: Path) -> str:
    """Give git's path, or skip the test where git does not read this folder: no clone, or another user's."""
    git = program("git", "git")
    asked = subprocess.run([git, "rev-parse"], cwd=clone, capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        cause, *_ = asked.stderr.splitlines()
        missing(f"needs a git clone that belongs to the user: {cause}")
    return git


def missing(reason: str) -> None:
    """Skip, or fail where `scripts/test --install` promised that nothing is missing."""
    if REQUIRE_ALL:
        pytest.fail(reason)
    pytest.skip(reason)
