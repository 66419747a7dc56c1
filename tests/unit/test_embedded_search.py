"""SEARCH keys against messages that are made up."""

from base64 import b64encode
from dataclasses import dataclass, field

import pytest

from proxy.embedded import mime
from proxy.embedded.arguments import Arguments, BadArgumentsError
from proxy.embedded.mailtext import MailText
from proxy.embedded.search import UnknownCharsetError, read_search
from proxy.embedded.sequence import SequenceSet, compact
from proxy.imap.grammar import Literal

MESSAGE = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\n"
    b"To: alice@example.org\r\nCc: carol@example.org\r\n"
    b"Subject: =?utf-8?b?R3LDvMOfZQ==?= from here\r\nDate: Sat, 14 Nov 2026 23:30:00 -0200\r\nX-Empty:\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"K=FCche und mehr\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"R2VoZWltbmlz\r\n--b\r\nContent-Type: application/pdf\r\n\r\nunsichtbar\r\n--b--\r\n"
)


@dataclass
class Made:
    number: int = 2
    uid: int = 20
    largest: tuple[int, int] = (3, 30)
    marks: tuple[str, ...] = ("\\Seen", "\\Recent", "$Forwarded")
    at: float = 1_794_700_800.0  # 15 November 2026, 00:00 UTC
    octets: bytes = field(default=MESSAGE, repr=False)
    texts: list[MailText] = field(default_factory=list)

    def flags(self):
        return self.marks

    def received(self):
        return self.at

    def size(self):
        return len(self.octets)

    def part(self):
        return mime.parse(self.octets)

    def text(self):
        if not self.texts:
            self.texts.append(MailText(self.part()))
        return self.texts[0]


def found(*pieces, message=None) -> bool:
    return read_search(Arguments(pieces))(message or Made())


@pytest.mark.parametrize(
    "keys",
    [
        b"ALL",
        b"SEEN",
        b"seen",
        b"RECENT",
        b"UNFLAGGED",
        b"UNANSWERED",
        b"UNDELETED",
        b"UNDRAFT",
        b"NOT NEW",
        b"NOT OLD",
        b"KEYWORD $Forwarded",
        b"KEYWORD $forwarded",
        b"UNKEYWORD other",
        b"NOT KEYWORD other",
        b"2",
        b"1:2",
        b"2:*",
        b"3,2",
        b"NOT *",
        b"UID 20",
        b"UID 1:20",
        b"UID *:5",
        b"NOT UID 21:*",
        b"LARGER 100",
        b"SMALLER 10000",
        b"FROM juergen@",
        b'FROM "rgen <jue"',
        b"TO ALICE",
        b"CC carol",
        b"NOT BCC x",
        b'SUBJECT "from HERE"',
        b'HEADER X-Empty ""',
        b'NOT HEADER X-None ""',
        b"HEADER to example",
        b"BODY mehr",
        b"BODY geheimnis",
        b"NOT BODY unsichtbar",
        b"NOT BODY juergen",
        b"TEXT juergen",
        b"TEXT mehr",
        b"ON 15-Nov-2026",
        b"SINCE 15-nov-2026",
        b'BEFORE "16-Nov-2026"',
        b"NOT BEFORE 15-Nov-2026",
        b"SENTON 14-Nov-2026",
        b"SENTSINCE 1-Nov-2026",
        b"SENTBEFORE 15-Nov-2026",
        b"NOT SENTSINCE 15-Nov-2026",
        b"OR FLAGGED SEEN",
        b"OR (FLAGGED SEEN) (SEEN 2)",
        b"(SEEN (RECENT))",
        b"SEEN RECENT 2",
        b"NOT NOT SEEN",
        b"CHARSET UTF-8 SEEN",
        b'charset "us-ascii" ALL',
        b"NOT (SEEN FLAGGED)",
    ],
)
def test_it_matches(keys):
    assert found(keys)


@pytest.mark.parametrize("text", ["grüße", "GRÜSSE", "Jürgen".upper()])
def test_letters_of_every_kind_by_literal(text):
    key = b"FROM " if "J" in text else b"SUBJECT "
    assert found(b"CHARSET UTF-8 " + key, Literal(text.encode()), b" SEEN")
    assert not found(b"CHARSET UTF-8 " + key, Literal(text.encode()), b" FLAGGED")


@pytest.mark.parametrize("charset", [b"punycode", b"idna", b"unicode_escape", b"rot13", b"utf-7", b"none"])
def test_only_decoders_that_take_time_by_size_are_used(charset):
    """punycode and idna are quadratic: one message of some megabytes would stop every session."""
    body = b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\nKche-zra"
    subject = b"Subject: =?" + charset + b"?q?Kche-zra?=\r\n\r\n"
    for key, octets in ((b"BODY", body), (b"SUBJECT", subject)):
        assert found(key + b" kche-zra", message=Made(octets=octets))


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("ISO-2022-JP", "iso-2022-jp", "日本語"),
        ("Shift_JIS", "shift-jis", "日本語"),
        ("ks_c_5601-1987", "euc-kr", "한국어"),
        ("gb2312", "gb2312", "中文"),
        ("Big5", "big5", "中文"),
        ("koi8-r", "koi8-r", "русский"),
        ("windows-1251", "windows-1251", "русский"),
        ("utf8", "utf-8", "grüße"),
        ("iso-8859-15", "iso-8859-15", "€"),
    ],
)
def test_character_sets_that_mail_is_written_in(charset, codec, text):
    encoded = text.encode(codec)
    word = b"=?%b*en?B?%b?=" % (charset.encode(), b64encode(encoded).rstrip(b"="))
    body = b"Content-Type: text/plain; charset=%b\r\n\r\n" % charset.encode() + encoded
    for key, octets in ((b"BODY ", body), (b"SUBJECT ", b"Subject: " + word + b"\r\n\r\n")):
        assert found(key, Literal(text.encode()), b"", message=Made(octets=octets))


