"""`wicketgate account authorize` as a person and as a script meet it."""

import json
import subprocess
from contextlib import ExitStack

import pytest

from proxy.net.tls import client_context
from support import imap
from support.browser import sent_back, visit
from support.dialects import GMAIL
from support.house import RUN
from support.oauth_provider import CLIENT_SECRET, Fault
from support.oauth_town import ALICE, SIGNS_IN, Town, moved_in, provider_table
from support.serving import running_gate
from support.terminal import on_terminal

THERE = "liddell@gmail.example"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """One town for all, and a house for each test."""
    with ExitStack() as stack:
        yield moved_in(stack, tmp_path_factory.mktemp("town"), GMAIL)


@pytest.fixture
def town(furnished, tmp_path):
    house = furnished.house.copy(tmp_path / "gate")
    furnished.provider.login, furnished.provider.agrees = ALICE, True
    furnished.mail.signed_in.clear()
    return Town(furnished.provider, furnished.mail, house, furnished.certificate)


def opened(town: Town, address: str) -> str:
    """Be the owner at the provider's page; gives the address the browser is sent back to."""
    return sent_back(address, client_context(town.certificate.certificate))


def run_with_browser(town: Town, *more: str) -> tuple[int, list[dict[str, object]], str]:
    """Run it as a script, with a browser on this machine."""
    command = [*RUN, "-c", town.house.file, "account", "authorize", ALICE, "--json", *more]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        status, page = visit(opened(town, first["address"]))
        assert (status, "can be closed" in page) == (200, True)
        rest, errors = process.communicate(timeout=imap.PATIENCE_S)
    return process.returncode, [first, *map(json.loads, rest.splitlines())], errors


def authorised(town: Town) -> list[dict[str, object]]:
    return town.house.ask("account", "show", ALICE)["authorised"]


def test_a_browser_on_this_machine(town):
    code, [first, outcome], errors = run_with_browser(town)
    assert code == 0, errors
    assert (set(first), set(outcome)) == ({"address"}, {"email", "authorised"})  # as docs/json.md has it
    assert outcome["email"] == ALICE
    assert [each["provider"] for each in outcome["authorised"]] == ["home"]
    assert outcome["authorised"] == authorised(town)
    assert [(protocol, login) for protocol, _, login in town.mail.signed_in] == [
        ("imap", ALICE),
        ("smtp", ALICE),
    ]
    assert town.house.ask("account", "show", ALICE)["upstream"] == []  # the config says it for all


def test_a_browser_on_another_machine_and_a_slip_of_the_mouse(town):
    """The owner first pastes the address that was shown, and then the one the browser ended at."""

    def shown(screen: str) -> str:
        return next(line.strip() for line in screen.splitlines() if line.startswith("  https://"))

    dialog = on_terminal(
        [*RUN, "-c", town.house.file, "account", "authorize", ALICE],
        [
            ("paste the address it ends at here:", shown),
            ("copy all of it, from http on", lambda screen: opened(town, shown(screen))),
        ],
    )
    assert dialog.code == 0, dialog.screen
    assert f"{ALICE} at home, tried and stored: imap as {ALICE}, submission as {ALICE}" in dialog.screen
    assert len(authorised(town)) == 1


