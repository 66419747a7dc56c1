"""Stand-ins for mail providers that cannot be had here: they speak the dialogues of `support.dialects`.

What is said before and at sign-in is the provider's; after it there is just enough to see that commands get
through. Passwords are the test's, tokens are asked about at the provider of the tests.
"""

from __future__ import annotations

import base64
import re
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer

from proxy.net.tls import CertificateFiles, server_context
from support.dialects import Dialect
from support.oauth_provider import OAuthProvider
from support.waiting import GIVE_UP_S


@dataclass
class StandIn:
    """One provider's mail servers."""

    dialect: Dialect
    passwords: dict[str, str] = field(default_factory=dict)
    """By whole address."""
    tokens: OAuthProvider | None = None
    smtp_begins_with_tls: bool = False
    """As on port 465, for those that have STARTTLS on 587 as well."""
    signed_in: list[tuple[str, str, str]] = field(default_factory=list)
    """Protocol, mechanism and login of every sign-in."""
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    imap_port: int = 0
    smtp_port: int = 0

    def takes(self, protocol: str, mechanism: str, message: bytes) -> tuple[bool, str]:
        """Judge a SASL message; gives the login too."""
        login, good = _READERS[mechanism](self, message, protocol)
        (self.signed_in if good else self.refused).append((protocol, mechanism, login))
        return good, login

    def _plain(self, message: bytes, protocol: str) -> tuple[str, bool]:
        authzid, login, password = message.decode().split("\0")
        assert authzid == ""
        local = protocol == "imap" and self.dialect.imap_login_is_local
        known = {each.partition("@")[0] if local else each: word for each, word in self.passwords.items()}
        return login, known.get(login) == password

    def _xoauth2(self, message: bytes, protocol: str) -> tuple[str, bool]:
        found = re.fullmatch(r"user=([^\x01]+)\x01auth=Bearer ([!-~]+)\x01\x01", message.decode())
        assert found, message
        return found[1], self.tokens is not None and self.tokens.takes(found[1], found[2])

    def _oauthbearer(self, message: bytes, protocol: str) -> tuple[str, bool]:
        port = self.imap_port if protocol == "imap" else self.smtp_port
        form = rf"n,a=([^,\x01]+),\x01host=localhost\x01port={port}\x01auth=Bearer ([!-~]+)\x01\x01"
        found = re.fullmatch(form, message.decode())
        assert found, message
        return found[1], self.tokens is not None and self.tokens.takes(found[1], found[2])


_READERS: dict[str, Callable[[StandIn, bytes, str], tuple[str, bool]]] = {
    "PLAIN": StandIn._plain,
    "XOAUTH2": StandIn._xoauth2,
    "OAUTHBEARER": StandIn._oauthbearer,
}
_ANSWERS_TO_ERROR = {"XOAUTH2": b"", "OAUTHBEARER": b"AQ=="}


class _Talk(StreamRequestHandler):
    """One connection; `stand_in` and `tls` are the server's."""

    timeout = GIVE_UP_S
    stand_in: StandIn
    tls: ssl.SSLContext

    def secure(self) -> None:
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def line(self) -> bytes:
        line = self.rfile.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError
        return line[:-2]

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def judged(self, protocol: str, mechanism: str, message: bytes, prompt: str) -> tuple[bool, str]:
        """Judge a message; a bad token is told of first where that is this provider's way."""
        good, login = self.stand_in.takes(protocol, mechanism, base64.b64decode(message, validate=True))
        error = self.stand_in.dialect.token_error
        if not good and error and mechanism in _ANSWERS_TO_ERROR:
            self.say(f"{prompt} {base64.b64encode(error.encode()).decode()}")
            assert self.line() == _ANSWERS_TO_ERROR[mechanism]
        return good, login


