"""The body of a POST: a form of ours, small, whole within a time, read once and in no other form.

Who asks first whether it may come (RFC 9110 §10.1.1) is told so, unless it is refused by its head already.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qs

from aiohttp import HttpVersion11, web

from proxy.limits import PORTAL_FORM_OCTETS
from proxy.portal.guard import Stopped

_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS: Final = 200
"""In one form; the longest has some thirty."""


async def read_form(request: web.BaseRequest, within_s: float) -> dict[str, list[str]]:
    """Read the form of a POST. Raises Stopped, and ConnectionError where the client is gone."""
    if request.content_type != _FORM:
        raise Stopped(415, "this is not a form")
    if (request.content_length or 0) > PORTAL_FORM_OCTETS:
        raise Stopped(413, "what was typed is too long")
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            await _go_on(request)
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > PORTAL_FORM_OCTETS:
                    raise Stopped(413, "what was typed is too long")
        return parse_qs(
            body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_FIELDS
        )
    except TimeoutError:
        raise Stopped(408, "the form did not arrive in time") from None
    except (ValueError, web.RequestPayloadError):
        raise Stopped(400, "the form cannot be read") from None


async def _go_on(request: web.BaseRequest) -> None:
    """Tell who asked first to go on; HTTP/1.0 cannot ask (RFC 9110 §10.1.1). Raises ConnectionError."""
    if "Expect" in request.headers and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
