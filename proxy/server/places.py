"""Where the server keeps what, in the folder `server.data`."""

from __future__ import annotations

from pathlib import Path

from config.models import Config


def mail_folder(config: Config) -> Path:
    """Where the built-in mail server keeps its mail."""
    return config.server.data / "mail"


def dav_folder(config: Config) -> Path:
    """Where the built-in server of contacts and calendars keeps them."""
    return config.server.data / "dav"


def workers_folder(config: Config) -> Path:
    """Where the locks of the serving processes lie."""
    return config.server.data / "workers"
