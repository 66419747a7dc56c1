"""Dialogs as text, played against both legs of IMAP or SMTP without a socket.

Each line is one step; a file is read from top to bottom:

    C: octets of the client, CRLF is added       S: exactly what the gate answers, CRLF is added
    U< octets of the upstream                    U> exactly what the gate says to the upstream
    C~ "raw octets\\r\\n" "x" * 5000              S~, U<~ and U>~ too: Python strings, perhaps repeated
    G> name password [acting as NAME]            what the gate function is asked
    G< granted | REASON [label=L] [scopes=a,b]   what it answers; `granted` begins the upstream leg
    G< granted expires=DAYS [label=L]            likewise, and the app password ends in so many days
    -- [secure] [starttls] [bearer] [told]       first line: client under TLS; upstream wants STARTTLS; OAuth;
                                                 is told that the client is 192.0.2.7:40000
    -- tls client | tls upstream                 the handshake that is due is done
    -- upstream ready                            the upstream leg is done, whatever it said
    -- closed                                    the gate hangs up
    -- upstream closes | upstream failed         the upstream ends; our leg gives up, and the client is told
    -- times out | server stops                  why we end what did no harm
    # a comment

After sign-in the legs are joined as the relay joins them; on SMTP, where a session stands between them, U> is
what it is given. What the gate says must be said when the script
says so, and nothing else: before every input all output must have been expected. `ways` gives the splittings
that each dialog runs in: whole (neighbouring lines in one piece), byte by byte, and at random places.
"""

from __future__ import annotations

import ast
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import groupby
from pathlib import Path

from auth.refusal import Reason, Refusal
from auth.secret import Secret
from proxy.dialog import ClientState, Ending, HangUp, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import UNAVAILABLE, House
from proxy.imap import client_leg as imap_client
from proxy.imap import upstream_leg as imap_upstream
from proxy.imap.alerts import expiry_alert
from proxy.imap.introduction import id_command
from proxy.smtp import client_leg as smtp_client
from proxy.smtp import upstream_leg as smtp_upstream
from proxy.smtp.offer import Offer
from proxy.smtp.xclient import Xclient
from proxy.upstreams import signing_in
from proxy.upstreams.origin import Origin
from proxy.upstreams.proof import Proof
from scopes.model import Grant, Scope
from support.proofs import bearer, plain_of

HOUSE = House(host="mail.example.org", portal_url="https://mail.example.org/passwords")
RESPONSE = Secret("YWxpY2VAZXhhbXBsZS5vcmcAZ2F0ZQBvcGVuIHNlc2FtZQ==")  # alice@example.org, gate, open sesame
INPUTS = ("C", "U<")
NOW = 1_800_000_000  # 15 January 2027, 08:00 UTC
CLIENT = (ip_address("192.0.2.7"), 40_000)
ORIGIN = Origin(connection_id="0a1b2c3d", client=CLIENT, gate=(ip_address("198.51.100.1"), 993))
OFFER = Offer(size_octets=52_428_800)

ClientLeg = imap_client.ClientLeg | smtp_client.ClientLeg
UpstreamLeg = imap_upstream.UpstreamLeg | smtp_upstream.UpstreamLeg
States = set[ClientState | imap_upstream.UpstreamState | smtp_upstream.UpstreamState]
Handshake = (imap_upstream.Handshake, smtp_upstream.Handshake)
PLAIN = plain_of(RESPONSE)
Failed = (signing_in.Failed, signing_in.Refused)

Split = Callable[[bytes], Iterator[bytes]]


@dataclass(frozen=True)
class Step:
    line: int
    kind: str
    octets: bytes = b""
    words: str = ""


def load(path: Path) -> list[Step]:
    return parse(path.read_text("utf-8"))


def parse(text: str) -> list[Step]:
    steps = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"(C|S|U<|U>|G<|G>|--)(~|:)? ?(.*)", line)
        assert found, f"line {number} is no step: {line}"
        kind, raw, rest = found.groups()
        if kind in ("G<", "G>", "--"):
            steps.append(Step(number, kind, words=rest))
        else:
            octets = _raw(rest) if raw == "~" else rest.encode() + b"\r\n"
            steps.append(Step(number, kind, octets))
    return steps


