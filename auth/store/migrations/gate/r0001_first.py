"""The first gate store: master keys, accounts, app passwords, change feed, audit trail.

The triggers hold in the database what the code promises: a revoked app password stays revoked with its hash
and its selector, and no line of the audit trail is changed or removed.
"""

from __future__ import annotations

import secrets
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TOKEN_OCTETS: Final = 16
_ABORT: Final = "BEGIN SELECT RAISE(ABORT, '{why}'); END"
_TRIGGERS: Final = (
    "CREATE TRIGGER app_password_stays_revoked BEFORE UPDATE ON app_password "
    "WHEN OLD.revoked_at IS NOT NULL AND (NEW.revoked_at IS NOT OLD.revoked_at "
    "OR NEW.revoked_why IS NOT OLD.revoked_why) " + _ABORT.format(why="revoked for good"),
    "CREATE TRIGGER app_password_stays_itself BEFORE UPDATE ON app_password "
    "WHEN NEW.id <> OLD.id OR NEW.account_id <> OLD.account_id OR NEW.selector <> OLD.selector "
    + _ABORT.format(why="an app password keeps its identity"),
    "CREATE TRIGGER app_password_stays BEFORE DELETE ON app_password " + _ABORT.format(why="tombstones stay"),
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit "
    + _ABORT.format(why="the audit trail is append-only"),
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit "
    + _ABORT.format(why="the audit trail is append-only"),
    "CREATE TRIGGER feed_only_grows BEFORE UPDATE ON feed WHEN NEW.seq <= OLD.seq "
    "OR NEW.token = OLD.token " + _ABORT.format(why="the feed only grows"),
)


def upgrade() -> None:
    """Build the tables."""
    _master_keys()
    _accounts()
    _app_passwords()
    _proofs()
    _feed()
    _audit()
    for statement in _TRIGGERS:
        op.execute(statement)


def _master_keys() -> None:
    op.create_table(
        "master_key",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("check_value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_master_key"),
    )


def _made_with(table: str, column: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_master_key"
    return sa.ForeignKeyConstraint([column], ["master_key.id"], name=name)


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("is_service", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("disabled_at", sa.Integer),
        sa.Column("removed_at", sa.Integer),
        sa.Column("primary_hash", sa.Text),
        sa.Column("primary_key_id", sa.Text),
        sa.Column("seed_key_id", sa.Text),
        sa.Column("seed_box", sa.LargeBinary),
        sa.Column("last_step", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        _made_with("account", "primary_key_id"),
        _made_with("account", "seed_key_id"),
        sa.CheckConstraint(
            "(primary_hash IS NULL) = (primary_key_id IS NULL)", name="ck_account_primary_whole"
        ),
        sa.CheckConstraint("(seed_box IS NULL) = (seed_key_id IS NULL)", name="ck_account_seed_whole"),
        sa.CheckConstraint(
            "NOT is_service OR (primary_hash IS NULL AND seed_box IS NULL)", name="ck_account_service_bare"
        ),
    )
    op.create_index("ix_account_email", "account", ["email"])
    op.create_table(
        "account_name",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("is_email", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_account_name"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_account_name_account_id_account"),
    )
    op.create_index("ix_account_name_account_id", "account_name", ["account_id"])


def _app_passwords() -> None:
    op.create_table(
        "app_password",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("selector", sa.Text, nullable=False),
        sa.Column("verifier_hash", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("shown_at", sa.Integer),
        sa.Column("expires_at", sa.Integer),
        sa.Column("revoked_at", sa.Integer),
        sa.Column("revoked_why", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_app_password"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_app_password_account_id_account"),
        _made_with("app_password", "key_id"),
        sa.UniqueConstraint("account_id", "selector", name="uq_app_password_account_id"),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_why IS NULL)", name="ck_app_password_revoked_whole"
        ),
    )


def _proofs() -> None:
    op.create_table(
        "recovery_code",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("used_at", sa.Integer),
        sa.PrimaryKeyConstraint("account_id", "digest", name="pk_recovery_code"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_recovery_code_account_id_account"),
        _made_with("recovery_code", "key_id"),
    )
    op.create_table(
        "failure",
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_failure"),
        _made_with("failure", "key_id"),
    )
    op.create_index("ix_failure_last_at", "failure", ["last_at"])


def _feed() -> None:
    feed = op.create_table(
        "feed",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed"),
        sa.CheckConstraint("id = 1", name="ck_feed_one_row"),
    )
    op.bulk_insert(feed, [{"id": 1, "seq": 0, "token": secrets.token_bytes(_TOKEN_OCTETS)}])
    op.create_table(
        "change",
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("token", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("app_password_ids", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_change"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("actor_where", sa.Text, nullable=False),
        sa.Column("deed", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("app_password_id", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_account_id", "audit", ["account_id"])
