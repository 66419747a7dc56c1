"""A secret shows itself nowhere but by `reveal`."""

import copy
import logging
import pickle

import pytest

from auth.secret import Secret

TEXT = "k7mq2xwdhnrp4tvc9zsa"


@pytest.mark.parametrize(
    "show", [repr, str, format, "{}".format, "%s".__mod__, "%r".__mod__, lambda s: f"{s!r:>40}{s:20}"]
)
def test_no_way_of_printing_shows_it(show):
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert "hidden" in shown


def test_a_log_line_and_a_traceback_do_not_show_it(caplog):
    caplog.set_level(logging.DEBUG)
    secret = Secret(TEXT)
    try:
        raise ValueError(secret)
    except ValueError:
        logging.getLogger("t").exception("sign-in with %s", secret)
    assert TEXT not in caplog.text
    assert "Secret(hidden)" in caplog.text


@pytest.mark.parametrize("take_out", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_cannot_leave_by_pickle_or_copy(take_out):
    with pytest.raises(TypeError, match="cannot be pickled"):
        take_out(Secret(TEXT))


def test_it_has_no_hash_and_no_dict():
    with pytest.raises(TypeError):
        hash(Secret(TEXT))
    assert not hasattr(Secret(TEXT), "__dict__")


def test_equality_is_by_value_and_with_secrets_only():
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT[:-1])
    assert Secret(TEXT) != TEXT


def test_octets_from_the_wire_come_back_as_they_were():
    octets = b"caf\xe9 \xff\xc3\xa9"
    assert Secret.from_wire(octets).reveal_bytes() == octets
    assert Secret.from_wire("é".encode()).reveal() == "é"


def test_an_empty_secret_is_false():
    assert not Secret("")
    assert Secret("x")
