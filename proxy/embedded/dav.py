"""The CalDAV and CardDAV child: Radicale's WSGI application under waitress, in a process of its own.

Radicale is under the GPL and is run, never imported, by the product: `PROGRAM` is the whole child. Nothing of
ours is loaded there. So the few lines repeat what the other children share: they lock the folder for life,
say when the socket answers, and end with the pipe to the parent, whatever is under way (Radicale writes a
file beside its place, syncs it and renames it, so what was half written is not there).

Names are UTF-8 on the wire, which WSGI gives as Latin-1 and Radicale takes as it comes: read so, a name would
be listed as another. Who asks is what `X-Remote-User` says, and a request without it is refused; waitress
drops header names with `_`, which WSGI could not tell from it, and gives two of them as one name with a
comma in it, which is nobody's. Only this user can enter the socket's folder. Each account sees its own tree
(`owner_only`), which the server makes, empty, at the account's first request; what is in it, clients make.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from proxy import limits
from proxy.embedded.child import Program

PROGRAM: Final = r"""
import fcntl, json, logging, os, pathlib, signal, sys, threading, time
root, socket, told = sys.argv[1:]
told = json.loads(told)
os.umask(0o077)
for stop in (signal.SIGINT, signal.SIGTERM):  # the parent decides
    signal.signal(stop, signal.SIG_IGN)
for name in ("TEMP", "RADICALE_CONFIG", "RADICALE_LOG_FORMAT"):
    os.environ.pop(name, None)

def lock():
    os.makedirs(root, exist_ok=True)
    file = open(os.path.join(root, "wicketgate-lock"), "a")
    deadline = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"error: another server has the contacts and calendars in {root}")
            time.sleep(0.05)

try:
    locked = lock()
    from radicale import config, log
    from radicale.app import Application
    from waitress.server import create_server
    logging.disable(logging.WARNING)  # it tells its settings as warnings
    log.setup()
    log.set_level("warning", False)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    settings = config.load()
    settings.update(told["radicale"], "wicketgate", privileged=True)
    radicale = Application(settings)
    logging.disable(logging.NOTSET)
except (OSError, RuntimeError) as error:
    sys.exit(f"error: {error}")

def application(environ, start_response):
    try:  # WSGI gives octets as Latin-1 (PEP 3333)
        for name in ("PATH_INFO", "HTTP_X_REMOTE_USER"):
            environ[name] = environ.get(name, "").encode("latin-1").decode("utf-8")
    except UnicodeError:
        start_response("400 Bad Request", [("Content-Length", "0")])
        return [b""]
    for name in ("HTTP_AUTHORIZATION", "HTTP_X_SCRIPT_NAME"):
        environ.pop(name, None)
    return radicale(environ, start_response) or [b""]  # one piece: waitress then knows its length

def end_with_the_parent():
    while os.read(0, 4096):
        pass
    server.task_dispatcher.shutdown(cancel_pending=True, timeout=told["leaving_s"])
    pathlib.Path(socket).unlink(missing_ok=True)
    try:
        pathlib.Path(socket).parent.rmdir()
    except OSError:
        pass
    os._exit(0)

try:
    server = create_server(application, unix_socket=socket, **told["waitress"])
except OSError as error:
    sys.exit(f"error: {error}")
threading.Thread(target=end_with_the_parent, daemon=True).start()
os.write(1, b"ready\n")
server.run()
"""
"""Arguments: the folder it locks, the socket, and what `_told` writes. The first word is `handover.READY`."""

_LEAVING_S: Final = 3.0
"""For requests under way; less than `limits.EMBEDDED_STOP_S`, after which the child is killed."""
_CONNECTIONS: Final = 1_000
"""From the gate, idle ones included: far more than it keeps, for beyond it the socket does not answer."""
_FOLDER: Final = "radicale"


def program(root: Path, socket: Path) -> Program:
    """Say what to run to serve what is kept below `root` on `socket`."""
    where = root.absolute()
    arguments = ("-c", PROGRAM, str(where), str(socket), json.dumps(_told(where)))
    return Program(name="radicale", arguments=arguments)


def _told(root: Path) -> dict[str, object]:
    """Write every setting that is not what the two programs take for granted."""
    return {
        "leaving_s": _LEAVING_S,
        "radicale": {
            "auth": {"type": "http_x_remote_user", "delay": "0"},
            "rights": {"type": "owner_only", "permit_overwrite_collection": "False"},
            "storage": {"filesystem_folder": str(root / _FOLDER)},
            "server": {
                "max_content_length": str(limits.EMBEDDED_DAV_BODY_OCTETS),
                "max_resource_size": str(limits.EMBEDDED_DAV_BODY_OCTETS * 4 // 5),  # the most it takes
                "delay_on_error": "0",
                # No name is turned away for its letters, as those with an apostrophe would be: accounts and
                # paths were checked by the gate, and a path is looked at by Radicale's storage besides.
                "validate_user_value": "none",
                "validate_path_value": "none",
            },
            "web": {"type": "none"},
            "logging": {"level": "warning"},
        },
        "waitress": {
            "threads": limits.EMBEDDED_DAV_THREADS,
            "connection_limit": _CONNECTIONS,
            "max_request_body_size": limits.EMBEDDED_DAV_BODY_OCTETS,
            "asyncore_use_poll": True,  # select() ends at descriptor 1024
            "ident": "",
        },
    }
