"""A config file for tests: a good one, changed, written, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import load
from config.problems import ConfigErrors, Problem

GOOD = """\
[server]
public_host = "mail.example.org"
data = "data"

[[tls.certificate]]
names = ["mail.example.org"]
certificate = "tls/server.pem"
key = "tls/server.key"

[listen]
imaps = ["127.0.0.1:0"]

[keys]
current = "k"
files = { k = "keys/k.key" }

[upstream.imap]
address = "embedded"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "wicketgate.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> dict[str, Problem]:
    with pytest.raises(ConfigErrors) as caught:
        load(written(folder, text))
    return {problem.key: problem for problem in caught.value.problems}


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)
