"""What others chose, in one line of a log."""

import pytest

from proxy.logtext import name, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice@example.org", "'alice@example.org'"),
        ("a\r\nb\x1b[0m\u202e", r"'a\r\nb\x1b[0m\u202e'"),
        (b"\xff\x00ok", r"'\\xff\x00ok'"),
        ("ä".encode(), r"'\xe4'"),
        ("x" * 200, f"'{'x' * 200}'"),
        ("x" * 201, f"'{'x' * 200}'..."),
    ],
)
def test_quoted(text, shown):
    assert quoted(text) == shown
    assert quoted(text).isascii()
    assert quoted(text).isprintable()


@pytest.mark.parametrize(
    "text", ["k7mq-2xwd-hnrp-4tvc-9zsa", "K7MQ2XWDHNRP4TVC9ZSA", " k7mq 2xwd hnrp 4tvc 9zsa\n"]
)
def test_an_app_password_is_no_name(text):
    assert "k7mq" not in name(text).lower()
    assert "redacted" in name(text)


@pytest.mark.parametrize(
    "text",
    [
        "alice@example.org k7mq-2xwd-hnrp-4tvc-9zsa",
        "alice@example.org:k7mq2xwdhnrp4tvc9zsa",
        "K7MQ - 2XWD - HNRP - 4TVC - 9ZSA alice@example.org",
        "password k7mq\u20112xwd\u2011hnrp\u20114tvc\u20119zsa",
        "alice@example.orgk7mq-2xwd-hnrp-4tvc-9zsa",
        "k7mq-2xwd-hnrp-4tvc-9zsaalice@example.org",
        "alicek7mq2xwdhnrp4tvc9zsa",
        "k7mq.2xwd\u20132hnr\u200bp4tv\u200b\u200bc9zs",
        "k7mq2xwdhnrp4tvc9zsaa",
    ],
)
def test_an_app_password_beside_a_name_is_left_out(text):
    assert "k7mq" not in name(text).lower()
    assert "9zs" not in name(text).lower()
    assert "(redacted)" in name(text)


@pytest.mark.parametrize("text", ["anna-maria-vandenberg@example.org", "abcd-efgh"])
def test_an_ordinary_name_is_whole(text):
    assert name(text) == f"'{text}'"


def test_a_name_is_quoted():
    assert name("alice") == "'alice'"
