"""Every dialog in tests/transcripts/imap_watched, whole, byte by byte and at random splits."""

from pathlib import Path

import pytest

from support.transcript import load, parse, ways
from support.watched import watch_dialog

FOLDER = Path(__file__).parents[1] / "transcripts" / "imap_watched"
DIALOGS = sorted(path.stem for path in FOLDER.glob("*.txt"))
WAYS = ways()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialog", DIALOGS)
def test_dialog(dialog, way):
    watch_dialog(load(FOLDER / f"{dialog}.txt"), WAYS[way])


@pytest.mark.parametrize(
    "script",
    ["-- whole\nC: a NOOP", "-- whole\nS: a OK", "-- whole\n-- over", "-- whole\nC: a\nS: a BAD\n-- fault x"],
)
def test_a_dialog_that_goes_otherwise_fails(script):
    with pytest.raises(AssertionError):
        watch_dialog(parse(script))
