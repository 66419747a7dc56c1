"""Where accounts lie and what they are sealed with: the tables `[store]` and `[keys]`.

`Keys.load` reads files, and is called by name; nothing else here does.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from config.fields import ConfigPath, ShortText, folder_of, path_of, sqlite_url, url_of
from config.keys import read_key
from config.private import PrivateFileError
from config.problems import ConfigErrors, Problem, wrong
from config.section import Section


class Store(Section):
    """Where accounts and app passwords are kept."""

    url: str = Field(
        description='"sqlite:PATH", as in "sqlite:/var/lib/wicketgate/gate.db"',
        json_schema_extra={"without": "`gate.db` in `server.data`"},
    )
    activity_url: str = Field(
        default="",
        validate_default=True,
        description="the second file, for last use and history of sign-ins",
        json_schema_extra={"without": "`activity.db` beside the first"},
    )

    @field_validator("url")
    @classmethod
    def _gate_url(cls, value: str, info: ValidationInfo) -> str:
        return sqlite_url(value, folder_of(info))

    @field_validator("activity_url")
    @classmethod
    def _activity_url(cls, value: str, info: ValidationInfo) -> str:
        gate = info.data.get("url")
        if gate is None:
            return value
        url = sqlite_url(value, folder_of(info)) if value else url_of(path_of(gate).with_name("activity.db"))
        if url == gate:
            raise wrong("is the same file as store.url", "leave it out: activity.db beside the first file")
        return url

    @property
    def gate_file(self) -> Path:
        """The file of accounts, app passwords and the change feed."""
        return path_of(self.url)

    @property
    def activity_file(self) -> Path:
        """The file of last use and history; losing it harms nothing."""
        return path_of(self.activity_url)


class Keys(Section):
    """The master keys; one is used for what is new, the others read what is old."""

    current: ShortText = Field(description="the name of the key that new secrets are sealed with")
    files: dict[ShortText, ConfigPath] = Field(description="key names and their files")

    @field_validator("files")
    @classmethod
    def _has_the_current(cls, value: dict[str, Path], info: ValidationInfo) -> dict[str, Path]:
        current = info.data.get("current")
        if current is not None and current not in value:
            raise wrong(
                f"has no {current!r}, which keys.current names", f"keys there: {', '.join(value) or 'none'}"
            )
        return value

    def load(self) -> dict[str, bytes]:
        """Read every key file: key name to 32 octets. Raises ConfigErrors with all that is wrong."""
        keys: dict[str, bytes] = {}
        problems: list[Problem] = []
        for name, path in self.files.items():
            try:
                keys[name] = read_key(path)
            except PrivateFileError as error:
                problems.append(Problem(key=f"keys.files.{name}", what=str(error), hint=error.hint))
        if problems:
            raise ConfigErrors(problems)
        return keys
