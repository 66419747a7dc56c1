"""Clients from any address: each connects as a load balancer that says for whom (PROXY protocol 1)."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from support.balancing import BALANCER
from support.imap import PATIENCE_S, trusting


@contextmanager
def calling(facts: Mapping[str, Any], kind: str, address: str) -> Iterator[socket.socket]:
    """Connect from `address` over TLS, to the port of this kind, until the block ends."""
    family = f"TCP{ip_address(address).version}"
    to = "::1" if ":" in address else "127.0.0.1"
    with socket.create_connection(
        ("127.0.0.1", facts[f"{kind}_port"]), PATIENCE_S, source_address=(BALANCER, 0)
    ) as sock:
        sock.sendall(f"PROXY {family} {address} {to} 40000 443\r\n".encode())
        with trusting(facts["ca_file"]).wrap_socket(sock, server_hostname=facts["host"]) as tls:
            yield tls


def ask(sock: socket.socket, octets: bytes, answer: bytes) -> bytes:
    """Send, and read until `answer` is in what came."""
    sock.sendall(octets)
    heard = b""
    while answer not in heard:
        more = sock.recv(4_096)
        assert more, f"closed after {heard!r}"
        heard += more
    return heard


def imap(facts: Mapping[str, Any], address: str, name: str, password: str, client: str = "x") -> bytes:
    """Sign in by literals, which hold any octets; give the answer."""
    with calling(facts, "imaps", address) as sock:
        ask(sock, b"", b"ready\r\n")
        called, said = client.encode(), name.encode()
        ask(sock, b'i ID ("name" {%d+}\r\n%b)\r\n' % (len(called), called), b"i OK")
        login = b"a LOGIN {%d+}\r\n%b {%d+}\r\n%b\r\n" % (len(said), said, len(password), password.encode())
        return ask(sock, login, b"\r\n")


def submission(facts: Mapping[str, Any], address: str, name: str, password: str, ehlo: str = "x") -> bytes:
    """Sign in by AUTH PLAIN; give the answer."""
    with calling(facts, "smtps", address) as sock:
        ask(sock, b"", b"\r\n")
        ask(sock, f"EHLO {ehlo}\r\n".encode(), b"250 ")
        return ask(sock, b"AUTH PLAIN " + b64encode(f"\0{name}\0{password}".encode()) + b"\r\n", b"\r\n")


def dav(facts: Mapping[str, Any], address: str, name: str, password: str, agent: str = "x") -> bytes:
    """Ask for something with Basic; give the answer's first line and more."""
    with calling(facts, "https", address) as sock:
        credentials = b64encode(f"{name}:{password}".encode()).decode()
        fields = f"Host: {facts['host']}\r\nAuthorization: Basic {credentials}\r\nUser-Agent: {agent}\r\n"
        return ask(sock, f"GET / HTTP/1.1\r\n{fields}Connection: close\r\n\r\n".encode(), b"\r\n\r\n")


def portal(facts: Mapping[str, Any], address: str, name: str, password: str, agent: str = "x") -> bytes:
    """Sign in at the portal with some code; give the last answer."""
    told = {"User-Agent": agent}
    form = _page(facts, address, "GET /sign-in", told, {})
    told["Cookie"] = _cookie(form)
    begun = _page(
        facts, address, "POST /sign-in", told, {"csrf": _csrf(form), "email": name, "password": password}
    )
    told["Cookie"] = _cookie(begun)
    form = _page(facts, address, "GET /sign-in/code", told, {})
    return _page(facts, address, "POST /sign-in/code", told, {"csrf": _csrf(form), "code": "000000"})


def _page(
    facts: Mapping[str, Any], address: str, what: str, told: dict[str, str], form: dict[str, str]
) -> bytes:
    body = urlencode(form).encode()
    fields = {"Host": f"{facts['host']}:{facts['portal_port']}", "Connection": "close", **told}
    if form:
        fields |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with calling(facts, "portal", address) as sock:
        sock.sendall(f"{what} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return b"".join(iter(lambda: sock.recv(65_536), b""))


def _cookie(page: bytes) -> str:
    return page.partition(b"Set-Cookie: ")[2].partition(b";")[0].decode()


def _csrf(page: bytes) -> str:
    found = re.search(rb'name="csrf" value="([0-9a-f]+)"', page)
    assert found, page
    return found[1].decode()
