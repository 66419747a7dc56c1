"""The tables, as SQLAlchemy Core sees them: `gate` holds what authorises, `activity` what merely happened.

The two live in two files, so losing the second harms nothing. Migrations build the tables (a test holds the
migrations to this module); triggers there refuse to revive a revoked app password and to change the audit
trail. Times are whole seconds since 1970-01-01 UTC. No column holds a secret in clear.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

NAMING: Final = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

gate = MetaData(naming_convention=NAMING)
activity = MetaData(naming_convention=NAMING)

# --- gate: what authorises ----------------------------------------------------------------------------------

master_key = Table(
    "master_key",
    gate,
    Column("id", Text, primary_key=True),
    Column("check_value", LargeBinary, nullable=False),
)
"""Every key that was ever current: another key under its id is found out before anything is read with it."""

account = Table(
    "account",
    gate,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, index=True),
    Column("is_service", Boolean, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("disabled_at", Integer),
    Column("removed_at", Integer),
    Column("primary_hash", Text),
    Column("primary_key_id", Text, ForeignKey("master_key.id")),
    Column("seed_key_id", Text, ForeignKey("master_key.id")),
    Column("seed_box", LargeBinary),
    Column("last_step", Integer),
    Column("version", Integer, nullable=False),
    CheckConstraint("(primary_hash IS NULL) = (primary_key_id IS NULL)", name="primary_whole"),
    CheckConstraint("(seed_box IS NULL) = (seed_key_id IS NULL)", name="seed_whole"),
    CheckConstraint("NOT is_service OR (primary_hash IS NULL AND seed_box IS NULL)", name="service_bare"),
)
"""A removed account stays as a tombstone: no names, no primary password, no seed."""

account_name = Table(
    "account_name",
    gate,
    Column("name", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False, index=True),
    Column("is_email", Boolean, nullable=False),
)
"""Every name that signs in, canonical, unique over emails and aliases of all accounts."""

account_sender = Table(
    "account_sender",
    gate,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("address", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "address"),
)
"""What an account may send as beside its names: canonical addresses, and `*@` with a domain. They sign in to
nothing, so several accounts may have the same one."""

upstream_login = Table(
    "upstream_login",
    gate,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("service", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("login", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("key_id", Text, ForeignKey("master_key.id")),
    Column("box", LargeBinary),
    Column("updated_at", Integer, nullable=False),
    PrimaryKeyConstraint("account_id", "service"),
    CheckConstraint("(kind = 'stored') = (box IS NOT NULL)", name="secret_stored"),
    CheckConstraint("(box IS NULL) = (key_id IS NULL)", name="secret_whole"),
)
"""Who an account is at the upstream of a service, where the config does not say it; `box` is its secret."""

oauth_token = Table(
    "oauth_token",
    gate,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("key_id", Text, ForeignKey("master_key.id"), nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("expires_at", Integer),
    Column("refused_at", Integer),
    Column("updated_at", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("account_id", "provider"),
)
"""What an account's owner has authorised, sealed. It changes often, and authorises nobody here."""

app_password = Table(
    "app_password",
    gate,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("selector", Text, nullable=False),
    Column("verifier_hash", Text, nullable=False),
    Column("key_id", Text, ForeignKey("master_key.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("limits", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("shown_at", Integer),
    Column("expires_at", Integer),
    Column("revoked_at", Integer),
    Column("revoked_why", Text),
    Column("version", Integer, nullable=False),
    Column("replaces", Text),
    UniqueConstraint("account_id", "selector"),
    CheckConstraint("(revoked_at IS NULL) = (revoked_why IS NULL)", name="revoked_whole"),
)
"""Active ones and tombstones. The unique pair is a sign-in's index and keeps selectors apart for good.

`replaces` is the id of the one that a successor takes the place of, until it is first used."""

recovery_code = Table(
    "recovery_code",
    gate,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("master_key.id"), nullable=False),
    Column("used_at", Integer),
    PrimaryKeyConstraint("account_id", "digest"),
)

failure = Table(
    "failure",
    gate,
    Column("subject", LargeBinary, primary_key=True),
    Column("key_id", Text, ForeignKey("master_key.id"), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_at", Float, nullable=False, index=True),
)
"""Wrong primary passwords and codes, by keyed digest of an account's name or an address."""

portal_session = Table(
    "portal_session",
    gate,
    Column("digest", LargeBinary, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), index=True),
    Column("stage", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("seen_at", Integer, nullable=False),
    Column("proved_at", Integer),
    Column("key_id", Text, ForeignKey("master_key.id")),
    Column("box", LargeBinary),
    CheckConstraint("(box IS NULL) = (key_id IS NULL)", name="box_whole"),
)
"""Who is signing in or signed in at the portal, by the digest of a cookie; `box` is what outlasts a page."""

invitation = Table(
    "invitation",
    gate,
    Column("digest", LargeBinary, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False, index=True),
    Column("created_at", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
    Column("used_at", Integer),
)
"""One-time links by which people come in for the first time, by the digest of what is in the link."""

notice = Table(
    "notice",
    gate,
    Column("id", Integer, primary_key=True),
    Column("subject", Text, nullable=False, unique=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("sent_at", Integer),
    Column("tries", Integer, nullable=False),
    Column("next_at", Integer, index=True),
)
"""What owners are told by mail: written with the deed, sent afterwards. `subject` says once for what.

Without `next_at` it is done with: sent, or given up."""

feed = Table(
    "feed",
    gate,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("token", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: the number of the last committed change, and the token drawn for it."""

change = Table(
    "change",
    gate,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("token", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("app_password_ids", Text, nullable=False),
)

audit = Table(
    "audit",
    gate,
    Column("id", Integer, primary_key=True),
    Column("at", Integer, nullable=False, index=True),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_where", Text, nullable=False),
    Column("deed", Text, nullable=False),
    Column("account_id", Text, nullable=False, index=True),
    Column("email", Text, nullable=False),
    Column("app_password_id", Text),
    Column("label", Text),
    Column("detail", Text, nullable=False),
)

# --- activity: what merely happened -------------------------------------------------------------------------

sign_in = Table(
    "sign_in",
    activity,
    Column("id", Integer, primary_key=True),
    Column("at", Integer, nullable=False, index=True),
    Column("account_id", Text),
    Column("app_password_id", Text),
    Column("service", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("client_name", Text, nullable=False),
    Index("ix_sign_in_account_id_at", "account_id", "at"),
    Index("ix_sign_in_refused", "account_id", "at", "outcome", sqlite_where=text("outcome != 'granted'")),
)

last_use = Table(
    "last_use",
    activity,
    Column("app_password_id", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("client_name", Text, nullable=False),
    Column("at", Integer, nullable=False),
    Column("peer", Text, nullable=False),
    PrimaryKeyConstraint("app_password_id", "service", "client_name"),
)

report = Table(
    "report",
    activity,
    Column("token", LargeBinary, nullable=False),
    Column("worker", Text, nullable=False),
    Column("cut", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    PrimaryKeyConstraint("token", "worker"),
)
"""What each worker answered to a change, which its token names: numbers come again in a restored store."""
