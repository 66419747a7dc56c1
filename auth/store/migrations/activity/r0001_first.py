"""The first activity store: sign-ins, last use, workers' reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the tables."""
    op.create_table(
        "sign_in",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("app_password_id", sa.Text),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("client_name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in"),
    )
    op.create_index("ix_sign_in_at", "sign_in", ["at"])
    op.create_index("ix_sign_in_account_id_at", "sign_in", ["account_id", "at"])
    op.create_index(
        "ix_sign_in_refused",
        "sign_in",
        ["account_id", "at", "outcome"],
        sqlite_where=sa.text("outcome != 'granted'"),
    )
    op.create_table(
        "last_use",
        sa.Column("app_password_id", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("client_name", sa.Text, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("app_password_id", "service", "client_name", name="pk_last_use"),
    )
    op.create_table(
        "report",
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("cut", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("token", "worker", name="pk_report"),
    )
