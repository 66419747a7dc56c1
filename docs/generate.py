"""Writes docs/config.md from the configuration's models and docs/cli.md from the commands.

usage: .venv/bin/python docs/generate.py      (a test fails while a written file differs from the code)
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.domain import DomainUpstreams
from config.models import Config
from proxy.cli.app import program

HERE = Path(__file__).parent
_COLUMNS = 78
"""The width of the help texts, whatever the terminal of whoever writes them."""
_WRITTEN = "*Written by `docs/generate.py` from the code.*"


def config_reference() -> str:
    """Every table and key of the configuration file."""
    lines = [
        "# Configuration",
        "",
        _WRITTEN,
        "",
        "One TOML file. Relative paths start at its folder, `~` is a home. Unknown keys are errors, and",
        "`wicketgate check` reports everything that is wrong at once. `wicketgate init` writes a commented",
        "file to begin with.",
    ]
    lines += _section(Config, "")
    return "\n".join(lines) + "\n"


def _section(
    model: type[BaseModel], path: str, *, many: bool = False, optional: bool = False
) -> Iterator[str]:
    """Give one table's keys, then the tables below it; `optional` may be left out as a whole."""
    rows, below = [], []
    for name, field in model.model_fields.items():
        inner, repeated = _model_of(field.annotation)
        if inner is None:
            rows.append(f"| `{name}` | {_needed(field, optional=optional)} | {field.description} |")
        else:
            full = f"{path}.{name}" if path else name
            full += ".NAME" if typing.get_origin(field.annotation) is dict else ""
            below.append((inner, full, repeated, optional or not field.is_required()))
    if rows:
        yield from ("", f"## `[[{path}]]`" if many else f"## `[{path}]`")
        yield from ("", "| key | without it | meaning |", "|---|---|---|", *rows)
    for inner, full, repeated, may_go in below:
        if inner is DomainUpstreams:
            yield from _as_elsewhere(inner, full)
            continue
        yield from _section(inner, full, many=repeated, optional=may_go)


def _as_elsewhere(model: type[BaseModel], path: str) -> Iterator[str]:
    """Give the tables of one domain, which have the keys of those for all."""
    names = [f"`[{path}.{name}]`" for name in model.model_fields]
    for_all = [f"`[upstream.{name}]`" for name in model.model_fields]
    yield from ("", f"## {', '.join(names)}", "", f"The keys of {' and '.join(for_all)}, for one domain.")


def _model_of(annotation: typing.Any) -> tuple[type[BaseModel] | None, bool]:
    """Give the model behind an annotation, and whether there may be many of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    many = typing.get_origin(annotation) is tuple
    for inner in typing.get_args(annotation):
        model, _ = _model_of(inner)
        if model is not None:
            return model, many
    return None, False


def _needed(field: typing.Any, *, optional: bool) -> str:
    without = (field.json_schema_extra or {}).get("without")
    if without:
        return str(without)
    if field.is_required():
        return "required in this table" if optional else "required"
    default = field.default
    if (
        default is None
        or default is PydanticUndefined
        or default in ("", ())
        or isinstance(default, BaseModel)
    ):
        return "-"
    return f"`{default}`"


def command_reference() -> str:
    """The help of every command."""
    lines = ["# Commands", "", _WRITTEN, "", "What `--json` prints is described in [json.md](json.md)."]
    context = click.Context(
        program, info_name="wicketgate", terminal_width=_COLUMNS, **program.context_settings
    )
    lines += _command(program, context)
    return "\n".join(lines) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    level = "##" if context.parent is None or context.parent.parent is None else "###"
    yield from ("", f"{level} `{context.command_path}`", "", "```text", _help(command, context), "```")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _help(command: click.Command, context: click.Context) -> str:
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


FILES = {"config.md": config_reference, "cli.md": command_reference}

if __name__ == "__main__":
    for name, write in FILES.items():
        (HERE / name).write_text(write(), encoding="utf-8")
