"""OAuth 2 providers in the config file: presets, what must be there, and what goes over TLS alone."""

import pytest

from config.inspect import inspect
from config.load import load
from support.configs import GOOD, problems, written

OWN = """
[oauth2.home]
authorization_endpoint = "https://login.example.org/authorize"
token_endpoint = "https://login.example.org/token"
scopes = ["imap", "offline_access"]
client_id = "gate"
"""
GOOGLE = '\n[oauth2.google]\npreset = "google"\nclient_id = "123.apps.googleusercontent.com"\n'
MICROSOFT = '\n[oauth2.ms]\npreset = "microsoft"\nclient_id = "f00"\n'
SIGNS_IN = 'sign_in = { kind = "oauth2", provider = "home" }\naddress = "imaps://mail.example.org"'


def provider(folder, text, name):
    return load(written(folder, GOOD + text)).oauth2[name]


def test_google_has_no_device_flow_for_mail(tmp_path):
    google = provider(tmp_path, GOOGLE, "google")
    assert google.endpoints.token == "https://oauth2.googleapis.com/token"
    assert google.endpoints.device is None
    assert google.all_scopes == ("https://mail.google.com/",)
    assert google.asked_for == {"access_type": "offline", "prompt": "consent"}
    assert google.lands_at == "127.0.0.1"
    found = problems(
        tmp_path, GOOD + GOOGLE + 'device_endpoint = "https://oauth2.googleapis.com/device/code"\n'
    )
    assert "does not cover mail" in found["oauth2.google.device_endpoint"].what


def test_microsoft_has_both_and_a_tenant(tmp_path):
    common = provider(tmp_path, MICROSOFT, "ms")
    assert common.endpoints.device == "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode"
    assert common.lands_at == "localhost"
    assert "offline_access" in common.all_scopes
    own = provider(tmp_path, MICROSOFT + 'tenant = "Contoso.onmicrosoft.com"\n', "ms")
    assert (
        own.endpoints.token == "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    )


def test_a_preset_may_be_asked_elsewhere(tmp_path):
    own = provider(tmp_path, MICROSOFT + 'token_endpoint = "https://login.microsoftonline.us/t"\n', "ms")
    assert own.endpoints.token == "https://login.microsoftonline.us/t"
    assert own.endpoints.authorization == "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"


def test_a_provider_of_ones_own(tmp_path):
    home = provider(tmp_path, OWN, "home")
    assert (home.endpoints.device, home.lands_at, home.asked_for) == (None, "127.0.0.1", {})
    assert home.all_scopes == ("imap", "offline_access")


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ('token_endpoint = "https://login.example.org/token"\n', "", "token_endpoint", "missing"),
        ('scopes = ["imap", "offline_access"]\n', "", "scopes", "missing"),
        ('["imap", "offline_access"]', '["imap offline_access"]', "scopes[0]", "not a scope"),
        (
            "https://login.example.org/token",
            "http://login.example.org/token",
            "token_endpoint",
            "another machine",
        ),
        ("https://login.example.org/token", "http://localhost/token", "token_endpoint", "in clear"),
        (
            "https://login.example.org/token",
            "https://u:p@login.example.org/t",
            "token_endpoint",
            "web address",
        ),
        ("https://login.example.org/token", "https://login.example.org/t#x", "token_endpoint", "web address"),
        (
            "https://login.example.org/token",
            "https://login.example.org:99999/t",
            "token_endpoint",
            "web address",
        ),
        ("https://login.example.org/token", "ftp://login.example.org/t", "token_endpoint", "web address"),
        ('client_id = "gate"', 'client_id = "ga\\tte"', "client_id", "characters"),
        ('client_id = "gate"', 'client_id = "gate"\ntenant = "common"', "tenant", "microsoft"),
        (
            'client_id = "gate"',
            'client_id = "gate"\npreset = "microsoft"\ntenant = "my org"',
            "tenant",
            "tenant",
        ),
        ('client_id = "gate"', 'client_id = "gate"\nredirect_host = "0.0.0.0"', "redirect_host", ""),
        ('client_id = "gate"', 'client_id = "gate"\npreset = "gmail"', "preset", ""),
        ('client_id = "gate"', 'client_id = "gate"\nclient_secret = "x"', "client_secret", "not a known key"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(tmp_path, old, new, key, words):
    assert old in OWN
    found = problems(tmp_path, GOOD + OWN.replace(old, new))
    assert words in found[f"oauth2.home.{key}"].what


def test_a_near_miss_is_named(tmp_path):
    found = problems(tmp_path, GOOD + OWN + 'client_secret_fil = "x"\n')
    assert found["oauth2.home.client_secret_fil"].hint == "did you mean client_secret_file?"


def test_somebody_must_be_able_to_authorise(tmp_path):
    without = OWN.replace('authorization_endpoint = "https://login.example.org/authorize"\n', "")
    assert "nobody could authorise" in problems(tmp_path, GOOD + without)["oauth2"].what
    device = without + 'device_endpoint = "https://login.example.org/device"\n'
    assert provider(tmp_path, device, "home").endpoints.authorization is None


def test_the_portal_needs_a_page_to_send_a_browser_to(tmp_path):
    assert provider(tmp_path, OWN + "portal = true\n", "home").portal
    assert provider(tmp_path, GOOGLE + "portal = true\n", "google").portal
    without = OWN.replace('authorization_endpoint = "https://login.example.org/authorize"\n', "")
    device = without + 'device_endpoint = "https://login.example.org/device"\nportal = true\n'
    assert "needs a page" in problems(tmp_path, GOOD + device)["oauth2.home.portal"].what


def test_this_machine_may_be_asked_in_clear_when_the_file_says_so(tmp_path):
    clear = OWN.replace("https://login.example.org", "http://127.0.0.1:8080") + "insecure = true\n"
    assert provider(tmp_path, clear, "home").endpoints.token == "http://127.0.0.1:8080/token"


def test_a_sign_in_names_a_provider_that_there_is(tmp_path):
    signs_in = GOOD.replace('address = "embedded"', SIGNS_IN)
    assert load(written(tmp_path, signs_in + OWN)).upstream.imap.sign_in.provider == "home"
    found = problems(tmp_path, signs_in + GOOGLE)
    assert (
        found["upstream.imap.sign_in.provider"].hint == "write the table [oauth2.home], or name one of google"
    )


def test_a_domain_names_one_too(tmp_path):
    domain = f'\n[[domain]]\nname = "example.net"\n[domain.upstream.imap]\n{SIGNS_IN}\n'
    found = problems(tmp_path, GOOD + GOOGLE + domain)
    assert "has no table" in found["domain[0].upstream.imap.sign_in.provider"].what


def test_the_files_it_names_are_looked_at(tmp_path):
    from datetime import UTC, datetime

    file = written(tmp_path, GOOD + OWN + 'client_secret_file = "client.secret"\nca_file = "ca.pem"\n')
    (tmp_path / "client.secret").write_text("two\nlines\n")
    (tmp_path / "client.secret").chmod(0o400)
    found = {problem.key: problem for problem in inspect(load(file), file, datetime.now(UTC))}
    assert "exactly one line" in found["oauth2.home.client_secret_file"].what
    assert "cannot be read" in found["oauth2.home.ca_file"].what
