"""Every record of the process in one form: ours, the libraries', and those that go wrong."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from auth.secret import Secret
from proxy.log.events import Refused, SignedIn, Visitor, tell
from proxy.log.formats import Formatter, LogFormat, begin
from scopes.model import Service

SECRET = "k7mq-2xwd-hnrp-4tvc-9zsa"
MOMENT = 1_800_000_000.1239
TIME = "2027-01-15T08:00:00.123Z"


def formatted(
    form: LogFormat, message: object, *arguments: object, name: str = "proxy.worker", **more
) -> str:
    record = logging.LogRecord(name, logging.WARNING, "/x/worker.py", 12, message, arguments, None)
    record.created = MOMENT
    for key, value in more.items():
        setattr(record, key, value)
    return Formatter(form).format(record)


def test_the_three_forms_of_a_message():
    said = ("cut sessions=%d kind=%s", 2, "app password revoked")
    assert formatted(LogFormat.LOGFMT, *said) == (
        f'time={TIME} level=warning logger=proxy.worker msg="cut sessions=2 kind=app password revoked"'
    )
    assert json.loads(formatted(LogFormat.JSON, *said)) == {
        "time": TIME, "level": "warning", "logger": "proxy.worker",
        "msg": "cut sessions=2 kind=app password revoked",
    }  # fmt: skip
    plain = formatted(LogFormat.PLAIN, *said)
    assert plain.endswith(':00:00 warning: msg="cut sessions=2 kind=app password revoked"')


@pytest.mark.parametrize("form", LogFormat)
def test_a_message_with_line_ends_is_one_line(form):
    line = formatted(form, "child: %s", "a\nlevel=error\r\x1b[0m\u202e")
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize("form", LogFormat)
def test_of_an_exception_the_type_and_the_place_are_told_and_never_the_text(form):
    try:
        raise ValueError(SECRET)
    except ValueError:
        line = formatted(form, "failed", exc_info=sys.exc_info())
    assert "ValueError at test_log_formats.py:" in line
    assert SECRET not in line


def test_of_what_asyncio_tells_the_rest_may_quote_an_exception():
    line = formatted(
        LogFormat.LOGFMT,
        f"Task exception was never retrieved\nfuture: ValueError('{SECRET}')",
        name="asyncio",
    )
    assert line.endswith('logger=asyncio msg="Task exception was never retrieved"')


def test_a_message_that_cannot_be_put_together_is_told_without_its_values():
    line = formatted(LogFormat.LOGFMT, "%d of %d", SECRET)
    assert line.endswith('msg="a message that cannot be put together, of worker.py:12"')


@pytest.fixture
def log() -> Iterator[Callable[[LogFormat, int], io.StringIO]]:
    """Begins the log of the process, and puts back what there was."""
    root, alembic = logging.getLogger(), logging.getLogger("alembic")
    before = (root.level, list(root.handlers), alembic.level)

    def begun(form: LogFormat, level: int) -> io.StringIO:
        stream = io.StringIO()
        root.handlers.clear()  # pytest's own are not to be closed
        begin(form, level, stream)
        return stream

    yield begun
    logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    alembic.setLevel(before[2])


VISITOR = Visitor(
    service=Service.IMAP, address=ip_address("192.0.2.7"), connection="ab12cd34", account="alice@example.org"
)


def test_an_event_has_its_fields_behind_time_and_level(log):
    stream = log(LogFormat.JSON, logging.INFO)
    tell(SignedIn(visitor=VISITOR, upstream="ffff0000"))
    line = json.loads(stream.getvalue())
    assert list(line) == [
        "time", "level", "event", "service", "address", "connection", "account", "upstream"
    ]  # fmt: skip
    assert (line["level"], line["event"]) == ("info", "sign-in")


def test_the_level_leaves_out_what_is_ordinary(log):
    stream = log(LogFormat.LOGFMT, logging.WARNING)
    tell(SignedIn(visitor=VISITOR))
    assert stream.getvalue() == ""
    tell(Refused(visitor=VISITOR, reason="revoked"))
    assert " level=warning event=refused service=imap reason=revoked address=192.0.2.7 " in stream.getvalue()


def test_the_form_may_be_changed_while_serving(log):
    log(LogFormat.LOGFMT, logging.INFO)
    stream = log(LogFormat.JSON, logging.INFO)
    logging.getLogger("proxy.worker").warning("sign-in with %s", Secret(SECRET))
    assert json.loads(stream.getvalue())["msg"] == "sign-in with Secret(hidden)"


@pytest.mark.parametrize("place", ["account", "client"])
def test_an_app_password_in_the_wrong_field_is_left_out(log, place):
    stream = log(LogFormat.LOGFMT, logging.INFO)
    values = {"account": "alice@example.org", "client": "curl"} | {place: f"me {SECRET}"}
    tell(Refused(visitor=Visitor(service=Service.IMAP, address=None, connection="a", **values), reason="bug"))
    assert "redacted" in stream.getvalue()
    assert "9zsa" not in stream.getvalue()
