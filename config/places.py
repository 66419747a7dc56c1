"""Paths as people write them: relative to the config file, or from somebody's home."""

from __future__ import annotations

from pathlib import Path


class NoHome(ValueError):  # noqa: N818 - it names what is missing
    """A path begins with `~`, and nobody knows that home."""


def located(text: str, folder: Path) -> Path:
    """Read a path: `~` and `~user` are homes, and what is relative starts at `folder`. Raises NoHome."""
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:  # pathlib's word for it
        raise NoHome(f"there is no home folder for {Path(text).parts[0]}") from None
