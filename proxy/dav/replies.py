"""The wall's own answers. What is forbidden because it is the other scope's is `NOT_FOUND`, octet by octet.

RFC 4918 §16 for the bodies with a precondition. Fixed texts: nothing of a request or an upstream is in them.
"""

from __future__ import annotations

from typing import Final

from proxy.dav.ports import Answer, Fields
from proxy.dav.xmltree import Node, document
from scopes.davrules import DAV, OFFERED, READING

_TEXT: Final[Fields] = (("content-type", "text/plain; charset=utf-8"),)
XML: Final[Fields] = (("content-type", 'application/xml; charset="utf-8"'),)
ALLOW: Final = ", ".join(OFFERED)
ALLOW_READING: Final = ", ".join(each for each in OFFERED if each in READING)


def precondition(status: int, name: str) -> Answer:
    """Give an error that names the precondition that failed, as `{namespace}name`."""
    return Answer(status=status, fields=XML, body=document(Node(f"{DAV}error", {}, [Node(name)])))


NOT_FOUND: Final = Answer(status=404, fields=_TEXT, body=b"not found\n")
FORBIDDEN: Final = Answer(status=403, fields=_TEXT, body=b"not allowed here\n")
READ_ONLY: Final = Answer(status=403, fields=_TEXT, body=b"this app password is for reading only\n")
BAD_REQUEST: Final = Answer(status=400, fields=_TEXT, body=b"bad request\n")
BAD_PATH: Final = Answer(status=400, fields=_TEXT, body=b"this path can be read in more than one way\n")
BAD_XML: Final = Answer(status=400, fields=_TEXT, body=b"the body is not XML that is taken here\n")
UNSUPPORTED: Final = Answer(status=415, fields=_TEXT, body=b"not a body that is taken here\n")
NOT_OFFERED: Final = Answer(status=405, fields=(*_TEXT, ("allow", ALLOW)), body=b"not offered\n")
FINITE_DEPTH: Final = precondition(403, f"{DAV}propfind-finite-depth")
NOTHING: Final = Answer(status=207, fields=XML, body=document(Node(f"{DAV}multistatus")))
"""A search that finds nothing."""
NO_SEARCH: Final = Answer(status=200, fields=XML, body=document(Node(f"{DAV}principal-search-property-set")))
"""By no property principals can be searched for (RFC 3744 §9.5)."""


def refusal(status: int, fields: Fields = ()) -> Answer:
    """Give an upstream's refusal in our words: the status stands, the body does not."""
    if status in (404, 410):
        return NOT_FOUND
    if status == 405:
        return NOT_OFFERED
    return Answer(status=status, fields=(*_TEXT, *fields), body=b"refused\n")
