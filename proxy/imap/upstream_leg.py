"""The upstream's side of a sign-in: greeting, STARTTLS, SASL, capabilities. Octets in, events out.

Pure. The shell feeds what it received, sends what `take_output` gives and obeys the event of `next`. The leg
ends `READY` or `FAILED`; every surprise fails, and what failed is text for the log alone, never for a client.
After STARTTLS nothing said before it counts (RFC 9051 §6.2.1, CVE-2011-0411). What the upstream says between
greeting and tagged OK is dropped, but for its capabilities; all of it together is bounded.

That an upstream offers UNAUTHENTICATE (RFC 8437) is said in `Ready`: there a client could sign in anew, as
anyone whose upstream password it knows, so its commands must be watched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final

from proxy.limits import UPSTREAM_PREAMBLE_OCTETS
from proxy.logtext import quoted
from proxy.upstreams.proof import Mechanism, Proof, readable
from proxy.upstreams.signing_in import Failed, Handshake, Refused


class UpstreamState(StrEnum):
    """Where the upstream leg stands. The words appear in logs."""

    GREETING = "waiting for the greeting"
    CAPABILITIES = "asking for capabilities before STARTTLS"
    STARTTLS = "waiting for the answer to STARTTLS"
    HANDSHAKE = "in the TLS handshake"
    TELLING = "telling who the client is"
    MECHANISMS = "asking how to sign in"
    CHALLENGE = "waiting for the challenge to AUTHENTICATE"
    VERDICT = "waiting for the answer to our sign-in"
    CAPABILITIES_AFTER = "asking for capabilities after sign-in"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ready:
    """Signed in. `capabilities` is what the client may see; `rest` came behind the last reply."""

    capabilities: bytes
    rest: bytes = field(repr=False)
    can_unauthenticate: bool = False
    """Whether UNAUTHENTICATE was among the capabilities at any time."""


Event = Handshake | Ready | Failed | Refused

HIDDEN: Final = frozenset({b"LOGINDISABLED", b"STARTTLS", b"SASL-IR", b"UNAUTHENTICATE"})
"""Capabilities that mean nothing, or harm, once a client is signed in; `AUTH=…` is hidden too."""

_CYRUS: Final = b"X-REPLICATION"
"""Who has this is asked again after sign-in, whatever its OK said: there Cyrus 3.6 leaves UNAUTHENTICATE out
when an administrator is signed in by somebody else, and shows it to CAPABILITY."""

_LITERAL: Final = re.compile(rb"\{([0-9]+)\+?\}\Z")
_LITERAL_DIGITS: Final = 9
_STATUS: Final = re.compile(rb"(OK|NO|BAD|BYE|PREAUTH)(?: |\Z)", re.IGNORECASE)
_OUTAGE: Final = re.compile(
    rb"NO \[(?:UNAVAILABLE|SERVERBUG|LIMIT|INUSE|CONTACTADMIN|PRIVACYREQUIRED|OVERQUOTA)[ \]]", re.IGNORECASE
)
"""RFC 5530 §3: refusals that say nothing about what was shown."""
_NO_CODE: Final = re.compile(rb"NO \[([!-\\^-~]+)[ \]]", re.IGNORECASE)
_CODE: Final = re.compile(rb"OK \[CAPABILITY ([ !-Z^-~]+)\]", re.IGNORECASE)
_DATA: Final = re.compile(rb"CAPABILITY ([ !-Z^-~]+)\Z", re.IGNORECASE)


class UpstreamLeg:
    """One sign-in with one proof. `told`: the command before it that says who the client is, or none."""

    def __init__(self, proof: Proof, *, starttls: bool, told: bytes = b"") -> None:
        self.state = UpstreamState.GREETING
        self._proof = proof
        self._mechanism = Mechanism.PLAIN  # the one in use, once chosen
        self._complaint = b""  # what was said of an error before the NO
        self._starttls = starttls
        self._told = told
        self._input = bytearray()
        self._output = bytearray()
        self._spent = 0  # octets taken so far
        self._literal = 0  # octets of a literal to be dropped
        self._continues = False  # what follows a dropped literal is still the same response
        self._commands = 0
        self._tag = b""
        self._capabilities: tuple[
            bytes, ...
        ] = ()  # the last list seen; forgotten at STARTTLS and AUTHENTICATE
        self._offers_unauthenticate = False
        self._event: Event | None = None

    def receive(self, data: bytes) -> None:
        """Take octets of the upstream."""
        self._input += data

    def take_output(self) -> bytes:
        """Give what is to be sent to the upstream now. It may hold a secret."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def next(self) -> Event | None:
        """Give the next event, None when more octets are needed. `Ready` and `Failed` come once and last."""
        while self._event is None and (line := self._next_line()) is not None:
            self._line(line)
        event, self._event = self._event, None
        return event

    def secured(self) -> None:
        """The TLS handshake is done and the certificate checked: sign in."""
        if self._input:
            self._fail("sent octets in clear behind its OK to STARTTLS")
        else:
            self._capabilities = ()
            self._tell()

    def closed(self) -> None:
        """The upstream closed the connection."""
        self._fail("closed the connection")

    def _next_line(self) -> bytes | None:
        """Give the next line with its end; fails when there is too much of it."""
        if self.state in (UpstreamState.READY, UpstreamState.FAILED, UpstreamState.HANDSHAKE):
            return None
        end = self._input.find(b"\n", self._literal) + 1
        if self._spent + max(self._literal, end or len(self._input)) > UPSTREAM_PREAMBLE_OCTETS:
            self._fail(f"said more than {UPSTREAM_PREAMBLE_OCTETS} octets")
            return None
        if not end:
            return None
        line = bytes(self._input[self._literal : end])
        del self._input[:end]
        self._spent += end
        self._literal = 0
        return line

    def _line(self, line: bytes) -> None:
        text = line[:-2]
        if not line.endswith(b"\r\n"):
            self._fail("sent a line that ends without CRLF")
        elif self._continues:
            self._drop(text)
        elif self.state is UpstreamState.GREETING:
            self._greeting(text)
        elif text.startswith(b"* "):
            self._untagged(text[2:])
        elif text.startswith(b"+"):
            self._challenge(text)
        elif text.startswith(self._tag + b" "):
            self._tagged(text[len(self._tag) + 1 :])
        else:
            self._fail("sent what answers nothing of ours", text)

    def _greeting(self, text: bytes) -> None:
        """RFC 9051 §7.1: OK, or the upstream is of no use; PREAUTH would be somebody else's session."""
        if not text.startswith(b"* ") or _status(text[2:]) != b"OK":
            self._fail("did not greet with OK", text)
            return
        self._note(_CODE.match(text, 2))
        if not self._starttls:
            self._tell()
        elif self._capabilities:
            self._ask_starttls()
        else:
            self._command(b"CAPABILITY", UpstreamState.CAPABILITIES)

    def _untagged(self, text: bytes) -> None:
        if _status(text) in (b"BYE", b"PREAUTH"):
            self._fail("ended the session", text)
        elif _status(text):
            self._note(_CODE.match(text))
        else:
            self._note(_DATA.match(text))
            self._drop(text)

    def _drop(self, text: bytes) -> None:
        """Pass over the rest of an untagged response, its literals too (RFC 9051 §4.3)."""
        announced = _LITERAL.search(text)
        if announced and len(announced[1]) > _LITERAL_DIGITS:
            self._fail("announced a literal of absurd length", text)
            return
        self._literal = int(announced[1]) if announced else 0
        self._continues = announced is not None

    def _challenge(self, text: bytes) -> None:
        """The first challenge is empty; some servers leave out the space behind `+`.

        One that follows our message tells of an error, and wants an answer before the NO (RFC 7628 §3.2.3).
        """
        answer = self._mechanism.answer_to_error
        if self.state is UpstreamState.CHALLENGE:
            self._respond()
        elif self.state is UpstreamState.VERDICT and answer is not None and not self._complaint:
            self._complaint = b" (" + readable(text.removeprefix(b"+").strip()) + b")"
            self._output += answer + b"\r\n"
        else:
            self._fail("sent a challenge out of turn", text)

    def _tagged(self, text: bytes) -> None:
        if _status(text) != b"OK" or self.state is UpstreamState.CHALLENGE:
            self._refuse(text)
            return
        self._note(_CODE.match(text))
        match self.state:
            case UpstreamState.CAPABILITIES:
                self._ask_starttls()
            case UpstreamState.STARTTLS:
                self._switch()
            case UpstreamState.TELLING:
                self._choose()
            case UpstreamState.MECHANISMS:
                self._choose(asked=True)
            case UpstreamState.VERDICT if not self._capabilities or self._offers(_CYRUS):
                self._capabilities = ()
                self._command(b"CAPABILITY", UpstreamState.CAPABILITIES_AFTER)
            case _:
                self._finish()

    def _ask_starttls(self) -> None:
        if not self._offers(b"STARTTLS"):
            self._fail("does not offer STARTTLS")
            return
        self._command(b"STARTTLS", UpstreamState.STARTTLS)

    def _switch(self) -> None:
        if self._input:
            self._fail("sent octets in clear behind its OK to STARTTLS")
            return
        self.state = UpstreamState.HANDSHAKE
        self._event = Handshake()

    def _tell(self) -> None:
        """Say who the client is, where that is wanted, then sign in. Data of the reply is passed over."""
        if self._told:
            self._command(self._told, UpstreamState.TELLING)
        else:
            self._choose()

    def _choose(self, *, asked: bool = False) -> None:
        """Choose the mechanism by what is offered; a proof that has but one is shown unasked."""
        upper = [name.decode("ascii").upper() for name in self._capabilities]
        offered = [name.removeprefix("AUTH=") for name in upper if name.startswith("AUTH=")]
        mechanism = self._proof.only or self._proof.chosen(offered)
        if mechanism is not None:
            self._authenticate(mechanism)
        elif asked or self._capabilities:
            self._fail(f"offers no sign-in by {self._proof.names}")
        else:
            self._command(b"CAPABILITY", UpstreamState.MECHANISMS)

    def _authenticate(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism
        initial = self._offers(b"SASL-IR")  # RFC 4959
        self._capabilities = ()
        command = b"AUTHENTICATE " + mechanism.encode()
        if initial:
            self._command(command + b" " + self._message, UpstreamState.VERDICT)
        else:
            self._command(command, UpstreamState.CHALLENGE)

    @property
    def _message(self) -> bytes:
        return self._proof.messages[self._mechanism].reveal_bytes()

    def _respond(self) -> None:
        self._output += self._message + b"\r\n"
        self._capabilities = ()
        self.state = UpstreamState.VERDICT

    def _refuse(self, text: bytes) -> None:
        """End by a tagged reply that is no OK: at the verdict the proof is refused, or the server is ill."""
        judged = self.state is UpstreamState.VERDICT and _status(text) == b"NO"
        kind: Callable[[str], Failed | Refused] = Failed
        if judged and not _OUTAGE.match(text):
            code = _NO_CODE.match(text)
            kind = partial(Refused, code="" if code is None else code[1].decode("ascii").upper())
        self._fail(_REFUSED[self.state], text + self._complaint, kind)

    def _finish(self) -> None:
        shown = b" ".join(name for name in self._capabilities if may_be_seen(name))
        if not shown:
            self._fail("names no capabilities")
            return
        rest = bytes(self._input)
        self._input.clear()
        self.state = UpstreamState.READY
        self._event = Ready(shown, rest, self._offers_unauthenticate)

    def _note(self, found: re.Match[bytes] | None) -> None:
        """Remember a list of capabilities; the last one counts."""
        if found is None:
            return
        self._capabilities = tuple(found[1].split())
        self._offers_unauthenticate |= self._offers(b"UNAUTHENTICATE")

    def _offers(self, name: bytes) -> bool:
        return any(each.upper() == name for each in self._capabilities)

    def _command(self, command: bytes, state: UpstreamState) -> None:
        self._commands += 1
        self._tag = b"w%d" % self._commands
        self._output += self._tag + b" " + command + b"\r\n"
        self.state = state

    def _fail(self, what: str, said: bytes = b"", kind: Callable[[str], Failed | Refused] = Failed) -> None:
        cause = f"{what} ({self.state})"
        self.state = UpstreamState.FAILED
        self._input.clear()
        self._output.clear()
        self._event = kind(f"{cause}: {quoted(self._proof.without_secrets(said))}" if said else cause)


_REFUSED: Final[Mapping[UpstreamState, str]] = {
    UpstreamState.CAPABILITIES: "refused CAPABILITY",
    UpstreamState.STARTTLS: "refused STARTTLS",
    UpstreamState.TELLING: "refused ID",
    UpstreamState.MECHANISMS: "refused CAPABILITY",
    UpstreamState.CHALLENGE: "refused AUTHENTICATE",
    UpstreamState.VERDICT: "refused our sign-in",
    UpstreamState.CAPABILITIES_AFTER: "refused CAPABILITY",
}


def _status(text: bytes) -> bytes:
    """Give the status word of a response in upper case, empty if it has none."""
    found = _STATUS.match(text)
    return found[1].upper() if found else b""


def may_be_seen(name: bytes) -> bool:
    """Say whether a client that is signed in may see this capability."""
    return name.upper() not in HIDDEN and not name.upper().startswith(b"AUTH=")
