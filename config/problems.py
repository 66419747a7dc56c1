"""What is wrong with a configuration, in words for the person who has to mend it.

A `Problem` names the file, the key, what is wrong and what to do. Problems are collected and raised together
in one `ConfigErrors`, so that nobody mends a file one error at a time. No secret is ever put into one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    file: Path | None = None
    """The config file, when whoever found the problem knew it."""
    key: str
    """Dotted, as in `upstream.imap.address` or `tls.certificate[0].key`; empty for the file as a whole."""
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.file or ""), self.key, self.what) if part)


class ConfigErrors(Exception):  # noqa: N818 - all of them, hence the plural
    """All that is wrong with one configuration, at least one problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def wrong(what: str, hint: str = "", *, key: str = "") -> PydanticCustomError:
    """Make the error a validator raises; `key`, dotted, says where the mistake is when it lies deeper."""
    context = {"what": what, "hint": hint, "key": key}
    return PydanticCustomError("wicketgate", "{what}", context)
