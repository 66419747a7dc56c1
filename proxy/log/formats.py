"""How the process writes its log: every record, ours and the libraries', as one line of one form.

`begin` may be called again, to change form or level while serving. Of an exception only type and place are
written, never its text; of what asyncio tells, the first line alone, for the others quote the exception. A
message that cannot be put together is told by its place, and never ends what logged it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

from auth.fault import fault
from proxy.log.events import Line
from proxy.log.text import Field, as_json, logfmt


class LogFormat(StrEnum):
    """The forms of a line."""

    LOGFMT = "logfmt"
    JSON = "json"
    PLAIN = "plain"
    """For somebody who looks on: the time of day, the level, the words. Not for machines."""


def begin(form: LogFormat, level: int, stream: TextIO | None = None) -> None:
    """Let the process's log go to `stream`, by default standard error, from this level on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(form))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # that a file is made is no news


class Formatter(logging.Formatter):
    """One record, one line."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._write = _WRITERS[form]

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        return self._write(record)


def _fields(record: logging.LogRecord) -> Iterable[Field]:
    yield "time", _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", record.levelname.lower()
    if isinstance(record.msg, Line):
        yield from record.msg.fields
        return
    yield "logger", record.name
    yield "msg", _message(record)
    if record.exc_info and record.exc_info[1] is not None:
        yield "fault", fault(record.exc_info[1])


def _plain(record: logging.LogRecord) -> str:
    words = logfmt([each for each in _fields(record) if each[0] not in _PLAIN_LEAVES_OUT])
    return f"{_moment(record).astimezone():%H:%M:%S} {record.levelname.lower()}: {words}"


_PLAIN_LEAVES_OUT: Final = frozenset({"time", "level", "logger"})
_WRITERS: Final[Mapping[LogFormat, Callable[[logging.LogRecord], str]]] = MappingProxyType(
    {
        LogFormat.LOGFMT: lambda record: logfmt(_fields(record)),
        LogFormat.JSON: lambda record: as_json(_fields(record)),
        LogFormat.PLAIN: _plain,
    }
)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - Python would print it with its arguments, which may hold anything
        return f"a message that cannot be put together, of {Path(record.pathname).name}:{record.lineno}"
    return message.partition("\n")[0] if record.name == "asyncio" else message
