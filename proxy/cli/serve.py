"""`wicketgate serve`: run the gate until it is told to stop."""

from __future__ import annotations

import click

from proxy.cli.app import Invocation
from proxy.server import run
from proxy.server import serve as serve_gate


@click.command(short_help="Run the gate until it is told to stop.")
@click.pass_obj
def serve(invocation: Invocation) -> None:
    """Run the gate in the foreground, logging to standard error, until SIGTERM or Ctrl-C."""
    run(serve_gate(invocation.config()))
