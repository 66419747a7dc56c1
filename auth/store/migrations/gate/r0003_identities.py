"""Who accounts are at the upstreams: logins and sealed secrets of their own, and OAuth 2 tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the tables."""
    op.create_table(
        "upstream_login",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("box", sa.LargeBinary),
        sa.Column("updated_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "service", name="pk_upstream_login"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_upstream_login_account_id_account"),
        sa.ForeignKeyConstraint(["key_id"], ["master_key.id"], name="fk_upstream_login_key_id_master_key"),
        sa.CheckConstraint("(kind = 'stored') = (box IS NOT NULL)", name="ck_upstream_login_secret_stored"),
        sa.CheckConstraint("(box IS NULL) = (key_id IS NULL)", name="ck_upstream_login_secret_whole"),
    )
    op.create_table(
        "oauth_token",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("box", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.Integer),
        sa.Column("refused_at", sa.Integer),
        sa.Column("updated_at", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "provider", name="pk_oauth_token"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_oauth_token_account_id_account"),
        sa.ForeignKeyConstraint(["key_id"], ["master_key.id"], name="fk_oauth_token_key_id_master_key"),
    )
