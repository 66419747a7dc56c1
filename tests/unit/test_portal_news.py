"""What is said after a revocation: how much it cut, and who has not answered."""

from __future__ import annotations

import pytest

from proxy.portal.news import Ended

SILENT = (
    " not confirmed it yet: nobody gets in there either, and what is open there is cut within 30 seconds."
)


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (Ended(label="Phone", number=1, cut=2, silent=0), "Phone is revoked. 2 sessions were cut."),
        (Ended(label="Phone", number=1, cut=1, silent=0), "Phone is revoked. 1 session was cut."),
        (Ended(label="Phone", number=1, cut=0, silent=0), "Phone is revoked. No session was open."),
        (
            Ended(label="Phone", number=1, cut=0, silent=1),
            f"Phone is revoked. No open session is known of. 1 server process has{SILENT}",
        ),
        (
            Ended(label="Phone", number=1, cut=3, silent=2),
            f"Phone is revoked. 3 sessions were cut. 2 server processes have{SILENT}",
        ),
        (Ended(label="Phone", number=0, cut=0, silent=0), "Phone was revoked already."),
        (
            Ended(label=None, number=3, cut=5, silent=0),
            "All your app passwords are revoked. 5 sessions were cut.",
        ),
        (Ended(label=None, number=0, cut=0, silent=0), "All your app passwords were revoked already."),
    ],
)
def test_what_a_revocation_did(ended, said):
    assert str(ended.told()) == said
    assert Ended.kept(ended.to_keep()) == ended


def test_a_label_is_no_markup():
    assert "<b>" not in Ended(label="<b>", number=1, cut=0, silent=0).told().__html__()
