"""Limits of an app password name what it may do beside where from, also where they do not narrow it.

A limit that is missing is refused from here on, so the rows of before get the ones they were made without.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two to every row; what is not the text that was written until now stays as it is."""
    op.execute(
        "UPDATE app_password SET "
        'limits = substr(limits, 1, length(limits) - 1) || \', "read_only": false, "send_only": false}\' '
        "WHERE limits LIKE '{\"networks\": [%]}'"
    )
