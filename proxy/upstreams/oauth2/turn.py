"""One process at a time refreshes the token of an account: a file that is locked meanwhile.

The gate and a command beside it know nothing of each other, and a provider that sees a refresh token twice
may end all that was authorised (RFC 9700 §4.14.2). The kernel lets go of the lock when its process dies.
Whoever has had the turn takes the file away; a lock on a file that is gone counts for nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from auth.seal import framed
from proxy.limits import OAUTH2_EXCHANGE_S
from proxy.upstreams.place import UpstreamFailure

_LOOK_S: Final = 0.05
"""Between two tries; an exchange takes some tenths of a second."""
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The turns at one provider; the files lie in `folder`, which is there."""

    folder: Path
    provider: str
    wait_s: float = OAUTH2_EXCHANGE_S
    """As long as whoever has the turn may take at the provider."""

    @asynccontextmanager
    async def of(self, account_id: str) -> AsyncIterator[None]:
        """Have the turn while the block runs. Raises `UpstreamFailure` when it cannot be had."""
        path = self.folder / f"token-{sha256(framed(self.provider, account_id)).hexdigest()[:32]}.lock"
        try:
            async with asyncio.timeout(self.wait_s):
                while (descriptor := _locked(path)) is None:  # noqa: ASYNC110 - no event comes from others
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise UpstreamFailure(
                f"another process goes on refreshing the token of {self.provider}"
            ) from None
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise UpstreamFailure(f"the turn to refresh a token cannot be had: {path}: {why}") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Lock the file, made where it is missing; None when somebody else has it. Raises OSError."""
    descriptor = os.open(path, _OPEN, 0o600)
    try:
        if os.geteuid() == 0:  # at work for the server's user, who must be able to open it
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
