"""Small steps with imaplib that tests share."""

import imaplib
import re
import ssl
import time
from typing import Any

PATIENCE_S = 30.0


def trusting(ca_file: str) -> ssl.SSLContext:
    """A client's TLS context that trusts the demo's authority and nobody else."""
    return ssl.create_default_context(cafile=ca_file)


def connect(facts: dict[str, Any], *, starttls: bool = False) -> imaplib.IMAP4:
    """Connect to a running gate by the facts of its ready file."""
    context = trusting(facts["ca_file"])
    if not starttls:
        return imaplib.IMAP4_SSL(facts["host"], facts["imaps_port"], ssl_context=context, timeout=PATIENCE_S)
    client = imaplib.IMAP4(facts["host"], facts["imap_port"], timeout=PATIENCE_S)
    client.starttls(context)
    return client


def refusal(client: imaplib.IMAP4, name: str, password: str) -> str:
    """Sign in, which must fail, and give the server's words; the connection stays usable."""
    try:
        client.login(name, password)
    except client.abort as error:
        raise AssertionError(f"the connection was closed: {error}") from error
    except client.error as error:
        words = error.args[0]
        return words.decode() if isinstance(words, bytes) else words
    raise AssertionError("the sign-in was not refused")


def subjects(client: imaplib.IMAP4) -> list[str]:
    """Open INBOX and give the subjects in order."""
    status, [count] = client.select("INBOX", readonly=True)
    assert status == "OK"
    if count == b"0":
        return []
    _, data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    texts = [part[1].decode() for part in data if isinstance(part, tuple)]
    return [re.sub(r"^Subject:\s*", "", text).strip() for text in texts]


def start_idle(client: imaplib.IMAP4) -> None:
    """Enter IDLE (RFC 2177) and wait for the server's `+`."""
    client.send(b"%s IDLE\r\n" % client._new_tag())
    while not client.readline().startswith(b"+"):
        pass


def seconds_to_end(client: imaplib.IMAP4) -> float:
    """Read until the server ends the connection and give the seconds that took."""
    began = time.monotonic()
    try:
        while client.readline():
            pass
    except (client.abort, OSError):
        pass
    return time.monotonic() - began
