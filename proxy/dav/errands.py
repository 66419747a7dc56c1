"""What goes upstream for a request that may, and what becomes of the answer: one errand for each ruling.

An errand never sends what the client sent: the path is canonical, the fields are chosen, an XML body is our
own. And it never passes on what it has not looked at: listings are filtered, objects must be of the media
type of their kind, writes are answered by their status. RFC 4918 §9, RFC 4791 §7, RFC 6352 §8, RFC 9110
§15.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass
from typing import Final

from proxy.dav.answers import Counts, ErrorFilter, MultistatusFilter
from proxy.dav.conditions import conditions, depth, overwrite
from proxy.dav.discovery import dav_field
from proxy.dav.oracle import Found
from proxy.dav.ports import (
    Answer,
    AnswerFault,
    AnswerPlan,
    CheckXml,
    Fields,
    FilterAnswer,
    Forward,
    NoBody,
    PassAnswer,
    StreamBody,
    WallRequest,
)
from proxy.dav.propstat import Rules
from proxy.dav.replies import (
    BAD_XML,
    FORBIDDEN,
    NO_SEARCH,
    NOT_FOUND,
    NOTHING,
    UNSUPPORTED,
    XML,
    precondition,
    refusal,
)
from proxy.dav.xmlcheck import (
    WHAT_IS_SEARCHED,
    Listing,
    Refused,
    mkcalendar,
    mkcol,
    propfind,
    proppatch,
    report,
    search,
)
from proxy.dav.xmltree import BadXml
from proxy.limits import DAV_XML_OCTETS
from scopes.davpath import BadPath, DavPath, from_uri
from scopes.davrules import MEDIA, Kind, Role, opened
from scopes.model import Scope

_log: Final = logging.getLogger(__name__)

_SCOPE: Final = {Kind.CONTACTS: Scope.CONTACTS, Kind.EVENTS: Scope.EVENTS}
_BEGIN: Final = {Kind.CONTACTS: b"BEGIN:VCARD", Kind.EVENTS: b"BEGIN:VCALENDAR"}
_ALSO: Final = {Kind.CONTACTS: frozenset({"text/x-vcard"}), Kind.EVENTS: frozenset[str]()}
"""What older clients call it."""
_OF_OBJECTS: Final = frozenset(
    [
        "etag",
        "last-modified",
        "content-type",
        "content-length",
        "content-range",
        "content-disposition",
        "content-language",
        "accept-ranges",
        "schedule-tag",
    ]
)
_OF_WRITES: Final = frozenset({"etag", "last-modified", "schedule-tag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One request that may go upstream."""

    request: WallRequest
    path: DavPath
    found: Found
    scopes: Collection[Scope]
    authorities: Container[str]
    counts: Counts
    read_only: bool

    def object(self) -> Forward:
        """GET and HEAD of an object, or of a whole collection of one's own."""
        return self._forward(fields=self._conditions(), body=NoBody(), answer=self._object_answer)

    def listing(self) -> Forward:
        """PROPFIND with Depth 0 or 1 (RFC 4918 §9.1)."""
        kinds = opened(self.scopes)
        wanted = Listing(body=b"")

        def check(octets: bytes) -> bytes:
            nonlocal wanted
            wanted = propfind(octets, self.found.kind, kinds)
            return wanted.body

        def answer(status: int, fields: Fields) -> AnswerPlan:
            return self._filtered(status, fields, wanted)

        fields = depth(self.request.fields, ("0", "1"))
        return self._forward(fields=fields, body=_xml(check), answer=answer)

    def report(self) -> Forward:
        """REPORT on a collection of one's own (RFC 3253 §3.6)."""
        kind = self.found.kind

        def check(octets: bytes) -> bytes:
            return report(octets, kind, self.path, self.authorities)

        def answer(status: int, fields: Fields) -> AnswerPlan:
            if status == 200 and kind is Kind.EVENTS:  # free-busy-query, RFC 4791 §7.10
                return self._object_answer(status, fields)
            return self._filtered(status, fields, Listing(body=b""))

        # A collection of objects has nothing two levels down; to ask for less is to ask for the same.
        asked = {**self.request.fields}
        if asked.get("depth") == "infinity":
            asked["depth"] = "1"
        return self._forward(fields=depth(asked, ("0", "1")), body=_xml(check), answer=answer)

    def search(self) -> Forward:
        """REPORT on something neutral: the body is read, and nothing goes upstream."""

        def check(octets: bytes) -> Answer:
            return NO_SEARCH if search(octets) == WHAT_IS_SEARCHED else NOTHING

        return self._forward(fields=(), body=_xml(check), answer=self._written)

    def put(self) -> Forward | Answer:
        """PUT of an object into a collection of one's own (RFC 4791 §5.3.2, RFC 6352 §6.3.2)."""
        kind = self.found.kind
        begin = _BEGIN[kind]
        if not _is_media(self.request.fields.get("content-type"), kind):
            return UNSUPPORTED

        def sniff(octets: bytes) -> Answer | None:
            # No BOM and no blank before it: the upstream's parser may skip what ours would have to.
            named, end = octets[: len(begin)].upper(), octets[len(begin) :][:1]
            return None if named == begin and end in (b"\r", b"\n") else UNSUPPORTED

        body = StreamBody(
            content_type=f"{MEDIA[_SCOPE[kind]]}; charset=utf-8", first_octets=len(begin) + 1, sniff=sniff
        )
        return self._forward(fields=self._conditions(), body=body, answer=self._written)

    def delete(self) -> Forward:
        """DELETE of an object or a collection of one's own; Depth is infinity (RFC 4918 §9.6.1)."""
        depth(self.request.fields, ("infinity",) if self.found.role is Role.COLLECTION else ("0", "infinity"))
        return self._forward(fields=self._conditions(), body=NoBody(), answer=self._written)

    def proppatch(self) -> Forward:
        """PROPPATCH of a collection of one's own (RFC 4918 §9.2)."""
        kind = self.found.kind
        body = _xml(lambda octets: proppatch(octets, kind))
        return self._forward(fields=self._conditions(), body=body, answer=self._written)

    def mkcol(self) -> Forward:
        """Extended MKCOL (RFC 5689)."""
        kinds = opened(self.scopes)
        return self._forward(fields=(), body=_xml(lambda octets: mkcol(octets, kinds)), answer=self._written)

    def mkcalendar(self) -> Forward:
        """MKCALENDAR (RFC 4791 §5.3.1)."""
        return self._forward(fields=(), body=_xml(mkcalendar), answer=self._written)

    def transfer(self, target: DavPath) -> Forward:
        """MOVE or COPY of an object; where to has been judged."""
        depth(self.request.fields, ("0", "infinity"))
        fields = (
            *self._conditions(target.parent),
            ("destination", str(target)),
            *overwrite(self.request.fields),
        )
        return self._forward(fields=fields, body=NoBody(), answer=self._written)

    def rename(self, target: DavPath) -> Forward:
        """MOVE or COPY of a collection to a name that is free, and must still be (RFC 4918 §10.6)."""
        allowed = ("infinity",) if self.request.method == "MOVE" else ("0", "infinity")
        fields = (*self._conditions(), *depth(self.request.fields, allowed))
        fields = (*fields, ("destination", str(target)), ("overwrite", "F"))
        return self._forward(fields=fields, body=NoBody(), answer=self._written)

    def _forward(
        self,
        *,
        fields: Fields,
        body: NoBody | CheckXml | StreamBody,
        answer: Callable[[int, Fields], AnswerPlan],
    ) -> Forward:
        path = str(self.path)
        return Forward(method=self.request.method, path=path, fields=fields, body=body, answer=answer)

    def _conditions(self, *more: DavPath) -> Fields:
        about = (self.path, self.found.collection, *more)
        return conditions(self.request.fields, about, self.authorities)

    def _object_answer(self, status: int, fields: Fields) -> AnswerPlan:
        if status not in (200, 206):
            return _refused(status, fields)
        media = [value.partition(";")[0].strip().lower() for name, value in fields if name == "content-type"]
        if media != [MEDIA[_SCOPE[self.found.kind]]]:
            self.counts.alarms += 1
            _log.warning("the upstream gave an object that is not of the kind %s", self.found.kind)
            return NOT_FOUND
        return PassAnswer(_only(fields, _OF_OBJECTS))

    def _filtered(self, status: int, fields: Fields, wanted: Listing) -> AnswerPlan:
        if status != 207:
            return _refused(status, fields)
        rules = Rules(
            base=self.path,
            where=self.found.kind,
            kinds=opened(self.scopes),
            deep=self.found.role is Role.COLLECTION,
            is_member=self.found.role is Role.MEMBER,
            authorities=self.authorities,
            asked=wanted.asked,
            hidden=wanted.hidden,
            types_added=wanted.types_added,
            names_only=wanted.names_only,
            read_only=self.read_only,
        )
        return FilterAnswer((*XML, *dav_field(self.scopes)), MultistatusFilter(rules, self.counts))

    def _written(self, status: int, fields: Fields) -> AnswerPlan:
        """A change is answered by its status; what the upstream says besides is not needed by anyone."""
        if status == 207:
            return self._filtered(status, fields, Listing(body=b""))
        if status not in (200, 201, 204):
            return _refused(status, fields)
        kept = (*_only(fields, _OF_WRITES), *self._location(fields))
        return Answer(status=204 if status == 200 else status, fields=kept)

    def _location(self, fields: Fields) -> Fields:
        for name, value in fields:
            try:
                path = from_uri(value, self.authorities) if name == "location" else None
            except BadPath:
                continue
            if path is not None and path.within(self.found.collection):
                return (("location", str(path)),)
        return ()


