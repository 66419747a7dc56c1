"""What EHLO shows beyond the fixed list: what the config says that every submission upstream has."""

import pytest

from config.load import load
from proxy.failures import House
from proxy.server.fronts import extras_of
from proxy.smtp.offer import Extra, Offer, extras_of_all
from proxy.smtp.sender import SenderRule
from support.configs import GOOD, written

ALL = ("CHUNKING", "DSN", "SMTPUTF8")


@pytest.mark.parametrize(
    ("upstreams", "extras"),
    [
        ([], ()),
        ([()], ()),
        ([("DSN",)], (Extra.DSN,)),
        ([ALL], (Extra.SMTPUTF8, Extra.DSN, Extra.CHUNKING)),
        ([ALL, ("DSN", "CHUNKING"), ALL], (Extra.DSN, Extra.CHUNKING)),
        ([ALL, ()], ()),
        ([("DSN",), ("CHUNKING",)], ()),
    ],
)
def test_what_all_have_is_shown(upstreams, extras):
    assert extras_of_all(upstreams) == extras


def test_ehlo_shows_it_behind_the_fixed_list():
    offer = Offer(size_octets=7, extras=extras_of_all([ALL]))
    assert offer.ehlo(House(host="h"), "AUTH PLAIN LOGIN").decode().split("\r\n") == [
        "250-h", "250-SIZE 7", "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES",
        "250-SMTPUTF8", "250-DSN", "250-CHUNKING", "250 AUTH PLAIN LOGIN", "",
    ]  # fmt: skip


SERVER = f'address = "unix:/s"\nsign_in = {{ kind = "none" }}\nextensions = {list(ALL)}'
DOMAIN = """
[[domain]]
name = "example.net"
[domain.upstream.smtp]
address = "unix:/t"
sign_in = { kind = "none" }
"""


def extras(tmp_path, lines: str, *, sender: str = "upstream") -> tuple[Extra, ...]:
    """What a config with these lines shows."""
    text = f'{GOOD}[upstream.smtp]\n{SERVER}\n[policy]\nsender = "{sender}"\n{lines}'
    return extras_of(load(written(tmp_path, text)))


@pytest.mark.parametrize("rule", SenderRule)
def test_where_the_header_is_looked_at_there_are_no_chunks(tmp_path, rule):
    shown = extras(tmp_path, "", sender=rule)
    assert (Extra.CHUNKING in shown) == (rule is SenderRule.UPSTREAM)
    assert {Extra.DSN, Extra.SMTPUTF8} <= {*shown}


def test_the_servers_of_domains_count_too(tmp_path):
    assert extras(tmp_path, DOMAIN) == ()
    assert extras(tmp_path, f'{DOMAIN}extensions = ["DSN"]\n') == (Extra.DSN,)
