"""What Alembic runs a migration in: the connection that the ledger hands over."""

from alembic import context

from labelloop.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    user_module_prefix="",
)
with context.begin_transaction():
    context.run_migrations()
