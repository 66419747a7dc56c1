"""By which hosts clients may mean us."""

import pytest

from proxy.dav.authorities import Authorities

OURS = Authorities({"mail.example.org", "127.0.0.1", "::1"}.__contains__)


@pytest.mark.parametrize(
    "authority",
    ["mail.example.org", "mail.example.org:8443", "127.0.0.1:443", "[::1]", "[::1]:8443"],
)
def test_ours_on_any_port(authority):
    assert authority in OURS


@pytest.mark.parametrize(
    "authority",
    ["", "evil.org", "mail.example.org.evil.org", "mail.example.org:x", "mail.example.org:", "::1", "[::1",
     "u@mail.example.org", "mail.example.org:443:443", "mail.example.org/", 7, None],
)  # fmt: skip
def test_not_ours(authority):
    assert authority not in OURS
