"""Every dialog in tests/transcripts/imap, whole, byte by byte and at random splits."""

from pathlib import Path

import pytest

from proxy.dialog import ClientState
from proxy.imap.upstream_leg import UpstreamState
from support.transcript import load, parse, play, ways

FOLDER = Path(__file__).parents[1] / "transcripts" / "imap"
DIALOGS = sorted(path.stem for path in FOLDER.glob("*.txt"))
WAYS = ways()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialog", DIALOGS)
def test_dialog(dialog, way):
    play(load(FOLDER / f"{dialog}.txt"), WAYS[way])


def test_dialogs_reach_every_state_of_both_legs():
    reached = set()
    for dialog in DIALOGS:
        reached |= play(load(FOLDER / f"{dialog}.txt"))
    assert reached == {*ClientState, *UpstreamState}


@pytest.mark.parametrize(
    "script",
    [
        "-- secure\nS: * OK another greeting",
        "-- secure",
        "-- closed",
        "U< * OK ready",
        "nonsense",
    ],
)
def test_a_dialog_that_goes_otherwise_fails(script):
    with pytest.raises(AssertionError):
        play(parse(script))