def _xml(check: Callable[[bytes], bytes | Answer]) -> CheckXml:
    """Make a check of a body whose faults are answers."""

    def checked(octets: bytes) -> bytes | Answer:
        try:
            return check(octets)
        except BadXml:
            return BAD_XML
        except Refused as refused:
            if refused.precondition is None:
                return FORBIDDEN
            return precondition(refused.status, refused.precondition)

    return CheckXml(limit_octets=DAV_XML_OCTETS, check=checked)


def _refused(status: int, fields: Fields) -> AnswerPlan:
    """Pass on a refusal of the upstream: its status, and the precondition if it names one."""
    if status == 304:
        return Answer(status=status, fields=_only(fields, _OF_WRITES))
    if status < 400:
        raise AnswerFault(f"an answer {status} that was not asked for")
    if status in (403, 409, 412, 507) and "xml" in dict(fields).get("content-type", ""):
        return FilterAnswer(XML, ErrorFilter())
    return refusal(status)


def _only(fields: Fields, names: Collection[str]) -> Fields:
    return tuple((name, value) for name, value in fields if name in names)


def _is_media(content_type: str | None, kind: Kind) -> bool:
    """Whether an object may be called so; one that is called nothing is judged by its first octets alone."""
    if content_type is None:
        return True
    media, *parameters = (each.strip().lower() for each in content_type.split(";"))
    charsets = [each.partition("=")[2].strip('"') for each in parameters if each.startswith("charset")]
    ours = media == MEDIA[_SCOPE[kind]] or media in _ALSO[kind]
    return ours and all(each in ("utf-8", "us-ascii") for each in charsets)
