"""The header of the PROXY protocol, versions 1 and 2: read from load balancers, written to upstreams. Pure.

The reader is fed as many octets as it `wants` and no more, so whatever stands behind the header (the TLS
handshake, most often) is never taken with it. It guesses nothing: what is not exactly a header is `Bad`, as
soon as that shows. Whether a peer may say for whom it connects is not decided here.

Standard: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, called "PROXY" with its sections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from proxy.limits import PROXY_HEADER_OCTETS
from scopes.model import IPAddress

SocketAddress = tuple[IPAddress, int]
"""An address and a port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Whose connection it is: the client's own end, and the end it connected to."""

    client: SocketAddress
    gate: SocketAddress


@dataclass(frozen=True, slots=True)
class Itself:
    """The sender speaks for itself (a health check) or cannot say for whom: the socket's own ends count."""


@dataclass(frozen=True, slots=True)
class Bad:
    """Not a header. `fault` is in our words, and holds nothing of what was sent."""

    fault: str


Header = Ends | Itself

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PREFIX: Final = b"PROXY "
_V1_OCTETS: Final = 107
"""PROXY §2.1: the longest line, with its CRLF."""
_V1_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")
_V1_SHORTEST_OF: Final = {
    b"PROXY TCP4 ": len(b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"),
    b"PROXY TCP6 ": len(b"PROXY TCP6 :: :: 0 0\r\n"),
}
_V2_FIXED: Final = 16
"""PROXY §2.2: signature, version and command, family and transport, length."""
_V1_LINE: Final = re.compile(r"PROXY (TCP[46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n", re.ASCII)
_V1_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_FAMILIES: Final = 3
_TRANSPORTS: Final = 2
_TLV_HEAD: Final = 3
_CRC32C_TYPE: Final = 0x03
_CRC32C_OCTETS: Final = 4


class HeaderReader:
    """Reads one header, then has done its work."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def wants(self) -> int:
        """How many octets of the header are missing at least: as many may be taken from the connection."""
        held = self._held
        if held[:1] == _SIGNATURE[:1]:
            return _v2_length(held) - len(held)
        shortest = _V1_SHORTEST_OF.get(bytes(held[: len(b"PROXY TCP4 ")]), _V1_SHORTEST)
        return max(shortest - len(held), 1 if held.endswith(b"\r") else 2)

    def feed(self, data: bytes) -> Header | Bad | None:
        """Take at most as many octets as `wants` says; None while more must come."""
        if len(data) > self.wants:
            raise ValueError("more octets than the reader asked for")
        self._held += data
        if self._held[:1] == _SIGNATURE[:1]:
            return _read_v2(bytes(self._held))
        return _read_v1(bytes(self._held))


def _read_v1(held: bytes) -> Header | Bad | None:
    """PROXY §2.1."""
    if not held.startswith(_PREFIX[: len(held)]):
        return Bad("no PROXY header")
    if b"\n" not in held:
        missing = 1 if held.endswith(b"\r") else 2
        ended = b"\r" in held[:-1] or len(held) + missing > _V1_OCTETS
        return Bad("header line without its end") if ended else None
    if held.find(b"\n") + 1 < len(held) or not held.endswith(b"\r\n"):
        return Bad("header line without its end")
    if _V1_UNKNOWN.fullmatch(held):
        return Itself()
    match = _V1_LINE.fullmatch(held.decode("latin-1"))
    if match is None:
        return Bad("header line not understood")
    family, source, destination, source_port, destination_port = match.groups()
    try:
        addresses = [_v1_address(family, text) for text in (source, destination)]
        ports = [_v1_port(text) for text in (source_port, destination_port)]
    except ValueError:
        return Bad("address or port in the header not understood")
    return Ends(client=(addresses[0], ports[0]), gate=(addresses[1], ports[1]))


def _v1_address(family: str, text: str) -> IPAddress:
    if family == "TCP4":
        return IPv4Address(text)
    if "%" in text:  # a zone, which means nothing to others
        raise ValueError(text)
    return _unmapped(IPv6Address(text))


def _v1_port(text: str) -> int:
    if int(text) > 65_535:
        raise ValueError(text)
    return int(text)


def _v2_length(held: bytes | bytearray) -> int:
    """Octets of a whole header of version 2, as far as is known."""
    return _V2_FIXED + (int.from_bytes(held[14:16], "big") if len(held) >= _V2_FIXED else 0)


def _read_v2(held: bytes) -> Header | Bad | None:
    """PROXY §2.2."""
    if not held.startswith(_SIGNATURE[: len(held)]):
        return Bad("no PROXY header")
    if len(held) < _V2_FIXED:
        return None
    command, kind = held[12], held[13]
    if command not in (_LOCAL, _PROXY):
        return Bad("unknown version or command in the header")
    if kind >> 4 > _FAMILIES or kind & 0x0F > _TRANSPORTS:
        return Bad("unknown family or transport in the header")
    if _v2_length(held) > PROXY_HEADER_OCTETS:
        return Bad(f"header of more than {PROXY_HEADER_OCTETS} octets")
    if len(held) < _v2_length(held):
        return None
    return Itself() if command == _LOCAL else _read_v2_block(held, kind)


def _read_v2_block(held: bytes, kind: int) -> Header | Bad:
    """Read addresses and TLVs of a whole header."""
    if kind not in (_TCP4, _TCP6):  # UNSPEC, and what no stream over IP can be (PROXY §2.2, the last of it)
        return Itself()
    octets = 4 if kind == _TCP4 else 16
    ports = _V2_FIXED + 2 * octets
    if len(held) < ports + 4:
        return Bad("header too short for its addresses")
    if fault := _tlv_fault(held, ports + 4):
        return Bad(fault)
    source, destination = held[_V2_FIXED : _V2_FIXED + octets], held[_V2_FIXED + octets : ports]
    return Ends(
        client=(_from_octets(source), int.from_bytes(held[ports : ports + 2], "big")),
        gate=(_from_octets(destination), int.from_bytes(held[ports + 2 : ports + 4], "big")),
    )


def _from_octets(octets: bytes) -> IPAddress:
    return IPv4Address(octets) if len(octets) == 4 else _unmapped(IPv6Address(octets))


def _tlv_fault(held: bytes, start: int) -> str:
    """Walk over the TLVs; what is wrong with them, or with the checksum among them (PROXY §2.2.3)."""
    at = start
    while at < len(held):
        if at + _TLV_HEAD > len(held):
            return "a field of the header is cut off"
        value = at + _TLV_HEAD
        end = value + int.from_bytes(held[at + 1 : value], "big")
        if end > len(held):
            return "a field of the header is cut off"
        if held[at] == _CRC32C_TYPE:
            blank = held[:value] + bytes(_CRC32C_OCTETS) + held[end:]
            if end - value != _CRC32C_OCTETS or crc32c(blank) != int.from_bytes(held[value:end], "big"):
                return "the header's checksum is wrong"
        at = end
    return ""


def _unmapped(address: IPv6Address) -> IPAddress:
    """Give an IPv4 address that came in IPv6's clothes as IPv4."""
    return address.ipv4_mapped or address


def _crc32c_table() -> tuple[int, ...]:
    """Castagnoli's polynomial, bits reversed (RFC 9260 Appendix A)."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - it is what is shifted
        table.append(value)
    return tuple(table)


_CRC32C: Final = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Give the checksum of SCTP (RFC 9260 Appendix A), which PROXY §2.2.3 uses."""
    value = 0xFFFFFFFF
    for octet in data:
        value = (value >> 8) ^ _CRC32C[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF


# --- writing ------------------------------------------------------------------------------------------------


def write_v1(header: Header) -> bytes:
    """Write the line of version 1."""
    if isinstance(header, Itself):
        return b"PROXY UNKNOWN\r\n"
    (client, client_port), (gate, gate_port) = header.client, header.gate
    client, gate = _of_one_family(client, gate)
    return b"PROXY TCP%d %b %b %d %d\r\n" % (
        client.version,
        str(client).encode("ascii"),
        str(gate).encode("ascii"),
        client_port,
        gate_port,
    )


def write_v2(header: Header) -> bytes:
    """Write the octets of version 2, without TLVs."""
    if isinstance(header, Itself):
        return _SIGNATURE + bytes((_LOCAL, 0, 0, 0))
    (client, client_port), (gate, gate_port) = header.client, header.gate
    client, gate = _of_one_family(client, gate)
    block = client.packed + gate.packed + client_port.to_bytes(2, "big") + gate_port.to_bytes(2, "big")
    kind = _TCP4 if client.version == 4 else _TCP6
    return _SIGNATURE + bytes((_PROXY, kind)) + len(block).to_bytes(2, "big") + block


def _of_one_family(client: IPAddress, gate: IPAddress) -> tuple[IPAddress, IPAddress]:
    """A header has one family for both ends: where they differ, the IPv4 one goes in IPv6's clothes."""
    if client.version == gate.version:
        return client, gate
    return _mapped(client), _mapped(gate)


def _mapped(address: IPAddress) -> IPv6Address:
    return (
        address
        if isinstance(address, IPv6Address)
        else IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    )