def test_an_address_without_a_line_end_is_taken_at_the_end_of_what_a_script_says(town):
    command = [*RUN, "-c", town.house.file, "account", "authorize", ALICE, "--json"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = json.loads(process.stdout.readline())["address"]
        try:
            _, errors = process.communicate(opened(town, address), timeout=imap.PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, errors
    assert len(authorised(town)) == 1


def test_ctrl_c_while_the_browser_is_open_stores_nothing(town):
    dialog = on_terminal(
        [*RUN, "-c", town.house.file, "account", "authorize", ALICE], [("it ends at here:", "\x03")]
    )
    assert dialog.code == 1
    assert "Traceback" not in dialog.screen
    assert authorised(town) == []


def test_a_code_on_another_device_for_another_login(town):
    town.provider.login = THERE
    done = town.authorise("--login", THERE)
    assert f"imap as {THERE}, submission as {THERE}" in done.stdout
    assert f"{town.provider.url}/device" in done.stdout
    assert [(each["service"], each["kind"], each["login"]) for each in _upstream(town)] == [
        ("imap", "oauth2", THERE),
        ("submission", "oauth2", THERE),
    ]
    with running_gate(town.house) as gate, imap.connect(gate.facts) as client:
        client.login(ALICE, gate.mint(ALICE))
        assert client.select()[0] == "OK"
    again = town.authorise()  # its own login is known by now
    assert f"imap as {THERE}" in again.stdout
    assert town.house.ask("account", "authorize", ALICE, "--remove")["authorised"] == []
    assert _upstream(town) == []


def _upstream(town: Town) -> list[dict[str, object]]:
    return town.house.ask("account", "show", ALICE)["upstream"]


def test_a_script_is_told_the_code(town):
    first, outcome = map(json.loads, town.authorise("--json").stdout.splitlines())
    assert set(first) == {"address", "user_code", "expires_in_s"}
    assert set(outcome["authorised"][0]) == {"provider", "updated_at", "expires_at", "refused_at"}


def test_somebody_else_agreed(town):
    """Signed in at the provider as another than the account's login: the mail server finds it out."""
    town.provider.login = "mallory@example.net"
    code, answers, errors = run_with_browser(town)
    assert (code, len(answers)) == (1, 1)
    assert f"the imap server behind refuses {ALICE}" in errors
    assert "--login" in errors
    assert authorised(town) == []


def test_the_owner_says_no(town):
    town.provider.agrees = False
    code, answers, errors = run_with_browser(town)
    assert (code, len(answers)) == (1, 1)
    assert "home refused: access_denied" in errors
    assert authorised(town) == []


def test_a_provider_that_is_out_is_said_and_nothing_is_stored(town):
    town.provider.fault = Fault.BROKEN
    try:
        done = town.house.run("account", "authorize", ALICE, "--flow", "device")
    finally:
        town.provider.fault = None
    assert done.exit_code == 1
    assert "home cannot be asked" in done.stderr
    assert authorised(town) == []


def test_a_mail_server_that_is_away(town):
    text = town.house.file.read_text("utf-8")
    town.house.file.write_text(text.replace(f"localhost:{town.mail.imap_port}", "localhost:1"), "utf-8")
    code, _, errors = run_with_browser(town)
    assert code == 1
    assert "cannot be tried" in errors
    assert authorised(town) == []
    assert "stored untried" in town.authorise("--no-try").stdout
    assert len(authorised(town)) == 1


def test_one_server_alone(town):
    """As where the provider has no SMTP for the mailbox."""
    done = town.authorise("--service", "imap", "--login", ALICE)
    assert "submission" not in done.stdout
    assert [protocol for protocol, _, _ in town.mail.signed_in] == ["imap"]


def test_which_provider_is_meant(town):
    other = provider_table(
        "work", town.provider, town.house.file.parent / "x.secret", town.certificate.certificate
    )
    town.house.file.write_text(town.house.file.read_text("utf-8") + other, "utf-8")
    unknown = town.house.run("account", "authorize", ALICE, "--provider", "elsewhere")
    assert (unknown.exit_code, "home, work" in unknown.stderr) == (2, True)
    town.authorise()  # the config signs in by home
    text = town.house.file.read_text("utf-8").replace(SIGNS_IN, 'sign_in = { kind = "stored" }')
    town.house.file.write_text(text, "utf-8")
    assert town.house.ask("account", "authorize", ALICE, "--remove")["authorised"] == []  # the one there is
    several = town.house.run("account", "authorize", ALICE)
    assert several.exit_code == 2
    assert "--provider: home, work" in several.stderr


def test_an_account_whose_config_says_otherwise(town):
    text = town.house.file.read_text("utf-8").replace(SIGNS_IN, 'sign_in = { kind = "stored" }')
    town.house.file.write_text(text, "utf-8")
    town.authorise()
    assert [(each["kind"], each["provider"], each["login"]) for each in _upstream(town)] == [
        ("oauth2", "home", ALICE)
    ] * 2
    with running_gate(town.house) as gate, imap.connect(gate.facts) as client:
        client.login(ALICE, gate.mint(ALICE))


def test_an_authority_that_cannot_be_read_is_a_matter_of_the_config(town):
    file = town.certificate.certificate
    table = town.house.file.read_text("utf-8").partition("[oauth2.home]")
    moved = table[2].replace(str(file), "nowhere.pem", 1)
    town.house.file.write_text(f"{table[0]}[oauth2.home]{moved}", "utf-8")
    done = town.house.run("account", "authorize", ALICE)
    assert (done.exit_code, "nowhere.pem" in done.stderr, "wicketgate -c" in done.stderr) == (2, True, True)


def test_a_flow_that_is_not_offered(town):
    lines = town.house.file.read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("device_endpoint"))
    town.house.file.write_text(text + "\n", "utf-8")
    done = town.house.run("account", "authorize", ALICE, "--flow", "device")
    assert (done.exit_code, "say --flow browser" in done.stderr) == (2, True)


def test_nobody_is_asked_for_an_account_that_is_not_there(town):
    done = town.house.run("account", "authorize", "nobody@example.org")
    assert done.exit_code == 1
    assert "no account" in done.stderr.lower()


def test_a_wrong_secret_of_the_client_is_no_secret_in_the_words(town):
    secret = town.house.file.parent / "other.secret"
    secret.write_text("another secret of the client\n")
    secret.chmod(0o400)
    old = next(
        line for line in town.house.file.read_text("utf-8").splitlines() if "client_secret_file" in line
    )
    text = town.house.file.read_text("utf-8").replace(old, f'client_secret_file = "{secret}"')
    town.house.file.write_text(text, "utf-8")
    code, _, errors = run_with_browser(town)
    assert code == 1
    assert "invalid_client" in errors
    assert "another secret" not in errors
    assert CLIENT_SECRET not in errors
