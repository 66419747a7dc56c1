"""Each command that a reader may send, by name, and what nobody may."""

import pytest

from proxy.imap.permitted import Mode, Verdict, is_plain, judge, may_hold_lines, shown
from proxy.limits import IMAP_TAG_OCTETS

READS = """
CAPABILITY NOOP LOGOUT ID ENABLE LANGUAGE COMPARATOR
EXAMINE SELECT NAMESPACE LIST LSUB XLIST STATUS CLOSE UNSELECT CHECK
SEARCH FETCH SORT THREAD ESEARCH GETQUOTA GETQUOTAROOT GETACL LISTRIGHTS MYRIGHTS GETMETADATA
"""
WRITES = """
STORE COPY MOVE EXPUNGE APPEND REPLACE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE SETQUOTA SETACL DELETEACL
SETMETADATA SETANNOTATION NOTIFY GENURLAUTH RESETKEY URLFETCH XAPPLEPUSHSERVICE CONVERT UID XWHATEVER DONE
"""
NEVER = "AUTHENTICATE COMPRESS LOGIN STARTTLS UNAUTHENTICATE"
BY_UID = {"FETCH": True, "SEARCH": True, "SORT": True, "THREAD": True} | dict.fromkeys(
    ("STORE", "COPY", "MOVE", "EXPUNGE", "REPLACE", "UID", "X"), False
)


def verdict(text: str, mode: Mode) -> Verdict:
    return judge(text.encode(), mode).verdict


@pytest.mark.parametrize("name", READS.split())
def test_what_a_reader_may(name):
    for text in (f"a {name}", f"a {name.lower()} x", f"a {name} "):
        assert verdict(text, Mode.READ_ONLY) is verdict(text, Mode.WHOLE) is Verdict.PASSES


@pytest.mark.parametrize("mode", Mode)
def test_idle_stands_alone(mode):
    assert verdict("a IDLE", mode) is verdict("a idle", mode) is Verdict.PASSES
    for text in ("a IDLE ", "a idle x", "a IDLE  "):  # the first is all of it where a literal follows
        assert verdict(text, mode) is Verdict.NO_COMMAND


@pytest.mark.parametrize("name", WRITES.split())
def test_what_a_reader_may_not(name):
    for text in (f"a {name}", f"a {name.lower()} x"):
        assert verdict(text, Mode.READ_ONLY) is Verdict.NOT_PERMITTED
        assert verdict(text, Mode.WHOLE) is Verdict.PASSES


@pytest.mark.parametrize("name", NEVER.split())
@pytest.mark.parametrize("mode", Mode)
def test_what_nobody_may(name, mode):
    for text in (f"a {name}", f"a {name.lower()} x"):
        assert verdict(text, mode) is Verdict.NOT_KNOWN


@pytest.mark.parametrize("name", BY_UID)
def test_by_uid(name):
    for text in (f"a UID {name}", f"a uid {name.lower()} 1"):
        assert (verdict(text, Mode.READ_ONLY) is Verdict.PASSES) == BY_UID[name]
    assert verdict(f"a UID  {name}", Mode.READ_ONLY) is Verdict.NOT_PERMITTED
    assert verdict(f"a UID{name}", Mode.READ_ONLY) is Verdict.NOT_PERMITTED


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        *((b"", None), (b" NOOP", None), (b"* NOOP", None), (b"+ NOOP", None), (b"a+ NOOP", None)),
        *((b"a(b NOOP", None), (b'"a" NOOP', None), (b"\xc3\xa4 NOOP", None), (b"a\tNOOP", None)),
        (b"t" * (IMAP_TAG_OCTETS + 1) + b" NOOP", None),
        *((b"a", b"a"), (b"a ", b"a"), (b"a  NOOP", b"a"), (b"a NOOP\t", b"a"), (b"a \tNOOP", b"a")),
        *((b"a 1NOOP", b"a"), (b'a "NOOP"', b"a"), (b"a NO\xc3\x96P", b"a"), (b"a (NOOP)", b"a")),
    ],
)
def test_no_command(text, tag):
    for mode in Mode:
        judged = judge(text, mode)
        assert (judged.verdict, judged.tag) == (Verdict.NO_COMMAND, tag)


def test_a_mailbox_is_opened_for_reading_by_readers():
    assert judge(b"a SELECT INBOX (CONDSTORE)", Mode.READ_ONLY).text == b"a EXAMINE INBOX (CONDSTORE)"
    assert judge(b"a select ", Mode.READ_ONLY).text == b"a EXAMINE "
    assert judge(b"a SELECT INBOX z UNAUTHENTICATE", Mode.READ_ONLY).verdict is Verdict.NO_COMMAND
    assert judge(b"a SELECT INBOX", Mode.WHOLE).text == b"a SELECT INBOX"
    assert judge(b"a Fetch 1 SELECT", Mode.READ_ONLY).text == b"a Fetch 1 SELECT"


def test_what_is_shown_is_what_may_be_used():
    there = (
        b"IMAP4rev1 Compress=DEFLATE unauthenticate AUTH=PLAIN STARTTLS IDLE NOTIFY UrlAuth=BINARY SASL-IR"
    )
    assert shown(there, Mode.WHOLE) == b"IMAP4rev1 IDLE NOTIFY UrlAuth=BINARY"
    assert shown(there, Mode.READ_ONLY) == b"IMAP4rev1 IDLE"


@pytest.mark.parametrize(
    ("opening", "before", "may"),
    [
        *(
            (b"a APPEND ", None, False),
            (b"a APPEND INBOX ", None, True),
            (b"a append INBOX (x) ", None, True),
        ),
        *(
            (b"a APPEND ", b" ", True),
            (b"a APPEND x ", b" (x) ", True),
            (b"a APPEND x CATENATE (TEXT ", None, True),
        ),
        *((b"a APPEND x CATENATE (URL ", None, False), (b"a APPEND ", b" CATENATE (TEXT ", True)),
        *((b"a APPEND ", b" CATENATE (URL ", False), (b"a APPEND x CATENATE (TEXT ", b" URL ", False)),
        *(
            (b"a REPLACE 4 ", None, False),
            (b"a UID REPLACE 4 x ", None, True),
            (b"a UID REPLACE 4 ", b" ", True),
        ),
        *((b"a SETMETADATA ", None, False), (b"a SETMETADATA x (/private/comment ", None, True)),
        *((b"a SEARCH ", None, False), (b"a SEARCH APPEND x ", None, False), (b"a SEARCH ", b" ", False)),
        *((b"APPEND SEARCH x ", None, False), (b"a UID SEARCH REPLACE 4 x ", None, False)),
    ],
)
def test_whose_literals_may_hold_lines(opening, before, may):
    assert may_hold_lines(opening, before) is may


@pytest.mark.parametrize("rest", ["STATUS z", "STATUS", "STATUS ", 'STATUS "x', "status\tz", "STATUS) z"])
@pytest.mark.parametrize("mode", Mode)
def test_status_with_its_list_alone(rest, mode):
    assert verdict(f'a LIST "" "*" RETURN (CHILDREN {rest}', mode) is Verdict.NO_COMMAND
    assert verdict(f'a XLIST "" ("*") return ({rest}', mode) is Verdict.NO_COMMAND
    assert not is_plain(b"LIST", b" /private/comment) " + rest.encode(), begins=False)
    assert verdict(f'a LIST "" "*" RETURN (X{rest}', mode) is Verdict.PASSES
    assert verdict(f"a SEARCH RETURN ({rest}", mode) is Verdict.PASSES


@pytest.mark.parametrize("name", ["SETQUOTA INBOX (", "XWARMUP INBOX", "SEARCH TEXT"])
@pytest.mark.parametrize("mode", Mode)
def test_what_lets_in_anew_stands_in_no_line(name, mode):
    for hidden in ("z UNAUTHENTICATE", "z unauthenticate ", "z COMPRESS DEFLATE", "z compress deflate x"):
        assert verdict(f"a {name} {hidden}", mode) is Verdict.NO_COMMAND
        assert not is_plain(b"SETQUOTA", f" {hidden}".encode(), begins=False)
    for plain in ("UNAUTHENTICATED", "compress", '"COMPRESS" DEFLATE', "UNAUTHENTICATE x"):
        assert verdict(f"a SEARCH TEXT {plain}", mode) is Verdict.PASSES
