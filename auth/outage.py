"""That a primary password cannot be looked at now; apart from what looks, so that naming it loads nothing."""

from __future__ import annotations


class PrimaryOutage(Exception):  # noqa: N818 - it names a state, as StoreUnavailable does
    """The mail server that knows the primary password cannot be asked now. It says nothing about anyone's."""
