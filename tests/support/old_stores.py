"""Stores as earlier versions left them."""

from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from auth.seal import KeyRing
from auth.store.migrate import History, alembic_config
from support.office import ALICE, raw

KEYS = KeyRing({"k1": bytes(range(32))}, "k1")
ROWS = f"""
INSERT INTO account (id, email, is_service, created_at, version) VALUES ('ac_old', '{ALICE}', 0, 7, 3);
INSERT INTO account_name VALUES ('{ALICE}', 'ac_old', 1), ('al@example.org', 'ac_old', 0);
INSERT INTO app_password VALUES
  ('ap_old', 'ac_old', 'k7mq', 'hash', 'k1', 'phone', 'mail', '{{"networks": ["192.0.2.0/24"]}}', 8, 'owner',
   8, NULL, 9, 'revoked by its owner', 2);
INSERT INTO audit VALUES (1, 9, 'owner', 'a', 'there', 'app password revoked', 'ac_old', '{ALICE}', 'ap_old',
  'phone', '');
UPDATE feed SET seq = 41, token = x'01';
"""


def old_store(folder: Path, revision: str = "0001") -> None:
    """Make a gate store as it was at `revision`, with an account in it."""
    engine = create_engine(f"sqlite:///{folder / 'gate.db'}")
    config = alembic_config(History.GATE)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    with raw(folder) as connection:
        connection.execute("INSERT INTO master_key VALUES ('k1', ?)", (KEYS.check_value("k1"),))
        connection.executescript(ROWS)


def revision_of(folder: Path, name: str = "gate.db") -> str:
    """Say which revision a store file is at."""
    with raw(folder, name) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
