"""Headers of the PROXY protocol: the standard's example, every wrong turn, and never an octet too many."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import limits
from proxy.net.proxy_header import Bad, Ends, HeaderReader, Itself, crc32c, write_v1, write_v2

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
BEHIND = b"\x16\x03\x01 and so on"


def ends(client: str, client_port: int, gate: str, gate_port: int) -> Ends:
    return Ends(client=(ip_address(client), client_port), gate=(ip_address(gate), gate_port))


def read(octets: bytes, *, step: int = 65_536) -> tuple[object, int]:
    """What comes of a stream, and how much of it was taken; `None` when the stream ended first."""
    reader, taken = HeaderReader(), 0
    while taken < len(octets):
        part = octets[taken : taken + min(step, reader.wants)]
        taken += len(part)
        if (said := reader.feed(part)) is not None:
            return said, taken
    return None, taken


def v2(command: int, kind: int, block: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block) if length is None else length) + block


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


FOUR = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 56_324, 993)
SIX = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8:1::1").packed + struct.pack("!HH", 65_535, 0)


def with_checksum(command: int, kind: int, before: bytes, after: bytes = b"") -> bytes:
    blank = v2(command, kind, before + tlv(3, bytes(4)) + after)
    at = len(blank) - len(after) - 4
    return blank[:at] + crc32c(blank).to_bytes(4, "big") + blank[at + 4 :]


GOOD = {
    "tcp4": (
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        ends("192.168.0.1", 56_324, "192.168.0.11", 443),
    ),
    "tcp4 shortest": (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ends("0.0.0.0", 0, "0.0.0.0", 0)),
    "tcp4 longest": (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        ends("255.255.255.255", 65_535, "255.255.255.255", 65_535),
    ),
    "tcp6": (b"PROXY TCP6 2001:DB8::7 ::1 1 2\r\n", ends("2001:db8::7", 1, "::1", 2)),
    "tcp6 shortest": (b"PROXY TCP6 :: :: 0 0\r\n", ends("::", 0, "::", 0)),
    "tcp6 longest": (
        b"PROXY TCP6 " + b" ".join([b":".join([b"ffff"] * 8)] * 2) + b" 65535 65535\r\n",
        ends(":".join(["ffff"] * 8), 65_535, ":".join(["ffff"] * 8), 65_535),
    ),
    "tcp6 mapped": (
        b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n",
        ends("192.0.2.7", 1, "198.51.100.1", 2),
    ),
    "unknown": (b"PROXY UNKNOWN\r\n", Itself()),
    "unknown longest": (b"PROXY UNKNOWN " + b"f" * (107 - 16) + b"\r\n", Itself()),
    "unknown, whatever stands there": (b"PROXY UNKNOWN \xff\0 \r\n", Itself()),
    "v2 tcp4": (v2(0x21, 0x11, FOUR), ends("192.0.2.7", 56_324, "198.51.100.1", 993)),
    "v2 tcp6": (v2(0x21, 0x21, SIX), ends("2001:db8::7", 65_535, "2001:db8:1::1", 0)),
    "v2 mapped": (
        v2(0x21, 0x21, (bytes(10) + b"\xff\xff" + FOUR[:4]) * 2 + FOUR[8:]),
        ends("192.0.2.7", 56_324, "192.0.2.7", 993),
    ),
    "v2 with tlvs": (
        v2(0x21, 0x11, FOUR + tlv(0x02, b"mail.example.org") + tlv(0x20, bytes(200)) + tlv(0x04, b"")),
        ends("192.0.2.7", 56_324, "198.51.100.1", 993),
    ),
    "v2 with a checksum": (
        with_checksum(0x21, 0x11, FOUR, tlv(0x05, b"id")),
        ends("192.0.2.7", 56_324, "198.51.100.1", 993),
    ),
    "v2 as large as may be": (
        v2(0x21, 0x11, FOUR + tlv(0xE0, bytes(limits.PROXY_HEADER_OCTETS - 16 - 12 - 3))),
        ends("192.0.2.7", 56_324, "198.51.100.1", 993),
    ),
    "v2 local": (v2(0x20, 0x00, b""), Itself()),
    "v2 local with an address": (v2(0x20, 0x11, FOUR), Itself()),
    "v2 local with anything": (v2(0x20, 0x21, b"?"), Itself()),
    "v2 unspec": (v2(0x21, 0x00, b"whatever"), Itself()),
    "v2 udp": (v2(0x21, 0x12, FOUR), Itself()),
    "v2 unix": (v2(0x21, 0x31, bytes(216)), Itself()),
}


@pytest.mark.parametrize(("octets", "expected"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("step", [1, 3, 65_536])
def test_a_header_is_read_and_nothing_behind_it_is_taken(octets: bytes, expected: object, step: int) -> None:
    assert read(octets + BEHIND, step=step) == (expected, len(octets))


@pytest.mark.parametrize(("octets", "_"), GOOD.values(), ids=GOOD.keys())
def test_a_header_that_is_cut_off_is_waited_for(octets: bytes, _: object) -> None:
    for cut in (*range(min(len(octets), 300)), len(octets) - 1):
        assert read(octets[:cut], step=1) == (None, cut)


BAD = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "imap": b"a1 LOGIN alice x\r\n",
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "in lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "another word": b"PROXYING TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "two spaces within": b"PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n",
    "tab": b"PROXY TCP4\t192.0.2.7 198.51.100.1 1 2\r\n",
    "space at the end": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
    "udp": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "unknown and more": b"PROXY UNKNOWNS\r\n",
    "no family": b"PROXY \r\n         ",
    "one address": b"PROXY TCP4 198.51.100.100 10000 20000\r\n",
    "leading zero": b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
    "three numbers": b"PROXY TCP4 192.0.2 198.51.100.1 100 200\r\n",
    "a name": b"PROXY TCP4 localhost 198.51.100.1 1 2\r\n",
    "tcp6 with ipv4": b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
    "tcp4 with ipv6": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "zone": b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
    "port too large": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "port with a zero": b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    "port with a sign": b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
    "port in other digits": "PROXY TCP4 192.0.2.7 198.51.100.1 \u0661 2\r\n".encode(),
    "lf alone": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
    "cr alone": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rX",
    "unknown with a cr": b"PROXY UNKNOWN a\rb\r\n",
    "unknown with an lf": b"PROXY UNKNOWN a\nb\r\n",
    "no end": b"PROXY UNKNOWN " + b"f" * 200,
    "line of 108": b"PROXY UNKNOWN " + b"f" * (108 - 16) + b"\r\n",
    "v2 signature only begun": b"\r\n\r\n\0\r\nQUIT\r",
    "v2 version 1": v2(0x11, 0x11, FOUR),
    "v2 command": v2(0x22, 0x11, FOUR),
    "v2 family": v2(0x21, 0x41, FOUR),
    "v2 transport": v2(0x21, 0x13, FOUR),
    "v2 too short": v2(0x21, 0x11, FOUR[:-1]),
    "v2 too short for ipv6": v2(0x21, 0x21, SIX[:-1]),
    "v2 too long": v2(0x21, 0x11, b"", length=limits.PROXY_HEADER_OCTETS - 15),
    "v2 tlv cut off": v2(0x21, 0x11, FOUR + tlv(0x02, b"mail")[:-1]),
    "v2 tlv head cut off": v2(0x21, 0x11, FOUR + b"\x02\0"),
    "v2 checksum wrong": v2(0x21, 0x11, FOUR + tlv(0x03, b"\0\0\0\1")),
    "v2 checksum of another length": v2(0x21, 0x11, FOUR + tlv(0x03, b"\0\0\0\0\0")),
}


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("step", [1, 65_536])
def test_what_is_not_exactly_a_header_is_bad(octets: bytes, step: int) -> None:
    said, _ = read(octets, step=step)
    assert isinstance(said, Bad)


@pytest.mark.parametrize("octets", [b"\x16", b"G", b"PROXX", b"\r\n\r\n\r", b"\r\r"])
def test_it_is_bad_as_soon_as_that_shows(octets: bytes) -> None:
    said, taken = read(octets, step=1)
    assert said == Bad("no PROXY header")
    assert taken == len(octets)


def test_no_line_is_waited_for_beyond_its_longest() -> None:
    said, taken = read(b"PROXY UNKNOWN " + b"f" * 65_536)
    assert isinstance(said, Bad)
    assert taken <= 107


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_more_than_was_asked_for_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError):
        HeaderReader().feed(GOOD["tcp4"][0])


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(
    lambda address: (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
)
PORTS = st.integers(0, 65_535)


@given(ADDRESSES, PORTS, ADDRESSES, PORTS, st.integers(1, 7))
def test_what_is_written_is_read_back(client, client_port, gate, gate_port, step) -> None:
    told = Ends(client=(client, client_port), gate=(gate, gate_port))
    for header in (write_v1(told), write_v2(told)):
        assert read(header + BEHIND, step=step) == (told, len(header))


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", SIGNATURE])
)
def test_any_octets_end_in_a_header_a_fault_or_a_bounded_wait(octets: bytes, start: bytes) -> None:
    whole, taken = read(start + octets)
    assert whole is not None or taken == len(start + octets)
    split, _ = read(start + octets, step=1)
    assert split == whole or (isinstance(split, Bad) and isinstance(whole, Bad)), "a fault may have two names"


def test_the_standards_example_is_written() -> None:
    told = ends("192.168.0.1", 56_324, "192.168.0.11", 443)
    assert write_v1(told) == b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    assert write_v2(told) == v2(
        0x21, 0x11, bytes([192, 168, 0, 1, 192, 168, 0, 11]) + struct.pack("!HH", 56_324, 443)
    )


def test_ends_of_two_families_go_as_ipv6() -> None:
    told = Ends(client=(IPv4Address("192.0.2.7"), 1), gate=(IPv6Address("2001:db8::1"), 2))
    assert write_v1(told).startswith(b"PROXY TCP6 ")
    assert len(write_v2(told)) == 16 + 36
    assert read(write_v1(told))[0] == read(write_v2(told))[0] == told
