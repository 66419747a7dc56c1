"""vdirsyncer as a client of the gate: contacts or events, both ways."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from support.programs import program

Kind = Literal["carddav", "caldav"]
_ENDINGS = {"carddav": ".vcf", "caldav": ".ics"}
_CONFIG = """\
[general]
status_path = "{folder}/status/"

[pair all]
a = "near"
b = "far"
collections = ["from a", "from b"]
conflict_resolution = "b wins"

[storage near]
type = "filesystem"
path = "{folder}/items/"
fileext = "{ending}"

[storage far]
type = "{kind}"
url = "{url}"
username = "{user}"
password.fetch = ["command", "cat", "{folder}/secret"]
verify = "{ca}"
"""


@dataclass(frozen=True)
class Vdir:
    """One client's folder, synced with one kind of collections."""

    folder: Path
    kind: Kind

    @property
    def items(self) -> dict[str, bytes]:
        """What it holds: `collection/name` to octets."""
        found = sorted((self.folder / "items").glob(f"*/*{_ENDINGS[self.kind]}"))
        return {f"{each.parent.name}/{each.name}": each.read_bytes() for each in found}

    def sync(self) -> None:
        """Find the collections and sync them, which must succeed."""
        for command in ("discover", "sync"):
            done = self._run(command)
            assert done.returncode == 0, done.stderr

    def refused(self) -> str:
        """Try to find collections, which must fail, and give its words."""
        done = self._run("discover")
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def _run(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program("vdirsyncer", "vdirsyncer"), "-c", self.folder / "config", command],
            input="y\n" * 20, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


def vdir(facts: dict[str, Any], user: str, password: str, folder: Path, kind: Kind) -> Vdir:
    """Set a client up in `folder`, by the facts of a ready file."""
    (folder / "items").mkdir(parents=True, exist_ok=True)
    (folder / "secret").write_text(password)
    (folder / "config").write_text(
        _CONFIG.format(
            folder=folder,
            ending=_ENDINGS[kind],
            kind=kind,
            url=facts["dav_url"],
            user=user,
            ca=facts["ca_file"],
        )
    )
    return Vdir(folder, kind)
