"""The log of a real gate from its first line to its last: lines of one form alone, and none too few."""

import json
import smtplib
from base64 import b64encode
from collections import Counter
from http.client import HTTPSConnection
from typing import Any

import pytest

from support import smtp
from support.imap import start_idle, trusting
from support.serving import Serving, make_gate, running_gate

ALICE = "alice@example.org"


@pytest.fixture
def house(tmp_path):
    made = make_gate(tmp_path / "gate")
    made.add(ALICE)
    with made.file.open("a") as file:
        file.write('\n[log]\nformat = "json"\n')
    return made


def ask_dav(serving: Serving, password: str) -> HTTPSConnection:
    facts = serving.facts
    client = HTTPSConnection("localhost", facts["https_port"], context=trusting(facts["ca_file"]), timeout=30)
    signed = b64encode(f"{ALICE}:{password}".encode()).decode()
    client.request("PROPFIND", "/", headers={"Authorization": f"Basic {signed}", "Depth": "0"})
    assert client.getresponse().read()
    return client


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("event") == event]


def test_every_session_of_a_real_gate_is_told_from_begin_to_end(house, dial):
    with running_gate(house) as serving:
        kept, revoked = serving.mint(ALICE, "kept", "--scope", "contacts"), serving.mint(ALICE, "revoked")
        reader, idler = dial(serving.facts), dial(serving.facts)
        reader.login(ALICE, kept)
        reader.logout()
        idler.login(ALICE, revoked)
        idler.select("INBOX")
        start_idle(idler)
        with smtp.connect(serving.facts) as sender:
            sender.login(ALICE, kept)
            sender.send_message(smtp.message(ALICE, ALICE, "counted"))
        ask_dav(serving, kept).close()
        assert serving.ask("password", "revoke", ALICE, "revoked")["sessions_cut"] == 1
        serving.log.wait_for('"reason":"cut"')
        left = smtp.connect(serving.facts)
        left.login(ALICE, kept)
        with smtp.connect(serving.facts) as other, pytest.raises(smtplib.SMTPAuthenticationError):
            other.login(ALICE, revoked)
    left.close()
    lines = [json.loads(line) for line in serving.log.text.splitlines()]
    _are_whole(lines)
    ends = {(line["service"], line["reason"]): line for line in of(lines, "session-end")}
    assert ends.keys() >= {
        ("imap", "cut"),
        ("submission", "quit"),
        ("submission", "stopping"),
        ("dav", "client-closed"),
    }
    assert ends["submission", "quit"]["messages"] == 1
    assert ends["imap", "cut"]["label"] == "revoked"
    refused = of(lines, "refused")
    assert len(refused) == 2, "one for each mechanism that smtplib tries"
    for line in refused:
        assert (line["reason"], line["label"], line["account"]) == ("revoked", "revoked", ALICE)


def _are_whole(lines: list[dict[str, Any]]) -> None:
    """As many ends as sign-ins, of the same connections and app passwords, each behind its sign-in."""
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    begun = Counter((line["connection"], line["app_password"]) for line in of(lines, "sign-in"))
    ended = Counter((line["connection"], line["app_password"]) for line in of(lines, "session-end"))
    assert begun == ended
    assert set(begun.values()) == {1}
    assert len(begun) == 5
    for line in of(lines, "session-end"):
        assert line["address"] in ("127.0.0.1", "::1")
        assert line["bytes_out"] > 0
        assert line["duration_s"] >= 0
