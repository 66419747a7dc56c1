"""The gate's own mails on their way: sent once, tried again, given up, and never in anybody's way."""

import asyncio
import logging
from base64 import b64decode
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from functools import partial
from itertools import pairwise

import pytest

from auth.identities import Identities
from auth.notices import Outbox, invitation
from auth.secret import Secret
from auth.store import notices
from auth.store.errors import StoreUnavailable
from auth.store.notices import Notice, NoticeKind
from proxy.letters.words import From
from proxy.limits import EXPIRY_SCAN_S, MAIL_GIVE_UP_S, MAIL_LEASE_S, MAIL_PAUSE_LONGEST_S
from proxy.server.mailing import Mailing, Route
from proxy.upstreams.by_domain import ByDomain
from proxy.upstreams.place import UpstreamFailure
from support.office import ALICE, OPERATOR, office
from support.smtp_behind import Behind

GATE = "gate@example.org"
WRITER = From(host="mail.example.org", portal_url="https://mail.example.org/")
DAY = 86_400


class Away:
    """An upstream that cannot be reached; counts how often it is asked."""

    def __init__(self, error=None):
        self.asked = 0
        self.error = error or UpstreamFailure("smtp.example.org cannot be reached")

    async def sign_in(self, grant, origin):
        self.asked += 1
        raise self.error


@dataclass
class Post:
    """A gate's mail, and the server it is handed in at."""

    here: object
    behind: Behind
    upstream: object
    stack: AsyncExitStack
    mailing: Mailing | None = None

    def another(self, upstream=None):
        """Another process of the gate."""
        outbox = Outbox(self.here.store, self.here.keys, self.here.clock)
        mailing = Mailing(outbox, self.identities, now=self.here.clock)
        mailing.offer(Route(sender=GATE, writer=WRITER, upstream=upstream or self.upstream), self.stack)
        return mailing

    @property
    def identities(self):
        return Identities(self.here.store, self.here.keys, self.here.clock)

    @property
    def octets(self):
        return [message for sink in self.behind.sinks for message in sink.messages]

    @property
    def messages(self):
        return [message_from_bytes(each, policy=policy.default) for each in self.octets]

    @property
    def subjects(self):
        return [message["Subject"] for message in self.messages]


@asynccontextmanager
async def at_work(folder, upstream=None, **options):
    behind = Behind(**options)
    async with office(folder, tell_owners=True) as here, behind.running() as way, AsyncExitStack() as stack:
        await here.enrolled()
        post = Post(here, behind, upstream or ByDomain(usual=way, by_domain={}), stack)
        post.mailing = post.another()
        yield post


async def test_a_mint_is_told_once(tmp_path):
    async with at_work(tmp_path) as post:
        await post.here.mint("phone")
        await post.mailing.look()
        await post.mailing.look()
        await post.another().look()
        (message,) = post.messages
        assert message["Subject"] == "New app password: phone"
        assert [each.addr_spec for each in message["To"].addresses] == [ALICE]
        assert post.behind.sink.commands[2:4] == [
            f"MAIL FROM:<{GATE}>".encode(),
            f"RCPT TO:<{ALICE}>".encode(),
        ]
        assert post.behind.sink.commands[-1] == b"QUIT"


async def test_the_sender_signs_in_as_the_account_it_is(tmp_path):
    async with at_work(tmp_path) as post:
        await post.here.mint("first")
        await post.mailing.look()
        await post.here.person("robot@example.org", aliases=[GATE])
        await post.here.mint("second")
        await post.mailing.look()
        shown = [b64decode(sink.commands[1].split()[-1]).split(b"\0")[0] for sink in post.behind.sinks]
        assert shown == [GATE.encode(), b"robot@example.org"]
        assert [sink.commands[2] for sink in post.behind.sinks] == [f"MAIL FROM:<{GATE}>".encode()] * 2


