"""Alembic migrations in two histories, one a file of the store. `auth.store.migrate` runs them."""
