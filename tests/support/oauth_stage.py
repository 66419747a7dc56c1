"""Access tokens on a stage: provider, store and time are in the test's hands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from auth.oauth_tokens import GivenToken, StoredToken
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from proxy.upstreams.oauth2.provider import Answer, Provider, Request
from proxy.upstreams.oauth2.tokens import AccessTokens
from proxy.upstreams.place import UpstreamFailure

PROVIDER = Provider(name="home", token_endpoint="https://l.example/t", scopes=("imap",), client_id="gate")
ALICE = "ac_alice"


@dataclass
class MemoryVault:
    """The store's part, with what may go wrong there."""

    rows: dict[str, StoredToken] = field(default_factory=dict)
    down: bool = False
    full: bool = False
    """Nothing can be written."""
    replaced: list[str] = field(default_factory=list)
    marks: int = 0
    meanwhile: Callable[[], None] | None = None
    """What another process does right before the next write."""

    async def read(self, account_id: str) -> StoredToken | None:
        self._must_be_up()
        return self.rows.get(account_id)

    async def replace(self, account_id: str, version: int, given: GivenToken) -> int | None:
        if not self._still(account_id, version):
            return None
        self.replaced.append(given.secret.reveal())
        self.rows[account_id] = StoredToken(refresh=given.secret, refused_at=None, version=version + 1)
        return version + 1

    async def mark_refused(self, account_id: str, version: int) -> bool:
        if not self._still(account_id, version):
            return False
        self.marks += 1
        self.rows[account_id] = replace(self.rows[account_id], refused_at=1_000, version=version + 1)
        return True

    def _must_be_up(self) -> None:
        if self.down:
            raise StoreUnavailable("SQLITE_BUSY")

    def _still(self, account_id: str, version: int) -> bool:
        self._must_be_up()
        if self.full:
            raise StoreUnavailable("SQLITE_FULL")
        if self.meanwhile is not None:
            self.meanwhile, change = None, self.meanwhile
            change()
        row = self.rows.get(account_id)
        return row is not None and row.version == version


@dataclass
class Stage:
    """Access tokens with everything around them in the test's hands."""

    answers: list[Answer | UpstreamFailure] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The refresh tokens that were brought."""
    vault: MemoryVault = field(default_factory=MemoryVault)
    now: float = 0.0
    wall: float = 1_000.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, the provider does not answer."""

    def __post_init__(self) -> None:
        self.gate.set()
        self.vault.rows[ALICE] = StoredToken(refresh=Secret("rt1"), refused_at=None, version=1)
        self.tokens = AccessTokens(
            PROVIDER, self.post, self.vault, wall=lambda: self.wall, monotonic=lambda: self.now
        )

    async def post(self, request: Request) -> Answer:
        self.asked.append(request.form["refresh_token"])
        await self.gate.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, UpstreamFailure):
            raise answer
        return answer

    async def get(self) -> str:
        return (await self.tokens.get(ALICE)).reveal()


def gives(access: str, refresh: str | None = None, lifetime_s: int = 3600) -> Answer:
    told = {"access_token": access, "token_type": "Bearer", "expires_in": lifetime_s}
    return said(told if refresh is None else told | {"refresh_token": refresh})


def said(told: object, status: int = 200) -> Answer:
    return Answer(status=status, body=json.dumps(told).encode())


REFUSES = said({"error": "invalid_grant"}, 400)
