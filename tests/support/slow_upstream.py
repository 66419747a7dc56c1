"""An IMAP server on a Unix socket that can keep its banner back; it knows as much IMAP as a session needs."""

import queue
import shutil
import socket
import socketserver
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.serving import behind

SECRET = "open sesame"
_PATIENCE_S = 30.0
_CAPABILITIES = b"[CAPABILITY IMAP4rev1 IDLE]"


@dataclass
class Arrival:
    """One connection of the gate's."""

    login: str = ""
    """The account it signed in for."""
    ended: threading.Event = field(default_factory=threading.Event)

    def wait_for_end(self) -> None:
        """Wait until the gate has closed it."""
        assert self.ended.wait(_PATIENCE_S), "the gate keeps its connection to the upstream"


class _Dialog(socketserver.StreamRequestHandler):
    server: "SlowUpstream"

    def handle(self) -> None:
        arrival = Arrival()
        held = self.server.holds
        self.server.arrivals.put(arrival)
        try:
            if held:
                self.rfile.read()
                return
            self._say(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready")
            while line := self.rfile.readline():
                self._answer(arrival, *line.split(maxsplit=1))
        except OSError:
            return  # the gate was gone first
        finally:
            arrival.ended.set()

    def _answer(self, arrival: Arrival, tag: bytes, command: bytes) -> None:
        match command.split():
            case b"AUTHENTICATE", b"PLAIN", message:
                login, user, secret = b64decode(message).decode().split("\0")
                assert (user, secret) == ("gate", SECRET)
                arrival.login = login
                self._say(tag + b" OK " + _CAPABILITIES + b" in")
            case b"SELECT" | b"EXAMINE", _:
                self._say(b"* 0 EXISTS", tag + b" OK [READ-ONLY] opened")
            case [b"IDLE"]:
                self._say(b"+ idling")
                self.rfile.readline()
                self._say(tag + b" OK done")
            case [b"NOOP"]:
                self._say(tag + b" OK done")
            case [b"LOGOUT"]:
                self._say(b"* BYE", tag + b" OK done")
            case _:
                self._say(tag + b" BAD not known here")

    def _say(self, *lines: bytes) -> None:
        self.wfile.write(b"".join(line + b"\r\n" for line in lines))


class SlowUpstream(socketserver.ThreadingUnixStreamServer):
    """The server. While `holds` is true a new connection is taken and hears nothing."""

    daemon_threads = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holds = False
        self.arrivals: queue.Queue[Arrival] = queue.Queue()
        self._open: set[socket.socket] = set()
        super().__init__(str(path), _Dialog)

    def settings(self, folder: Path) -> str:
        """Give the lines of `[upstream.imap]`; the secret's file is written to `folder`."""
        return behind(folder, f"unix:{self.path}", SECRET)

    def next_arrival(self) -> Arrival:
        """Wait for the gate's next connection."""
        return self.arrivals.get(timeout=_PATIENCE_S)

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection that is still there."""
        for sock in list(self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@contextmanager
def slow_upstream() -> Iterator[SlowUpstream]:
    """Run one until the block ends; its folder is short, as Unix sockets need it."""
    folder = Path(tempfile.mkdtemp(prefix="wg-"))
    try:
        with serving_at(folder / "s") as server:
            yield server
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving_at(path: Path) -> Iterator[SlowUpstream]:
    """Run one at a path of the caller's."""
    with SlowUpstream(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()
            path.unlink(missing_ok=True)
