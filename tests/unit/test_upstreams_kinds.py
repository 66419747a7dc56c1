"""Sign-in kinds: what each shows for an account, and which one an account gets."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from dataclasses import dataclass, replace

import pytest

from auth.seal import UnsealError
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.login import Logins
from proxy.upstreams.master import Master
from proxy.upstreams.per_account import PerAccount
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import Mechanism, Proof, UpstreamRefusal, plain
from proxy.upstreams.signing_in import proven
from proxy.upstreams.stored import Stored
from scopes.model import Grant, Identity, IdentityKind, Scope, Service

GRANT = Grant(
    account_id="ac_1",
    email="alice@example.org",
    app_password_id="ap_1",
    label="phone",
    scopes=frozenset({Scope.MAIL}),
)
STORED = replace(GRANT, identities={Service.IMAP: Identity(login="a.l", kind=IdentityKind.STORED)})
RENAMED = replace(GRANT, identities={Service.IMAP: Identity(login="al")})
BY_GOOGLE = Identity(login="al", kind=IdentityKind.OAUTH2, provider="google")
MASTER = Master(user="gate", secret=Secret("sesame"))


@dataclass
class Safe:
    """Stored secrets, or why there are none."""

    secret_: Secret | Exception | None = None

    async def secret(self, account_id: str, service: Service) -> Secret | None:
        assert (account_id, service) == ("ac_1", Service.IMAP)
        if isinstance(self.secret_, Exception):
            raise self.secret_
        return self.secret_


def message(proof: Proof) -> bytes:
    return b64decode(proof.messages[Mechanism.PLAIN].reveal())


async def test_a_master_user_names_the_account_beside_itself():
    assert message(await MASTER.proof(GRANT)) == b"\0alice@example.org*gate\0sesame"
    other = replace(MASTER, separator="%", logins=Logins(template="{user}"))
    assert message(await other.proof(GRANT)) == b"\0alice%gate\0sesame"


@pytest.mark.parametrize("login", ["", "bob*alice", "*"])
async def test_a_login_that_would_name_another_account_fails(login):
    grant = replace(GRANT, identities={Service.IMAP: Identity(login=login)})
    with pytest.raises(UpstreamFailure):
        await replace(MASTER, logins=Logins(service=Service.IMAP)).proof(grant)


async def test_an_account_with_a_login_of_its_own_is_called_so_at_that_service_alone():
    by_imap = replace(MASTER, logins=Logins(service=Service.IMAP))
    by_smtp = replace(MASTER, logins=Logins(service=Service.SUBMISSION))
    assert message(await by_imap.proof(RENAMED)) == b"\0al*gate\0sesame"
    assert message(await by_smtp.proof(RENAMED)) == b"\0alice@example.org*gate\0sesame"


async def test_a_stored_secret_is_shown_with_its_own_login():
    assert (
        message(await Stored(service=Service.IMAP, secrets=Safe(Secret("own"))).proof(STORED))
        == b"\0a.l\0own"
    )


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (StoreUnavailable("gone"), UpstreamFailure),
        (UnsealError("no"), UpstreamFailure),
        (None, UpstreamRefusal),
    ],
)
async def test_what_is_stored_and_cannot_be_had_is_no_wrong_app_password(trouble, kind):
    with pytest.raises(UpstreamFailure) as caught:
        await Stored(service=Service.IMAP, secrets=Safe(trouble)).proof(STORED)
    assert type(caught.value) is kind


async def test_each_account_gets_its_own_kind():
    by_google = Master(user="google", secret=Secret("x"))
    kinds = PerAccount(
        service=Service.IMAP,
        usual=Authzid(user="gate", secret=Secret("sesame"), logins=Logins(service=Service.IMAP)),
        stored=Stored(service=Service.IMAP, secrets=Safe(Secret("own"))),
        by_provider={"google": by_google},
    )
    assert message(await kinds.proof(GRANT)) == b"alice@example.org\0gate\0sesame"
    assert message(await kinds.proof(RENAMED)) == b"al\0gate\0sesame"
    assert message(await kinds.proof(STORED)) == b"\0a.l\0own"
    assert kinds.login_of(STORED) == "a.l"
    google = replace(GRANT, identities={Service.IMAP: BY_GOOGLE})
    assert message(await kinds.proof(google)).endswith(b"*google\0x")
    with pytest.raises(UpstreamRefusal, match="google"):
        await replace(kinds, by_provider={}).proof(google)


@dataclass
class Renewing:
    """A kind whose proof can be made anew."""

    shown: int = 0
    again: bool = True

    async def proof(self, grant: Grant) -> Proof:
        self.shown += 1
        return await MASTER.proof(grant)

    async def refused(self, grant: Grant, proof: Proof) -> bool:
        return self.again

    def login_of(self, grant: Grant) -> str:
        return ""


@pytest.mark.parametrize(("again", "tries"), [(True, 2), (False, 1)])
async def test_a_refused_proof_is_made_anew_once_at_most(again, tries):
    kind, left = Renewing(again=again), []

    async def attempt(proof: Proof, within_s: float) -> None:
        left.append(within_s)
        raise UpstreamRefusal("no")

    with pytest.raises(UpstreamRefusal):
        await proven(kind, GRANT, attempt, within_s=5.0)
    assert (kind.shown, len(left)) == (tries, tries)
    assert 5.0 >= left[0] >= left[-1] > 0


async def test_a_proof_that_does_not_come_in_time_is_an_outage():
    class Slow(Renewing):
        async def proof(self, grant: Grant) -> Proof:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(UpstreamFailure, match="in time"):
        await proven(Slow(), GRANT, None, within_s=0.01)  # type: ignore[arg-type]


def test_what_a_server_repeats_of_a_secret_is_hidden_also_where_it_cuts_it_off():
    shown = plain(authzid="", authcid="alice", password=Secret("correct horse battery"))
    message = shown.messages[Mechanism.PLAIN].reveal_bytes()
    for said in (message, message[:-5], message[:9], b"correct horse battery", b"correct horse"):
        assert shown.without_secrets(b"BAD " + said + b"; " + said) == b"BAD (hidden); (hidden)"
    assert shown.without_secrets(b"NO correct") == b"NO correct"
