"""XCLIENT: who the client is, for a submission upstream that trusts us.

The administrator asked for it, so an upstream that does not offer what it takes is an outage, never passed
over: it would take the gate for the client. The login is told only where there is no AUTH: a server that has
heard it takes the client for signed in, and refuses AUTH.

Standard: https://www.postfix.org/XCLIENT_README.html
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from proxy.net.proxy_header import SocketAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Xclient:
    """What is told of one client."""

    client: SocketAddress
    login: str = ""
    """The account's login at the upstream; empty where AUTH tells it."""

    def missing(self, offered: Collection[str]) -> str:
        """Give the attributes, in words for the log, that the upstream (in upper case) does not take."""
        needed = ("ADDR", "LOGIN") if self.login else ("ADDR",)
        return " ".join(name for name in needed if name not in offered)

    def command(self, offered: Collection[str]) -> bytes:
        """Give the command; of the attributes that are no must, those offered."""
        address, port = self.client
        values = {
            "NAME": "[UNAVAILABLE]",  # else the name of the gate would stand beside the client's address
            "ADDR": f"IPV6:{address}" if address.version == 6 else str(address),
            "PORT": str(port),
            "PROTO": "ESMTP",
            "LOGIN": self.login,
        }
        told = [f"{name}={xtext(value)}" for name, value in values.items() if value and name in offered]
        return f"XCLIENT {' '.join(told)}".encode("ascii")


def xtext(text: str) -> str:
    """Encode so that it holds neither spaces nor controls (RFC 3461 §4)."""
    return "".join(
        chr(octet) if 0x21 <= octet <= 0x7E and octet not in b"+=" else f"+{octet:02X}"
        for octet in text.encode()
    )
