"""How the sign-ins of an account went lately at the servers behind, read from the history."""

from auth.refusal import Reason
from auth.store.outcomes import Run
from auth.store.rows import GRANTED, SignInRecord
from scopes.model import Service
from support.office import opened

NOW = 1_800_000_000
REFUSED, AWAY = Reason.UPSTREAM_REFUSED.value, Reason.UNAVAILABLE.value


async def runs(store, *outcomes: str, service: Service = Service.IMAP):
    """Write a sign-in a minute and give what is read."""
    await store.record_sign_ins(
        [
            SignInRecord(
                at=NOW + 60 * minute,
                account_id="ac_1",
                app_password_id="ap_1",
                service=service,
                peer="192.0.2.7",
                outcome=outcome,
            )
            for minute, outcome in enumerate(outcomes)
        ]
    )
    return (await store.upstream_runs("ac_1")).get(service, ())


def run(outcome: str, since: int, until: int) -> Run:
    return Run(outcome=outcome, since=NOW + 60 * since, until=NOW + 60 * until)


async def test_nothing_is_known_of_who_never_came(tmp_path):
    async with opened(tmp_path) as store:
        assert await store.upstream_runs("ac_1") == {}


async def test_who_came_in_last_has_that_alone(tmp_path):
    async with opened(tmp_path) as store:
        assert await runs(store, REFUSED, GRANTED, AWAY, GRANTED) == (run(GRANTED, 3, 3),)


async def test_a_refusal_goes_back_to_the_last_that_came_in(tmp_path):
    async with opened(tmp_path) as store:
        found = await runs(store, REFUSED, GRANTED, REFUSED, AWAY, REFUSED)
        assert found == (run(REFUSED, 2, 4), run(AWAY, 3, 3), run(GRANTED, 1, 1))


async def test_what_the_client_did_wrong_is_passed_over(tmp_path):
    async with opened(tmp_path) as store:
        assert await runs(store, GRANTED, Reason.REVOKED.value, Reason.WRONG_SCOPE.value) == (
            run(GRANTED, 0, 0),
        )


async def test_services_and_accounts_are_kept_apart(tmp_path):
    async with opened(tmp_path) as store:
        await runs(store, REFUSED, service=Service.SUBMISSION)
        await runs(store, GRANTED)
        assert {
            service: each[0].outcome for service, each in (await store.upstream_runs("ac_1")).items()
        } == {
            Service.SUBMISSION: REFUSED,
            Service.IMAP: GRANTED,
        }
        assert await store.upstream_runs("ac_2") == {}


async def test_who_never_came_in_was_refused_from_the_first_on(tmp_path):
    async with opened(tmp_path) as store:
        assert await runs(store, REFUSED, REFUSED) == (run(REFUSED, 0, 1),)
