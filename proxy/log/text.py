"""Fields to one line of text, as logfmt or as JSON. Pure; strangers choose values, never what stands around.

In both forms a text is written as JSON writes it, in printable ASCII: line ends, quotes, control characters
and direction marks are escaped, so a line is one line and its first fields are ours. logfmt leaves the quotes
away where a value holds nothing that needs them. Names of fields are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

Value = str | int | float
Field = tuple[str, Value]

VALUE_CHARACTERS: Final = 256
"""Of one value that strangers choose; an email address has 254 at most (RFC 5321 §4.5.3.1.3)."""
_BARE: Final = re.compile(r"[!#-<>-\[\]-~]+")
"""Printable ASCII without space, quote, equals sign and backslash."""


def logfmt(fields: Iterable[Field]) -> str:
    """Give `name=value` for each field, with spaces between."""
    return " ".join([f"{name}={_plain(value)}" for name, value in fields])


def as_json(fields: Iterable[Field]) -> str:
    """Give one JSON object (RFC 8259) in their order; numbers stay numbers."""
    return "{" + ",".join([f'"{name}":{_encoded(value)}' for name, value in fields]) + "}"


def cut(text: str) -> str:
    """Give a value that strangers chose, of bounded length."""
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "..."


def _plain(value: Value) -> str:
    return value if isinstance(value, str) and _BARE.fullmatch(value) else _encoded(value)


def _encoded(value: Value) -> str:
    return json.dumps(value).replace("\x7f", r"\u007f")
