"""The portal: who is signed in, invitations, what owners are told by mail, successors of app passwords."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the tables and add the column."""
    op.add_column("app_password", sa.Column("replaces", sa.Text))
    _portal_session()
    _invitation()
    _notice()


def _portal_session() -> None:
    op.create_table(
        "portal_session",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("seen_at", sa.Integer, nullable=False),
        sa.Column("proved_at", sa.Integer),
        sa.Column("key_id", sa.Text),
        sa.Column("box", sa.LargeBinary),
        sa.PrimaryKeyConstraint("digest", name="pk_portal_session"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_portal_session_account_id_account"),
        sa.ForeignKeyConstraint(["key_id"], ["master_key.id"], name="fk_portal_session_key_id_master_key"),
        sa.CheckConstraint("(box IS NULL) = (key_id IS NULL)", name="ck_portal_session_box_whole"),
    )
    op.create_index("ix_portal_session_account_id", "portal_session", ["account_id"])


def _invitation() -> None:
    op.create_table(
        "invitation",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Integer, nullable=False),
        sa.Column("used_at", sa.Integer),
        sa.PrimaryKeyConstraint("digest", name="pk_invitation"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_invitation_account_id_account"),
    )
    op.create_index("ix_invitation_account_id", "invitation", ["account_id"])


def _notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("sent_at", sa.Integer),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("subject", name="uq_notice_subject"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_notice_account_id_account"),
    )
    op.create_index("ix_notice_next_at", "notice", ["next_at"])
