"""The child of contacts and calendars: Radicale under waitress, `python -m proxy.embedded.dav ROOT SOCKET`.

Radicale is a program that is run here, by the name of its WSGI application, and imported nowhere in the
product (it is GPL). It believes the field X-Remote-User; nobody but the gate can enter the folder of the
socket. Standard input is the pipe to the parent and its end ends the child; one line on standard output says
that the socket answers. ROOT is locked for life.
"""

from __future__ import annotations

import logging
import os
import pkgutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from wsgiref.util import setup_testing_defaults

from waitress.server import create_server

from proxy.embedded.childside import ignore_stops, lock
from proxy.embedded.durable import FOLDER_MODE
from proxy.embedded.handover import READY
from proxy.limits import EMBEDDED_DAV_BODY_OCTETS, EMBEDDED_DAV_THREADS

_APPLICATION: Final = "radicale:application"
_CONFIG: Final = """\
[auth]
type = http_x_remote_user
delay = 0
[rights]
type = owner_only
permit_overwrite_collection = False
[storage]
filesystem_folder = {folder}
[web]
type = none
[server]
max_content_length = {octets}
max_resource_size = {octets}
delay_on_error = 0
[logging]
level = warning
"""


def application(root: Path) -> Any:
    """Give Radicale's WSGI application over the folder `root`, once it has answered a first question."""
    folder = root / "radicale"
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    config = root / "radicale.conf"
    text = _CONFIG.format(folder=str(folder).replace("%", "%%"), octets=EMBEDDED_DAV_BODY_OCTETS)
    config.write_text(text, encoding="utf-8")
    os.environ["RADICALE_CONFIG"] = str(config)
    logging.disable(logging.INFO)  # it tells of itself before it has read the level
    serving = pkgutil.resolve_name(_APPLICATION)
    asked: dict[str, Any] = {"REQUEST_METHOD": "OPTIONS", "PATH_INFO": "/"}
    setup_testing_defaults(asked)
    for _ in serving(asked, lambda *_: None):  # a broken set-up shows here, before anything is promised
        pass
    return serving


def serve(root: Path, socket: Path) -> None:
    """Serve on `socket` until the parent has gone."""
    serving = application(root)
    socket.unlink(missing_ok=True)  # of a predecessor that was killed
    server = create_server(
        serving,
        unix_socket=str(socket),
        unix_socket_perms="600",
        threads=EMBEDDED_DAV_THREADS,
        max_request_body_size=EMBEDDED_DAV_BODY_OCTETS,
        expose_tracebacks=False,
        ident="",
    )
    signal.signal(signal.SIGUSR1, _leave)
    watcher = threading.Thread(target=_watch, args=(sys.stdin.fileno(), threading.get_ident()), daemon=True)
    watcher.start()
    os.write(sys.stdout.fileno(), READY)
    server.run()  # until `_leave`: requests under way are finished then
    server.close()
    socket.unlink(missing_ok=True)
    with suppress(OSError):
        socket.parent.rmdir()


def _watch(descriptor: int, thread: int) -> None:
    """Wait for the end of the pipe, then wake the serving thread."""
    with suppress(OSError):
        while os.read(descriptor, 4096):
            pass
    signal.pthread_kill(thread, signal.SIGUSR1)


def _leave(*_: object) -> None:
    raise SystemExit


def main(arguments: list[str]) -> int:
    """Run the child; returns its exit status."""
    root, socket = (Path(argument) for argument in arguments)
    ignore_stops()
    try:
        with lock(root):
            serve(root, socket)
    except BlockingIOError:
        sys.stderr.write(f"error: another server has the contacts and calendars in {root}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
