"""The servers behind the gate in the config file: what is trusted, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import load
from support.configs import GOOD, changed, problems, written

UNIX = 'address = "unix:/s"'
BESIDE = """
[upstream.smtp]
address = "embedded"
[upstream.contacts]
address = "embedded"
[upstream.events]
address = "embedded"
"""
AUTHZID = 'sign_in = { kind = "authzid", user = "gate", secret_file = "s" }'
NONE = 'sign_in = { kind = "none" }'
HEADER = 'sign_in = { kind = "trusted-header" }'
SHOWN = 'client_certificate = "c"\nclient_key = "k"'


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ("smtp", f'address = "smtps://h"\n{AUTHZID}'),
        ("smtp", f'address = "smtp+starttls://h:25"\n{AUTHZID}\nca_file = "x"'),
        ("smtp", f'address = "unix:/run/smtp"\n{NONE}'),
        ("smtp", f'address = "smtps://h"\n{NONE}\n{SHOWN}'),
        ("smtp", f'address = "smtp://127.0.0.1"\n{NONE}\ninsecure = true'),
        ("contacts", f'address = "unix:/run/radicale"\n{HEADER}'),
        ("events", f'address = "https://h"\n{HEADER}\n{SHOWN}'),
        ("contacts", f'address = "http://localhost:5232"\n{HEADER}\ninsecure = true'),
    ],
)
def test_other_servers_behind(tmp_path: Path, table: str, lines: str) -> None:
    upstream = getattr(load(written(tmp_path, f"{GOOD}[upstream.{table}]\n{lines}\n")).upstream, table)
    assert str(upstream.address) in lines.replace("smtps://h", "smtps://h:465").replace(
        "https://h", "https://h:443"
    ).replace("smtp://127.0.0.1", "smtp://127.0.0.1:25")


@pytest.mark.parametrize(
    ("table", "lines", "key", "words"),
    [
        ("smtp", f'address = "smtps://h"\n{NONE}', "sign_in", "shows smtps://h:465 no secret"),
        ("smtp", f'address = "smtp://localhost"\n{NONE}', "sign_in", "every user of this machine"),
        ("smtp", f'address = "smtp://localhost"\ninsecure = true\n{AUTHZID}', "sign_in", "in clear"),
        ("smtp", 'address = "embedded"\nextensions = ["DSN"]', "extensions", "embedded server has none"),
        ("smtp", f'address = "unix:/s"\n{NONE}\nextensions = ["DSN", "DSN"]', "extensions", "one twice"),
        ("smtp", f'address = "unix:/s"\n{NONE}\nextensions = ["dsn"]', "extensions[0]", "'CHUNKING', 'DSN'"),
        ("smtp", f'address = "smtp://192.0.2.1"\n{NONE}', "address", "another machine"),
        ("smtp", f'address = "unix:/s"\n{NONE}\ninsecure = true', "insecure", "no meaning"),
        (
            "smtp",
            'address = "unix:/s"\nsign_in = { kind = "authzid", user = "g" }',
            "sign_in.secret_file",
            "missing",
        ),
        (
            "smtp",
            'address = "unix:/s"\nsign_in = { kind = "none", user = "g" }',
            "sign_in.user",
            "no meaning",
        ),
        ("smtp", 'address = "imaps://h"', "address", "not an address for submission"),
        ("contacts", 'address = "unix:/s"', "sign_in", "missing"),
        ("contacts", f'address = "https://h"\n{HEADER}', "sign_in", "no secret"),
        ("contacts", f'address = "https://h"\n{HEADER}\nclient_certificate = "c"', "client_key", "goes with"),
        ("contacts", f'address = "http://[::1]"\n{HEADER}', "sign_in", "every user"),
        (
            "contacts",
            'address = "unix:/s"\nsign_in = { kind = "trusted-header", header = "X Y" }',
            "sign_in.header",
            "HTTP field",
        ),
        (
            "contacts",
            'address = "unix:/s"\nsign_in = { kind = "trusted-header", header = "Depth" }',
            "sign_in.header",
            "something else",
        ),
    ],
)
def test_what_trusts_anybody_and_other_mistakes_about_servers_behind(
    tmp_path: Path, table: str, lines: str, key: str, words: str
) -> None:
    found = problems(tmp_path, f"{GOOD}[upstream.{table}]\n{lines}\n")
    assert words in found[f"upstream.{table}.{key}"].what


def test_contacts_and_events_stand_on_one_server(tmp_path: Path) -> None:
    text = GOOD + BESIDE.replace(
        '[upstream.events]\naddress = "embedded"', f'[upstream.events]\naddress = "unix:/s"\n{HEADER}'
    )
    assert "another server" in problems(tmp_path, text)["upstream.events"].what


@pytest.mark.parametrize(
    ("listener", "table"), [("submissions", "smtp"), ("submission", "smtp"), ("https", "contacts")]
)
def test_what_is_listened_for_needs_a_server_behind(tmp_path: Path, listener: str, table: str) -> None:
    text = changed('imaps = ["127.0.0.1:0"]', f'imaps = ["127.0.0.1:0"]\n{listener} = ["127.0.0.1:0"]')
    found = problems(tmp_path, text)[f"upstream.{table}"]
    assert found.what == "is missing, and [listen] has 127.0.0.1:0 for it"
    assert "out of [listen]" in found.hint
    assert ("[upstream.events]" in found.hint) == (listener == "https")
    assert load(written(tmp_path, text + BESIDE)).upstream.dav is not None


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ('[upstream.smtp]\naddress = "embedded"', "own"),
        (f'[upstream.smtp]\naddress = "unix:/s"\n{NONE}', "upstream"),
        ('[upstream.smtp]\naddress = "embedded"\n[policy]\nsender = "report"', "report"),
    ],
)
def test_the_sender_rule_is_strict_where_nobody_behind_knows_better(
    tmp_path: Path, lines: str, rule: str
) -> None:
    assert load(written(tmp_path, f"{GOOD}{lines}\n")).sender_rule == rule


KINDS = (
    ('{ kind = "master", user = "gate" }', "secret_file", "missing"),
    ('{ kind = "stored", user = "gate" }', "user", "no meaning for a sign-in of kind stored"),
    ('{ kind = "oauth2" }', "provider", "missing"),
    ('{ kind = "authzid", user = "g", secret_file = "s", separator = "*" }', "separator", "no meaning"),
    ('{ kind = "master", user = "g", secret_file = "s", separator = "" }', "separator", "empty"),
)


@pytest.mark.parametrize(("sign_in", "key", "words"), KINDS)
def test_each_kind_of_sign_in_has_its_own_keys(tmp_path: Path, sign_in: str, key: str, words: str) -> None:
    smtp = f'[upstream.smtp]\naddress = "smtps://h"\nsign_in = {sign_in}\n'
    imap = f'imaps://h"\nsign_in = {sign_in}\n#'
    found = problems(tmp_path, changed('embedded"', imap) + smtp)
    for table in ("imap", "smtp"):
        assert words in found[f"upstream.{table}.sign_in.{key}"].what


DOMAIN = f"""
[[domain]]
name = "example.net"
[domain.upstream.imap]
address = "imaps://other.lan"
{AUTHZID}
"""


def test_a_domain_has_servers_of_its_own(tmp_path: Path) -> None:
    (domain,) = load(written(tmp_path, GOOD + DOMAIN)).domain
    assert (domain.name, str(domain.upstream.imap.address)) == ("example.net", "imaps://other.lan:993")
    assert domain.upstream.smtp is None


def test_a_listener_needs_a_server_for_some_domain_at_least(tmp_path: Path) -> None:
    text = changed('[upstream.imap]\naddress = "embedded"', "") + DOMAIN
    assert load(written(tmp_path, text)).upstream.imap is None


MISTAKES = {
    "upstream = {}": ("domain[0]", "no server of its own"),
    'upstream = { imap = { address = "embedded" } }': ("domain[0].upstream.imap", "all accounts"),
    'upstream = { imap = { address = "x" } }': ("domain[0].upstream.imap.address", "x"),
    "upstream = { events = { } }": ("domain[0].upstream.events", "not a known key"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_about_domains(tmp_path: Path, text: str) -> None:
    key, words = MISTAKES[text]
    found = problems(tmp_path, f'{GOOD}\n[[domain]]\nname = "a.b"\n{text}')
    assert words in found[key].what


def test_a_domain_has_one_table_and_a_name_that_can_be_one(tmp_path: Path) -> None:
    assert "two tables" in problems(tmp_path, GOOD + DOMAIN + DOMAIN)["domain"].what
    found = problems(tmp_path, (GOOD + DOMAIN).replace("example.net", "a b"))
    assert "host name" in found["domain[0].name"].what


@pytest.mark.parametrize(
    ("table", "address", "how"),
    [
        ("imap", "imaps://h", "proxy-v1"),
        ("imap", "imap+starttls://h", "proxy-v2"),
        ("imap", "unix:/s", "id"),
        ("smtp", "smtps://h", "proxy-v1"),
        ("smtp", "smtp+starttls://h", "proxy-v2"),
        ("smtp", "unix:/s", "xclient"),
    ],
)
def test_how_a_server_behind_is_told_of_clients(tmp_path: Path, table: str, address: str, how: str) -> None:
    lines = f'address = "{address}"\n{AUTHZID}\nclient_address = "{how}"\n'
    text = changed('address = "embedded"\n', lines) if table == "imap" else f"{GOOD}[upstream.smtp]\n{lines}"
    assert getattr(load(written(tmp_path, text)).upstream, table).client_address == how


@pytest.mark.parametrize(
    ("table", "lines", "what"),
    [
        ("smtp", f'address = "unix:/s"\n{AUTHZID}\nclient_address = "id"', "is not 'proxy-v1', 'proxy-v2'"),
        ("smtp", 'address = "embedded"\nclient_address = "xclient"', "no meaning for embedded"),
        ("contacts", f'address = "unix:/s"\n{HEADER}\nclient_address = "proxy-v2"', "shared by all clients"),
        ("events", f'address = "unix:/s"\n{HEADER}\nclient_address = "xclient"', "shared by all clients"),
    ],
)
def test_where_a_server_behind_cannot_be_told_of_clients(
    tmp_path: Path, table: str, lines: str, what: str
) -> None:
    problem = problems(tmp_path, f"{GOOD}[upstream.{table}]\n{lines}\n")[f"upstream.{table}.client_address"]
    assert what in problem.what
    assert problem.hint
