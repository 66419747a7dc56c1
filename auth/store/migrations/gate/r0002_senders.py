"""Addresses an account may send as without signing in by them: single ones, and whole domains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the table."""
    op.create_table(
        "account_sender",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "address", name="pk_account_sender"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_account_sender_account_id_account"),
    )
