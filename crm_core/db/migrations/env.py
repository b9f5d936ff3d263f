"""What Alembic runs: the revisions, on the connection that `crm_core.db.schema` hands over."""

from __future__ import annotations

from alembic import context

from crm_core.db.schema import CONFIGURATION
from crm_core.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    **CONFIGURATION,
)
with context.begin_transaction():
    context.run_migrations()
