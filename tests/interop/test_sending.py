"""Programs and libraries that send mail, before a whole gate with the built-in delivery behind it.

Each sends in its own way; that a message has arrived is seen with imaplib, as its recipient sees it.
"""

import itertools
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage

import pytest

from support.imap import subjects, trusting
from support.mailing import Letter, curl, msmtp, swaks
from support.serving import Serving, make_gate, running_gate

ALICE, BOB = "alice@example.org", "bob@example.org"
SWAKS_AUTH_FAILED, EX_NOPERM, CURL_LOGIN_DENIED = 28, 77, 67
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Post:
    """A gate with two accounts, and how a letter from one to the other is written."""

    gate: Serving
    passwords: dict[str, str]
    dial: object

    def letter(self, **more) -> Letter:
        """A letter from alice to bob with a subject of its own."""
        given = {"user": ALICE, "password": self.passwords[ALICE], "sender": ALICE, "recipient": BOB}
        return Letter(**given | {"subject": f"letter {next(_numbers)}"} | more)

    def arrived(self, subject: str, email: str = BOB) -> int:
        """How many messages of this subject lie in somebody's mailbox."""
        client = self.dial(self.gate.facts)
        client.login(email, self.passwords[email])
        count = subjects(client).count(subject)
        client.logout()
        return count

    def body(self, subject: str) -> bytes:
        """The body of the only message of this subject in bob's mailbox."""
        client = self.dial(self.gate.facts)
        client.login(BOB, self.passwords[BOB])
        client.select("INBOX", readonly=True)
        _, [found] = client.search(None, "HEADER", "Subject", f'"{subject}"')
        _, data = client.fetch(found.decode(), "(BODY.PEEK[TEXT])")
        client.logout()
        return data[0][1]


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    with running_gate(make_gate(tmp_path_factory.mktemp("post") / "gate")) as running:
        yield running


@pytest.fixture(scope="module")
def passwords(gate):
    for email in (ALICE, BOB):
        gate.house.ask("account", "add", email, "--service")
    return {email: gate.mint(email) for email in (ALICE, BOB)}


@pytest.fixture
def post(gate, passwords, dial):
    return Post(gate, passwords, dial)


@pytest.fixture
def smtp(gate):
    """Connect with smtplib as often as a test likes."""
    clients = []

    def connected(*, starttls: bool = False) -> smtplib.SMTP:
        facts, context = gate.facts, trusting(gate.facts["ca_file"])
        if starttls:
            client = smtplib.SMTP(facts["host"], facts["submission_port"], timeout=20)
            client.starttls(context=context)
        else:
            client = smtplib.SMTP_SSL(facts["host"], facts["smtps_port"], timeout=20, context=context)
        clients.append(client)
        return client

    yield connected
    for client in clients:
        client.close()


def message(letter: Letter) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = letter.sender, letter.recipient, letter.subject
    made.set_content(letter.body)
    return made


def refused_words(case: str, post: Post) -> tuple[str, str]:
    """Give a password that is refused, and the reply its holder hears."""
    house = post.gate.house
    match case:
        case "wrong":
            return "k7mq-2xwd-hnrp-4tvc-9zsa", "535 5.7.8 wrong name or app-specific password"
        case "primary":
            return "correct horse battery", "535 5.7.8 app-specific password required: "
        case "revoked":
            password = post.gate.mint(ALICE, label := f"lost {next(_numbers)}")
            house.ask("password", "revoke", ALICE, label)
            return password, f'535 5.7.8 the app-specific password "{label}" was revoked'
        case "contacts":
            options = ("--label", label := f"book {next(_numbers)}", "--scope", "contacts", "--operator")
            password = house.ask("password", "create", ALICE, *options)["password"]
            return password, f'535 5.7.8 the app-specific password "{label}" opens contacts, not mail'
    raise AssertionError(case)


# --- swaks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_swaks(post, tmp_path, starttls, mechanism):
    letter = post.letter(mechanism=mechanism, starttls=starttls)
    sent = swaks(post.gate.facts, letter, tmp_path)
    assert sent.status == 0, sent.said
    assert f"AUTH {mechanism}" in sent.said
    assert post.arrived(letter.subject) == 1


