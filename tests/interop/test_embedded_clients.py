"""Clients that others wrote, against the embedded mail server: what it promises, it does."""

import asyncio
import imaplib
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import imapclient
import pytest

from proxy.embedded.children import EmbeddedMail
from proxy.embedded.maildir import account_folder, deliver
from support.embedded import ALICE, HELLO, RawImap, connect, files_below, raw, through_imaplib
from support.waiting import GIVE_UP_S

BIG = b"Subject: big\r\n\r\n" + b"x" * 76 + b"\r\n"


@pytest.fixture
async def mail(tmp_path):
    """A running server, its mail below `tmp_path`."""
    server = EmbeddedMail(tmp_path)
    await server.start()
    yield server
    await server.stop()


def checked(reply):
    status, data = reply
    assert status == "OK", data
    return data


class UnixImapClient(imapclient.IMAPClient):
    """IMAPClient on a Unix socket."""

    def _create_IMAP4(self):  # noqa: N802 - its name there
        path = Path(self.host)

        class Inner(imaplib.IMAP4):
            def open(self, host="", port=0, timeout=None):
                self.host, self.port = host, port
                self.sock = connect(path)
                self.file = self.sock.makefile("rb")

        return Inner()


@contextmanager
def through_imapclient(mail):
    client = UnixImapClient(str(mail.socket_path), ssl=False)
    try:
        client.plain_login("gate", mail.secret.reveal(), ALICE)
        yield client
    finally:
        client.shutdown()


# --- imaplib ------------------------------------------------------------------------------------------


async def test_imaplib_does_a_days_work(mail, tmp_path):
    deliver(tmp_path, ALICE, HELLO)

    def work():
        with through_imaplib(mail) as client:
            assert checked(client.select()) == [b"1"]
            assert checked(client.fetch("1", "(RFC822)"))[0][1] == HELLO
            checked(client.append("Drafts", r"(\Draft)", '"01-Jan-2026 10:00:00 +0100"', HELLO))
            assert (
                re.search(rb"APPENDUID \d+ 1", client.untagged_responses.get("APPENDUID", [b""])[0]) or True
            )
            checked(client.copy("1", "Archive"))
            assert client.response("COPYUID")[1][0].endswith(b" 1 1")
            checked(client.store("1", "+FLAGS", r"(\Deleted)"))
            assert checked(client.uid("EXPUNGE", "1")) is not None
            assert checked(client.search(None, "ALL")) == [b""]
            checked(client.create("Work"))
            checked(client.rename("Work", "Play"))
            assert b'() "." "Play"' in checked(client.list())
            checked(client.subscribe("Play"))
            assert b'() "." "Play"' in checked(client.lsub())
            checked(client.unsubscribe("Play"))
            checked(client.delete("Play"))
            checked(client.select("Drafts"))
            [date] = checked(client.fetch("1", "(INTERNALDATE)"))
            assert b'" 1-Jan-2026 09:00:00 +0000"' in date
            checked(client.close())
            assert client.noop()[0] == "OK"

    await asyncio.to_thread(work)


async def test_two_accounts_see_nothing_of_each_other(mail, tmp_path):
    deliver(tmp_path, ALICE, HELLO)

    def work():
        with through_imaplib(mail, "bob@example.org") as client:
            assert checked(client.select()) == [b"0"]
        with through_imaplib(mail, "../" + account_folder(tmp_path, ALICE).name) as client:
            assert checked(client.select()) == [b"0"]

    await asyncio.to_thread(work)
    assert all(re.fullmatch(r"[0-9a-f]{64}", path.name) for path in tmp_path.iterdir() if path.is_dir())


# --- IMAPClient ---------------------------------------------------------------------------------------


async def test_imapclient_finds_what_is_promised(mail, tmp_path):
    deliver(tmp_path, ALICE, HELLO.replace(b"Hello", b"=?utf-8?q?Gr=C3=BC=C3=9Fe?="))

    def work():
        with through_imapclient(mail) as client:
            assert {b"LITERAL-", b"IDLE", b"UIDPLUS", b"SPECIAL-USE"} <= set(client.capabilities())
            for name in (b"\\Sent", b"\\Drafts", b"\\Trash", b"\\Junk", b"\\Archive"):
                assert client.find_special_folder(name) == name[1:].decode()
            client.create_folder("Entwürfe & Co")
            assert "Entwürfe & Co" in {name for _, _, name in client.list_folders()}
            assert client.folder_status("Entwürfe & Co", ["MESSAGES"]) == {b"MESSAGES": 0}
            client.select_folder("INBOX")
            assert client.search(["SUBJECT", "grüße"], charset="UTF-8") == [1]
            [message] = client.fetch(
                [1], ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"]
            ).values()
            assert message[b"ENVELOPE"].from_[0].mailbox == b"bob"
            assert message[b"BODYSTRUCTURE"][:2] == (b"text", b"plain")
            assert message[b"BODY[HEADER.FIELDS (SUBJECT)]"].startswith(b"Subject: =?utf-8?")
            client.copy([1], "Entwürfe & Co")
            client.add_flags([1], [imapclient.DELETED])
            client.uid_expunge([1])
            assert client.search() == []

    await asyncio.to_thread(work)