async def test_killed_between_the_last_reply_and_the_commit_it_is_sent_again_octet_by_octet(tmp_path):
    """At least once, and known again by its Message-ID."""
    async with at_work(tmp_path) as post:
        await post.here.mint("phone")
        killed = post.another()
        at_the_commit = asyncio.Event()
        killed._outbox.sent = partial(_killed, at_the_commit)
        process = asyncio.create_task(killed.look())
        await at_the_commit.wait()
        process.cancel()
        await asyncio.wait({process})
        await post.mailing.look()
        assert len(post.octets) == 1, "its claim holds"
        post.here.clock.now += MAIL_LEASE_S
        await post.mailing.look()
        await post.mailing.look()
        first, second = post.octets
        assert first == second


async def _killed(at_the_commit, _due):
    at_the_commit.set()
    await asyncio.Event().wait()


async def test_what_the_store_cannot_write_down_now_is_written_down_later_and_not_sent_again(tmp_path):
    async with at_work(tmp_path) as post:
        await post.here.mint("phone")
        sent, post.mailing._outbox.sent = post.mailing._outbox.sent, _unavailable
        await post.mailing.look()
        await post.mailing.look()
        post.mailing._outbox.sent = sent
        await post.mailing.look()
        post.here.clock.now += MAIL_LEASE_S
        await post.mailing.look()
        assert len(post.octets) == 1


async def _unavailable(_due):
    raise StoreUnavailable("busy")


async def test_an_upstream_that_is_away_is_asked_with_growing_pauses_and_for_three_days(tmp_path, caplog):
    away = Away()
    async with at_work(tmp_path, away) as post:
        await post.here.mint("phone")
        began, tried = post.here.clock.now, []
        while post.here.clock.now < began + 4 * DAY:
            asked = away.asked
            await post.mailing.look()
            if away.asked > asked:
                tried.append(post.here.clock.now - began)
            post.here.clock.now += 60 if len(tried) < 7 else 480
        pauses = [after - before for before, after in pairwise(tried)]
        assert pauses[:5] == [60, 120, 240, 480, 960]
        assert max(pauses) == MAIL_PAUSE_LONGEST_S
        assert MAIL_GIVE_UP_S - MAIL_PAUSE_LONGEST_S <= tried[-1] <= MAIL_GIVE_UP_S
        dropped = [record for record in caplog.records if "dropped" in record.message]
        assert [record.levelno for record in dropped] == [logging.ERROR]
        assert "cannot be reached" in dropped[0].message


async def test_when_it_is_back_everything_goes(tmp_path):
    async with at_work(tmp_path) as post:
        for label in ("a", "b", "c"):
            await post.here.mint(label)
        away = Away()
        async with AsyncExitStack() as reading:
            post.mailing.offer(Route(sender=GATE, writer=WRITER, upstream=away), reading)
            await post.mailing.look()
        assert away.asked == 1, "what holds for one holds for all"
        post.here.clock.now += 60
        await post.mailing.look()
        assert sorted(post.subjects) == [f"New app password: {label}" for label in "abc"]


async def test_the_newest_configuration_counts_until_it_is_taken_down(tmp_path):
    async with at_work(tmp_path) as post:
        async with AsyncExitStack() as reading:
            other = Route(sender="new@example.org", writer=WRITER, upstream=post.upstream)
            post.mailing.offer(other, reading)
            await post.here.mint("a")
            await post.mailing.look()
        await post.here.mint("b")
        await post.mailing.look()
        assert [message["From"].addresses[0].addr_spec for message in post.messages] == [
            "new@example.org",
            GATE,
        ]


async def test_a_recipient_that_does_not_exist_is_dropped_at_once(tmp_path, caplog):
    async with at_work(tmp_path, answers={"RCPT": [b"550 5.1.1 no such mailbox\r\n"]}) as post:
        await post.here.mint("phone")
        await post.mailing.look()
        post.here.clock.now += DAY
        await post.mailing.look()
        assert len(post.behind.sinks) == 1
        assert "no such mailbox" in caplog.text


