"""A list of people as spreadsheets write it, and what is said where it cannot be taken."""

import pytest

from auth.roster import MOST_OCTETS, MOST_ROWS, RosterError, read_roster
from auth.secret import Secret
from scopes.model import Service

HEAD = "email,aliases,imap_login,imap_secret"
PLAIN = f"{HEAD}\nalice@example.org,al,alice,s3cret\nbob@example.org,,,\n"


def read(text):
    octets = text.encode() if isinstance(text, str) else text
    return read_roster(octets)


def seen(roster):
    """All that was read, in the clear."""
    return [
        (
            row.line,
            row.email,
            row.aliases,
            {
                service.value: (told.login, None if told.secret is None else told.secret.reveal())
                for service, told in row.upstream.items()
            },
        )
        for row in roster.rows
    ]


def faults(text):
    """All that is wrong, row by row or with the whole of it."""
    try:
        found = read(text).faults
    except RosterError as error:
        found = error.faults
    return [(fault.line, fault.what) for fault in found]


READ = [
    (2, "alice@example.org", ("al",), {"imap": ("alice", "s3cret")}),
    (3, "bob@example.org", (), {}),
]


@pytest.mark.parametrize(
    "octets",
    [
        PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode("utf-16-be").join([b"\xfe\xff", b""]),
        PLAIN.replace(HEAD, HEAD.upper()).encode(),
        PLAIN.encode() + b"\n,,,\n   \n\r\n;;;\n".replace(b";", b","),
        PLAIN.rstrip("\n").encode(),
        PLAIN.replace("email,aliases", '" Email ","Aliases"').encode(),
        PLAIN.replace("\n", ",\n").encode(),
        PLAIN.replace("alice@example.org,al,", "  alice@example.org\t, al ;,").encode(),
        PLAIN.replace("bob@example.org,,,", "bob@example.org").encode(),
    ],
    ids=["plain", "Excel", "German Excel", "Unicode text", "UTF-16 BE", "upper case", "empty lines",
         "no last line end", "quoted columns", "one more separator", "blanks", "short row"],
)  # fmt: skip
def test_what_spreadsheets_write_is_read(octets):
    roster = read_roster(octets)
    assert roster.faults == ()
    assert seen(roster) == READ


def test_a_line_that_names_the_separator_is_obeyed_and_counted():
    roster = read("sep=;\r\nemail;aliases\r\nalice@example.org;a,b\r\n")
    assert seen(roster) == [(3, "alice@example.org", ("a", "b"), {})]


def test_a_single_column_is_enough():
    assert [row.email for row in read("email\nalice@example.org\n").rows] == ["alice@example.org"]


@pytest.mark.parametrize(
    ("cell", "secret"),
    [
        ("two words", "two words"),
        (" with blanks around ", " with blanks around "),
        ('"with ""quotes"", and a comma"', 'with "quotes", and a comma'),
        ('in"side', 'in"side'),
        ("'apostrophes'", "'apostrophes'"),
        ("=1+1;é\\", "=1+1;é\\"),
    ],
)
def test_a_secret_is_kept_as_it_stands(cell, secret):
    (row,) = read(f"email,smtp_secret\nalice@example.org,{cell}\n").rows
    assert row.upstream[Service.SUBMISSION].secret == Secret(secret)
    assert secret not in repr(row)


def test_cells_of_blanks_are_empty():
    (row,) = read("email,aliases,imap_login,imap_secret\nalice@example.org, ,  ,   \n").rows
    assert (row.aliases, row.upstream) == ((), {})


def test_a_row_is_named_by_the_line_it_begins_in():
    text = 'email,imap_secret\n\na@example.org,"two\nlines"\n,x\nb@example.org,y,z\n'
    assert [row.line for row in read(text).rows] == [3]
    assert faults(text) == [(5, "there is no email"), (6, "there are more cells than columns")]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 0, "the list is empty"),
        ("\n \n", 0, "the list is empty"),
        ("alice@example.org\n", 1, "no column is named email"),
        ("email,name\n", 1, "there is no column name"),
        ("email,imap_pasword\n", 1, "there is no column imap_pasword"),
        ("\nemail,email\n", 2, "the column email stands there twice"),
        ('email,imap_secret\na@example.org,"x\nb@example.org,y\n', 2, "a quote stands where"),
        ('email,imap_secret\na@example.org,"x" y\n', 2, "a quote stands where"),
        ("email\na@example.org\nb\0b@example.org\n", 3, "this is no text"),
        ("email\na@example.org\nmüller@example.org\n".encode("latin-1"), 3, "this is not UTF-8 text"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00", 1, "this is no text"),
        ("email\n" + "a@example.org\n" * (MOST_ROWS + 1), MOST_ROWS + 2, "there are more than"),
        ("email\n" + "x" * MOST_OCTETS, 0, "the list is larger than"),
        ("email\n" + "x" * 200_000, 2, "a quote stands where"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_as_a_whole(text, line, what):
    ((found, said),) = faults(text)
    assert (found, said.startswith(what)) == (line, True), said


def test_what_may_be_a_secret_is_not_repeated_from_the_first_line():
    said = str(faults("email,hunter2@correct horse\n"))
    assert "hunter2" not in said
