"""The config file: what is read, and how everything wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import dotted, load
from config.models import Config
from config.problems import ConfigErrors
from support.configs import GOOD, changed, problems, written


def test_paths_start_at_the_files_folder_and_the_store_stands_in_the_data_folder(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    assert config.server.data == tmp_path / "data"
    assert config.tls.certificate[0].key == tmp_path / "tls/server.key"
    assert config.keys.files == {"k": tmp_path / "keys/k.key"}
    assert config.store.url == f"sqlite:///{tmp_path}/data/gate.db"
    assert config.store.gate_file == tmp_path / "data/gate.db"
    assert config.store.activity_file == tmp_path / "data/activity.db"


def test_defaults(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    assert config.policy.app_passwords == 25
    assert (config.policy.hashing.app.memory_kib, config.policy.hashing.app.passes) == (4096, 1)
    assert (config.policy.hashing.primary.memory_kib, config.policy.hashing.primary.passes) == (65536, 3)
    assert config.primary.kind == "local"
    assert config.server.workers == 1
    assert config.upstream.imap.login == "{email}"


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:db/gate.db", "{folder}/db/gate.db"),
        ("sqlite:/var/lib/w/gate.db", "/var/lib/w/gate.db"),
        ("sqlite:///var/lib/w/gate.db", "/var/lib/w/gate.db"),
        ("sqlite:////var/lib/w/gate.db", "/var/lib/w/gate.db"),
        ("sqlite+aiosqlite:////var/lib/w/gate.db", "/var/lib/w/gate.db"),
    ],
)
def test_the_address_of_a_store(tmp_path: Path, url: str, file: str) -> None:
    config = load(written(tmp_path, f'{GOOD}\n[store]\nurl = "{url}"\n'))
    assert str(config.store.gate_file) == file.format(folder=tmp_path)
    assert config.store.activity_file == config.store.gate_file.with_name("activity.db")


def test_everything_wrong_is_said_at_once_with_key_and_hint(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
        [server]
        public_hots = "mail.example.org"
        data = 7
        workers = 4
        portal_url = "http://apps.example.org"
        [[tls.certificate]]
        names = []
        certificate = "a.pem"
        [listen]
        imaps = ["993", "127.0.0.1:993"]
        https = ["[::]:443"]
        [keys]
        current = "b"
        files = { a = "a.key" }
        [primary]
        kind = "ldap"
        [upstream.imap]
        address = "imap://dovecot.lan"
        sign_in = { kind = "master", user = "" }
        [upstream.smtp]
        address = "smtp://x"
        [policy]
        app_passwords = 26
        hashing = { primary = { memory_kib = 1024, passes = "3" } }
        [extra]
        """,
    )
    assert set(found) == {
        "server.public_host",
        "server.public_hots",
        "server.data",
        "server.workers",
        "server.portal_url",
        "tls.certificate[0].names",
        "tls.certificate[0].key",
        "listen.imaps[0]",
        "keys.files",
        "primary.kind",
        "upstream.imap.address",
        "upstream.imap.sign_in.user",
        "upstream.imap.sign_in.secret_file",
        "upstream.smtp.address",
        "policy.app_passwords",
        "policy.hashing.primary.memory_kib",
        "policy.hashing.primary.passes",
        "extra",
    }
    assert all(problem.what and problem.hint for problem in found.values())
    assert all(problem.file == tmp_path / "wicketgate.toml" for problem in found.values())
    assert found["server.public_hots"].hint == "did you mean public_host?"
    assert found["server.workers"].what == "4 workers are not offered in this version"


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        (changed("[listen]", "[listen]\nsmtps = []"), "listen.smtps", "submissions"),
        (changed("[listen]", "[listen]\nhttp = []"), "listen.http", "portal"),
        (f"{GOOD}[upstream.submission]\n", "upstream.submission", "smtp"),
        (f"{GOOD}[upstream.carddav]\n", "upstream.carddav", "contacts"),
        (f'{GOOD}proxy_protocol = "v2"\n', "upstream.imap.proxy_protocol", "client_address"),
        (f'{GOOD}[upstream.smtp]\nproxy_protocol = "v2"\n', "upstream.smtp.proxy_protocol", "client_address"),
    ],
)
def test_another_name_for_a_key_is_answered_with_the_key(
    tmp_path: Path, text: str, key: str, meant: str
) -> None:
    assert problems(tmp_path, text)[key].hint == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ('names = ["mail.example.org"]', 'names = ["other.org"]', "tls.certificate", "mail.example.org"),
        ('imaps = ["127.0.0.1:0"]', "", "listen", "nothing to listen on"),
        ('imaps = ["127.0.0.1:0"]', 'imaps = ["[::]:9"]\nimap = ["[::]:9"]', "listen", "twice"),
        ('imaps = ["127.0.0.1:0"]', 'imaps = "127.0.0.1:0"', "listen.imaps", "list"),
        ('address = "embedded"', 'address = "imaps://h"', "upstream.imap.sign_in", "missing"),
        (
            'address = "embedded"',
            'address = "embedded"\nca_file = "x"',
            "upstream.imap.ca_file",
            "no meaning",
        ),
        ('address = "embedded"', 'address = "embedded"\nlogin = "{name}"', "upstream.imap.login", "template"),
        ('address = "embedded"', 'address = "embedded"\nlogin = "all"', "upstream.imap.login", "same login"),
        ('names = ["mail.example.org"]', "names = []", "tls.certificate[0].names", "is empty"),
        ('files = { k = "keys/k.key" }', "files = {}", "keys.files", "has no 'k'"),
        ('current = "k"', 'current = "z"', "keys.files", "'z'"),
        ('data = "data"', 'data = " "', "server.data", "not a path"),
        ('data = "data"', 'data = "~no-such-user/x"', "server.data", "no home folder for ~no-such-user"),
        ('public_host = "mail.example.org"', 'public_host = "a b"', "server.public_host", "host name"),
    ],
)
def test_single_mistakes(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    found = problems(tmp_path, changed(old, new))
    assert list(found) == [key]
    assert words in found[key].what


@pytest.mark.parametrize(
    ("line", "key", "what", "advice"),
    [
        ("imaps = [5]", "listen.imaps[0]", "is not text in quotes", "as in "),
        ('imaps = "[::]:993"', "listen.imaps", "is not a list in brackets", "write brackets around it"),
    ],
)
def test_what_is_of_the_wrong_kind_is_told_with_advice(
    tmp_path: Path, line: str, key: str, what: str, advice: str
) -> None:
    problem = problems(tmp_path, changed('imaps = ["127.0.0.1:0"]', line))[key]
    assert problem.what == what
    assert advice in problem.hint


def test_sign_in_is_forbidden_for_the_embedded_server(tmp_path: Path) -> None:
    sign_in = 'sign_in = { kind = "authzid", user = "gate", secret_file = "s" }'
    found = problems(tmp_path, f"{GOOD}{sign_in}\n")
    assert found["upstream.imap.sign_in"].hint == "take the line out"
    served = load(written(tmp_path, changed('"embedded"', f'"unix:/run/imap"\n{sign_in}'))).upstream.imap
    assert served.sign_in is not None
    assert served.sign_in.secret_file == tmp_path / "s"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://db/wicketgate", "PostgreSQL"),
        ("mysql://db", "not the address"),
        ("sqlite:", "not the address"),
        ("sqlite:///", "not the address"),
        ("sqlite::memory:", "forgets"),
        ("sqlite:gate.db?mode=ro", "not the address"),
        ("sqlite:~no-such-user/gate.db", "no home folder"),
    ],
)
def test_what_is_no_store(tmp_path: Path, url: str, words: str) -> None:
    assert words in problems(tmp_path, f'{GOOD}\n[store]\nurl = "{url}"\n')["store.url"].what


