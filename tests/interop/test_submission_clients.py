"""Mail programs before the submission front-end: each signs in its own way, and its message arrives once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial

import pytest

from auth.refusal import Reason, Refusal
from proxy.net.accept import AcceptLoop, listen
from proxy.net.strangers import Strangers
from proxy.smtp.front_end import SubmissionFrontEnd
from support.imap_stage import GRANT, PASSWORD, soon
from support.programs import missing, program
from support.smtp_behind import Behind
from support.smtp_front_stage import Stage
from support.sockets import Tls

ALICE, BOB = "alice@example.org", "bob@example.net"
MESSAGE = b"From: alice@example.org\r\nTo: bob@example.net\r\nMessage-Id: <1>\r\n\r\n.a dot\r\nhello\r\n"
SMTPLIB = """
import smtplib, ssl, sys
port, starttls, ca, user, secret, sender, recipient = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if starttls:
    client = smtplib.SMTP("localhost", int(port))
    client.starttls(context=context)
else:
    client = smtplib.SMTP_SSL("localhost", int(port), context=context)
client.login(user, secret)
client.sendmail(sender, [recipient], sys.stdin.buffer.read())
client.quit()
"""


def curl(port, starttls, ca, folder, login="PLAIN"):
    scheme = "smtp" if starttls else "smtps"
    return [
        program("curl", "curl"), "--silent", "--show-error", "--cacert", ca, "--ssl-reqd",
        "--url", f"{scheme}://localhost:{port}", "--user", f"{ALICE}:{PASSWORD}",
        "--login-options", f"AUTH={login}", "--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", "-",
    ]  # fmt: skip


def msmtp(port, starttls, ca, folder, login="plain"):
    settings = folder / "msmtprc"
    settings.write_text(
        f"defaults\nhost localhost\nport {port}\nfrom {ALICE}\nauth {login}\n"
        f"user {ALICE}\npassword {PASSWORD}\n"
        f"tls on\ntls_starttls {'on' if starttls else 'off'}\ntls_trust_file {ca}\naccount default\n"
    )
    settings.chmod(0o600)
    return [program("msmtp", "msmtp"), "--file", str(settings), BOB]


def swaks(port, starttls, ca, folder, login="LOGIN"):
    perl = subprocess.run([program("perl", "perl"), "-MNet::SSLeay", "-e1"], capture_output=True, check=False)
    if perl.returncode != 0:
        missing("swaks has no TLS without Net::SSLeay (Debian package libnet-ssleay-perl)")
    return [
        program("swaks", "swaks"), "--server", "localhost", "--port", str(port), "--pipeline",
        "--tls" if starttls else "--tlsc", "--auth", login, "--auth-user", ALICE, "--auth-password", PASSWORD,
        "--from", ALICE, "--to", BOB, "--data", "-",
    ]  # fmt: skip


def smtplib(port, starttls, ca, folder):
    told = [str(port), "yes" if starttls else "", ca, ALICE, PASSWORD, ALICE, BOB]
    return [sys.executable, "-c", SMTPLIB, *told]


CLIENTS = {
    "curl": curl,
    "curl, AUTH LOGIN": partial(curl, login="LOGIN"),
    "msmtp": msmtp,
    "msmtp, AUTH LOGIN": partial(msmtp, login="login"),
    "swaks": swaks,
    "swaks, AUTH PLAIN": partial(swaks, login="PLAIN"),
    "smtplib": smtplib,
}


@asynccontextmanager
async def listening(stage: Stage, *, implicit_tls: bool):
    front_end = SubmissionFrontEnd(stage.ports(), stage.upstream, stage.settings())
    handler = partial(front_end.handle, implicit_tls=implicit_tls)
    loop = AcceptLoop(listen("127.0.0.1", 0), handler, Strangers())
    loop.start()
    try:
        yield loop.port
    finally:
        await loop.finish(0)


async def run(command: list[str]) -> tuple[int, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await soon(process.communicate(MESSAGE))
    return process.returncode, said.decode()


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("starttls", [False, True], ids=["implicit TLS", "STARTTLS"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_message_sent_by(tls, tmp_path, client, starttls):
    command = partial(CLIENTS[client], starttls=starttls, ca=str(tls.files.certificate), folder=tmp_path)
    stage, behind = Stage(tls), Behind()
    async with behind.before(stage), listening(stage, implicit_tls=not starttls) as port:
        returned, said = await run(command(port))
        assert returned == 0, said
        await soon(behind.sink.ended.wait())
    assert behind.sink.delivered == {"<1>": 1}
    assert behind.sink.messages[0].rstrip().endswith(b"\r\n\r\n..a dot\r\nhello")  # swaks adds an empty line
    assert [(asked.name, asked.secret.reveal()) for asked in stage.gate.asked] == [(ALICE, PASSWORD)]


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_refusal_heard_by(tls, tmp_path, client):
    command = partial(CLIENTS[client], starttls=False, ca=str(tls.files.certificate), folder=tmp_path)
    stage, behind = Stage(tls), Behind()
    stage.gate.answer = Refusal(reason=Reason.REVOKED, label="phone")
    async with behind.before(stage), listening(stage, implicit_tls=True) as port:
        returned, _ = await run(command(port))
        assert returned != 0
        assert stage.gate.asked
        assert not behind.sinks
        stage.gate.answer = GRANT
        returned, said = await run(command(port))
        assert returned == 0, said
