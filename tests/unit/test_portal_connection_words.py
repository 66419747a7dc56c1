"""The servers behind in words: since when something is refused, by whom, and that an outage is none."""

import pytest

from proxy.portal import connection_words
from proxy.portal.connections_port import Authorised, ServiceState, State, Way
from proxy.portal.sentences import Name
from scopes.model import Service

NOW = 1_800_000_000  # 15 January 2027, 08:00 UTC
DAY = 86_400
GMAIL = {"service": Service.IMAP, "server": "imap.gmail.com", "way": Way.SECRET, "login": "liddell@gmail.com"}


def state(how: State, since: int | None = None, **more) -> ServiceState:
    return ServiceState(state=how, since=since, **(GMAIL | more))


def said(how: State, since: int | None = None, **more) -> str:
    return str(connection_words.told(state(how, since, **more), NOW).state)


@pytest.mark.parametrize(
    ("how", "since", "words"),
    [
        (State.GOOD, NOW - 600, "It works: the last sign-in there was today at 07:50."),
        (State.GOOD, NOW - 3 * DAY, "It works: the last sign-in there was 12 January, 08:00."),
        (State.NEW, NOW - DAY, "The password was tried and saved on 14 January. No app has come since."),
        (State.REFUSED, NOW - 30 * DAY, "Gmail has refused the stored password since 16 December 2026."),
        (State.AWAY, NOW - 60, "Gmail did not answer when an app last came, today at 07:59."),
        (State.MISSING, None, "No password is kept for it yet, so no app can use it."),
        (State.UNUSED, None, "No app has signed in there in the last 30 days."),
        (State.UNKNOWN, None, "How it goes there cannot be told just now."),
    ],
)
def test_a_stored_password(how, since, words):
    assert said(how, since) == words


def test_a_permission():
    by = {
        "way": Way.PROVIDER,
        "provider": "microsoft",
        "server": "outlook.office365.com",
        "can_authorise": True,
    }
    since = NOW - 3 * DAY
    assert (
        said(State.REFUSED, since, **by) == "Your permission at Microsoft has been refused since 12 January."
    )
    assert "have not let Wicketgate in at Microsoft yet" in said(State.MISSING, **by)
    told = connection_words.told(state(State.GOOD, since, **by), NOW)
    where = (
        "Microsoft 365. Wicketgate signs in there as liddell@gmail.com, with your permission at Microsoft."
    )
    assert str(told.where) == where
    assert "tried and saved" in said(State.NEW, since, **by)


def test_what_is_not_the_owners_to_mend_says_so():
    for more in ({"way": Way.GATE}, {"way": Way.PROVIDER, "provider": "home", "can_authorise": False}):
        told = connection_words.told(state(State.REFUSED, NOW, **more), NOW)
        assert str(told.advice) == "Your administrator has to mend that."
        assert told.is_bad
    told = connection_words.told(state(State.REFUSED, NOW, way=Way.GATE, server=""), NOW)
    assert str(told.state) == "The mail server has refused Wicketgate itself since 15 January."


def test_an_outage_is_nobodys_password():
    told = connection_words.told(state(State.AWAY, NOW), NOW)
    assert "not the reason" in str(told.advice)
    assert "refused" not in str(told.state)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("imap.gmail.com", "Gmail"),
        ("GMAIL.com", "Gmail"),
        ("notgmail.com", Name("notgmail.com")),
        ("gmail.com.evil.example", Name("gmail.com.evil.example")),
        ("dovecot.lan", Name("dovecot.lan")),
        ("imap.mailbox.org", "mailbox.org"),
        ("", "the mail server"),
    ],
)
def test_what_people_call_a_server(host, name):
    assert connection_words.server_name(state(State.GOOD, NOW, server=host)) == name


def test_a_name_is_left_as_it_is_written_and_a_login_is_no_word_of_ours():
    told = connection_words.told(state(State.REFUSED, NOW, server="imap.mailbox.org", login="<b>x"), NOW)
    assert str(told.state).startswith("mailbox.org has refused")
    assert "&lt;b&gt;x" in told.where.__html__()


def test_our_own_server():
    own = {"way": Way.BUILT_IN, "server": "", "login": "", "service": Service.DAV}
    told = connection_words.told(state(State.UNUSED, **own), NOW)
    assert (told.title, told.is_bad, str(told.advice)) == ("Contacts and events", False, "")
    assert str(told.where).startswith("Wicketgate's own server.")


def test_what_a_permission_is_good_for():
    both = Authorised(provider="google", taken=(Service.IMAP, Service.SUBMISSION), refused=(), untried=())
    words = "Google let Wicketgate in, and it works for reading mail and sending mail."
    assert str(connection_words.outcome(both)) == words
    part = Authorised(
        provider="home", taken=(Service.IMAP,), refused=(Service.SUBMISSION,), untried=(Service.DAV,)
    )
    told = str(connection_words.outcome(part))
    assert "For sending mail the server refuses it" in told
    assert "For contacts and events it could not be tried" in told