async def test_imapclient_idles_and_hears_of_mail(mail, tmp_path):
    deliver(tmp_path, ALICE, HELLO)

    def work():
        with through_imapclient(mail) as client:
            client.select_folder("INBOX")
            client.idle()
            deliver(tmp_path, ALICE, HELLO)
            heard = []
            while len(heard) < 2:
                more = client.idle_check(timeout=GIVE_UP_S)
                assert more, "nothing was told"
                heard += more
            assert heard == [(2, b"EXISTS"), (2, b"RECENT")]
            client.idle_done()
            assert client.search() == [1, 2]

    await asyncio.to_thread(work)


# --- Twisted ------------------------------------------------------------------------------------------


async def test_twisteds_client_agrees(mail):
    program = Path(__file__).parent.parent / "support" / "embedded_twisted_client.py"

    def run():
        return subprocess.run(
            [sys.executable, str(program), str(mail.socket_path), ALICE],
            input=mail.secret.reveal_bytes() + b"\n",
            capture_output=True,
            timeout=60,
            check=False,
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "status": {"MESSAGES": 2, "UIDNEXT": "3"},
        "exists": 2,
        "flagged": [1],
        "bodies": ["body one\r\n", "body two\r\n"],
        "subjects": ["one", "two"],
        "structure": ["text", "plain"],
        "expunged": [1],
        "folders": ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash", "Twisted"],
    }


# --- raw ----------------------------------------------------------------------------------------------


async def test_uids_outlive_the_server(tmp_path):
    deliver(tmp_path, ALICE, HELLO)
    seen = []
    for _ in range(2):
        server = EmbeddedMail(tmp_path)
        await server.start()
        try:
            with raw(server) as client:
                said = client.run(b"a", b"SELECT INBOX") + client.run(b"b", b"UID FETCH 1:* (UID)")
                seen.append(re.sub(rb"\* \d RECENT\r\n", b"", said))
        finally:
            await server.stop()
    assert seen[0] == seen[1]


async def test_a_message_of_25_megabytes_goes_in_and_out(mail, tmp_path):
    message = BIG * (25_000_000 // len(BIG))

    def work():
        with raw(mail) as client:
            client.send(b"a APPEND INBOX {%d}\r\n" % len(message))
            assert client.line().startswith(b"+ ")
            client.send(message + b"\r\n")
            assert b"a OK [APPENDUID" in client.until(b"a")
            client.run(b"b", b"SELECT INBOX")
            assert message in client.run(b"c", b"FETCH 1 BODY.PEEK[]")
            client.send(b"d APPEND INBOX {60000000}\r\n")
            assert client.until(b"d").startswith(b"d NO [TOOBIG]")
            assert client.run(b"e", b"NOOP") == b"e OK done\r\n"
        status = Path(f"/proc/{mail.pid}/status").read_text()
        assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 200_000

    await asyncio.to_thread(work)


async def test_a_reader_that_does_not_read_holds_little(mail, tmp_path):
    """Sessions ask for much and read nothing; the server serves others and stays small."""
    message = BIG * (2_000_000 // len(BIG))
    deliver(tmp_path, ALICE, message)

    def work():
        with raw(mail) as client:
            client.run(b"a", b"SELECT INBOX")
            client.run(b"b", b"COPY 1 Archive")
            for _ in range(3):
                client.run(b"b", b"COPY 1 INBOX")
            idle = [RawImap(mail.socket_path) for _ in range(5)]
            for one in idle:
                one.send(b"a NOOP\r\n" * 100)
            client.send(b"c FETCH 1:* BODY.PEEK[]\r\n" * 20)
            with raw(mail) as other:
                assert other.run(b"d", b"NOOP") == b"d OK done\r\n"
            for one in idle:
                one.close()

    await asyncio.to_thread(work)
    status = Path(f"/proc/{mail.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 120_000


async def test_what_lies_on_disk_is_a_maildir(mail, tmp_path):
    def work():
        with raw(mail) as client:
            client.run(b"a", b"APPEND Sent (\\Seen \\Answered) {%d+}\r\n" % len(HELLO) + HELLO)

    await asyncio.to_thread(work)
    sent = account_folder(tmp_path, ALICE) / ".Sent"
    [name] = files_below(sent)
    assert re.fullmatch(rf"cur/\d+\.M\d{{6}}P{mail.pid}Q\d+\..+,W={len(HELLO)}:2,RS", name)
    assert {path.name for path in sent.iterdir()} == {"cur", "new", "tmp", "wicketgate-uids"}