def _raw(text: str) -> bytes:
    items = re.findall(r"""("(?:[^"\\]|\\.)*")(?:\s*\*\s*([0-9]+))?""", text)
    return b"".join(ast.literal_eval(f"b{literal}") * int(times or 1) for literal, times in items)


def whole(octets: bytes) -> Iterator[bytes]:
    yield octets


def byte_by_byte(octets: bytes) -> Iterator[bytes]:
    for octet in octets:
        yield bytes([octet])


def at_random(seed: int) -> Split:
    def split(octets: bytes) -> Iterator[bytes]:
        chance = random.Random(seed ^ len(octets))
        while octets:
            size = chance.choice((1, 1, 2, 3, 7, 20, 200, 5000))
            yield octets[:size]
            octets = octets[size:]

    return split


def ways(seeds: range = range(3)) -> dict[str, Split]:
    fresh = int(os.environ["WICKETGATE_TESTS_SEED"])
    by_seed = {f"random, seed {seed}": at_random(seed) for seed in (*seeds, fresh)}
    return {"whole": whole, "byte by byte": byte_by_byte, **by_seed}


class Imap:
    """The legs of IMAP."""

    @staticmethod
    def client(house: House, *, secure: bool) -> ClientLeg:
        return imap_client.ClientLeg(house, secure=secure)

    @staticmethod
    def upstream(proof: Proof, *, starttls: bool, told: bool) -> UpstreamLeg:
        return imap_upstream.UpstreamLeg(proof, starttls=starttls, told=id_command(ORIGIN) if told else b"")


class Smtp:
    """The legs of submission."""

    @staticmethod
    def client(house: House, *, secure: bool) -> ClientLeg:
        return smtp_client.ClientLeg(house, OFFER, secure=secure)

    @staticmethod
    def upstream(proof: Proof, *, starttls: bool, told: bool) -> UpstreamLeg:
        xclient = Xclient(client=CLIENT) if told else None
        return smtp_upstream.UpstreamLeg("mail.example.org", proof, starttls=starttls, xclient=xclient)