def test_encoded_words_one_after_another():
    split = b"Subject: =?utf-8?q?Gr=C3?=\r\n =?UTF-8?B?vMOfZQ==?= =?iso-8859-1?q?_K=FC?= x\r\n\r\n"
    assert found(b"SUBJECT ", Literal("grüße kü x".encode()), b"", message=Made(octets=split))
    assert found(b"SUBJECT ", Literal("café".encode()), b"", message=Made(octets=b"Subject: caf\xe9\r\n\r\n"))


def test_text_in_its_own_character_set():
    assert found(b"BODY ", Literal("küche".encode()), b"")


@pytest.mark.parametrize(
    "keys",
    [
        b"",
        b"NONSENSE",
        b"UNRECENT",
        b"UNALL",
        b"(SEEN",
        b"SEEN)",
        b"()",
        b"OR SEEN",
        b"NOT",
        b"FROM",
        b"SEEN  SEEN",
        b"LARGER x",
        b"ON 31-Feb-2026",
        b"ON 1-Foo-2026",
        b"ON yesterday",
        b"UID x",
        b"0",
        b"1:",
        b"KEYWORD",
        b"NOT " * 20 + b"SEEN",
        b" ".join([b"SEEN"] * 300),
        b"SENTSEEN 1-Jan-2026",
    ],
)
def test_it_is_refused(keys):
    with pytest.raises(BadArgumentsError):
        found(keys)


def test_a_time_of_arrival_beyond_the_calendar_is_a_day_all_the_same():
    assert found(b"SINCE 1-Jan-2026", message=Made(at=1e30))
    assert found(b"BEFORE 1-Jan-2026", message=Made(at=-1e30))


def test_an_unknown_charset_is_told_apart():
    with pytest.raises(UnknownCharsetError):
        found(b"CHARSET KOI8-R ALL")


@pytest.mark.parametrize(
    "octets",
    [
        b"Date: nonsense\r\n\r\n",
        b"Date: Sat, 14 Nov 2026 23:30:00 +99999999999\r\n\r\n",
        b"Date: Sat, 14 Nov 99999999999 23:30:00 +0000\r\n\r\n",
        b"Date: Sat, 99999999999 Nov 2026 23:30:00 +0000\r\n\r\n",
        b"Date: " + b"9" * 9_000 + b"\r\n\r\n",
        b"\r\n",
        b"Subject: =?none?b?!!?=\r\n\r\n",
        b"Content-Type: text/plain; charset=none\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
    ],
)
def test_messages_that_cannot_be_read_do_not_match_and_do_no_harm(octets):
    assert not found(b"OR SENTON 1-Jan-2026 OR SUBJECT zzz TEXT zzz", message=Made(octets=octets))


def test_as_much_of_a_text_is_decoded_as_is_allowed_and_only_once():
    octets = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "grün\r\n".encode() * 100 + b"late"
    text = MailText(mime.parse(octets), most=200)
    assert text.holds("grün\r\ngrün", headers=False)
    assert text.holds("content-type: text/plain", headers=True)
    assert not text.holds("content-type: text/plain", headers=False)
    assert not text.holds("late", headers=True)
    assert MailText(mime.parse(octets)).holds("late", headers=False)
    text._message = None  # everything has been read
    assert text.holds("grün", headers=False)


def test_one_search_decodes_a_message_once():
    looks = Made()
    assert found(b" ".join([b"NOT BODY zzz"] * 90), message=looks)
    assert len(looks.texts) == 1


@pytest.mark.parametrize(
    ("text", "numbers", "places"),
    [
        (b"1:3", [1, 2, 5], [0, 1]),
        (b"*", [1, 2, 5], [2]),
        (b"9:*", [1, 5], [1]),
        (b"5:1,1", [1, 5], [0, 1]),
        (b"1:4294967295", [7], [0]),
        (b"*:*", [], []),
        (b"3", [1, 5], []),
    ],
)
def test_sets(text, numbers, places):
    assert SequenceSet.parse(text).pick(numbers) == places


@pytest.mark.parametrize(
    "text", [b"", b"0", b"1,,2", b"1:2:3", b"4294967296", b"a", b":", b"01234567890", b"-1"]
)
def test_texts_that_are_no_sets(text):
    with pytest.raises(ValueError):
        SequenceSet.parse(text)


def test_sets_written_short():
    assert compact([1, 2, 3, 7, 9, 10]) == b"1:3,7,9:10"
    assert compact([]) == b""
