"""What to do about a failure, by its words."""

import pytest

from proxy.cli.advice import advice

AT = "imaps://h:993"
VERDICT = "refused our sign-in (waiting for the answer to our sign-in)"


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (f"no TLS with {AT}: TLS handshake timed out", "no TLS begins there"),
        ("imap+starttls://h:993 did not answer in time (waiting for the greeting)", "write imaps://"),
        (f"{AT} did not answer in time (waiting for the greeting)", "answered nothing within"),
        (f"{AT} did not greet with OK (waiting for the greeting): '220 x ESMTP'", "of this protocol"),
        ("smtps://h:993 sent what is no reply (waiting for the greeting)", "of this protocol"),
        (f"{AT} {VERDICT}: 'NO [UNAVAILABLE] later'", "lets nobody in at the moment"),
        (f"smtps://h:465 {VERDICT}: '454 4.7.0 later'", "lets nobody in at the moment"),
        (f"{AT} {VERDICT}: 'NO [AUTHENTICATIONFAILED] no'", "sign_in is as the server behind has it"),
        (f"smtps://h:465 {VERDICT}: '535 5.7.8 no'", "sign_in is as the server behind has it"),
    ],
)
def test_the_cause_has_its_hint(failure: str, hint: str) -> None:
    assert hint in advice(failure)
