"""The canonical path is Radicale's path: its own normaliser leaves it as it is."""

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scopes.davpath import BadPath, canonical
from support.radicale_paths import RadicalePaths, radicale_paths


@pytest.fixture(scope="module")
def radicale() -> Iterator[RadicalePaths]:
    with radicale_paths() as asked:
        yield asked


SEGMENTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ENCODED = SEGMENTS.map(
    lambda text: "".join(f"%{each:02X}" for each in unicodedata.normalize("NFC", text).encode())
)
PIECES = st.one_of(
    ENCODED, st.sampled_from(["..", ".", "%2e%2e", "%2f", "", "a", "b.vcf", "%5c", "~", "a;b", "@", "%40"])
)
PATHS = st.lists(PIECES, max_size=6).map(lambda pieces: "/" + "/".join(pieces))


@settings(max_examples=1_000, deadline=None)
@given(PATHS)
def test_radicale_leaves_a_canonical_path_as_it_is(radicale: RadicalePaths, wire: str) -> None:
    try:
        path = canonical(wire)
    except BadPath:
        return
    decoded, href, bare = radicale.reads(str(path))
    assert href == str(path)
    assert decoded == "/" + "/".join(path.segments) + ("/" if path.slash and path.segments else "")
    assert bare == "/".join(path.segments)


def test_radicale_repairs_what_is_refused(radicale: RadicalePaths) -> None:
    # Why nothing is repaired here: each of these is another path to Radicale than it looks.
    assert radicale.reads("/alice/book/..%2fcalendar/1.ics")[0] == "/alice/calendar/1.ics"
    assert radicale.reads("/alice%2fcalendar/")[0] == "/alice/calendar/"
    assert radicale.reads("/alice//calendar/")[0] == "/alice/calendar/"
    assert radicale.reads("/alice/./calendar/")[0] == "/alice/calendar/"
