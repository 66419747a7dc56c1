"""Fields as one line: what strangers choose stays a value, in both forms, and can be read back whole."""

import json
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.log.text import VALUE_CHARACTERS, as_json, cut, logfmt

FORGED = 'x" level=warning event=refused service=imap reason=bad-credentials address=203.0.113.9 y="'
PIECE = re.compile(r' ?([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)')
"""What any reader of logfmt takes for one field."""


def read_back(line: str) -> dict[str, str]:
    """Read logfmt as its readers do: every octet belongs to one field."""
    found = list(PIECE.finditer(line))
    assert "".join(each[0] for each in found) == line
    return {
        name: json.loads(value) if value[0] == '"' else value for name, value in (e.groups() for e in found)
    }


def test_plain_values_are_written_as_they_are():
    fields = (("event", "sign-in"), ("account", "alice@example.org"), ("bytes_in", 12), ("duration_s", 0.25))
    assert logfmt(fields) == "event=sign-in account=alice@example.org bytes_in=12 duration_s=0.25"
    assert as_json(fields) == (
        '{"event":"sign-in","account":"alice@example.org","bytes_in":12,"duration_s":0.25}'
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\r\nend", r'"line\r\nend"'),
        ("\x00\x1b[0m\x7f\x9b", r'"\u0000\u001b[0m\u007f\u009b"'),
        ("\u202eevil\u2028\ud800", r'"\u202eevil\u2028\ud800"'),
    ],
)
def test_what_could_mislead_is_escaped(value, written):
    assert logfmt([("name", value)]) == f"name={written}"
    assert as_json([("name", value)]) == f'{{"name":{written}}}'


@pytest.mark.parametrize("value", [FORGED, "\n" + FORGED, FORGED + "\\", '","event":"refused","x":"'])
def test_a_forged_field_is_no_field(value):
    assert read_back(logfmt([("account", value), ("client", value)])) == {"account": value, "client": value}
    assert json.loads(as_json([("account", value), ("client", value)])) == {"account": value, "client": value}


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_whatever_they_choose_it_is_one_line_and_comes_back_whole(values):
    fields = [(f"f_{'abcd'[at]}", value) for at, value in enumerate(values)]
    for line, back in ((logfmt(fields), read_back), (as_json(fields), json.loads)):
        assert line.isascii()
        assert line.isprintable()
        assert back(line) == dict(fields)


@given(st.text(alphabet=" \\\"'=\n\t;#$a", max_size=20))
def test_a_shell_sees_one_word_where_there_is_no_quote(value):
    line = logfmt([("a", value)])
    if '"' not in line and "'" not in line and "#" not in line:
        assert shlex.split(line) == [line]


def test_a_value_that_strangers_choose_has_an_end():
    assert cut("x" * VALUE_CHARACTERS) == "x" * VALUE_CHARACTERS
    assert cut("x" * (VALUE_CHARACTERS + 1)) == "x" * VALUE_CHARACTERS + "..."
