"""By which hosts clients may mean us: those the certificates are for, on any port.

Never by what a client says of itself. Which port a client connects to is not ours to know: it may have been
forwarded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>[^:\[\]]+))(?::[0-9]{1,5})?")
"""RFC 3986 §3.2: host and port, in lower case."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """Holds what names us, as `host` or `host:port` in lower case."""

    covers: Callable[[str], bool]
    """Tells of a host name or an address, in lower case, without brackets, whether it is one of ours."""

    def __contains__(self, authority: object) -> bool:
        read = _AUTHORITY.fullmatch(authority) if isinstance(authority, str) else None
        return read is not None and self.covers(read["v6"] or read["host"])
