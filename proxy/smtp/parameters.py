"""`KEYWORD` and `KEYWORD=value` behind MAIL and RCPT. RFC 5321 §4.1.2 (esmtp-param).

Where the form of a value is known it is held to it; others pass as they came. Whether an extension is there
is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from proxy.limits import SMTP_PARAMETERS
from proxy.smtp.beyond_ascii import BEYOND, is_text
from proxy.smtp.framing import BadCommand, Why

_PARAMETER: Final = re.compile(rf"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~{BEYOND}]++))?\Z")
_XTEXT: Final = r"(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))"
"""RFC 3461 §4; by §4.2 and §4.4 what it stands for is printable too: CR and LF would end a line of a DSN."""
_VALUES: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "SIZE": re.compile(r"[0-9]{1,20}\Z"),  # RFC 1870 §3
        "BODY": re.compile(r"(?:7BIT|8BITMIME|BINARYMIME)\Z", re.IGNORECASE),  # RFC 6152 §2, RFC 3030 §3
        "SMTPUTF8": re.compile(r"\Z"),  # RFC 6531 §3.1
        "RET": re.compile(r"(?:FULL|HDRS)\Z", re.IGNORECASE),  # RFC 3461 §4.3
        "ENVID": re.compile(rf"{_XTEXT}{{1,100}}\Z"),  # RFC 3461 §4.4
        "NOTIFY": re.compile(  # RFC 3461 §4.1
            r"(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})\Z", re.IGNORECASE
        ),
        "ORCPT": re.compile(  # RFC 3461 §4.2, RFC 6533 §3
            rf"(?:[A-Za-z0-9-]{{1,60}};{_XTEXT}{{1,500}}|(?i:utf-8);(?:{_XTEXT}|[{BEYOND}]){{1,500}})\Z"
        ),
    }
)
"""Values whose form is known; others pass as they came. All but ORCPT's are ASCII."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`KEYWORD` or `KEYWORD=value`."""

    keyword: str
    """In upper case."""
    value: str | None

    def __str__(self) -> str:
        return self.keyword if self.value is None else f"{self.keyword}={self.value}"


def parameters(text: str) -> tuple[Parameter, ...]:
    """Read what stands behind a path. Raises BadCommand."""
    words = text.split(" ")
    if words[0]:  # glued to the path
        raise BadCommand(Why.BAD_PARAMETER)
    found = tuple(_parameter(word) for word in words if word)
    if len(found) > SMTP_PARAMETERS or len({each.keyword for each in found}) < len(found):
        raise BadCommand(Why.BAD_PARAMETER)
    return found


def _parameter(word: str) -> Parameter:
    found = _PARAMETER.match(word)
    if found is None:
        raise BadCommand(Why.BAD_PARAMETER)
    keyword, value = found[1].upper(), found[2]
    known = _VALUES.get(keyword)
    if known is not None and not known.match(value or ""):
        raise BadCommand(Why.BAD_PARAMETER)
    if not word.isascii() and not (keyword == "ORCPT" and is_text(word)):
        raise BadCommand(Why.BAD_PARAMETER)
    return Parameter(keyword, value)
