"""The command line: what `wicketgate` does when somebody types it."""

from proxy.cli.app import main

__all__ = ["main"]
