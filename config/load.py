"""Reading the config file: TOML to a `Config`, or every problem at once in words for people.

What a validator of ours says passes through; what pydantic says is put into our words here, with the key as
the file writes it. An unknown key is an error: a near miss is named, and keys that a later version will know
are told apart from mistakes. Values are never quoted from pydantic's errors, they might be secrets put in
the wrong place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from config.models import Config
from config.parts import Parts, parts_left, parts_of
from config.private import access_hint, reason
from config.problems import ConfigErrors, Problem

Location = tuple[int | str, ...]

CONFIG_FILE_OCTETS: Final = 1_048_576
_NEAR: Final = 0.6

_MEANT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listen.smtps": "submissions",
        "listen.smtp": "submission",
        "listen.caldav": "https",
        "listen.carddav": "https",
        "listen.http": "portal",
        "upstream.imap.proxy_protocol": "client_address",
        "upstream.smtp.proxy_protocol": "client_address",
        "upstream.submission": "smtp",
        "upstream.caldav": "events",
        "upstream.carddav": "contacts",
    }
)
"""Other names for what has a key, and that key."""

_NOT_HERE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        f"upstream.{table}.{key}": (
            "has no meaning here: connections to this server are shared by all clients",
            "take the line out",
        )
        for table in ("contacts", "events")
        for key in ("client_address", "proxy_protocol")
    }
)
"""Keys that have a place elsewhere: why not here, and what to do."""

_LATER_KINDS: Final = frozenset({"stored", "oauth2"})
_LATER_WORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "primary.kind": frozenset({"ldap", "openid-connect"}),
        "upstream.contacts.sign_in.kind": _LATER_KINDS,
        "upstream.events.sign_in.kind": _LATER_KINDS,
        "upstream.contacts.profile": frozenset({"nextcloud", "baikal", "sabredav", "icloud", "generic"}),
        "upstream.events.profile": frozenset({"nextcloud", "baikal", "sabredav", "icloud", "generic"}),
    }
)

_PHRASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "is missing",
        "int_type": "is not a whole number",
        "int_parsing": "is not a whole number",
        "int_from_float": "is not a whole number",
        "string_type": "is not text in quotes",
        "string_too_short": "is empty",
        "string_too_long": "is longer than {max_length} characters",
        "too_short": "is empty",
        "tuple_type": "is not a list in brackets",
        "dict_type": "is not a table",
        "model_type": "is not a table",
        "model_attributes_type": "is not a table",
        "literal_error": "is not {expected}",
        "greater_than_equal": "is less than {ge}",
        "less_than_equal": "is more than {le}",
    }
)


_ADVICE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tuple_type": "write brackets around it, as in [ … ], even for one",
        "string_type": "write it in quotes",
        "int_type": "write a number without quotes, as in 25",
        "int_parsing": "write a number without quotes, as in 25",
        "int_from_float": "write a number without a point, as in 25",
    }
)
"""What to do, where the kind of mistake says more than what the key is for."""


def load(path: Path) -> Config:
    """Read the config file; raises ConfigErrors with everything that can be seen from its text."""
    file = path.absolute()
    table = _parse(file)
    try:
        return Config.read(table, file.parent)
    except ValidationError as error:
        raise ConfigErrors(_problems(file, error)) from None


def examine(path: Path) -> tuple[Parts, list[Problem]]:
    """Read the config file as far as that can be done: what can be looked at, and all its text has wrong.

    Raises ConfigErrors where it cannot be read at all.
    """
    file = path.absolute()
    table = _parse(file)
    try:
        return parts_of(Config.read(table, file.parent)), []
    except ValidationError as error:
        problems = _problems(file, error)
    return parts_left(table, file.parent, {problem.key for problem in problems}), problems


def _problems(file: Path, error: ValidationError) -> list[Problem]:
    return [_problem(file, detail) for detail in error.errors(include_url=False, include_input=True)]


def _parse(file: Path) -> dict[str, Any]:
    """Read TOML; raises ConfigErrors with the one problem that stops the reading."""
    try:
        with file.open("rb") as opened:
            octets = opened.read(CONFIG_FILE_OCTETS + 1)
        if len(octets) > CONFIG_FILE_OCTETS:
            raise _stopped(file, "is far larger than a config file", "name the right file")
        return tomllib.loads(octets.decode("utf-8"))
    except FileNotFoundError:
        hint = "name the file with -c, or make one with: wicketgate init DIR"
        raise _stopped(file, "there is no such file", hint) from None
    except IsADirectoryError:
        raise _stopped(file, "is a folder", "name the config file in it, often wicketgate.toml") from None
    except OSError as error:
        raise _stopped(file, f"cannot be read: {reason(error)}", access_hint(error)) from None
    except UnicodeDecodeError:
        raise _stopped(file, "is not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _stopped(
            file, f"is not TOML: {error}", "mend that line; https://toml.io shows the rules"
        ) from None


def _stopped(file: Path, what: str, hint: str) -> ConfigErrors:
    return ConfigErrors([Problem(file=file, key="", what=what, hint=hint)])


def _problem(file: Path, detail: ErrorDetails) -> Problem:
    """Put one validation error into our words."""
    location = detail["loc"]
    key = dotted(location)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "wicketgate":
            return Problem(file=file, key=context["key"] or key, what=context["what"], hint=context["hint"])
        case "extra_forbidden":
            what, hint = _unknown(location, key)
            return Problem(file=file, key=key, what=what, hint=hint)
        case "literal_error" if _comes_later(key, detail["input"]):
            what = f'"{detail["input"]}" is not in this version'
            return Problem(file=file, key=key, what=what, hint=f"write {context['expected']}")
        case kind:
            phrase = _PHRASES.get(kind, "is not right")
            hint = _advice(kind, location)
            return Problem(file=file, key=key, what=phrase.format(**context), hint=hint)


def _advice(kind: str, location: Location) -> str:
    """Say what to do about a kind of mistake, and what belongs there."""
    return "; ".join(filter(None, (_ADVICE.get(kind, ""), _describe(location))))


def _comes_later(key: str, value: object) -> bool:
    """Whether a later version will know this word here; what stands there may be no word at all."""
    return isinstance(value, str) and value in _LATER_WORDS.get(key, ())


def dotted(location: Sequence[int | str]) -> str:
    """Write a place in the file as people do: `tls.certificate[0].key`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text


