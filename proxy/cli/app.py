"""The program: its commands, its one global option, and how it ends.

Commands are loaded when they are called, so that `wicketgate --help` and `init` do not wait for the database
library or the server. Whatever a command raises ends here, in lines for a person and an exit code.
"""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
from click.core import ParameterSource

from config.load import load
from config.models import Config
from proxy.cli.output import (
    MISUSED,
    REFUSED,
    Failure,
    abandon_output,
    complain,
    fail_usage,
    finish_output,
    guarded,
)
from proxy.cli.streams import open_standard_streams
from proxy.process import keep_to_itself

COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "demo": ("proxy.cli.demo:demo", "Run a whole Wicketgate here, to look at."),
        "init": ("proxy.cli.first_steps:init", "Write a first configuration into a folder."),
        "check": ("proxy.cli.check:check", "Say all that is wrong with the configuration."),
        "serve": ("proxy.cli.serve:serve", "Run the gate until it is told to stop."),
        "account": ("proxy.cli.accounts:account", "Accounts: people and devices."),
        "password": ("proxy.cli.passwords:password", "App passwords: create, list, revoke."),
        "audit": ("proxy.cli.audit:audit", "Who did what, when and from where."),
        "backup": ("proxy.cli.backup:backup", "Write the store and what belongs to it into one file."),
        "restore": ("proxy.cli.restore:restore", "Put a backup in the place of the store."),
    }
)
"""Each command, where it is defined and what it is for, in the order of the help text."""

CONFIG_VARIABLE: Final = "WICKETGATE_CONFIG"
_COMMAND: Final = re.compile(r"\bwicketgate (?=(?:check|serve|account|password|audit|backup|restore)\b|…)")
"""A command in a hint that needs the config file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What was said before the command."""

    config_file: Path | None
    by_option: bool = False
    """Whether `-c` named it, so that every further command needs it too."""

    def typed(self, text: str) -> str:
        """Give `text` with its commands as they can be typed here: with the `-c FILE` that was given."""
        if not self.by_option or self.config_file is None:
            return text
        here = f"wicketgate -c {shlex.quote(str(self.config_file))} "
        return _COMMAND.sub(lambda _: here, text)

    def config(self) -> Config:
        """Read the config file; raises ConfigErrors, and Failure when none was named."""
        return load(self.file())

    def file(self) -> Path:
        """Give the path of the config file; raises Failure when none was named."""
        if self.config_file is None:
            hint = (
                f"name it before the command, as in: wicketgate -c wicketgate.toml …, or in {CONFIG_VARIABLE}"
            )
            fail_usage("no config file was named", hint)
        return self.config_file


class Program(click.Group):
    """A group whose commands are loaded when called, and whose every end is tidy."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a near miss is named in the error."""
        near = get_close_matches(args[0], COMMANDS, n=1) if args[0] not in COMMANDS else []
        if near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; hints name the config file as it was named."""
        try:
            return guarded(super().invoke)(ctx)
        except Failure as failure:
            if isinstance(ctx.obj, Invocation):
                failure.problems = tuple((what, ctx.obj.typed(hint)) for what, hint in failure.problems)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands' help from the table, loading none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])

    def main(  # type: ignore[override] # click's overloads say the same in more words
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run the program and exit with 0, 1 or 2; every exception becomes lines for a person."""
        run = guarded(super().main)
        if not standalone_mode:
            return run(args, standalone_mode=False, **extra)
        try:
            code = run(args, standalone_mode=False, **extra)
            code = code if isinstance(code, int) else 0
            if not finish_output():
                code = REFUSED
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = MISUSED
        except click.UsageError as error:
            complain(_one_line(error).rstrip("."), _usage_hint(error))
            code = MISUSED
        except Failure as error:
            finish_output()
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            complain(_one_line(error))
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            complain("stopped before it was done")
            code = REFUSED
        except BrokenPipeError:
            abandon_output()
            code = REFUSED
        sys.exit(code)


def _one_line(error: click.ClickException) -> str:
    """Give click's words in one line; it writes choices one below the other."""
    return " ".join(error.format_message().split())


def _usage_hint(error: click.UsageError) -> str:
    """Point at the help of the command that was misused."""
    path = error.ctx.command_path if error.ctx is not None else "wicketgate"
    return f"see: {path} --help"


@click.command(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="wicketgate", prog_name="wicketgate", message="%(prog)s %(version)s")
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="The config file.",
)
@click.pass_context
def program(ctx: click.Context, config_file: Path | None) -> None:
    """App-specific passwords for the mail and calendar servers you already have.

    Start with `wicketgate demo`, or with `wicketgate init DIR` for a set-up of your own.
    """
    source = ctx.get_parameter_source("config_file")
    ctx.obj = Invocation(config_file=config_file, by_option=source is ParameterSource.COMMANDLINE)


def run() -> None:
    """Run the program on this process's arguments and streams."""
    keep_to_itself()
    open_standard_streams()
    program.main(prog_name="wicketgate")
