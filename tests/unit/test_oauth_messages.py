"""What is asked of an OAuth 2 provider, and how its answers are read."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.secret import Secret
from proxy.upstreams.oauth2.messages import (
    ASSUMED_LIFETIME_S,
    LONGEST_LIFETIME_S,
    BadAnswer,
    DeviceCode,
    Refused,
    Tokens,
    begin,
    code_request,
    device_request,
    poll_request,
    read_device_code,
    read_redirect,
    read_tokens,
    refresh_request,
)
from proxy.upstreams.oauth2.provider import Answer, Flow, Provider

PROVIDER = Provider(
    name="home",
    token_endpoint="https://login.example/token",
    authorization_endpoint="https://login.example/authorize",
    device_endpoint="https://login.example/device",
    scopes=("imap", "smtp"),
    client_id="gate",
    client_secret=Secret("of the client"),
)
GOOD = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt"}
# RFC 7636 appendix B
VERIFIER, CHALLENGE = (
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
)
BEGUN = begin(PROVIDER, "http://127.0.0.1:1234", "alice@example.org", state="st-1", verifier=VERIFIER)


def answer(told: object, status: int = 200) -> Answer:
    return Answer(status=status, body=json.dumps(told).encode())


def query(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def test_a_refresh_names_the_client_and_nothing_more():
    request = refresh_request(PROVIDER, Secret("rt"))
    assert request.url == "https://login.example/token"
    client = {"client_id": "gate", "client_secret": "of the client"}
    assert request.form == {**client, "grant_type": "refresh_token", "refresh_token": "rt"}
    assert "rt" not in repr(request)


def test_a_public_client_has_no_secret():
    public = Provider(name="x", token_endpoint="https://login.example/t", scopes=("a",), client_id="gate")
    assert "client_secret" not in refresh_request(public, Secret("rt")).form
    assert public.flows == ()
    assert PROVIDER.flows == (Flow.BROWSER, Flow.DEVICE)


def test_the_browser_is_sent_with_state_and_challenge_and_the_verifier_stays_here():
    asked = query(BEGUN.url)
    assert asked == {
        "response_type": "code",
        "client_id": "gate",
        "redirect_uri": "http://127.0.0.1:1234",
        "scope": "imap smtp",
        "state": "st-1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "login_hint": "alice@example.org",
    }
    form = code_request(PROVIDER, BEGUN, Secret("the-code")).form
    assert (form["code"], form["code_verifier"]) == ("the-code", VERIFIER)
    assert form["redirect_uri"] == asked["redirect_uri"]
    assert VERIFIER not in repr(BEGUN)


def test_an_endpoint_may_have_a_query_of_its_own():
    odd = Provider(
        name="x", token_endpoint="https://l.example/t", authorization_endpoint="https://l.example/a?p=1",
        scopes=("a",), client_id="gate", asked_for={"access_type": "offline"},
    )  # fmt: skip
    url = begin(odd, "http://127.0.0.1:1", "a", state="s", verifier=VERIFIER).url
    assert url.startswith("https://l.example/a?p=1&")
    assert query(url)["access_type"] == "offline"


def test_the_device_flow_asks_for_scopes_first_and_polls_with_the_code():
    assert device_request(PROVIDER).form["scope"] == "imap smtp"
    code = read_device_code(
        answer({"device_code": "dc", "user_code": "ABCD-EFGH", "verification_uri": "https://l.example/d"})
    )
    assert isinstance(code, DeviceCode)
    assert (code.interval_s, code.lifetime_s) == (5, 1800)  # RFC 8628 §3.2
    form = poll_request(PROVIDER, code).form
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
    assert form["device_code"] == "dc"


@pytest.mark.parametrize(("said", "taken"), [(0, 1.0), (0.01, 1.0), (7, 7.0), (3600, 60.0), ("x", 5.0)])
def test_a_poll_is_neither_too_soon_nor_too_late(said, taken):
    told = {
        "device_code": "dc",
        "user_code": "AB",
        "verification_uri": "https://l.example/d",
        "interval": said,
    }
    code = read_device_code(answer(told))
    assert isinstance(code, DeviceCode)
    assert code.interval_s == taken


@pytest.mark.parametrize(
    "change",
    [
        {"verification_uri": "http://l.example/d"},
        {"verification_uri": "https://l.example/\x1b[2J"},
        {"user_code": "two\nlines"},
        {"user_code": ""},
        {"device_code": None},
    ],
)
def test_a_device_code_that_cannot_be_shown_is_no_answer(change):
    told = {"device_code": "dc", "user_code": "AB", "verification_uri": "https://l.example/d"} | change
    with pytest.raises(BadAnswer):
        read_device_code(answer(told))


def test_tokens_are_read():
    tokens = read_tokens(answer(GOOD))
    assert tokens == Tokens(access=Secret("at"), lifetime_s=3600.0, refresh=Secret("rt"))
    assert "rt" not in repr(tokens)


@pytest.mark.parametrize(
    ("said", "lifetime"),
    [
        (None, ASSUMED_LIFETIME_S), ("3599", 3599.0), (0, 0.0), (1.5, 1.5), (True, ASSUMED_LIFETIME_S),
        (-1, ASSUMED_LIFETIME_S), ("soon", ASSUMED_LIFETIME_S), (10**8, LONGEST_LIFETIME_S),
        (10**400, ASSUMED_LIFETIME_S), (float("nan"), ASSUMED_LIFETIME_S), (float("inf"), ASSUMED_LIFETIME_S),
    ],
)  # fmt: skip
def test_a_lifetime_is_believed_within_reason(said, lifetime):
    tokens = read_tokens(answer(GOOD | {"expires_in": said}))
    assert isinstance(tokens, Tokens)
    assert tokens.lifetime_s == lifetime


def test_no_new_refresh_token_means_that_the_old_one_stays():
    told = {name: value for name, value in GOOD.items() if name != "refresh_token"}
    tokens = read_tokens(answer(told))
    assert isinstance(tokens, Tokens)
    assert tokens.refresh is None


@pytest.mark.parametrize(
    "change",
    [
        {"token_type": "mac"}, {"token_type": None}, {"access_token": None}, {"access_token": ""},
        {"access_token": "a b"}, {"access_token": "a\x01auth=x"}, {"access_token": "a\r\nb"},
        {"access_token": "x" * 8_193}, {"refresh_token": 7}, {"refresh_token": "ä"},
    ],
)  # fmt: skip
def test_what_cannot_be_a_bearer_token_is_an_outage(change):
    with pytest.raises(BadAnswer):
        read_tokens(answer(GOOD | change))


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required"])
def test_a_refused_refresh_token_needs_the_person(error):
    for status in (400, 401, 403, 200):
        refused = read_tokens(answer({"error": error}, status))
        assert isinstance(refused, Refused)
        assert refused.needs_the_person


@pytest.mark.parametrize("error", ["invalid_client", "invalid_scope", "unauthorized_client"])
def test_a_refused_client_is_not_the_persons_matter(error):
    refused = read_tokens(answer({"error": error}, 401))
    assert refused == Refused(error=error)
    assert not refused.needs_the_person


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error": "invalid_grant"}'),
        (503, b""),
        (429, b'{"error": "invalid_grant"}'),
        (400, b'{"error": "temporarily_unavailable"}'),
        (400, b"{}"),
        (400, b'{"error": 1}'),
        (400, b'{"error": "two\\nlines"}'),
        (404, b"<html>"),
        (200, b"<html>sign in to the guest network</html>"),
        (200, b"[]"),
        (200, b"\xff\xfe"),
        (200, b"[" * 100_000),
    ],
)
def test_an_outage_is_never_a_refusal(status, body):
    with pytest.raises(BadAnswer):
        read_tokens(Answer(status=status, body=body))


@given(status=st.sampled_from([200, 400, 401, 500]), body=st.binary(max_size=200))
def test_no_octets_break_the_reader(status, body):
    for read in (read_tokens, read_device_code):
        with pytest.raises(BadAnswer):
            read(Answer(status=status, body=body))


@pytest.mark.parametrize(
    "target",
    [
        "/?code=c0de&state=st-1",
        "/?state=st-1&scope=imap&code=c0de",
        "http://127.0.0.1:1234/?code=c0de&state=st-1",
        "  http://localhost:1234/?code=c0de&state=st-1#x \n",
    ],
)
def test_the_code_is_found_in_the_address_the_browser_ended_at(target):
    assert read_redirect(target, BEGUN) == Secret("c0de")


@pytest.mark.parametrize(
    "target",
    [
        "", "/", "/favicon.ico", "/?code=c0de", "/?code=c0de&state=", "/?code=c0de&state=st-2",
        "/?code=c0de&state=st-1&state=st-1", "/?code=a&code=b&state=st-1", "/?code=&state=st-1",
        "/?code=a%0d%0ab&state=st-1", "/?state=%C3%A4", "http://[", "/?" + "a=1&" * 100 + "code=c&state=st-1",
    ],
)  # fmt: skip
def test_another_state_or_no_code_answers_nothing_of_ours(target):
    assert read_redirect(target, BEGUN) is None


@given(st.text(max_size=300) | st.text("/?&=%codestae-1", max_size=60))
def test_no_text_but_with_our_state_is_an_answer(text):
    assert read_redirect(text, BEGUN) is None


def test_a_person_may_say_no():
    assert read_redirect("/?error=access_denied&state=st-1", BEGUN) == Refused(error="access_denied")
    assert read_redirect("/?error=access_denied&state=other", BEGUN) is None
    shown = read_redirect("/?error=%1b%5b2J&state=st-1", BEGUN)
    assert isinstance(shown, Refused)
    assert shown.error.isprintable()
