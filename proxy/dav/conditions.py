"""The DAV fields of a request: read strictly, written anew for the upstream.

Depth, Overwrite, Destination and If say what a request is about, so each has one reading or is a bad request.
RFC 4918 §10. Conditions about ETags and times of the path itself are passed on as they are. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping
from typing import Final

from proxy.dav.ports import Fields
from scopes.davpath import BadPath, DavPath, from_uri

_PASSED: Final = (
    *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-schedule-tag-match"),
    *("range", "if-range", "accept"),
)
"""RFC 9110 §13 and §14, RFC 6638 §8.3. No Prefer: it changes what an answer holds."""

# RFC 4918 §10.4.2; a state token is an URI in <>, an entity tag is in [].
_IF: Final = re.compile(
    r"[ \t]*(?:<(?P<tag>[^<>\s]+)>"
    r"|\((?P<list>(?:[ \t]*(?:Not[ \t]+)?(?:<[^<>\s]+>|\[(?:W/)?\"[\x21\x23-\x7e]*\"\]))+)[ \t]*\))"
)


class BadField(ValueError):  # noqa: N818 - a word of the wall
    """A field has not one clear reading."""


def conditions(fields: Mapping[str, str], about: Collection[DavPath], authorities: Container[str]) -> Fields:
    """Give the conditions for the upstream; If may speak of what lies in `about` alone. Raises `BadField`.

    A condition on another path would tell whether something there has this ETag or lock.
    """
    kept = [(name, fields[name]) for name in _PASSED if name in fields]
    if "if" in fields:
        kept.append(("if", "".join(_if(fields["if"], about, authorities))))
    return tuple(kept)


def destination(fields: Mapping[str, str], authorities: Container[str]) -> DavPath:
    """Read Destination, a path or an URI of ours (RFC 4918 §10.3). Raises `BadField`."""
    try:
        path = from_uri(fields.get("destination", ""), authorities)
    except BadPath as bad:
        raise BadField(f"Destination: {bad}") from None
    # Radicale decodes it before it looks for a query and a fragment: to it these would end the path.
    if any(each in segment for segment in path.segments for each in "?#"):
        raise BadField("Destination: a delimiter")
    return path


def overwrite(fields: Mapping[str, str]) -> Fields:
    """Give Overwrite as it came (RFC 4918 §10.6). Raises `BadField`."""
    return _one_of(fields, "overwrite", ("T", "F"))


def depth(fields: Mapping[str, str], allowed: Collection[str]) -> Fields:
    """Give Depth as it came (RFC 4918 §10.2). Raises `BadField`."""
    return _one_of(fields, "depth", allowed)


def _one_of(fields: Mapping[str, str], name: str, allowed: Collection[str]) -> Fields:
    value = fields.get(name)
    if value is None:
        return ()
    if value not in allowed:
        raise BadField(name)
    return ((name, value),)


def _if(value: str, about: Collection[DavPath], authorities: Container[str]) -> Iterator[str]:
    """Write If anew, its tags in canonical form."""
    at = 0
    was_tag = False
    while at < len(value.rstrip(" \t")):
        part = _IF.match(value, at)
        if part is None or (was_tag and part["tag"] is not None):
            raise BadField("If")
        at = part.end()
        was_tag = part["tag"] is not None
        yield f"<{_tag(part['tag'], about, authorities)}> " if was_tag else f"({part['list'].strip()}) "
    if was_tag or at == 0:
        raise BadField("If")


def _tag(uri: str, about: Collection[DavPath], authorities: Container[str]) -> str:
    try:
        path = from_uri(uri, authorities)
    except BadPath as bad:
        raise BadField(f"If: {bad}") from None
    if not any(path.within(each) for each in about):
        raise BadField("If speaks of something else")
    return str(path)
