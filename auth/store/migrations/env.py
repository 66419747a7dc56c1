"""Where Alembic starts: runs the revisions on the connection it was handed, inside its transaction.

Both histories share this file; `version_locations` says which one is meant. Nothing is read from an ini file,
and there is no offline mode: a store is migrated by the program that opens it.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
