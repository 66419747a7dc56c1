"""The upstream's side of a sign-in: greeting, EHLO, STARTTLS, XCLIENT, AUTH. Octets in, events out.

Pure. The shell feeds what it received, sends what `take_output` gives and obeys the event of `next`. The leg
ends `READY` or `FAILED`; every surprise fails, and what failed is text for the log alone, never for a client.
After STARTTLS nothing said before it counts, and octets in clear behind its 220 fail (RFC 3207 §4.2,
CVE-2011-0411). There is no way back to HELO: a server that knows no EHLO knows neither TLS nor AUTH. All that
the upstream says is bounded.

Without a proof there is no AUTH: the upstream takes mail from us as it is (sign-in kind `none`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from proxy.limits import IMAP_SASL_LINE_OCTETS, UPSTREAM_PREAMBLE_OCTETS
from proxy.logtext import quoted
from proxy.smtp.reply import Reply, ReplyFault, ReplyReader
from proxy.smtp.xclient import Xclient
from proxy.upstreams.proof import Mechanism, Proof, readable
from proxy.upstreams.signing_in import Failed, Handshake, Refused


class UpstreamState(StrEnum):
    """Where the upstream leg stands. The words appear in logs."""

    GREETING = "waiting for the greeting"
    EHLO = "waiting for the answer to EHLO"
    STARTTLS = "waiting for the answer to STARTTLS"
    HANDSHAKE = "in the TLS handshake"
    EHLO_SECURED = "waiting for the answer to EHLO under TLS"
    XCLIENT = "telling who the client is"
    EHLO_TOLD = "waiting for the answer to EHLO behind XCLIENT"
    CHALLENGE = "waiting for the challenge to AUTH"
    VERDICT = "waiting for the answer to our sign-in"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ready:
    """Commands may follow. `extensions` is keyword in upper case → parameters; `rest` came unasked behind."""

    extensions: Mapping[str, str]
    rest: bytes = field(repr=False)


Event = Handshake | Ready | Failed | Refused

_COMMAND_OCTETS: Final = 512
"""RFC 5321 §4.5.3.1.4; RFC 4954 §4: a longer AUTH must leave its initial response for later."""
_KEYWORD: Final = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:[ =]([ -~]*))?")
"""RFC 5321 §4.1.1.1; `AUTH=PLAIN` is how the first servers with AUTH wrote it."""


class UpstreamLeg:
    """One sign-in with one proof, or none. `name` is ours for EHLO."""

    def __init__(
        self, name: str, proof: Proof | None, *, starttls: bool, xclient: Xclient | None = None
    ) -> None:
        self.state = UpstreamState.GREETING
        self._name = name.encode("ascii")
        self._proof = proof
        self._mechanism = Mechanism.PLAIN  # the one in use, once chosen
        self._complaint = b""  # what was said of an error before the refusal
        self._starttls = starttls
        self._xclient = xclient
        self._replies = ReplyReader()
        self._output = bytearray()
        self._spent = 0  # octets received so far
        self._extensions: dict[str, str] = {}
        self._event: Event | None = None
        self._steps: dict[UpstreamState, Callable[[Reply], None]] = {
            UpstreamState.GREETING: self._greeted,
            UpstreamState.EHLO: self._introduced,
            UpstreamState.STARTTLS: self._switch,
            UpstreamState.EHLO_SECURED: self._introduced,
            UpstreamState.XCLIENT: self._told,
            UpstreamState.EHLO_TOLD: self._introduced,
            UpstreamState.CHALLENGE: self._challenged,
            UpstreamState.VERDICT: self._judged,
        }

    def receive(self, data: bytes) -> None:
        """Take octets of the upstream."""
        self._spent += len(data)
        self._replies.feed(data)

    def take_output(self) -> bytes:
        """Give what is to be sent to the upstream now. It may hold a secret."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def next(self) -> Event | None:
        """Give the next event, None when more octets are needed. `Ready` and `Failed` come once and last."""
        while self._event is None and self.state in self._steps:
            try:
                reply = self._replies.next()
            except ReplyFault as fault:
                self._fail(str(fault))
                break
            if reply is None:
                self._check_patience()
                break
            self._steps[self.state](reply)
        event, self._event = self._event, None
        return event

    def secured(self) -> None:
        """The TLS handshake is done and the certificate checked: introduce ourselves anew."""
        if self._replies.empty:
            self._introduce(UpstreamState.EHLO_SECURED)
        else:
            self._fail("sent octets in clear behind its 220 to STARTTLS")

    def closed(self) -> None:
        """The upstream closed the connection."""
        self._fail("closed the connection")

    def _check_patience(self) -> None:
        if self._spent > UPSTREAM_PREAMBLE_OCTETS:
            self._fail(f"said more than {UPSTREAM_PREAMBLE_OCTETS} octets")

    def _greeted(self, reply: Reply) -> None:
        if reply.code != 220:
            self._fail("did not greet with 220", reply)
            return
        self._introduce(UpstreamState.EHLO)

    def _introduce(self, state: UpstreamState) -> None:
        self._extensions = {}
        self._command(b"EHLO " + self._name, state)

    def _introduced(self, reply: Reply) -> None:
        if reply.code != 250:
            self._fail("refused EHLO", reply)
            return
        self._extensions = _extensions(reply.lines[1:])
        if self._starttls and self.state is UpstreamState.EHLO:
            self._ask_starttls()
        elif self._xclient is not None and self.state is not UpstreamState.EHLO_TOLD:
            self._tell(self._xclient)
        elif self._proof is None:
            self._finish()
        else:
            self._authenticate(self._proof)

    def _ask_starttls(self) -> None:
        if "STARTTLS" not in self._extensions:
            self._fail("does not offer STARTTLS")
            return
        self._command(b"STARTTLS", UpstreamState.STARTTLS)

    def _switch(self, reply: Reply) -> None:
        if reply.code != 220:
            self._fail("refused STARTTLS", reply)
        elif not self._replies.empty:
            self._fail("sent octets in clear behind its 220 to STARTTLS")
        else:
            self.state = UpstreamState.HANDSHAKE
            self._event = Handshake()

    def _tell(self, xclient: Xclient) -> None:
        """Say who the client is; under TLS, where there is TLS."""
        offered = self._extensions.get("XCLIENT", "").upper().split()
        command = xclient.command(offered)
        if missing := xclient.missing(offered):
            self._fail(f"does not offer XCLIENT {missing} to the gate, which client_address asks for")
        elif len(command) + 2 > _COMMAND_OCTETS:
            self._fail(f"would get an XCLIENT of more than {_COMMAND_OCTETS} octets")
        else:
            self._command(command, UpstreamState.XCLIENT)

    def _told(self, reply: Reply) -> None:
        """The server begins anew, as with that client: what it offered before is forgotten."""
        if reply.code != 220:
            self._fail("refused XCLIENT", reply)
        else:
            self._introduce(UpstreamState.EHLO_TOLD)

    def _authenticate(self, proof: Proof) -> None:
        mechanism = proof.chosen(self._extensions.get("AUTH", "").upper().split())
        if mechanism is None:
            self._fail(f"does not offer AUTH {proof.names}")
            return
        self._mechanism = mechanism
        message = proof.messages[mechanism].reveal_bytes()
        command = b"AUTH " + mechanism.encode()
        if len(message) + 2 > IMAP_SASL_LINE_OCTETS:
            self._fail(f"would get a response of more than {IMAP_SASL_LINE_OCTETS} octets")
        elif len(command) + 1 + len(message) + 2 > _COMMAND_OCTETS:
            self._command(command, UpstreamState.CHALLENGE)
        else:
            self._command(command + b" " + message, UpstreamState.VERDICT)

    def _challenged(self, reply: Reply) -> None:
        """RFC 4954 §4: 334 asks for the response; the first challenge of what we speak is empty."""
        if reply.code != 334 or self._proof is None:
            self._fail("refused AUTH", reply)
            return
        self._command(self._proof.messages[self._mechanism].reveal_bytes(), UpstreamState.VERDICT)

    def _judged(self, reply: Reply) -> None:
        """A 334 here tells of an error, and wants an answer before the refusal (RFC 7628 §3.2.3)."""
        answer = self._mechanism.answer_to_error
        if reply.code == 235:
            self._finish()
        elif reply.code == 334 and answer is not None and not self._complaint:
            self._complaint = b" (" + readable(reply.lines[-1].strip()) + b")"
            self._command(answer, UpstreamState.VERDICT)
        else:  # RFC 4954 §6: 4yz says nothing about what was shown
            self._fail("refused our sign-in", reply, Refused if reply.code // 100 == 5 else Failed)

    def _finish(self) -> None:
        self.state = UpstreamState.READY
        self._event = Ready(MappingProxyType(dict(self._extensions)), self._replies.rest())

    def _command(self, command: bytes, state: UpstreamState) -> None:
        """Send a command; whatever was said before it was asked for answers nothing of ours."""
        if not self._replies.empty:
            self._fail("said more than it was asked")
            return
        self._output += command + b"\r\n"
        self.state = state

    def _fail(self, what: str, said: Reply | None = None, kind: type[Failed | Refused] = Failed) -> None:
        cause = f"{what} ({self.state})"
        self.state = UpstreamState.FAILED
        self._replies = ReplyReader()
        self._output.clear()
        if said is not None:
            words = b"%d %b%b" % (said.code, b" ".join(said.lines), self._complaint)
            cause += f": {quoted(words if self._proof is None else self._proof.without_secrets(words))}"
        self._event = kind(cause)


def _extensions(lines: tuple[bytes, ...]) -> dict[str, str]:
    """Read the lines behind the first of a reply to EHLO; what is no keyword is passed over."""
    found: dict[str, str] = {}
    for line in lines:
        if match := _KEYWORD.fullmatch(line.rstrip(b" ")):
            word, parameters = match[1].decode("ascii").upper(), (match[2] or b"").decode("ascii")
            found[word] = f"{found[word]} {parameters}" if word in found else parameters
    return found
