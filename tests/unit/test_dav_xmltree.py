"""XML within budgets: what is read, what is refused, and that what is written is what was read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dav.xmltree import BadXml, Budget, Node, XmlReader, closing, document, inner, opening, read

WIDE = Budget(octets=100_000, elements=1_000)


def plain(node: Node) -> object:
    """Give a tree without the accidents of how its text came in pieces."""
    content: list[object] = []
    for each in node.content:
        if isinstance(each, Node):
            content.append(plain(each))
        elif content and isinstance(content[-1], str):
            content[-1] += each
        else:
            content.append(each)
    return node.name, node.attributes, content


def test_names_attributes_and_text() -> None:
    root = read(
        b'<?xml version="1.0" encoding="UTF-8"?><!-- gone -->'
        b'<a:x xmlns:a="DAV:" k="1 &lt;&quot;" xml:lang="de">'
        b"t&amp;<y xmlns='urn:x'><![CDATA[<z>]]></y>\xc3\xbc<?gone too?></a:x>",
        WIDE,
    )
    xml_lang = "{http://www.w3.org/XML/1998/namespace}lang"
    assert plain(root) == (
        "{DAV:}x",
        {"k": '1 <"', xml_lang: "de"},
        ["t&", ("{urn:x}y", {}, ["<z>"]), "\u00fc"],
    )
    assert root.text() == "t&\u00fc"
    assert [each.name for each in root.walk()] == ["{DAV:}x", "{urn:x}y"]
    assert list(root.named("{DAV:}y")) == []


NAMES = st.sampled_from(["{DAV:}a", "{urn:x}b", "{urn:ietf:params:xml:ns:caldav}c", "plain", "{a&\"<'}d"])
TEXTS = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8
)
TEXTS_WITH_LINES = st.one_of(TEXTS, st.sampled_from(["\r\n", "\r", "\n\t", "]]>", "&amp;"]))
NODES = st.recursive(
    st.builds(Node, NAMES, st.dictionaries(st.sampled_from(["k", "l"]), TEXTS_WITH_LINES), st.just([])),
    lambda inside: st.builds(
        Node, NAMES, st.just({}), st.lists(st.one_of(inside, TEXTS_WITH_LINES), max_size=4)
    ),
    max_leaves=12,
)


@given(NODES)
def test_what_is_written_is_what_was_read(node: Node) -> None:
    root = Node("{DAV:}root", {}, [node])
    assert plain(read(document(root), WIDE)) == plain(read(document(read(document(root), WIDE)), WIDE))
    assert [str(each.text()) for each in read(document(root), WIDE).walk()] == [
        each.text() for each in root.walk()
    ]
    assert [each.attributes for each in read(document(root), WIDE).walk()] == [
        each.attributes for each in root.walk()
    ]


@given(st.lists(NODES, max_size=4), st.integers(1, 40))
def test_pieces_however_it_is_split(nodes: list[Node], size: int) -> None:
    octets = opening("{DAV:}multistatus") + b"\n".join(map(inner, nodes)) + closing("{DAV:}multistatus")
    reader = XmlReader(WIDE, piecewise=True)
    pieces = [piece for at in range(0, len(octets), size) for piece in reader.feed(octets[at : at + size])]
    assert reader.finish().content == []
    assert [plain(each) for each in pieces] == [
        plain(each) for each in read(octets, WIDE).content if isinstance(each, Node)
    ]


BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'
)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"   ",
        b"no",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a/>rest",
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]><a/>',
        BOMB,
        b"<a>&unknown;</a>",
        b"<a>&nbsp;</a>",
        b"<a>\x00</a>",
        b"<a>&#0;</a>",
        b"<a>&#x1;</a>",
        b"<a>\xff</a>",
        b"<a k='1' k='2'/>",
        b"<x:a/>",
        b"<a xmlns:b='DAV:}x'><b:c/></a>",
        b"<a xmlns:b='{DAV:'><b:c/></a>",
        b"<a xmlns:b='DAV:}x' b:k='1'/>",
        b'<?xml version="1.0" encoding="utf-16"?><a/>',
        b'<?xml version="1.0" encoding="iso-8859-1"?><a>\xe4</a>',
        b'<?xml version="1.0" encoding="utf-7"?><a>+ADw-</a>',
        "<a/>".encode("utf-16"),
        "<a/>".encode("utf-32"),
    ],
)
@pytest.mark.parametrize("piecewise", [False, True])
def test_refused(octets: bytes, piecewise: bool) -> None:
    reader = XmlReader(WIDE, piecewise=piecewise)
    with pytest.raises(BadXml):  # noqa: PT012 - in one or the other
        reader.feed(octets)
        reader.finish()


def test_a_byte_order_mark_of_utf_8_is_taken() -> None:
    assert read(b"\xef\xbb\xbf<a/>", WIDE).name == "a"


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        (b"<a>" + b"<b/>" * 9 + b"</a>", b"<a>" + b"<b/>" * 10 + b"</a>"),
        (b"<a>" * 5 + b"</a>" * 5, b"<a>" * 6 + b"</a>" * 6),
        (b"<a>" + b"x" * 99 + b"</a>", b"<a>" + b"x" * 100 + b"</a>"),
        (b"<a k='" + b"x" * 98 + b"'/>", b"<a k='" + b"x" * 99 + b"'/>"),
        (b"<a>" + "\u00fc".encode() * 49 + b"</a>", b"<a>" + "\u00fc".encode() * 50 + b"</a>"),
    ],
)
def test_budgets(fits: bytes, too_much: bytes) -> None:
    budget = Budget(octets=100, elements=10, depth=5)
    read(fits, budget)
    with pytest.raises(BadXml):
        read(too_much, budget)


def test_a_budget_is_for_each_piece() -> None:
    reader = XmlReader(Budget(octets=100, elements=3), piecewise=True)
    assert reader.feed(b"<a>") == []
    for _ in range(1_000):
        (piece,) = reader.feed(b" <b><c>" + b"x" * 90 + b"</c></b> text that is nobody's")
        assert piece.name == "b"
    assert reader.root == Node("a")
    reader.feed(b"<b><c>")
    with pytest.raises(BadXml):
        reader.feed(b"x" * 101)


@pytest.mark.parametrize("step", [1_000, 65_536, 1_048_576])
def test_a_tag_is_no_longer_than_any_that_is_written(step: int) -> None:
    # The parser repeats the namespace for each attribute before anybody is asked: n * n / 32 octets of n.
    begin, attributes = b"n" * 10_000, b"".join(b' n:a%x=""' % number for number in range(800))
    octets = b'<a xmlns:n="' + begin + b'"><b' + attributes + b"/></a>"
    assert not list(_fed(octets.replace(begin, b"n"), step).children())
    with pytest.raises(BadXml, match="too large"):
        _fed(octets, step)
    long = b'<a xmlns:n="' + b"n" * 40_000 + b'"/>'
    for bad in (long, b"<a>" + long + b"</a>", b"<a><!--" + b"n" * 40_000 + b"--></a>"):
        with pytest.raises(BadXml, match="without end"):
            _fed(bad, step)


@pytest.mark.parametrize("step", [1, 100, 65_536])
def test_text_is_as_long_as_the_budget(step: int) -> None:
    for inside in (b"n" * 60_000, b"<![CDATA[" + b"n" * 60_000 + b"]]>", b"&amp;\n" * 10_000):
        assert _fed(b"<a><b>" + inside + b"</b></a>", step).name == "a"


def test_attributes_count_as_elements() -> None:
    octets = b"<a>" + b'<b c="" d=""/>' * 400 + b"</a>"
    assert len(list(read(octets, Budget(octets=100_000, elements=1_201)).children())) == 400
    with pytest.raises(BadXml, match="too many"):
        read(octets, Budget(octets=100_000, elements=1_200))


def _fed(octets: bytes, step: int) -> Node:
    reader = XmlReader(WIDE, piecewise=True)
    for at in range(0, len(octets), step):
        reader.feed(octets[at : at + step])
    return reader.finish()
