"""Whatever octets come in whatever phase: whole lines go out, nothing breaks, the session stays or closes."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.embedded import HELLO, Dialog, plain

NAMES = b"FETCH STORE SEARCH COPY APPEND LIST LSUB STATUS SELECT EXAMINE CREATE DELETE RENAME EXPUNGE".split()
OTHERS = b"IDLE DONE CLOSE NOOP CHECK LOGOUT CAPABILITY SUBSCRIBE UNSUBSCRIBE LOGIN".split()
WORDS = rb"""INBOX inbox Sent Work.x 1:* * 1 2,1 0 4294967296 ( ) (( )) "" "a\"b" " \ \Seen (\Seen \Deleted)
    FLAGS +FLAGS -FLAGS.SILENT UID ALL (FLAGS UID) BODY[] BODY[1] BODY.PEEK[HEADER.FIELDS (Subject)]
    BODY[1.MIME]<0.9> RFC822 ENVELOPE BODYSTRUCTURE OR NOT SUBJECT KEYWORD 1-Jan-2026 CHARSET UTF-8 SINCE
    % a* &AOk- & .. a/b
    (MESSAGES) (MESSAGES RECENT) "01-Jan-2026 10:00:00 +0100" """.split()
LITERALS = [b"{3}\r\nabc", b"{3+}\r\na\0c", b"{0}\r\n", b"{5000+}\r\n", b"{70000}\r\n", b"\n", b"\0", b"\xff"]

words = st.lists(st.sampled_from(WORDS * 3 + LITERALS), max_size=5).map(b" ".join)
commands = st.builds(
    lambda uid, name, rest: b"a " + uid + name + b" " + rest + b"\r\n",
    st.sampled_from([b"", b"UID "]),
    st.sampled_from(NAMES * 4 + OTHERS),
    words,
)
signing_in = st.just(b"a AUTHENTICATE PLAIN " + plain() + b"\r\n")
dialogs = st.lists(st.one_of(commands, commands, commands, signing_in, words), max_size=12).map(b"".join)


@pytest.mark.parametrize("signed_in", [False, True])
@settings(max_examples=50)
@given(octets=dialogs, size=st.integers(1, 60))
def test_every_octet_string_ends_in_a_clean_reply_or_a_clean_close(signed_in, octets, size):
    with tempfile.TemporaryDirectory() as root:
        dialog = Dialog(Path(root))
        if signed_in:
            dialog.mail.folder("INBOX").add(HELLO, letters="", received=None)
            dialog.sign_in().select()
        said = dialog.say(octets, lambda all_: (all_[at : at + size] for at in range(0, len(all_), size)))
        said += dialog.pass_time(1)
    assert b"SERVERBUG" not in said
    assert b"Server error" not in said
    assert said == b"" or said.endswith(b"\r\n")
    assert dialog.wire.producer is None