def _unknown(location: Location, key: str) -> tuple[str, str]:
    """Say what is wrong with a key that is not known, and what may have been meant."""
    if key in _NOT_HERE:
        return _NOT_HERE[key]
    if key in _MEANT:
        return "is not a known key", f"did you mean {_MEANT[key]}?"
    section, _ = _walk(location[:-1])
    known = list(section.model_fields) if section is not None else []
    near = get_close_matches(str(location[-1]), known, n=1, cutoff=_NEAR)
    if near:
        return "is not a known key", f"did you mean {near[0]}?"
    return "is not a known key", f"the keys here are {', '.join(known)}"


def _describe(location: Location) -> str:
    """Give the description of a field, for a hint; the nearest field above it when it has none."""
    for end in range(len(location), 0, -1):
        _, field = _walk(location[:end])
        if field is not None and field.description:
            return field.description
    return ""


def _walk(location: Location) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Follow a place through the models: the section there, if it is one, and the field that leads to it."""
    section: type[BaseModel] | None = Config
    field: FieldInfo | None = None
    named = False
    for part in location:
        if isinstance(part, int) or named:  # a place in a list, or the name of a table
            named = False
            continue
        field = section.model_fields.get(part) if section is not None else None
        section = _section_in(field.annotation) if field is not None else None
        named = field is not None and section is not None and get_origin(field.annotation) is dict
    return section, field


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model in an annotation such as `tuple[Certificate, ...]` or `SignIn | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section_in(inner) for inner in get_args(annotation))
    return next((section for section in found if section is not None), None)
