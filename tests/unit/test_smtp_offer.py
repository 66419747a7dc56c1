"""What EHLO shows beyond the fixed list: what the config says that every submission upstream has."""

from types import SimpleNamespace

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


@pytest.mark.parametrize("rule", SenderRule)
def test_where_the_header_is_looked_at_there_are_no_chunks(rule):
    extras = extras_of([SimpleNamespace(extensions=ALL)], rule)
    assert (Extra.CHUNKING in extras) == (rule is SenderRule.UPSTREAM)
    assert {Extra.DSN, Extra.SMTPUTF8} <= {*extras}


def test_the_config_tells_it(tmp_path):
    table = 'address = "unix:/s"\nsign_in = { kind = "none" }\nextensions = ["DSN", "CHUNKING"]'
    told = load(written(tmp_path, f"{GOOD}[upstream.smtp]\n{table}\n")).upstream.smtp
    assert extras_of([told], SenderRule.UPSTREAM) == (Extra.DSN, Extra.CHUNKING)
