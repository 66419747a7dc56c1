"""Upstream and listening addresses, read from text."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.address import (
    SOCKET_PATH_OCTETS,
    Address,
    AddressError,
    AddressKind,
    Listen,
    host_name,
    parse,
    parse_listen,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("imaps://dovecot.lan", Address(kind=AddressKind.IMAPS, host="dovecot.lan", port=993)),
        ("imaps://Dovecot.LAN:10993/", Address(kind=AddressKind.IMAPS, host="dovecot.lan", port=10993)),
        ("imap+starttls://192.0.2.7", Address(kind=AddressKind.IMAP_STARTTLS, host="192.0.2.7", port=143)),
        ("imaps://[2001:DB8::1]:993", Address(kind=AddressKind.IMAPS, host="2001:db8::1", port=993)),
        ("unix:/run/imap", Address(kind=AddressKind.UNIX, path=Path("/run/imap"))),
        ("unix:///run/imap", Address(kind=AddressKind.UNIX, path=Path("/run/imap"))),
        ("unix:run/imap", Address(kind=AddressKind.UNIX, path=Path("/etc/wicketgate/run/imap"))),
        ("embedded", Address(kind=AddressKind.EMBEDDED)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse(text, Path("/etc/wicketgate")) == address


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("imap://dovecot.lan", "plain IMAP is not offered"),
        ("smtp+starttls://postfix.lan", "imaps://HOST"),
        ("dovecot.lan:993", "imaps://HOST"),
        ("", "imaps://HOST"),
        ("imaps://", "nothing more"),
        ("imaps://host:0", "leave the port out"),
        ("imaps://host:65536", "nothing more"),
        ("imaps://host:99x", "nothing more"),
        ("imaps://host/path", "nothing more"),
        ("imaps://user@host", "nothing more"),
        ("imaps://[::1", "nothing more"),
        ("imaps://[host]:993", "nothing more"),
        ("imaps://[::1]993", "nothing more"),
        ("imaps://::1", "brackets"),
        ("unix:", "unix:/run"),
        ("unix:/", "unix:/run"),
        ("unix:/" + "x" * SOCKET_PATH_OCTETS, "shorter path"),
    ],
)
def test_what_is_no_address_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse(text)
    assert hint in caught.value.hint


def test_a_socket_may_lie_in_a_home() -> None:
    assert parse("unix:~/imap", Path("/etc")).path == Path.home() / "imap"
    with pytest.raises(AddressError, match="no home folder for ~no-such-user") as caught:
        parse("unix:~no-such-user/imap")
    assert caught.value.hint == "write the whole path"


@pytest.mark.parametrize(
    "text", ["imaps://mail.example.org:993", "imap+starttls://[::1]:143", "unix:/run/x", "embedded"]
)
def test_an_address_writes_itself_as_it_is_read(text: str) -> None:
    assert str(parse(text)) == text


def test_only_tcp_addresses_are_over_tls() -> None:
    over = [parse(text).over_tls for text in ("imaps://h", "imap+starttls://h", "unix:/x", "embedded")]
    assert over == [True, True, False, False]


def test_where_to_listen() -> None:
    assert parse_listen("[::]:993") == Listen(host="::", port=993)
    assert parse_listen("127.0.0.1:0") == Listen(host="127.0.0.1", port=0)
    assert str(parse_listen("[::1]:1993")) == "[::1]:1993"


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", "localhost:993", ":993", "::1:993", "127.0.0.1:-1", "127.0.0.1:"]
)
def test_where_not_to_listen(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_listen(text)
    assert caught.value.hint


def test_host_names() -> None:
    assert host_name("Mail.Example.ORG.") == "mail.example.org"
    assert host_name("2001:0DB8:0::1") == "2001:db8::1"
    assert host_name("xn--bcher-kva.example") == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "text", ["", ".", "a b", "-a.org", "a..b", "bücher.example", "1.2.3", "a" * 64, "x." * 130]
)
def test_what_is_no_host_name(text: str) -> None:
    with pytest.raises(AddressError):
        host_name(text)
