"""One file out of many: a tar (POSIX ustar) whose last member vouches for every octet of it.

`tar -tvf` and `tar -xf` read it. The last member, `seal`, holds the SHA-256 of all octets before it, and the
same digest under a key of the gate, so that damage and a stranger's change are both found out. The form is
strict: one header for a name, size and time, zeros where tar pads, nothing behind the end. So no octet can
differ unnoticed, and whatever is not so is damaged. Whether the key vouches, `proxy.archive.backup` asks.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from auth.store.copies import PRIVATE_FILE

SEAL: Final = "seal"
_BLOCK: Final = 512
_END: Final = bytes(2 * _BLOCK)
"""Two blocks of zeros end a tar."""
_CHUNK: Final = 1_048_576
_MOST_MEMBERS: Final = 1_000
_MOST_TEXT: Final = 4_194_304
"""Octets of a member that is read into memory."""

Source = bytes | Path
"""What a member is made of: octets, or a file."""


class ArchiveError(Exception):
    """The file cannot be used; `hint` says what to do."""

    def __init__(self, what: str, hint: str = "take another copy of it, or an earlier backup") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What vouches for the octets before it."""

    sha256: str
    key: str
    """The id of the master key that `hmac_sha256` was made with."""
    hmac_sha256: str

    @property
    def text(self) -> bytes:
        """As the member holds it."""
        facts = {"sha256": self.sha256, "key": self.key, "hmac_sha256": self.hmac_sha256}
        return json.dumps(facts).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a member's octets lie in the file."""

    offset: int
    octets: int


def write(
    file: IO[bytes], members: Mapping[str, Source], at: int, vouch: Callable[[bytes], tuple[str, bytes]]
) -> None:
    """Write members in their order, and the seal. `at` is the time of all of them.

    `vouch` takes the SHA-256 of what was written and gives a key's id and the digest under it. Raises
    OSError, and ArchiveError for a member that is too large for a tar.
    """
    digest = hashlib.sha256()

    def put(octets: bytes) -> None:
        digest.update(octets)
        file.write(octets)

    for name, source in members.items():
        octets = len(source) if isinstance(source, bytes) else source.stat().st_size
        put(_header(name, octets, at))
        if isinstance(source, bytes):
            put(source)
        else:
            with source.open("rb") as opened:
                while chunk := opened.read(_CHUNK):
                    put(chunk)
        put(_padding(octets))
    key, vouched = vouch(digest.digest())
    seal = Seal(sha256=digest.hexdigest(), key=key, hmac_sha256=vouched.hex())
    file.write(_tail(seal, at))


class Archive:
    """An archive that was read through and is whole; close the file yourself."""

    def __init__(self, file: IO[bytes], members: Mapping[str, Span], seal: Seal) -> None:
        self._file = file
        self.members = members
        self.seal = seal

    @classmethod
    def read(cls, file: IO[bytes]) -> Archive:
        """Read all of it. Raises ArchiveError when it is no such file or damaged, and OSError."""
        members: dict[str, Span] = {}
        at = body = 0
        while SEAL not in members:
            info = _info(file, body)
            octets = info.size
            members[info.name] = Span(body + _BLOCK, octets)
            if info.name != SEAL:
                body += _BLOCK + octets + len(_padding(octets))
                if len(members) > _MOST_MEMBERS:
                    raise _damaged()
            at = int(info.mtime)
        span = members.pop(SEAL)
        seal = _seal(_exactly(file, span, most=_MOST_TEXT))
        file.seek(body)
        if file.read(_MOST_TEXT) != _tail(seal, at) or _sha256(file, body) != seal.sha256:
            raise _damaged()
        return cls(file, members, seal)

    def text(self, name: str) -> bytes:
        """Give a member's octets. Raises ArchiveError when there is none, or it is too large."""
        if name not in self.members:
            raise ArchiveError(f"it holds no {name}")
        return _exactly(self._file, self.members[name], most=_MOST_TEXT)

    def extract(self, name: str, target: Path) -> None:
        """Write a member to a new file of this user alone. Raises ArchiveError and OSError."""
        if name not in self.members:
            raise ArchiveError(f"it holds no {name}")
        left = self.members[name].octets
        self._file.seek(self.members[name].offset)
        target.touch(mode=PRIVATE_FILE, exist_ok=False)
        with target.open("wb") as out:
            while left:
                chunk = self._file.read(min(left, _CHUNK))
                if not chunk:
                    raise _damaged()
                left -= len(chunk)
                out.write(chunk)


def _header(name: str, octets: int, at: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = octets, at, PRIVATE_FILE
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:
        raise ArchiveError(f"{name} is too large, or has too long a name, for a backup") from None


def _padding(octets: int) -> bytes:
    return bytes(-octets % _BLOCK)


def _tail(seal: Seal, at: int) -> bytes:
    text = seal.text
    return _header(SEAL, len(text), at) + text + _padding(len(text)) + _END


def _info(file: IO[bytes], offset: int) -> tarfile.TarInfo:
    """Read one header, which must be as we write it."""
    file.seek(offset)
    octets = file.read(_BLOCK)
    try:
        info = tarfile.TarInfo.frombuf(octets, "ascii", "strict")
        if _header(info.name, info.size, int(info.mtime)) == octets:
            return info
    except (tarfile.HeaderError, ValueError, ArchiveError):
        pass
    if offset == 0:
        raise ArchiveError("it is no backup of Wicketgate, or its beginning is damaged")
    raise _damaged()


def _seal(text: bytes) -> Seal:
    try:
        facts: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged() from None
    match facts:
        case {"sha256": str(sha256), "key": str(key), "hmac_sha256": str(vouched)} if vouched.isascii():
            return Seal(sha256=sha256, key=key, hmac_sha256=vouched)
    raise _damaged()


def _exactly(file: IO[bytes], span: Span, *, most: int) -> bytes:
    if span.octets > most:
        raise ArchiveError("it holds a member of a size that nobody writes")
    file.seek(span.offset)
    octets = file.read(span.octets)
    if len(octets) != span.octets:
        raise _damaged()
    return octets


def _sha256(file: IO[bytes], octets: int) -> str:
    digest, left = hashlib.sha256(), octets
    file.seek(0)
    while left and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _damaged() -> ArchiveError:
    return ArchiveError("it is damaged: its octets are not those that were written")