@pytest.mark.parametrize(
    "name", ["ALICES_PC", "alice-pc", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x.localdomain"]
)
def test_swaks_may_call_its_machine_as_it_likes(post, tmp_path, name):
    letter = post.letter(mechanism="LOGIN", starttls=True)
    sent = swaks(post.gate.facts, letter, tmp_path, "--ehlo", name)
    assert sent.status == 0, sent.said
    assert f"EHLO {name}" in sent.said
    assert post.arrived(letter.subject) == 1


@pytest.mark.parametrize("case", ["wrong", "primary", "revoked", "contacts"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_swaks_is_refused_in_words_for_people(post, tmp_path, starttls, mechanism, case):
    password, words = refused_words(case, post)
    letter = post.letter(password=password, mechanism=mechanism, starttls=starttls)
    sent = swaks(post.gate.facts, letter, tmp_path)
    assert sent.status == SWAKS_AUTH_FAILED
    assert words in sent.said
    assert "MAIL FROM" not in sent.said
    assert post.arrived(letter.subject) == 0


def test_swaks_before_tls_is_offered_no_sign_in_and_may_not_send(post, tmp_path):
    letter = post.letter(starttls=True)
    sent = swaks(post.gate.facts, letter, tmp_path, "--no-tls")
    assert sent.status == SWAKS_AUTH_FAILED
    offered = [line for line in sent.said.splitlines() if "250" in line]
    assert any("STARTTLS" in line for line in offered)
    assert not any("AUTH" in line for line in offered)
    sent = swaks(post.gate.facts, letter, tmp_path, "--no-tls", "--auth-optional")
    assert "530 " in sent.said
    assert post.arrived(letter.subject) == 0


def test_swaks_pipelines(post, tmp_path):
    letter = post.letter()
    sent = swaks(post.gate.facts, letter, tmp_path, "--pipeline")
    assert sent.status == 0, sent.said
    assert post.arrived(letter.subject) == 1


# --- msmtp and curl -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_msmtp(post, tmp_path, starttls, mechanism):
    letter = post.letter(mechanism=mechanism, starttls=starttls)
    sent = msmtp(post.gate.facts, letter, tmp_path)
    assert sent.status == 0, sent.said
    assert post.arrived(letter.subject) == 1


@pytest.mark.parametrize("case", ["wrong", "revoked", "contacts"])
def test_msmtp_is_told_why_not(post, tmp_path, case):
    password, words = refused_words(case, post)
    letter = post.letter(password=password)
    sent = msmtp(post.gate.facts, letter, tmp_path)
    assert sent.status == EX_NOPERM
    assert words in sent.said
    assert post.arrived(letter.subject) == 0


@pytest.mark.parametrize("options", [(), ("--sasl-ir",)])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_curl(post, tmp_path, starttls, mechanism, options):
    letter = post.letter(mechanism=mechanism, starttls=starttls)
    sent = curl(post.gate.facts, letter, tmp_path, *options)
    assert sent.status == 0, sent.said
    assert post.arrived(letter.subject) == 1


@pytest.mark.parametrize("case", ["wrong", "revoked", "contacts"])
def test_curl_is_told_why_not(post, tmp_path, case):
    password, words = refused_words(case, post)
    letter = post.letter(password=password)
    sent = curl(post.gate.facts, letter, tmp_path)
    assert sent.status == CURL_LOGIN_DENIED
    assert f"< {words}" in sent.said
    assert post.arrived(letter.subject) == 0


# --- smtplib ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("starttls", [False, True])
def test_smtplib(post, smtp, starttls, initial):
    letter = post.letter()
    client = smtp(starttls=starttls)
    client.login(ALICE, letter.password, initial_response_ok=initial)
    assert client.send_message(message(letter)) == {}
    assert client.quit()[0] == 221
    assert post.arrived(letter.subject) == 1


@pytest.mark.parametrize("case", ["wrong", "primary", "revoked", "contacts"])
def test_smtplib_is_refused_and_may_try_again(post, smtp, case):
    password, words = refused_words(case, post)
    client = smtp()
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login(ALICE, password)
    assert words in f"{refused.value.smtp_code} {refused.value.smtp_error.decode()}"
    client.login(ALICE, post.passwords[ALICE])


def test_smtplib_sends_dots_long_lines_and_letters_beyond_ascii_as_they_are(post, smtp):
    body = f".\r\n..\r\n.x\r\n\r\n{'long ' * 400}\r\nGr\u00fc\u00dfe\r\n.\r\nend\r\n".encode()
    letter = post.letter()
    client = smtp()
    client.login(ALICE, letter.password)
    head = letter.text.partition("\n\n")[0].replace("\n", "\r\n").encode()
    client.sendmail(ALICE, [BOB], head + b"\r\n\r\n" + body, ["BODY=8BITMIME"])
    assert post.body(letter.subject) == body


def test_smtplib_hears_who_cannot_be_reached_and_the_others_get_it(post, smtp):
    letter = post.letter()
    client = smtp()
    client.login(ALICE, letter.password)
    there = [BOB, "nobody@example.org", "somebody@elsewhere.example"]
    refused = client.sendmail(ALICE, there, letter.text)
    assert {who: code for who, (code, _) in refused.items()} == dict.fromkeys(there[1:], 550)
    assert refused[there[2]][1].startswith(b"5.7.1 ")
    assert post.arrived(letter.subject) == 1


def test_smtplib_sends_several_letters_in_one_session(post, smtp):
    client = smtp()
    client.login(ALICE, post.passwords[ALICE])
    letters = [post.letter() for _ in range(3)]
    for letter in letters:
        client.send_message(message(letter))
    assert [post.arrived(letter.subject) for letter in letters] == [1, 1, 1]


# --- whom a letter may be from ------------------------------------------------------------------------------


def refused_sender(client: smtplib.SMTP, letter: Letter) -> str:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        client.send_message(message(letter))
    client.rset()
    return f"{refused.value.smtp_code} {refused.value.smtp_error.decode()}"


def test_what_it_may_send_as_is_what_is_listed(post, smtp):
    gate, other = post.gate, "sales@example.net"
    client = smtp()
    client.login(ALICE, post.passwords[ALICE])
    said = refused_sender(client, post.letter(sender=other))
    assert said.startswith("550 5.7.1 ")
    assert f"wicketgate account sender add {ALICE} {other}" in said
    for address, sender in ((other, other), ("*@example.com", "anybody@example.com")):
        gate.house.ask("account", "sender", "add", ALICE, address)
        client.send_message(message(letter := post.letter(sender=sender)))
        assert post.arrived(letter.subject) == 1
        gate.house.ask("account", "sender", "remove", ALICE, address)
        assert refused_sender(client, post.letter(sender=sender)).startswith("550 5.7.1 ")


@pytest.mark.parametrize("sender", ["Alice@Example.ORG", "alice+shop@example.org", "al@example.org"])
def test_it_may_send_as_itself_in_every_form(post, smtp, sender):
    if sender.startswith("al@"):
        post.gate.house.ask("account", "alias", "add", ALICE, sender)
    client = smtp()
    client.login(ALICE, post.passwords[ALICE])
    client.send_message(message(letter := post.letter(sender=sender)))
    assert post.arrived(letter.subject) == 1


@pytest.mark.parametrize("shown", [BOB, f"Alice <{BOB}>", f"{ALICE}, {BOB}"])
def test_what_the_letter_says_it_is_from_is_looked_at_too(post, smtp, shown):
    client = smtp()
    client.login(ALICE, post.passwords[ALICE])
    letter = post.letter()
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail(ALICE, [BOB], letter.text.replace(f"From: {ALICE}", f"From: {shown}"))
    assert refused.value.smtp_code in {550, 554}
    assert post.arrived(letter.subject) == 0


def test_what_is_listed_for_one_account_lets_no_other_send(post, smtp):
    post.gate.house.ask("account", "sender", "add", BOB, "*@example.edu")
    client = smtp()
    client.login(ALICE, post.passwords[ALICE])
    said = refused_sender(client, post.letter(sender="x@example.edu"))
    assert said.startswith("550 5.7.1 ")