@dataclass
class Play:
    """One run of one dialog."""

    client: ClientLeg
    legs: type[Imap | Smtp] = Imap
    split: Split = whole
    starttls: bool = False
    told: bool = False
    proof: Proof = PLAIN
    upstream: UpstreamLeg | None = None
    alert: str = ""
    to_client: bytearray = field(default_factory=bytearray)
    to_upstream: bytearray = field(default_factory=bytearray)
    due: list[object] = field(default_factory=list)
    states: States = field(default_factory=set)

    def run(self, steps: list[Step]) -> States:
        """Play all steps; gives the states both legs were in."""
        for kind, group in groupby(steps, key=lambda step: step.kind):
            same = list(group)
            if kind in INPUTS:
                self._silent(same[0])
                self._input(kind, b"".join(step.octets for step in same))
            else:
                for step in same:
                    self._step(step)
        self._silent(None)
        return self.states

    def _step(self, step: Step) -> None:
        match step.kind:
            case "S":
                self._expect(self.to_client, step)
            case "U>":
                self._expect(self.to_upstream, step)
            case "G>":
                words, _, authzid = step.words.partition(" acting as ")
                name, _, secret = words.partition(" ")
                asked = self._take(Asked, step)
                got = (asked.name, asked.secret.reveal(), asked.authzid or "")
                assert got == (name, secret, authzid), f"line {step.line}: {asked.name}, {asked.authzid}"
            case "G<":
                self._silent(step)
                self._answer(step)
            case _:
                self._happen(step)
        self._pump()

    def _answer(self, step: Step) -> None:
        outcome, *more = step.words.split()
        if outcome == "granted":
            self.upstream = self.legs.upstream(self.proof, starttls=self.starttls, told=self.told)
            self.alert = _alert(more)
        else:
            self.client.refused(_refusal(outcome, more))

    def _happen(self, step: Step) -> None:
        match step.words:
            case "tls client":
                self._take(SwitchToTls, step)
                self.client.secured()
            case "tls upstream" if self.upstream:
                self._take(Handshake, step)
                self.upstream.secured()
            case "closed":
                self._take(HangUp, step)
            case "upstream closes" if self.upstream:
                self.upstream.closed()
            case "upstream failed":
                self._take(Failed, step)
                self.client.refused(UNAVAILABLE)
            case "upstream ready":
                self.upstream = None
                self.to_upstream = bytearray(self.client.granted())
            case "times out":
                self.client.farewell(Ending.TOO_SLOW)
            case "server stops":
                self.client.farewell(Ending.STOPPING)
            case _:
                raise AssertionError(f"line {step.line} is no step")

    def _input(self, kind: str, octets: bytes) -> None:
        for piece in self.split(octets):
            if kind == "C" and self.client.state is ClientState.SIGNED_IN:
                self.to_upstream += piece
            elif kind == "C":
                self.client.receive(piece)
            elif self.client.state is ClientState.SIGNED_IN:
                self.to_client += piece
            elif self.upstream is not None:
                self.upstream.receive(piece)
            self._pump()

    def _pump(self) -> None:
        """Let both legs say what they have to say, as the shell does."""
        while True:
            self._note()
            event = self.client.next()
            self.to_client += self.client.take_output()
            if event is not None:
                self.due.append(event)
                self._note()
                continue
            said = None if self.upstream is None else self.upstream.next()
            if self.upstream is not None:
                self.to_upstream += self.upstream.take_output()
            match said:
                case None:
                    return
                case smtp_upstream.Ready():
                    self.to_upstream += self.client.granted()
                case imap_upstream.Ready(capabilities, rest):
                    self.to_upstream += self.client.granted(capabilities, self.alert)
                    self.to_client += self.client.take_output() + rest
                case _:
                    self.due.append(said)

    def _note(self) -> None:
        self.states.add(self.client.state)
        if self.upstream is not None:
            self.states.add(self.upstream.state)

    def _take(self, kind: type | tuple[type, ...], step: Step) -> object:
        assert self.due, f"line {step.line}: {kind} is not due"
        event = self.due.pop(0)
        assert isinstance(event, kind), f"line {step.line}: {event} instead of {kind}"
        return event

    def _expect(self, stream: bytearray, step: Step) -> None:
        got = bytes(stream[: len(step.octets)])
        assert got == step.octets, f"line {step.line}: expected {step.octets!r}, got {bytes(stream)!r}"
        del stream[: len(step.octets)]

    def _silent(self, step: Step | None) -> None:
        where = "at the end" if step is None else f"before line {step.line}"
        assert not self.to_client, f"{where}: unexpected to the client: {bytes(self.to_client)!r}"
        assert not self.to_upstream, f"{where}: unexpected to the upstream: {bytes(self.to_upstream)!r}"
        assert not self.due, f"{where}: not expected: {self.due}"


def play(
    steps: list[Step], split: Split = whole, legs: type[Imap | Smtp] = Imap, house: House = HOUSE
) -> States:
    """Play a dialog in one splitting; an AssertionError names the line that went wrong."""
    settings = set()
    if steps and steps[0].kind == "--":
        settings = set(steps[0].words.split())
        if settings <= {"secure", "starttls", "bearer", "told"}:
            steps = steps[1:]
    client = legs.client(house, secure="secure" in settings)
    proof = bearer() if "bearer" in settings else PLAIN
    run = Play(client, legs, split, starttls="starttls" in settings, told="told" in settings, proof=proof)
    run._pump()
    return run.run(steps)


def _alert(more: list[str]) -> str:
    """Say what an app password's end calls for, at `NOW`."""
    given = dict(pair.split("=", 1) for pair in more)
    end = NOW + int(float(given["expires"]) * 86_400) if "expires" in given else None
    grant = Grant(
        account_id="ac_1",
        email="alice@example.org",
        app_password_id="ap_1",
        label=given.get("label", "phone"),
        scopes=frozenset({Scope.MAIL}),
        expires_at=end,
    )
    return expiry_alert(grant, HOUSE, NOW)


def _refusal(reason: str, more: list[str]) -> Refusal:
    given = dict(pair.split("=", 1) for pair in more)
    scopes = frozenset(Scope(scope) for scope in given.get("scopes", "").split(",") if scope)
    return Refusal(reason=Reason[reason], label=given.get("label"), scopes=scopes)
