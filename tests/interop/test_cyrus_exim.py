"""A whole mail server behind one gate: Exim, which hands on to Cyrus by LMTP, and Cyrus to read from."""

import re

import pytest
from click.testing import CliRunner

from config.scaffold import CONFIG_NAME
from config.setups import SECRET_FILE
from proxy.cli.app import program
from support import imap, smtp
from support.cutting import carry_out, idle, wait_for_end
from support.cyrus import running_cyrus
from support.exim import running_exim
from support.house import House
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.serving import running_gate

ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    with running_cyrus() as cyrus, running_exim(lmtp=cyrus.lmtp) as exim:
        lines = []
        for address, server in (
            (f"imaps://localhost:{cyrus.imaps}", cyrus),
            (f"smtps://localhost:{exim.smtps}", exim),
        ):
            secrets = tmp_path_factory.mktemp("secrets")
            lines.append(upstream(address, server.ca_file, signing_in(secrets, server.secret)))
        house = make_mail_gate(folder / "gate", *lines)
        for email in (ALICE, BOB):
            house.add(email)
            exim.make_box(email)
        with running_gate(house) as serving:
            yield serving


def test_who_idles_hears_of_what_another_sends(gate, dial):
    password = gate.mint(BOB)
    reader = idle(dial(gate.facts), BOB, password)
    with smtp.connect(gate.facts) as sender:
        sender.login(ALICE, gate.mint(ALICE))
        sender.send_message(smtp.message(ALICE, BOB, "round about"))
    assert reader.readline() == b"* 1 EXISTS\r\n"
    client = dial(gate.facts)
    client.login(BOB, password)
    assert imap.subjects(client) == ["round about"]


def test_a_revocation_ends_reading_and_sending(gate, dial):
    password = gate.mint(ALICE, "lost")
    reader = idle(dial(gate.facts), ALICE, password)
    with smtp.connect(gate.facts) as sender:
        sender.login(ALICE, password)
        assert carry_out(gate, "password", "revoke", ALICE, "lost").cut == (2, 0)
        wait_for_end(reader)
        assert sender.getreply()[0] == 421


def test_check_signs_in_at_both(gate):
    assert_all_is_well(gate.house)


def test_what_init_writes_for_cyrus_serves(tmp_path, dial):
    made = (
        "init",
        str(tmp_path / "w"),
        "--for",
        "cyrus",
        "--host",
        "mail.example.org",
        "--host",
        "localhost",
    )
    assert CliRunner().invoke(program, made).exit_code == 0
    house = House(tmp_path / "w" / CONFIG_NAME)
    secret = (tmp_path / "w" / SECRET_FILE).read_text().strip()
    with running_cyrus(secret=secret) as cyrus, running_exim(cyrus.lmtp, secret) as exim:
        text = re.sub(r'"\[::\]:\d+"', '"127.0.0.1:0"', house.file.read_text("utf-8"))
        for kind, port, server in (("imaps", cyrus.imaps, cyrus), ("smtp+starttls", exim.smtp, exim)):
            assert f'"{kind}://localhost"' in text
            text = text.replace(
                f'"{kind}://localhost"', f'"{kind}://localhost:{port}"\nca_file = "{server.ca_file}"'
            )
        house.file.write_text(text, "utf-8")
        house.add(ALICE)
        exim.make_box(ALICE)
        assert_all_is_well(house)
        with running_gate(house) as serving:
            client = dial(serving.facts)
            client.login(ALICE, serving.mint(ALICE))
            assert client.select("INBOX") == ("OK", [b"0"])


def assert_all_is_well(house: House) -> None:
    servers = house.ask("check", "--connect", ALICE)["servers"]
    assert [(each["key"], each["email"], each["what"]) for each in servers] == [
        ("upstream.imap", ALICE, ""),
        ("upstream.smtp", ALICE, ""),
    ]
