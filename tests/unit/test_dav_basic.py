"""Basic credentials: one form, read strictly, and nothing of them in what is printed."""

from __future__ import annotations

from base64 import b64encode

import pytest

from proxy.dav.basic import asked, introduced


def sent(octets: bytes, scheme: str = "Basic ") -> dict[str, str]:
    return {"authorization": scheme + b64encode(octets).decode()}


@pytest.mark.parametrize(
    ("octets", "name", "secret"),
    [
        (b"alice@example.org:pw", "alice@example.org", "pw"),
        (b"alice@example.org:p:w:", "alice@example.org", "p:w:"),
        ("grüße@example.org:päss".encode(), "grüße@example.org", "päss"),
        (b"alice:", "alice", ""),
        (b"\xff@example.org:pw", "\N{REPLACEMENT CHARACTER}@example.org", "pw"),
        (b" alice :  pw ", " alice ", "  pw "),
    ],
)
def test_credentials(octets, name, secret):
    got = asked(sent(octets))
    assert got is not None
    assert (got.name, got.secret.reveal(), got.authzid) == (name, secret, None)
    assert secret not in repr(got) or not secret.strip(":")


@pytest.mark.parametrize("scheme", ["basic ", "BASIC ", "Basic   "])
def test_the_scheme_has_no_case(scheme):
    assert asked(sent(b"alice:pw", scheme)) is not None


@pytest.mark.parametrize(
    "value",
    [
        *("", "Basic", "Basic ", "Bearer YWxpY2U6cHc=", "Digest username=alice", "YWxpY2U6cHc="),
        *("Basic YWxpY2U6cHc", "Basic YWxpY2U6cHc==", "Basic YWxpY2U6cHd=", "Basic YWxp Y2U6cHc=", "Basic *"),
        *(
            "Basic YWxpY2U6cHc=,",
            "Basic\tYWxpY2U6cHc=",
            "BasicYWxpY2U6cHc=",
            "Basic -_-_",
            "Basic YWxpY2U6cHc=x",
        ),
        *(
            f"Basic {b64encode(octets).decode()}"
            for octets in (b"alice", b":pw", b"a\0b:pw", b"a:p\rw", b"a\x7f:p")
        ),
        *(
            f"Basic {b64encode(octets).decode()}"
            for octets in (b"a\nb:pw", b"alice:p\tw", b"alice:p\0", b"\x1b:pw")
        ),
    ],
)
def test_what_is_no_credentials(value):
    assert asked({"authorization": value}) is None
    assert asked({}) is None


def test_what_a_client_calls_itself():
    got = asked(sent(b"alice:pw"))
    assert (
        introduced(got, {"user-agent": "DAVx5/4 \x1b[2J"}).client_name
        == "DAVx5/4 \N{REPLACEMENT CHARACTER}[2J"
    )
    assert introduced(got, {}).client_name == ""
    assert len(introduced(got, {"user-agent": "x" * 8_000}).client_name) == 100
