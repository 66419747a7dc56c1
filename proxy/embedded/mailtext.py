"""The text of one message as SEARCH compares it: decoded once, when first needed, without regard to case.

Whatever a message says about itself costs time in proportion to its size. Only character sets whose decoders
are linear are used (Python's punycode and idna are not, and some of its codecs are no character sets at all);
text in any other is read as Latin-1. As much is decoded of one message as `limits.EMBEDDED_SEARCH_OCTETS`.
"""

from __future__ import annotations

import binascii
import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

from proxy import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.embedded.mime import Part

_CODECS: Final = {
    **{name: name for name in ("utf-8", "us-ascii", "koi8-r", "koi8-u")},
    **{f"iso-8859-{number}": f"iso-8859-{number}" for number in (*range(1, 12), 13, 14, 15, 16)},
    **{f"windows-{number}": f"cp{number}" for number in (874, *range(1250, 1259))},
    **{name: name for name in ("iso-2022-jp", "iso-2022-kr", "euc-jp", "gb18030", "macintosh", "tis-620")},
    "ascii": "us-ascii",
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks-c-5601-1987": "cp949",
    "latin1": "iso-8859-1",
    "shift-jis": "cp932",
    "utf8": "utf-8",
    "windows-31j": "cp932",
    "x-sjis": "cp932",
}
"""Character set in mail, and the decoder, which may be that of a larger one with the same beginnings."""
_ENCODED_WORD: Final = re.compile(r"=\?([^?\s]{1,64}+)\?([bq])\?([^?]*+)\?=", re.IGNORECASE)
_ENCODED_RUN: Final = re.compile(rf"(?:{_ENCODED_WORD.pattern})++", re.IGNORECASE)
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_BETWEEN_WORDS: Final = re.compile(r"(?<=\?=)\s++(?==\?)")


class MailText:
    """What can be read in one message."""

    def __init__(self, message: Part, *, most: int = limits.EMBEDDED_SEARCH_OCTETS) -> None:
        self._message = message
        self._left = most
        self._fields: dict[bytes, tuple[str, ...]] = {}
        self._texts: tuple[tuple[bool, str], ...] | None = None

    def fields(self, name: bytes) -> tuple[str, ...]:
        """The values of all fields of the header with that (lower-case) name."""
        if name not in self._fields:
            values = (value for known, value in self._message.fields if known == name)
            self._fields[name] = tuple(shown(value) for value in values)
        return self._fields[name]

    def holds(self, wanted: str, *, headers: bool) -> bool:
        """Whether a folded text is in the body, or also in the headers of the message and its parts."""
        if self._texts is None:
            self._texts = tuple(self._read(self._message, enclosed=False))
        return any(wanted in text for in_body, text in self._texts if headers or in_body)

    def _read(self, part: Part, *, enclosed: bool) -> Iterator[tuple[bool, str]]:
        """Every readable text with whether it is of the body, as the header of an enclosed message is."""
        for name, value in part.fields:
            # RFC 3501 §6.4.4: BODY is all but the header of the message itself.
            yield enclosed, f"{name.decode('ascii')}: {shown(self._allowed(value, 0, len(value)))}"
        for inner in part.parts:
            yield from self._read(inner, enclosed=enclosed or part.message is inner)
        if part.kind[0] == b"text":
            yield True, _body(part, self._allowed(part.text, part.body, part.end))

    def _allowed(self, text: bytes, start: int, end: int) -> bytes:
        """As much of these octets as may still be decoded, in whole lines where there are some."""
        if end - start > self._left:
            longest = start + self._left
            end = text.rfind(b"\n", start, longest) + 1 or longest
        self._left -= end - start
        return text[start:end]


def shown(value: bytes) -> str:
    """A field's value as it is shown, encoded words decoded (RFC 2047), folded."""
    text = _BETWEEN_WORDS.sub("", decoded(value, b"utf-8"))
    return _ENCODED_RUN.sub(lambda run: _words(run[0]), text).casefold()


def decoded(octets: bytes, charset: bytes) -> str:
    """Text in a character set of mail; Latin-1 where that is unknown or wrong."""
    codec = _CODECS.get(charset.decode("latin-1").strip().lower().replace("_", "-"), "latin-1")
    try:
        return octets.decode(codec)
    except ValueError:
        return octets.decode("latin-1")


def _words(run: str) -> str:
    """Decode encoded words that stand together; a character may be split between two of them."""
    words = ((word[1].partition("*")[0].lower(), _word(word)) for word in _ENCODED_WORD.finditer(run))
    return "".join(
        decoded(b"".join(octets for _, octets in group), charset.encode("utf-8"))
        for charset, group in groupby(words, key=lambda word: word[0])
    )


def _word(word: re.Match[str]) -> bytes:
    octets = word[3].encode("utf-8")
    return binascii.a2b_qp(octets, header=True) if word[2] in "qQ" else _from_base64(octets)


def _body(part: Part, octets: bytes) -> str:
    match (part.first(b"content-transfer-encoding") or b"").strip().lower():
        case b"quoted-printable":
            octets = binascii.a2b_qp(octets)
        case b"base64":
            octets = _from_base64(octets)
    return decoded(octets, dict(part.parameters).get(b"charset", b"utf-8")).casefold()


def _from_base64(octets: bytes) -> bytes:
    """Decode up to the padding; a wrong length, as of a text that was cut short, loses its end only."""
    digits = _NOT_BASE64.sub(b"", octets.partition(b"=")[0])
    whole = digits[:-1] if len(digits) % 4 == 1 else digits
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