class ImapTalk(_Talk):
    """TLS from the first octet."""

    login = ""

    def handle(self) -> None:
        self.secure()
        dialect = self.stand_in.dialect
        self.say(f"* OK {dialect.imap_greeting}")
        while True:
            tag, _, rest = self.line().decode().partition(" ")
            verb, _, arguments = rest.partition(" ")
            match verb.upper():
                case "CAPABILITY":
                    told = dialect.imap_after if self.login else dialect.imap_before
                    self.say(f"* CAPABILITY {told}", f"{tag} OK Completed")
                case "AUTHENTICATE":
                    self._authenticate(tag, arguments)
                case "LOGOUT":
                    self.say("* BYE bye", f"{tag} OK bye")
                    return
                case "SELECT" | "EXAMINE" if self.login:
                    self.say("* 0 EXISTS", f"{tag} OK [READ-WRITE] INBOX selected. (Success)")
                case "NOOP" | "ID" | "LIST" | "FETCH" if self.login:
                    self.say(f"{tag} OK Success")
                case _:
                    self.say(f"{tag} BAD {verb} is not for now")

    def _authenticate(self, tag: str, arguments: str) -> None:
        dialect = self.stand_in.dialect
        mechanism, _, message = arguments.partition(" ")
        assert f"AUTH={mechanism}" in dialect.imap_before.split() or mechanism in dialect.imap_greeting
        if not message:
            self.say("+ ")
            message = self.line().decode()
        good, login = self.judged("imap", mechanism, message.encode(), "+")
        if good:
            self.login = login
            told = [f"* CAPABILITY {dialect.imap_after}"] if dialect.imap_tells_after else []
            self.say(*told, f"{tag} OK {dialect.imap_accepted.format(login=login)}")
        else:
            words = dialect.imap_refused if mechanism == "PLAIN" else dialect.imap_token_refused
            self.say(f"{tag} NO {words}")


class SmtpTalk(_Talk):
    """STARTTLS where the provider has it, else TLS from the first octet."""

    def handle(self) -> None:
        dialect = self.stand_in.dialect
        in_clear = bool(dialect.smtp_before) and not self.stand_in.smtp_begins_with_tls
        if not in_clear:
            self.secure()
        self.say(dialect.smtp_greeting)
        while True:
            line = self.line().decode()
            match line.partition(" ")[0].upper():
                case "EHLO":
                    self._ehlo(dialect.smtp_before if in_clear else dialect.smtp_after)
                case "STARTTLS" if in_clear:
                    self.say("220 2.0.0 Ready to start TLS")
                    self.secure()
                    in_clear = False
                case "AUTH" if not in_clear:
                    self._auth(line.split(" ", 1)[1])
                case "DATA":
                    self._data()
                case "QUIT":
                    self.say("221 2.0.0 closing connection")
                    return
                case _:
                    self.say("250 2.1.0 OK")

    def _ehlo(self, offered: tuple[str, ...]) -> None:
        lines = ["at your service", *offered]
        self.say(
            *(f"250{' ' if number == len(lines) else '-'}{line}" for number, line in enumerate(lines, 1))
        )

    def _auth(self, arguments: str) -> None:
        dialect = self.stand_in.dialect
        mechanism, _, message = arguments.partition(" ")
        assert mechanism in next(line for line in dialect.smtp_after if line.startswith("AUTH ")).split()
        if not message:
            self.say("334 ")
            message = self.line().decode()
        good, _ = self.judged("smtp", mechanism, message.encode(), "334")
        self.say(*([dialect.smtp_accepted] if good else dialect.smtp_refused))

    def _data(self) -> None:
        self.say("354 go ahead")
        lines = []
        while (line := self.line()) != b".":
            lines.append(line)
        self.stand_in.messages.append(b"\r\n".join(lines))
        self.say("250 2.0.0 OK")


class _Server(ThreadingTCPServer):
    daemon_threads = False
    mistakes: list[str]

    def handle_error(self, request: object, client_address: object) -> None:
        mistake = sys.exception()
        if not isinstance(mistake, OSError):
            self.mistakes.append(repr(mistake))


@contextmanager
def running(stand_in: StandIn, certificate: CertificateFiles) -> Iterator[StandIn]:
    """Answer on two free ports until the block ends."""
    tls = server_context([certificate])
    mistakes: list[str] = []
    with ExitStack() as stack:
        for talk, name in ((ImapTalk, "imap_port"), (SmtpTalk, "smtp_port")):
            handler = type(talk.__name__, (talk,), {"stand_in": stand_in, "tls": tls})
            server = _Server(("127.0.0.1", 0), handler)
            server.mistakes = mistakes
            setattr(stand_in, name, server.server_address[1])
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield stand_in
    assert mistakes == []