def test_a_home_is_a_home_wherever_a_path_stands(tmp_path: Path) -> None:
    text = changed('data = "data"', 'data = "~/w"') + '[store]\nurl = "sqlite:~/gate.db"\n'
    config = load(written(tmp_path, text))
    assert (config.server.data, config.store.gate_file) == (Path.home() / "w", Path.home() / "gate.db")


@pytest.mark.parametrize("value", ['["imap"]', "{ a = 1 }", "1"])
def test_a_word_that_is_no_text_is_no_fault_of_ours(tmp_path: Path, value: str) -> None:
    found = problems(tmp_path, f"{GOOD}\n[primary]\nkind = {value}\n")
    assert found["primary.kind"].what == "is not 'local' or 'imap'"


def test_the_two_files_of_the_store_are_two(tmp_path: Path) -> None:
    text = f'{GOOD}\n[store]\nurl = "sqlite:x.db"\nactivity_url = "sqlite:./x.db"\n'
    assert "same file" in problems(tmp_path, text)["store.activity_url"].what


def test_a_name_under_two_certificates(tmp_path: Path) -> None:
    other = '[[tls.certificate]]\nnames = ["MAIL.example.org"]\ncertificate = "b"\nkey = "b"\n'
    assert "two certificates" in problems(tmp_path, f"{GOOD}\n{other}")["tls.certificate"].what


def test_a_wildcard_covers_one_label(tmp_path: Path) -> None:
    star = changed('names = ["mail.example.org"]', 'names = ["*.example.org"]')
    assert load(written(tmp_path, star)).tls.certificate[0].names == ("*.example.org",)
    deep = star.replace('public_host = "mail.example.org"', 'public_host = "a.mail.example.org"')
    assert "tls.certificate" in problems(tmp_path, deep)


def test_files_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="no such file") as caught:
        load(tmp_path / "absent.toml")
    assert "wicketgate init" in caught.value.problems[0].hint
    with pytest.raises(ConfigErrors, match="is a folder") as caught:
        load(tmp_path)
    assert "wicketgate.toml" in caught.value.problems[0].hint
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load(tmp_path / ("x" * 300))
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"[server\n")
    with pytest.raises(ConfigErrors, match=r"is not TOML.*line 1"):
        load(broken)
    broken.write_bytes(b"a = '\xff'\n")
    with pytest.raises(ConfigErrors, match="UTF-8"):
        load(broken)
    broken.write_bytes(b"#" * 1_048_577)
    with pytest.raises(ConfigErrors, match="larger"):
        load(broken)


def test_a_secret_in_the_wrong_place_is_not_quoted(tmp_path: Path) -> None:
    found = problems(tmp_path, f'{GOOD}\npassword = "hunter2-hunter2"\n[policy]\napp_passwords = "hunter2"\n')
    assert len(found) == 2
    assert "hunter2" not in "".join(f"{problem}{problem.hint}{problem!r}" for problem in found.values())


def test_nothing_can_be_changed_once_read(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    with pytest.raises(ValueError, match="frozen"):
        config.server.workers = 2  # type: ignore[misc]


def test_every_key_is_described() -> None:
    def fields(section: type, path: tuple[str, ...] = ()) -> list[str]:
        bare = [
            ".".join((*path, name)) for name, field in section.model_fields.items() if not field.description
        ]
        for name, field in section.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                bare += fields(inner, (*path, name))
        return bare

    assert fields(Config) == []


def test_places_are_written_as_in_the_file() -> None:
    assert dotted(("tls", "certificate", 0, "key")) == "tls.certificate[0].key"
