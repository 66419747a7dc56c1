"""Every dialog in tests/transcripts/smtp, whole, byte by byte and at random splits."""

from pathlib import Path

import pytest

from proxy.dialog import ClientState
from support.transcript import Smtp, load, parse, play, ways

FOLDER = Path(__file__).parents[1] / "transcripts" / "smtp"
DIALOGS = sorted(path.stem for path in FOLDER.glob("*.txt"))
WAYS = ways()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialog", DIALOGS)
def test_smtp_dialog(dialog, way):
    play(load(FOLDER / f"{dialog}.txt"), WAYS[way], Smtp)


def test_smtp_dialogs_reach_every_state_of_the_client_leg():
    reached = set()
    for dialog in DIALOGS:
        reached |= play(load(FOLDER / f"{dialog}.txt"), legs=Smtp)
    assert reached >= {*ClientState}


@pytest.mark.parametrize("script", ["-- secure\nS: 220 another host", "-- secure", "-- closed", "U< 220 x"])
def test_an_smtp_dialog_that_goes_otherwise_fails(script):
    with pytest.raises(AssertionError):
        play(parse(script), legs=Smtp)
