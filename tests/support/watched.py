"""Dialogs of a session whose commands are watched, as text; the steps are those of `support.transcript`.

-- whole | -- read only     first line: what is allowed; `, alerted`: an alert was said at the sign-in
C: S: U> U<                 as there, `~` for Python strings
-- over                     the session ends here; nothing of either side counts any more
-- fault WORDS              likewise, and the log says so
"""

from dataclasses import dataclass, field
from itertools import groupby

from proxy.imap.permitted import Mode
from proxy.imap.watch import Watch
from support.transcript import Split, Step, whole

ALERT = b"* OK [ALERT] it expires soon\r\na OK [CAPABILITY IMAP4rev1] signed in\r\n"


@dataclass
class Watching:
    """One run of one dialog, or what a test feeds by itself."""

    watch: Watch
    split: Split = whole
    to_client: bytearray = field(default_factory=bytearray)
    to_upstream: bytearray = field(default_factory=bytearray)
    waiting: bytearray = field(default_factory=bytearray)
    """Of the client, not fed yet: there was no room."""

    def run(self, steps: list[Step]) -> None:
        """Play all steps; an AssertionError names the line that went wrong."""
        self.pump()
        for kind, group in groupby(steps, key=lambda step: step.kind):
            same = list(group)
            if kind in ("C", "U<"):
                self._silent(same[0].line)
                for octets in self.split(b"".join(step.octets for step in same)):
                    self.client(octets) if kind == "C" else self.upstream(octets)
                continue
            for step in same:
                match kind:
                    case "S":
                        _expect(self.to_client, step)
                    case "U>":
                        _expect(self.to_upstream, step)
                    case _:
                        self._ends(step)
        self._silent(None)

    def client(self, octets: bytes) -> None:
        """Feed octets of the client, as far as there is room."""
        self.waiting += octets
        self.pump()

    def upstream(self, octets: bytes) -> None:
        """Feed octets of the upstream."""
        self.watch.upstream_said(octets)
        self.pump()

    def pump(self) -> None:
        """Take and feed what can be."""
        while True:
            self.to_client += (down := self.watch.take_for_client())
            self.to_upstream += (up := self.watch.take_for_upstream())
            room = self.watch.room
            if self.waiting and room:
                self.watch.client_said(bytes(self.waiting[:room]))
                del self.waiting[:room]
            elif not (down or up):
                return

    def _ends(self, step: Step) -> None:
        words, _, fault = step.words.partition(" ")
        assert words in ("over", "fault"), f"line {step.line} is no step"
        assert self.watch.over, f"line {step.line}: it goes on"
        assert fault in self.watch.fault, f"line {step.line}: {self.watch.fault}"
        assert bool(fault) == bool(self.watch.fault), f"line {step.line}: {self.watch.fault}"

    def _silent(self, line: int | None) -> None:
        where = "at the end" if line is None else f"before line {line}"
        assert not self.to_client, f"{where}: unexpected to the client: {bytes(self.to_client)!r}"
        assert not self.to_upstream, f"{where}: unexpected to the upstream: {bytes(self.to_upstream)!r}"


def watch_dialog(steps: list[Step], split: Split = whole) -> None:
    """Play a dialog in one splitting."""
    mode, _, alerted = steps[0].words.partition(", ")
    Watching(Watch(Mode(mode), greeting=ALERT if alerted else b""), split).run(steps[1:])


def _expect(stream: bytearray, step: Step) -> None:
    got = bytes(stream[: len(step.octets)])
    assert got == step.octets, f"line {step.line}: expected {step.octets!r}, got {bytes(stream)!r}"
    del stream[: len(step.octets)]
