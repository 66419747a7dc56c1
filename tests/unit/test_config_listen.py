"""The load balancers of `[listen]`: which networks are taken, and which are never believed."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from config.load import load
from support.configs import GOOD, changed, problems, written


def listening(line: str) -> str:
    return changed("[listen]", f"[listen]\n{line}")


def test_none_is_believed_without_a_word(tmp_path: Path) -> None:
    assert load(written(tmp_path, GOOD)).listen.proxy_protocol == ()


def test_networks_and_single_addresses(tmp_path: Path) -> None:
    text = listening('proxy_protocol = ["192.0.2.10/32", "10.0.0.0/8", "192.0.2.11", "2001:db8::/32", "::1"]')
    told = load(written(tmp_path, text)).listen
    named = ("192.0.2.10/32", "10.0.0.0/8", "192.0.2.11/32", "2001:db8::/32", "::1/128")
    assert told.proxy_protocol == tuple(map(ip_network, named))
    assert list(told.places) == ["imaps", "imap", "submissions", "submission", "https", "portal"]


@pytest.mark.parametrize(
    ("network", "what", "hint"),
    [
        ("0.0.0.0/0", "wider than", "list the balancers alone"),
        ("::/0", "wider than", "list the balancers alone"),
        ("8.0.0.0/7", "wider than", "list the balancers alone"),
        ("2001:d00::/24", "wider than", "list the balancers alone"),
        ("192.0.2.10/24", "bits behind its prefix", "write 192.0.2.0/24"),
        ("::ffff:192.0.2.10", "IPv4 written as IPv6", "write it as IPv4"),
        ("balancer.lan", "is not a network", "192.0.2.10/32"),
        ("", "is not a network", "192.0.2.10/32"),
    ],
)
def test_what_is_no_network_of_balancers_is_refused(
    tmp_path: Path, network: str, what: str, hint: str
) -> None:
    problem = problems(tmp_path, listening(f'proxy_protocol = ["{network}"]'))["listen.proxy_protocol[0]"]
    assert what in problem.what
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("line", "key", "hint"),
    [
        ('proxy_protocol = "192.0.2.10"', "listen.proxy_protocol", "write brackets"),
        ("proxy_protocol = [10]", "listen.proxy_protocol[0]", "192.0.2.10/32"),
    ],
)
def test_what_is_not_written_as_a_list_of_text(tmp_path: Path, line: str, key: str, hint: str) -> None:
    assert hint in problems(tmp_path, listening(line))[key].hint
