"""A browser without a screen: cookies, forms and redirects over TLS, and nothing of JavaScript or layout.

It keeps to what a browser does that matters for the portal's safety: cookies of this one host, `Origin` and
`Sec-Fetch-Site` on forms, hidden fields sent back as they came. A test may leave any of it out.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

_VOID = frozenset({"input", "meta", "link", "img", "br", "path"})
_HIDDEN = frozenset({"script", "style", "title", "svg"})


@dataclass
class Form:
    """One form of a page."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, changes: dict[str, object]) -> list[tuple[str, str]]:
        """Give what is sent: a list stands for several values, None for a field that is left out."""
        kept = [(name, value) for name, value in self.fields if name not in changes]
        for name, value in changes.items():
            values = value if isinstance(value, list) else [] if value is None else [value]
            kept += [(name, str(each)) for each in values]
        return kept


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self._select = ""
        self._link: tuple[str, list[str]] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if tag not in _VOID:
            self._open.append(tag)
        form = self.forms[-1] if self.forms else Form("", "get")
        match tag:
            case "form":
                self.forms.append(Form(told.get("action", ""), told.get("method", "get")))
            case "a":
                self._link = (told.get("href", ""), [])
            case "input" if told.get("type") not in ("checkbox", "radio") or "checked" in told:
                if "name" in told:
                    form.fields.append((told["name"], told.get("value") or ""))
            case "textarea":
                form.fields.append((told["name"], ""))
            case "select":
                self._select = told["name"]
                form.fields.append((self._select, ""))
            case "option" if "selected" in told or (self._select, "") == form.fields[-1]:
                form.fields[-1] = (self._select, told.get("value") or "")

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "a" and self._link is not None:
            self.links[" ".join("".join(self._link[1]).split())] = self._link[0]
            self._link = None

    def handle_data(self, data):
        if self._open[-1:] == ["textarea"]:
            name, before = self.forms[-1].fields[-1]
            self.forms[-1].fields[-1] = (name, before + data)
        if self._link is not None:
            self._link[1].append(data)
        if not _HIDDEN & set(self._open):
            self.words.append(data)


@dataclass
class Page:
    """What came back."""

    status: int
    url: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def html(self) -> str:
        return self.body.decode()

    @property
    def text(self) -> str:
        """The words a person sees, on one line."""
        return " ".join("".join(_Reader(self.html).words).split())

    @property
    def links(self) -> dict[str, str]:
        return _Reader(self.html).links

    def form(self, action: str | None = None) -> Form:
        """Give the form of that address, else the last one: the first is the one to sign out by."""
        forms = _Reader(self.html).forms
        found = [form for form in forms if action in (None, form.action)]
        assert found, f"no form for {action} on {self.url}: {self.text}"
        return found[-1]


class Visitor:
    """One browser profile."""

    def __init__(
        self,
        url: str,
        ca_file: str,
        *,
        user_agent: str = "Visitor/1",
        connects_to: tuple[str, str] | None = None,
    ) -> None:
        """`connects_to` is an address, and the name asked for in TLS, where they are not the URL's."""
        self.url = url
        self._connects_to = connects_to
        self.cookies: dict[str, str] = {}
        self._context = ssl.create_default_context(cafile=ca_file)
        self._user_agent = user_agent

    async def get(self, path: str, *, follow: bool = True, **headers: str) -> Page:
        return await self.ask("GET", path, follow=follow, headers=headers)

    async def submit(
        self, page: Page, action: str | None = None, *, follow: bool = True, **fields: object
    ) -> Page:
        """Fill in a form of a page and send it; `new_password` stands for the field `new-password`."""
        form = page.form(action)
        changes = {name.replace("_", "-"): value for name, value in fields.items()}
        return await self.post(form.action or page.path, form.filled(changes), follow=follow)

    async def post(
        self,
        path: str,
        fields: list[tuple[str, str]],
        *,
        follow: bool = True,
        headers: dict[str, str] | None = None,
    ) -> Page:
        origin = self.url.rstrip("/")
        told = {"Origin": origin, "Sec-Fetch-Site": "same-origin"} if headers is None else headers
        told = {"Content-Type": "application/x-www-form-urlencoded", **told}
        return await self.ask("POST", path, body=urlencode(fields).encode(), headers=told, follow=follow)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        follow: bool = True,
    ) -> Page:
        """Make one request, and those that its redirects ask for."""
        page = await self._once(method, urljoin(self.url, path), body, headers or {})
        hops = 0
        while follow and page.status == 303 and hops < 5:
            hops += 1
            page = await self._once("GET", urljoin(page.url, page.header("Location")), b"", {})
        return page

    async def _once(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Page:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"Host": parts.netloc, "User-Agent": self._user_agent, "Connection": "close"} | headers
        if self.cookies and "Cookie" not in headers:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body or method == "POST":
            fields["Content-Length"] = str(len(body))
        lines = [
            f"{method} {target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in fields.items()),
            "",
            "",
        ]
        raw = await self.raw("\r\n".join(lines).encode() + body)
        return self._read(url, raw)

    @asynccontextmanager
    async def open_on(self, path: str) -> AsyncIterator[bytes]:
        """Ask for a page on a connection that stays open; gives the head of the answer."""
        parts = urlsplit(self.url)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port, ssl=self._context, server_hostname="localhost"
        )
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookie}\r\n\r\n".encode())
            yield await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()

    async def raw(self, octets: bytes) -> bytes:
        """Send octets and give all that comes back."""
        parts = urlsplit(self.url)
        address, name = self._connects_to or (parts.hostname, "localhost")
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(
                address, parts.port, ssl=self._context, server_hostname=name
            )
            try:
                writer.write(octets)
                await writer.drain()
                return await reader.read()
            finally:
                writer.close()

    def _read(self, url: str, raw: bytes) -> Page:
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        for name, value in headers:
            if name.lower() == "set-cookie":
                self._keep(value)
        return Page(int(status.split()[1]), url, headers, body)

    def _keep(self, value: str) -> None:
        for name, morsel in SimpleCookie(value).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
