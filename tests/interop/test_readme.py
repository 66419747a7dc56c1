"""The commands of the README, typed as they stand before a demo; folder, ports and password are filled in."""

import re
import subprocess

import pytest

from support.programs import program
from support.running import running_demo

ALICE = "alice@example.org"
PORTS = {":1993/": "imaps_port", ":1465 ": "smtps_port", ":8443/": "https_port"}
SHOWS = ("Subject: Welcome to the demo", "", "multistatus")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    with running_demo(folder / "data", folder / "ready.json") as running:
        yield running


def commands(root) -> list[str]:
    """Give the curl commands of the README, each with what is piped into it."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?m)^    (.*)$", readme.partition("show it at work")[2].partition("Then, in")[0])
    return re.split(r"(?<![\\|])\n", "\n".join(lines))


@pytest.mark.parametrize("number", range(3))
def test_the_curl_commands_do_what_the_readme_says(demo, root, number):
    program("curl", "curl")
    command = commands(root)[number].replace("demo/tls/ca.pem", f"'{demo.facts['ca_file']}'")
    command = command.replace("APP-PASSWORD", demo.password(ALICE, "Everything"))
    for written, fact in PORTS.items():
        command = command.replace(written, f":{demo.facts[fact]}{written[-1]}")
    done = subprocess.run(
        ["bash", "-c", command], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert SHOWS[number] in done.stdout
