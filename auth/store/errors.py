"""What the store may say went wrong: that it cannot answer, never what the answer might have been.

Every driver error, lock, unreadable row and missing file becomes one `StoreUnavailable`. Its text is made of
our own words and SQLite's symbolic code; it holds no SQL and no value, so it may be logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoreUnavailable(Exception):  # noqa: N818 - it names a state, as Busy does
    """The store cannot answer now. Temporary: it says nothing about anyone's password."""


class StoreMissing(StoreUnavailable):
    """There is no store where one is expected: it was moved away or emptied, or its disk is not mounted."""


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Turn stored words we do not know into StoreUnavailable: they are an outage, never a guess."""
    try:
        yield
    except (ValueError, TypeError, AttributeError):
        raise StoreUnavailable(f"{what} in the store cannot be understood") from None
