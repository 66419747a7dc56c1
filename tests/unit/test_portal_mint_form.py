"""The form of a new app password: what is asked for, and what is wrong at which field."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from auth.deed import MintRequest
from proxy.portal.mint_form import EXPIRIES, MintForm, asked, filled
from scopes.model import Limits, Scope
from support.records import DAY, NOW

HINT = "Name the app or the device it is for, as in phone."
GOOD = {"label": " Phone ", "expires": "", "may": "all", "networks": ""}


def read(opens=("mail",), **changed) -> MintRequest | dict[str, str]:
    return asked(filled(GOOD | changed, {"opens": list(opens)}), NOW)


def test_a_form_that_is_right():
    assert read() == MintRequest(label="Phone", scopes=frozenset({Scope.MAIL}))
    assert read(("events", "mail", "contacts")) == MintRequest(label="Phone", scopes=frozenset(Scope))


@pytest.mark.parametrize(("chosen", "days"), [("", None), ("30", 30), ("90", 90), ("180", 180), ("365", 365)])
def test_an_expiry_is_days_from_now(chosen, days):
    assert read(expires=chosen).expires_at == (None if days is None else NOW + days * DAY)
    assert chosen in dict(EXPIRIES)


@pytest.mark.parametrize(
    ("changed", "limits"),
    [
        ({"may": "read"}, Limits(read_only=True)),
        ({"may": "send"}, Limits(send_only=True)),
        (
            {"networks": "192.0.2.0/24, 2001:db8::1\n192.0.2.0/24;198.51.100.7"},
            Limits(networks=tuple(map(ip_network, ("192.0.2.0/24", "2001:db8::1", "198.51.100.7")))),
        ),
    ],
)
def test_limits(changed, limits):
    assert read(**changed).limits == limits


@pytest.mark.parametrize(
    ("opens", "changed", "errors"),
    [
        (
            ["mail"],
            {"label": "  "},
            {"label": "Name the app or the device it is for, in 1 to 64 characters."},
        ),
        (
            ["mail"],
            {"label": "x" * 65},
            {"label": "A label is 1 to 64 printable characters. " + HINT},
        ),
        (
            ["mail"],
            {"label": "a\u202eb"},
            {"label": "A label is 1 to 64 printable characters. " + HINT},
        ),
        (
            ["mail"],
            {"label": "k7mq-2xwd-hnrp-4tvc-9zsa"},
            {"label": "This label looks like an app password, and labels are no secret. " + HINT},
        ),
        ([], {}, {"opens": "Choose what it opens: at least one."}),
        (["everything"], {}, {"opens": "Choose what it opens: at least one."}),
        (["mail"], {"expires": "36500"}, {"expires": "Choose one of these."}),
        (["mail"], {"may": "administer"}, {"may": "Choose one of these."}),
        (
            ["mail", "events"],
            {"may": "send"},
            {
                "may": "An app password that only sends does not open events. "
                "Leave events out, or let it read too."
            },
        ),
        (
            ["mail"],
            {"networks": "192.0.2.0/24 office"},
            {"networks": "office is no address and no network. Write them as in 192.0.2.0/24."},
        ),
        (
            ["mail"],
            {"networks": "192.0.2.7/24"},
            {
                "networks": "192.0.2.7/24 is an address within a network. "
                "Write 192.0.2.0/24, or the address alone."
            },
        ),
        (
            ["mail"],
            {"networks": "fe80::1%eth0"},
            {"networks": "fe80::1%eth0 is no address and no network. Write them as in 192.0.2.0/24."},
        ),
        (
            ["mail"],
            {"networks": " ".join(f"192.0.2.{n}" for n in range(17))},
            {"networks": "At most 16 networks."},
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_field(opens, changed, errors):
    assert read(opens, **changed) == errors


def test_all_mistakes_are_said_at_once():
    assert set(read([], label="", expires="x", may="x", networks="x")) == {
        "label",
        "opens",
        "expires",
        "may",
        "networks",
    }


def test_what_a_browser_would_never_send_is_a_form_with_mistakes():
    assert filled({}, {}) == MintForm()
    assert set(asked(filled({}, {}), NOW)) == {"label", "opens"}
    assert len(filled({"label": "x" * 60_000}, {}).label) == 1_000
