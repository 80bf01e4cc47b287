"""Alembic's entry: migrate over the connection that the store hands in, inside its transaction."""

from alembic import context

from hansa.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
