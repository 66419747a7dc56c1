"""The command line: what `wicketgate` does when somebody types it."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Run the console script `wicketgate`.

    Loading the program takes a third of a second, and there Python's own handler would answer Ctrl-C with a
    traceback from the middle of an import. Nothing is under way yet, so until then Ctrl-C simply ends the
    process; one that was started with the signal ignored goes on ignoring it.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from proxy.cli.app import run  # noqa: PLC0415 - the loading that this is about

    signal.signal(signal.SIGINT, handler)
    run()
