"""`wicketgate init --for`: a configuration for each kind of server, which `check` accepts as it is."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config.authority import issue, make_authority
from config.load import load
from config.setups import Kind
from proxy.cli.app import program

HOST = "mail.example.org"
READY = list(Kind)


def wicketgate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, [str(one) for one in arguments], prog_name="wicketgate")


@pytest.fixture
def given(tmp_path: Path) -> tuple[str | Path, ...]:
    """The options of a certificate that is there."""
    make_authority(tmp_path / "given tls")
    issue(tmp_path / "given tls", [HOST])
    folder = tmp_path / "given tls"
    return "--host", HOST, "--certificate", folder / "server.pem", "--key", folder / "server.key"


@pytest.mark.parametrize("kind", READY)
def test_what_is_written_is_sound_as_it_is(tmp_path: Path, given: tuple[str | Path, ...], kind: Kind) -> None:
    done = wicketgate("init", tmp_path / "w", "--for", kind, *given)
    assert done.exit_code == 0, done.stderr
    checked = wicketgate("-c", tmp_path / "w" / "wicketgate.toml", "check")
    assert checked.exit_code == 0, checked.stderr
    config = load(tmp_path / "w" / "wicketgate.toml")
    assert [str(place) for place in config.listen.imaps] == ["[::]:993"]
    assert config.upstream.imap is not None
    assert config.upstream.dav is None
    assert config.tls.certificate[0].certificate == tmp_path / "given tls" / "server.pem"
    assert not (tmp_path / "w" / "tls").exists()


@pytest.mark.parametrize("kind", [Kind.DOVECOT, Kind.CYRUS])
def test_a_server_of_ones_own_gets_a_login_for_the_gate(tmp_path, given, kind):
    done = wicketgate("init", tmp_path / "w", "--for", kind, "--server", "imap.internal", *given)
    secret = tmp_path / "w" / "keys" / "upstream.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o400
    assert len(secret.read_text().strip()) == 32
    assert f"let {kind} know the login gate, with the password in {secret}" in done.stdout
    assert secret.read_text().strip() not in done.output
    upstream = load(tmp_path / "w" / "wicketgate.toml").upstream
    assert str(upstream.imap.address) == "imaps://imap.internal:993"
    assert str(upstream.smtp.address) == "smtp+starttls://imap.internal:587"


@pytest.mark.parametrize("kind", [Kind.GMAIL, Kind.ICLOUD, Kind.FASTMAIL])
def test_at_a_provider_each_account_has_its_own_secret(tmp_path, given, kind):
    done = wicketgate("init", tmp_path / "w", "--for", kind, *given)
    assert "wicketgate account set-upstream you@example.org" in done.stdout
    config = load(tmp_path / "w" / "wicketgate.toml")
    assert {config.upstream.imap.sign_in.kind, config.upstream.smtp.sign_in.kind} == {"stored"}
    assert not (tmp_path / "w" / "keys" / "upstream.secret").exists()


def test_an_address_without_brackets_is_a_server_too(tmp_path, given):
    assert wicketgate("init", tmp_path / "w", "--for", "cyrus", "--server", "::1", *given).exit_code == 0
    upstream = load(tmp_path / "w" / "wicketgate.toml").upstream
    assert str(upstream.imap.address) == "imaps://[::1]:993"


def test_what_is_in_names_is_no_line_of_the_config(tmp_path, given):
    strange = tmp_path / 'c "\\é\n\t\x7f$x'
    strange.mkdir()
    pair = [Path(given[at]).rename(strange / name) for at, name in ((3, "c.pem"), (5, "k.pem"))]
    options = ("--host", HOST, "--certificate", pair[0], "--key", pair[1], "--client-id", 'a"b\\')
    done = wicketgate("init", tmp_path / "w", "--for", "microsoft365", *options)
    assert done.exit_code == 0, done.stderr
    config = load(tmp_path / "w" / "wicketgate.toml")
    assert (config.tls.certificate[0].certificate, config.tls.certificate[0].key) == tuple(pair)
    assert config.oauth2["microsoft"].client_id == 'a"b\\'


def test_a_client_id_that_is_still_missing_is_the_next_step(tmp_path, given):
    words = "into client_id: docs/oauth.md"
    assert words in wicketgate("init", tmp_path / "w", "--for", "microsoft365", *given).stdout
    known = wicketgate("init", tmp_path / "v", "--for", "microsoft365", "--client-id", "known", *given)
    assert words not in known.stdout


def test_without_a_certificate_one_is_made(tmp_path):
    done = wicketgate("init", tmp_path / "w", "--for", "dovecot", "--host", HOST)
    assert "devices must trust" in done.stdout
    assert wicketgate("-c", tmp_path / "w" / "wicketgate.toml", "check").exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--for", "dovecot"), "needs --host"),
        (("--for", "exchange", "--host", HOST), "'exchange' is not one of"),
        (("--for", "gmail", "--host", HOST, "--server", "x"), "--server has no meaning for gmail"),
        (("--for", "gmail", "--host", HOST, "--client-id", "x"), "--client-id has no meaning"),
        (("--server", "x"), "--server goes with --for"),
        (("--for", "dovecot", "--host", HOST, "--certificate", __file__), "go together"),
        (("--for", "dovecot", "--host", HOST, "--certificate", "/nowhere"), "does not exist"),
        (("--for", "dovecot", "--host", "a b"), "is not a host name"),
        (("--for", "dovecot", "--host", HOST, "--server", 'a"b'), "is not a host name"),
        (("--for", "dovecot", "--host", HOST, "--server", "imap.internal:993"), "is not a host name"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_made(tmp_path, options, words):
    done = wicketgate("init", tmp_path / "w", *options)
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "w").exists()
