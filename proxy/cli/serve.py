"""`wicketgate serve`: run the gate until it is told to stop.

What `wicketgate check` would find is looked for first. What does not keep the gate from starting, such as an
expired certificate, is noted once it serves; when it cannot start for such a cause, everything found is said.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import click

from auth.store.errors import StoreUnavailable
from config.inspect import inspect
from config.load import load
from config.private import PrivateFileError
from config.problems import ConfigErrors, Problem
from proxy.cli.app import Invocation
from proxy.cli.outages import outage
from proxy.cli.output import fail_usage
from proxy.log.formats import LogFormat
from proxy.net.tls import CertificateProblem
from proxy.process import run
from proxy.server.listening import Bound
from proxy.server.serving import serve as serve_gate

log = logging.getLogger(__name__)


@click.command(short_help="Run the gate until it is told to stop.")
@click.pass_obj
def serve(invocation: Invocation) -> None:
    """Run the gate in the foreground, logging to standard error, until SIGTERM or Ctrl-C."""
    config = invocation.config()
    problems = inspect(config, invocation.file().absolute(), datetime.now(UTC))
    serving = False

    def ready(_: Bound) -> None:
        nonlocal serving
        serving = True
        for problem in problems:
            log.warning("%s; %s", problem, problem.hint)

    try:
        run(
            serve_gate(config, ready=ready, reread=lambda: load(invocation.file().absolute())),
            form=LogFormat(config.log.format),
            level=logging.getLevelNamesMapping()[config.log.level.upper()],
        )
    except (CertificateProblem, ConfigErrors, PrivateFileError, StoreUnavailable, OSError) as error:
        if not serving:
            problems += _unseen(error, problems)
        if problems and not serving:
            raise ConfigErrors(problems) from None
        if isinstance(error, CertificateProblem):
            fail_usage(str(error), "see what is wrong with: wicketgate check")
        raise


def _unseen(error: Exception, seen: list[Problem]) -> list[Problem]:
    """Give what only starting has found: keys that are not those of the store, a store that cannot answer.

    The store's words are added to what was seen, for that may be the cause; alone they are told as they come.
    """
    if isinstance(error, StoreUnavailable):
        what, hint = outage(error)
        return [Problem(key="", what=what, hint=hint)] if seen else []
    known = {problem.key for problem in seen}
    found = error.problems if isinstance(error, ConfigErrors) else ()
    return [problem for problem in found if problem.key not in known]