@pytest.mark.parametrize(
    "answers",
    [
        {"RCPT": [b"450 4.2.0 grey\r\n", b"250 ok\r\n"]},
        {"MAIL": ["close", b"250 ok\r\n"]},
        {".": ["reset", b"250 ok\r\n"]},
        {".": [b"451 4.3.0 disk full\r\n", b"250 ok\r\n"]},
    ],
)
async def test_what_fails_for_now_is_sent_later(tmp_path, answers):
    async with at_work(tmp_path, answers=answers) as post:
        await post.here.mint("phone")
        await post.mailing.look()
        post.here.clock.now += 59
        await post.mailing.look()
        assert len(post.behind.sinks) == 1
        post.here.clock.now += 1
        await post.mailing.look()
        assert len(post.behind.sinks) == 2
        assert post.behind.sinks[1].commands[-1] == b"QUIT"
        assert len(post.behind.sinks[1].messages) == 1


async def test_a_notice_that_no_letter_can_be_made_of_holds_nobody_up(tmp_path, caplog):
    async with at_work(tmp_path) as post:
        account_id = (await post.here.accounts.find(ALICE)).id
        broken = Notice(subject="x", account_id=account_id, kind=NoticeKind.REVOKED, facts={"a": 1})
        await post.here.store.write(lambda tx: notices.put(tx, broken, int(post.here.clock.now)))
        await post.here.mint("phone")
        await post.mailing.look()
        assert post.subjects == ["New app password: phone"]
        assert "mail dropped about='app password revoked'" in caplog.text


async def test_a_fault_of_ours_ends_nothing(tmp_path, caplog):
    async with at_work(tmp_path, Away(RuntimeError("secret text"))) as post:
        await post.here.mint("phone")
        await post.mailing.look()
        await post.mailing.look()
        assert "mails wait: a fault of ours: RuntimeError" in caplog.text
        assert "secret text" not in caplog.text


async def test_an_invitation_is_sent_with_its_link_and_not_when_it_has_ended(tmp_path, caplog):
    async with at_work(tmp_path) as post:
        now = int(post.here.clock.now)
        account_id = (await post.here.accounts.find(ALICE)).id
        for name, end in (("in_1", now + 5), ("in_2", now)):
            told = invitation(post.here.keys, account_id, Secret(f"t0ken-{name}"), name=name, expires_at=end)
            await post.here.store.write(lambda tx, told=told: notices.put(tx, told, now))
        await post.mailing.look()
        (message,) = post.messages
        assert "https://mail.example.org/invitation/t0ken-in_1" in message.get_content().splitlines()
        assert "the invitation has ended" in caplog.text
        assert "t0ken" not in caplog.text


async def test_warnings_are_looked_for_every_hour(tmp_path):
    async with at_work(tmp_path) as post:
        await post.here.mint("phone", expires_at=int(post.here.clock.now) + 30 * DAY)
        await post.mailing.look()
        post.here.clock.now += 16 * DAY
        await post.mailing.look()
        assert len(post.subjects) == 2
        assert post.subjects[1].startswith("App password expires on ")
        statements = post.here.store.statements
        post.here.clock.now += EXPIRY_SCAN_S - 1
        await post.mailing.look()
        assert post.here.store.statements - statements <= 2, "nothing but a look whether something is due"
        post.here.clock.now += 11 * DAY
        await post.mailing.look()
        assert len(post.subjects) == 3


async def test_without_a_route_nothing_is_claimed(tmp_path):
    async with at_work(tmp_path) as post:
        await post.here.accounts.revoke_all(ALICE, OPERATOR)
        await post.here.mint("phone")
        outbox = Outbox(post.here.store, post.here.keys, post.here.clock)
        await Mailing(outbox, post.identities, now=post.here.clock).look()
        assert (await outbox.next(MAIL_LEASE_S)).tries == 1
