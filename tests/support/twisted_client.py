"""Twisted's own IMAP4Client as a program: sign in, count INBOX, leave. An independent reader.

usage: twisted_client.py HOST PORT CA_FILE MECHANISM      user and password on two lines of standard input
"""

import sys
from pathlib import Path

from twisted.internet import endpoints, ssl
from twisted.internet.defer import inlineCallbacks
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.mail.imap4 import IMAP4Client, LOGINAuthenticator, PLAINAuthenticator


@inlineCallbacks
def main(reactor, host, port, ca_file, mechanism):
    user, password = (sys.stdin.buffer.readline().rstrip(b"\n") for _ in range(2))
    trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(Path(ca_file).read_bytes())])
    options = ssl.optionsForClientTLS(host, trustRoot=trust)
    endpoint = endpoints.wrapClientTLS(options, endpoints.HostnameEndpoint(reactor, host, int(port)))
    client = yield endpoint.connect(Factory.forProtocol(IMAP4Client))
    if mechanism == "command":
        yield client.login(user, password)
    else:
        made = {"plain": PLAINAuthenticator, "login": LOGINAuthenticator}[mechanism]
        client.registerAuthenticator(made(user))
        yield client.authenticate(password)
    status = yield client.select("INBOX")
    print(status["EXISTS"])
    yield client.logout()


if __name__ == "__main__":
    react(main, sys.argv[1:])
