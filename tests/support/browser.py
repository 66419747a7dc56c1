"""As much of a browser as an authorization needs; it follows no redirect by itself."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from http.client import HTTPResponse


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def sent_back(url: str, tls: ssl.SSLContext) -> str:
    """Give the address that the provider at `url` sends a browser back to."""
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls), _Stays)
    with _opened(opener, url) as answer:
        return answer.headers["Location"]


def visit(url: str, **fields: str) -> tuple[int, str]:
    """Go to an address on this machine and give the status and the page."""
    with _opened(urllib.request.build_opener(), urllib.request.Request(url, headers=fields)) as answer:
        return answer.status, answer.read().decode()


def _opened(opener: urllib.request.OpenerDirector, url: str | urllib.request.Request) -> HTTPResponse:
    try:
        return opener.open(url)
    except urllib.error.HTTPError as error:
        return error  # the same, with another status
