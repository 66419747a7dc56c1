"""What is written about the code is held to the code."""

import os
import re
import runpy
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def generator(root):
    return runpy.run_path(str(root / "docs" / "generate.py"))


@pytest.mark.parametrize("name", ["config.md", "cli.md"])
def test_the_references_are_as_the_code_says(root, generator, name):
    written = (root / "docs" / name).read_text(encoding="utf-8")
    assert written == generator["FILES"][name](), "run: .venv/bin/python docs/generate.py"


def test_what_may_be_left_out_is_not_called_required(generator):
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", generator["config_reference"](), flags=re.MULTILINE))
    assert rows["url"] == "`gate.db` in `server.data`"
    assert rows["activity_url"] == "`activity.db` beside the first"
    assert rows["public_host"] == "required"
    assert rows["address"] == "required in this table"


def test_the_references_are_the_same_on_any_terminal(root):
    script = "import runpy; print(runpy.run_path('docs/generate.py')['command_reference'](), end='')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=os.environ | {"COLUMNS": "53", "PYTHONPATH": str(root)},
        capture_output=True, text=True, encoding="utf-8", check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == (root / "docs" / "cli.md").read_text(encoding="utf-8")


def rows_of_protocols(root) -> dict[str, str]:
    text = (root / "docs" / "protocols.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| (\d+) \|[^|]*\| (yes|partly|no) \|", text, flags=re.MULTILINE))


def cited(root) -> set[str]:
    found = set()
    for package in ("auth", "config", "proxy", "scopes"):
        for path in (root / package).rglob("*.py"):
            found |= set(re.findall(r"RFC (\d+)", path.read_text(encoding="utf-8")))
    return found


def test_every_standard_the_code_cites_is_in_the_table(root):
    assert cited(root) - rows_of_protocols(root).keys() == set()


def test_every_standard_the_table_claims_is_cited_by_code(root):
    claimed = {number for number, here in rows_of_protocols(root).items() if here != "no"}
    assert claimed - cited(root) == set()


def test_the_readme_names_only_files_that_are_there(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", readme) + re.findall(
        r"`((?:examples|scripts|docs)/[\w./-]+)`", readme
    )
    assert links
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []
