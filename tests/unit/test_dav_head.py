"""Every trick with a head is refused the same, whole and split at every octet; honest heads are read."""

from __future__ import annotations

import pytest

from proxy.dav.head import BadHead, Fault, Head
from proxy.limits import DAV_FIELDS, DAV_HEAD_OCTETS, DAV_TARGET_OCTETS
from support.dav_heads import HOST, outcome, outcomes, request

GET = b"GET / HTTP/1.1\r\n"


def head(octets: bytes) -> Head:
    found = outcomes(octets)
    assert isinstance(found, tuple), found
    assert found[1] == b""
    return found[0]


def test_a_head_is_read():
    read = head(
        request(
            b"AUTHORIZATION: Basic eA==",
            b"Accept:\t text/vcard \t",
            b"Accept: */*",
            b"User-Agent: caf\xe9",
            b"X-Empty:",
            b"Content-Length: 12",
            b"Expect: 100-Continue",
            first=b"PUT /a%20b/?x=1 HTTP/1.1",
        )
    )
    assert read == Head(
        method="PUT",
        target="/a%20b/?x=1",
        fields={
            "host": "mail.example.org",
            "authorization": "Basic eA==",
            "accept": "text/vcard, */*",
            "user-agent": "caf\xe9",
            "x-empty": "",
            "content-length": "12",
            "expect": "100-Continue",
        },
        length=12,
        modern=True,
        keep_alive=True,
        expects=True,
    )


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ((), 0),
        ((b"Content-Length: 0",), 0),
        ((b"Content-Length: 0012",), 12),
        ((b"Content-Length: 999999999999999999",), 999_999_999_999_999_999),
        ((b"Transfer-Encoding: chunked",), None),
        ((b"transfer-encoding: Chunked",), None),
    ],
)
def test_a_body_has_one_end(lines, length):
    assert head(request(*lines)).length == length


@pytest.mark.parametrize(
    ("first", "lines", "keep_alive"),
    [
        (b"GET / HTTP/1.1", (), True),
        (b"GET / HTTP/1.1", (b"Connection: keep-alive",), True),
        (b"GET / HTTP/1.1", (b"Connection: Close",), False),
        (b"GET / HTTP/1.1", (b"Connection: x", b"Connection: close ,y"), False),
        (b"GET / HTTP/1.1", (b"Connection: disclose",), True),
        (b"GET / HTTP/1.0", (), False),
        (b"GET / HTTP/1.0", (b"Connection: keep-alive",), False),
    ],
)
def test_when_a_connection_goes_on(first, lines, keep_alive):
    assert head(request(*lines, first=first)).keep_alive is keep_alive


def test_http_1_0_cannot_expect():
    assert not head(request(b"Expect: anything", first=b"GET / HTTP/1.0")).expects


@pytest.mark.parametrize(
    ("first", "target"),
    [
        (b"GET http://mail.example.org/x?y HTTP/1.1", "/x?y"),
        (b"GET HTTPS://Mail.Example.Org/x HTTP/1.1", "/x"),
        (b"GET https://mail.example.org HTTP/1.1", "/"),
        (b"OPTIONS * HTTP/1.1", "*"),
        (b"GET //x HTTP/1.1", "//x"),
    ],
)
def test_our_own_absolute_form_is_reduced(first, target):
    assert head(request(first=first)).target == target


@pytest.mark.parametrize("host", [b"mail.example.org", b"MAIL.example.org:8443", b"[2001:db8::1]:443"])
def test_our_names(host):
    assert head(GET + b"Host: " + host + b"\r\n\r\n").fields["host"] == host.decode()


@pytest.mark.parametrize("rest", [b"", b"GET", b"\r\n\r\n", b"\0\n"])
def test_what_comes_behind_is_left(rest):
    found = outcome([request() + rest])
    assert isinstance(found, tuple)
    assert found[1] == rest


def test_one_empty_line_may_come_before():
    assert head(b"\r\n" + request()).method == "GET"
    assert outcomes(b"\r\n\r\n" + request()) is Fault.REQUEST_LINE
    assert outcomes(b"\r\n\r\n\r\n") is Fault.REQUEST_LINE


@pytest.mark.parametrize("octets", [b"", b"\r", b"\r\n", b"G", GET, GET + HOST, GET + HOST + b"\r"])
def test_an_unfinished_head_waits(octets):
    assert outcomes(octets) is None


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\n",
        b"\n",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: mail.example.org\n\n",
        b"GET / HTTP/1.1\r\nHost: mail.example.org\r\n\n",
        b"GET / HTTP/1.1\r\nHost: mail.example.org\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rHost: mail.example.org\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: mail.example.org\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: mail.example.org\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nContent-Length: 5\r\nHost: mail.example.org\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\nHost: mail.example.org\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: mail.example.org\r\n\r\n",
    ],
)
def test_octets_that_end_lines_for_some(octets):
    assert outcomes(octets) is Fault.OCTET


@pytest.mark.parametrize(
    "first",
    [
        b"GET",
        b"GET /",
        b"GET / ",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / x HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/11.1",
        b"GET / HTTP/+1.1",
        b"GET / HTTP/1.\xb9",
        b"GET / HTTP /1.1",
        b"G(T / HTTP/1.1",
        b"G\xe9T / HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\x1b[2J HTTP/1.1",
        b": / HTTP/1.1",
    ],
)
def test_no_request_line(first):
    assert outcomes(request(first=first)) is Fault.REQUEST_LINE


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"1.9", b"2.0", b"3.0", b"9.9"])
def test_other_versions(version):
    assert outcomes(request(first=b"GET / HTTP/" + version)) is Fault.VERSION


def test_http_2_is_answered_at_its_preface():
    assert outcome([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) is Fault.VERSION
    assert outcomes(b"PRI * HTTP/2.0\r\n\r\n") is Fault.VERSION


@pytest.mark.parametrize("first", [b"CONNECT mail.example.org:443 HTTP/1.1", b"TRACE / HTTP/1.1"])
def test_methods_of_proxies(first):
    assert outcomes(request(first=first)) is Fault.METHOD


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"alice",
        b"?x",
        b"mail.example.org:443",
        b"http://evil.example/x",
        b"https://mail.example.org.evil.example/",
        b"https://mail.example.org:8443/",
        b"https://mail.example.org@evil.example/",
        b"https://u:p@mail.example.org/",
        b"https://mail.example.org?x",
        b"https://mail.example.org\\/",
        b"https:///x",
        b"https:/x",
        b"https:x",
        b"ftp://mail.example.org/",
        b"file:///etc/passwd",
        b"/x#y",
        b"https://mail.example.org/#x",
    ],
)
def test_targets_that_are_not_ours(target):
    assert outcomes(request(first=b"GET " + target + b" HTTP/1.1")) is Fault.TARGET


@pytest.mark.parametrize(
    "line",
    [
        b" folded",
        b"\tfolded",
        b"A : b",
        b"A\t: b",
        b": b",
        b"A",
        b"A b: c",
        b"A(b): c",
        b"\xe9: c",
        b"A: b\x01",
        b"A: \x7f",
        b"A: \x1b[2J",
        b"A: b\x0bc",
        b"Content-Length : 5",
        b" Content-Length: 5",
        b"Transfer-Encoding : chunked",
        b"\x0bTransfer-Encoding: chunked",
        b"Transfer-Encoding: \x0bchunked",
    ],
)
def test_no_fields(line):
    assert outcomes(request(line)) is Fault.FIELD
    assert outcomes(request(b"A: b", line, b"C: d")) is Fault.FIELD


@pytest.mark.parametrize(
    "line",
    [
        b"Host: mail.example.org",
        b"hOST: evil.example",
        *(b"%b: x" % name for name in (b"Authorization", b"Destination", b"Depth", b"If", b"Overwrite")),
        *(b"%b: 5" % name for name in (b"Content-Length", b"Content-Type", b"Expect", b"Lock-Token")),
        b"Transfer-Encoding: chunked",
    ],
)
def test_what_may_come_once(line):
    assert outcomes(request(line, line.replace(b": ", b":"))) is Fault.REPEATED
    assert outcomes(request(line.upper(), b"A: b", line.lower())) is Fault.REPEATED


@pytest.mark.parametrize(
    "host",
    [b"", b" ", b"a b", b"mail.example.org/", b"a@b", b"a,b", b"a:b", b":443", b"a:443:1", b"[", b"\xe9"],
)
def test_bad_hosts(host):
    assert outcomes(GET + b"Host: " + host + b"\r\n\r\n") is Fault.HOST


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_host_must_be_there(version):
    assert outcomes(b"GET / HTTP/" + version + b"\r\nA: b\r\n\r\n") is Fault.HOST
    assert outcomes(b"GET / HTTP/" + version + b"\r\n\r\n") is Fault.HOST
    assert outcomes(b"GET https://mail.example.org/ HTTP/" + version + b"\r\n\r\n") is Fault.HOST


@pytest.mark.parametrize("host", [b"evil.example", b"mail.example.org.", b"mail.example.org:1", b"127.0.0.1"])
def test_foreign_hosts(host):
    lines = b"X-Forwarded-Host: mail.example.org\r\nForwarded: host=mail.example.org\r\n\r\n"
    assert outcomes(GET + b"Host: " + host + b"\r\n" + lines) is Fault.FOREIGN


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"+5", b"-5", b"5,5", b"5, 5", b"5 5", b"0x5", b"1_0", b"5.0", b"5e0", b"\xb2", b"5;"),
        *(b"9" * 19, b'"5"', b"five", b"\xd9\xa5", b"5,", b",5"),
    ],
)
def test_bad_lengths(value):
    assert outcomes(request(b"Content-Length: " + value)) is Fault.LENGTH


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"chunked, identity"),
        *(b"xchunked", b"chunkedx", b"chunked;x=y", b'"chunked"', b"chunked,", b",chunked", b"chun ked"),
    ],
)
def test_bad_codings(value):
    assert outcomes(request(b"Transfer-Encoding: " + value)) is Fault.CODING


@pytest.mark.parametrize("length", [b"5", b"0", b"x"])
def test_two_ends_of_one_body(length):
    lines = (b"Content-Length: " + length, b"Transfer-Encoding: chunked")
    assert outcomes(request(*lines)) is Fault.CODING
    assert outcomes(request(*reversed(lines))) is Fault.CODING


def test_http_1_0_has_no_chunks():
    assert outcomes(request(b"Transfer-Encoding: chunked", first=b"PUT / HTTP/1.0")) is Fault.CODING


@pytest.mark.parametrize("line", [b"Upgrade: h2c", b"upgrade: websocket", b"Upgrade:"])
def test_no_upgrade(line):
    assert outcomes(request(line, b"Connection: Upgrade")) is Fault.UPGRADE


@pytest.mark.parametrize("value", [b"", b"100", b"100-continue, x", b"200-ok"])
def test_bad_expectations(value):
    assert outcomes(request(b"Expect: " + value)) is Fault.EXPECT


def test_the_most_fields():
    lines = [b"X-%d: y" % number for number in range(DAV_FIELDS)]
    assert head(request(*lines[1:]))
    assert outcome([request(*lines)]) is Fault.TOO_LARGE


def test_the_longest_head():
    rest = DAV_HEAD_OCTETS - len(request(b"A: "))
    assert head(request(b"A: " + b"x" * rest))
    assert outcomes(request(b"A: " + b"x" * (rest + 1))) is Fault.TOO_LARGE
    assert outcomes(request(b"A: " + b"x" * (rest - 2))[:-4] + b"x" * 10_000) is Fault.TOO_LARGE
    assert outcomes(request(b"A: ")[:-4] + b"x" * (rest + 4) + b"\n") is Fault.TOO_LARGE


def test_the_longest_target():
    longest = b"/" * DAV_TARGET_OCTETS
    assert head(request(first=b"GET " + longest + b" HTTP/1.1"))
    assert outcome([request(first=b"GET /" + longest + b" HTTP/1.1")]) is Fault.TARGET_TOO_LONG
    assert outcomes(b"GET /" + b"x" * DAV_HEAD_OCTETS) is Fault.TARGET_TOO_LONG


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        *((Fault.METHOD, 405), (Fault.VERSION, 505), (Fault.TARGET_TOO_LONG, 414), (Fault.TOO_LARGE, 431)),
        *((Fault.FOREIGN, 421), (Fault.EXPECT, 417), (Fault.OCTET, 400), (Fault.LENGTH, 400)),
    ],
)
def test_what_clients_are_told(fault, status):
    assert BadHead(fault).status == status
    assert str(BadHead(fault)) == fault
