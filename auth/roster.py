"""A list of people as a spreadsheet writes it: CSV in octets, rows with their line numbers out. Pure.

Taken as it comes: with or without a byte order mark, UTF-8 or UTF-16 (Excel's "Unicode text"), any line end,
commas, semicolons or tabs, columns in any order and case, empty lines. Never guessed: letters in another
encoding, columns that are not known, quotes that do not close; a misread secret would look like a wrong one.
Every row that cannot be read is named by the line it begins in. A secret is kept as it stands, blanks too.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from auth.secret import Secret
from scopes.model import Service

MOST_OCTETS: Final = 4 * 1024 * 1024
MOST_ROWS: Final = 5_000
"""All are written in one transaction, for which other writers wait a second or two."""

EMAIL: Final = "email"
ALIASES: Final = "aliases"
_SERVICES: Final[Mapping[str, Service]] = {"imap": Service.IMAP, "smtp": Service.SUBMISSION}
COLUMNS: Final = (EMAIL, ALIASES, "imap_login", "imap_secret", "smtp_login", "smtp_secret")

_DELIMITERS: Final = (",", ";", "\t")
_ANNOUNCED: Final = re.compile(r'\A"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)
"""What Excel reads first in a file, and some write for it."""
_BETWEEN: Final = re.compile(r"[\s;,]+")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a line, and what to do about it. No secret is ever in it."""

    line: int
    """From 1; 0 is the file as a whole."""
    what: str
    hint: str


class RosterError(Exception):
    """A list that cannot be taken as it is, with all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What a row says of one server behind: a login, a secret, or both."""

    login: str
    secret: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One person, as written; nothing is checked yet."""

    line: int
    email: str
    aliases: tuple[str, ...] = ()
    upstream: Mapping[Service, Upstream] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """What was read."""

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    """Of single rows. Those of the whole list are RosterErrors."""


def read_roster(octets: bytes) -> Roster:
    """Read a list. Raises RosterError where not even its columns can be understood."""
    if len(octets) > MOST_OCTETS:
        size, most = (f"{number / 1024 / 1024:.0f} MiB" for number in (len(octets), MOST_OCTETS))
        raise _at(0, f"the list is larger than {most}", f"{size} is more than people: see what is in it")
    text = _decoded(octets)
    announced = _ANNOUNCED.match(text)
    skipped = 0 if announced is None else 1
    body = text if announced is None else text[announced.end() :]
    delimiter = _delimiter(body) if announced is None else announced[1]
    rows: list[Row] = []
    faults: list[Fault] = []
    lines = _lines(body, delimiter, skipped)
    columns: tuple[str, ...] | None = None
    for line, cells in lines:
        if columns is None:
            columns = _columns(line, cells)
            continue
        if len(rows) == MOST_ROWS:
            hint = "split it: what was imported once is left as it is"
            raise _at(line, f"there are more than {MOST_ROWS} rows", hint)
        try:
            rows.append(_row(line, columns, cells))
        except RosterError as error:
            faults += error.faults
    if columns is None:
        raise _at(0, "the list is empty", f"begin with a line of columns: {','.join(COLUMNS)}")
    return Roster(rows=tuple(rows), faults=tuple(faults))


def _decoded(octets: bytes) -> str:
    mark, encoding = next((each for each in _MARKS if octets.startswith(each[0])), (b"", "utf-8"))
    try:
        text = octets[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = octets[: len(mark) + error.start].count(b"\n") + 1
        hint = 'save it as "CSV UTF-8", which Excel offers beside "CSV"'
        raise _at(line, "this is not UTF-8 text", hint) from None
    if "\0" in text:
        hint = 'save the sheet as "CSV UTF-8"; a workbook (.xlsx) is none'
        raise _at(text.count("\n", 0, text.index("\0")) + 1, "this is no text", hint)
    return text


def _delimiter(text: str) -> str:
    """Find what stands between the columns: what finds most of those that are known in the first line."""
    head = next((line for line in io.StringIO(text) if line.strip()), "")
    return max(_DELIMITERS, key=lambda each: len({_name(cell) for cell in head.split(each)} & set(COLUMNS)))


def _lines(text: str, delimiter: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Give the lines that are not empty, each with the number of the one it begins in. RFC 4180 §2."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = skipped + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, cells
            begins = skipped + reader.line_num + 1
    except csv.Error:
        hint = "a cell with a quote in it is quoted as a whole, and the quote written twice"
        raise _at(begins, "a quote stands where none can be, or is never closed", hint) from None


def _name(cell: str) -> str:
    return cell.strip().strip('"').strip().lower().replace("-", "_").replace(" ", "_")


def _columns(line: int, cells: Sequence[str]) -> tuple[str, ...]:
    """Understand the first line. Columns without a name are taken where nothing stands below."""
    names = tuple(map(_name, cells))
    known = f"the columns are: {', '.join(COLUMNS)}"
    if EMAIL not in names:
        raise _at(line, "no column is named email", f"begin with a line of columns: {','.join(COLUMNS)}")
    faults = [
        Fault(line=line, what=f"there is no column {_shown(cell)}", hint=f"take it out, or name it: {known}")
        for name, cell in zip(names, cells, strict=True)
        if name and name not in COLUMNS
    ]
    faults += [
        Fault(line=line, what=f"the column {name} stands there twice", hint="take one out")
        for name in COLUMNS
        if names.count(name) > 1
    ]
    if faults:
        raise RosterError(faults)
    return names


def _row(line: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    """Put a row together; cells that are missing at its end are empty."""
    found = dict(zip(columns, cells, strict=False))
    nameless = [cell for name, cell in zip(columns, cells, strict=False) if not name]
    if any(cell.strip() for cell in (*nameless, *cells[len(columns) :])):
        hint = "a cell with a separator in it is put in quotes"
        raise _at(line, "there are more cells than columns", hint)
    if not found[EMAIL].strip():
        raise _at(line, "there is no email", "write one, or take the line out")
    upstream = {}
    for prefix, service in _SERVICES.items():
        login, secret = found.get(f"{prefix}_login", "").strip(), found.get(f"{prefix}_secret", "")
        if login or secret.strip():
            upstream[service] = Upstream(login=login, secret=Secret(secret) if secret.strip() else None)
    aliases = tuple(filter(None, _BETWEEN.split(found.get(ALIASES, ""))))
    return Row(line=line, email=found[EMAIL].strip(), aliases=aliases, upstream=upstream)


def _shown(cell: str) -> str:
    """Give a column's name as it was typed; a first line that is a row may hold anything."""
    text = cell.strip()
    return text if re.fullmatch(r"[\w .-]{1,40}", text) else "like the one there"


def _at(line: int, what: str, hint: str) -> RosterError:
    return RosterError([Fault(line=line, what=what, hint=hint)])
