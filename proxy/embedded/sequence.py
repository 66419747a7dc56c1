"""Sets of message numbers or UIDs (RFC 3501 §9, sequence-set): `1:3,7,*`. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LIMIT = 2**32


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Pairs of bounds in any order; None is `*`, the largest number in use."""

    ranges: tuple[tuple[int | None, int | None], ...]

    @classmethod
    def parse(cls, text: bytes) -> SequenceSet:
        """Read a set; raises `ValueError`."""
        return cls(tuple(_range(part) for part in text.split(b",")))

    def pick(self, numbers: Sequence[int]) -> list[int]:
        """Places in `numbers`, which ascend, of those in the set; ascending, each once."""
        places: set[int] = set()
        if numbers:
            for first, second in self.ranges:
                low, high = sorted(numbers[-1] if bound is None else bound for bound in (first, second))
                places.update(range(bisect_left(numbers, low), bisect_right(numbers, high)))
        return sorted(places)

    def largest(self) -> int:
        """The largest number named, 0 when there is only `*`."""
        return max((bound for pair in self.ranges for bound in pair if bound is not None), default=0)


def compact(numbers: Iterable[int]) -> bytes:
    """Write numbers in the order they come, runs shortened to `a:b`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return b",".join(b"%d" % low if low == high else b"%d:%d" % (low, high) for low, high in runs)


def _range(text: bytes) -> tuple[int | None, int | None]:
    first, colon, second = text.partition(b":")
    bound = _bound(first)
    return (bound, _bound(second)) if colon else (bound, bound)


def _bound(text: bytes) -> int | None:
    if text == b"*":
        return None
    if not text.isdigit() or len(text) > 10 or not 0 < int(text) < _LIMIT:
        raise ValueError("not a message number")
    return int(text)
