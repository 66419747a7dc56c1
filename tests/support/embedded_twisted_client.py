"""Twisted's own IMAP4Client against the embedded server: a round of ordinary work, told as JSON.

usage: embedded_twisted_client.py SOCKET ACCOUNT      the secret on one line of standard input
"""

import json
import sys
from io import BytesIO

from twisted.internet import endpoints
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.mail.imap4 import IMAP4Client, MessageSet, Query


class GateAuthenticator:
    """SASL PLAIN with an authorization id."""

    def __init__(self, account):
        self._account = account

    def getName(self):  # noqa: N802 - Twisted's interface
        return b"PLAIN"

    def challengeResponse(self, secret, challenge):  # noqa: N802 - Twisted's interface
        return b"\0".join((self._account, b"gate", secret))


class Client(IMAP4Client):
    def __init__(self):
        super().__init__()
        self.greeted = Deferred()

    def serverGreeting(self, caps):  # noqa: N802 - Twisted's interface
        self.greeted.callback(caps)

    def sendLine(self, line):  # noqa: N802 - Twisted's name
        """Undo the line breaks that this client puts into a long SASL answer."""
        super().sendLine(line.replace(b"\n", b""))


@inlineCallbacks
def main(reactor, path, account):
    secret = sys.stdin.buffer.readline().rstrip(b"\n")
    client = yield endpoints.UNIXClientEndpoint(reactor, path).connect(Factory.forProtocol(Client))
    yield client.greeted
    client.registerAuthenticator(GateAuthenticator(account.encode()))
    yield client.authenticate(secret)
    told = {}
    yield client.create("Twisted")
    yield client.append("Twisted", BytesIO(b"Subject: one\r\nFrom: a@b\r\n\r\nbody one\r\n"), ["\\Flagged"])
    yield client.append("Twisted", BytesIO(b"Subject: two\r\n\r\nbody two\r\n"))
    told["status"] = yield client.status("Twisted", "MESSAGES", "UIDNEXT")
    told["exists"] = (yield client.select("Twisted"))["EXISTS"]
    told["flagged"] = list((yield client.search(Query(flagged=True))))
    bodies = yield client.fetchBody(MessageSet(1, 2))
    told["bodies"] = [bodies[number]["RFC822.TEXT"] for number in sorted(bodies)]
    envelopes = yield client.fetchEnvelope(MessageSet(1, 2))
    told["subjects"] = [envelopes[number]["ENVELOPE"][1] for number in sorted(envelopes)]
    structure = yield client.fetchBodyStructure(MessageSet(1))
    told["structure"] = structure[1]["BODYSTRUCTURE"][:2]
    yield client.copy("1:2", "Archive", uid=False)
    yield client.addFlags(MessageSet(1), ["\\Deleted"], silent=0)
    told["expunged"] = yield client.expunge()
    yield client.close()
    told["folders"] = sorted(folder[2] for folder in (yield client.list("", "*")))
    yield client.delete("Twisted")
    yield client.logout()
    print(json.dumps(told, default=bytes.decode))


if __name__ == "__main__":
    react(main, sys.argv[1:])
