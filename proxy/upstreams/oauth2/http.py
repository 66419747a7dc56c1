"""Ask a provider over HTTPS: one form, one answer, no more than that.

httpcore does the HTTP. It follows no redirect, keeps no cookie, undoes no compression, and takes no proxy
from the environment: what is sent here holds secrets and goes to the configured address or nowhere.
Certificate and name are checked. Every exchange has a connection of its own, for there is one an hour; an
answer is bounded in size and time.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpcore

from proxy.limits import OAUTH2_ANSWER_OCTETS, OAUTH2_EXCHANGE_S, UPSTREAM_CONNECT_S
from proxy.upstreams.oauth2.provider import Answer, Request
from proxy.upstreams.place import UpstreamFailure

_TIMEOUTS: Final = {
    "connect": UPSTREAM_CONNECT_S,
    "read": OAUTH2_EXCHANGE_S,
    "write": OAUTH2_EXCHANGE_S,
    "pool": OAUTH2_EXCHANGE_S,
}
_FIELDS: Final = (
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
    (b"User-Agent", b"Wicketgate"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poster:
    """Makes requests to one provider; `proxy.upstreams.oauth2.provider.Post`."""

    tls: ssl.SSLContext
    exchange_s: float = OAUTH2_EXCHANGE_S
    """From the name's look-up to the last octet of the answer."""

    async def __call__(self, request: Request) -> Answer:
        """Make a request. Raises `UpstreamFailure`."""
        host = urlsplit(request.url).hostname
        try:
            async with asyncio.timeout(self.exchange_s):
                answer = await self._exchange(request)
        except TimeoutError:
            raise UpstreamFailure(f"{host} did not answer in time") from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise UpstreamFailure(f"{host} cannot be asked: {_cause(error)}") from None
        if 300 <= answer.status < 400:
            raise UpstreamFailure(f"{host} answered {answer.status}: a redirect, which is not followed")
        return answer

    async def _exchange(self, request: Request) -> Answer:
        body = urlencode(request.form).encode("ascii")
        fields = [(b"Host", _authority(request.url)), *_FIELDS, (b"Content-Length", b"%d" % len(body))]
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self.tls, max_keepalive_connections=0) as pool,
            pool.stream(
                "POST", request.url, headers=fields, content=body, extensions={"timeout": _TIMEOUTS}
            ) as response,
        ):
            return Answer(status=response.status, body=await _whole(response))


async def _whole(response: httpcore.Response) -> bytes:
    """Read the body to its end, or to where it is too long."""
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > OAUTH2_ANSWER_OCTETS:
            raise UpstreamFailure(f"the provider answered with more than {OAUTH2_ANSWER_OCTETS} octets")
    return bytes(body)


def _authority(url: str) -> bytes:
    return urlsplit(url).netloc.encode("ascii")


def _cause(error: BaseException) -> str:
    """Name what went wrong; of the library's words only those of OpenSSL and the system are shown."""
    if isinstance(error.__context__, ssl.SSLError) or isinstance(error, ssl.SSLError):
        inner = error if isinstance(error, ssl.SSLError) else error.__context__
        reason = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "TLS"
        return str(reason).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
