"""Examples with their places moved to where a test has them."""

from __future__ import annotations

import re
from pathlib import Path

from config.authority import issue, make_authority, write_file
from config.keys import new_key_text
from support.house import House


def moved(root: Path, folder: Path, name: str, places: dict[str, str]) -> House:
    """Write an example with its places moved into `folder`, and the files it names."""
    text = (root / "examples" / name).read_text(encoding="utf-8")
    for old, new in places.items():
        assert old in text, f"{name} does not say {old!r} any more"
        text = text.replace(old, new)
    text = re.sub(r'"(\[::\]|127\.0\.0\.1):\d+"', '"127.0.0.1:0"', text)
    make_authority(folder / "tls")
    names = ["mail.example.org", "imap.example.org", "smtp.example.org", "dav.example.org"]
    issue(folder / "tls", ["localhost", *names])
    (folder / "keys").mkdir()
    key = re.search(r'current = "([^"]+)"', text)
    assert key is not None
    write_file(folder / "keys" / f"{key[1]}.key", new_key_text().encode("ascii"), 0o400)
    file = folder / "wicketgate.toml"
    file.write_text(text, encoding="utf-8")
    return House(file)
