"""Draft a revision from the difference between the last one and `crm_core.db.tables`."""

from __future__ import annotations

import asyncio
import sys
import tempfile

from alembic import command
from sqlalchemy import Connection

from crm_core.db.engine import make_engine
from crm_core.db.schema import alembic_config, migrate


async def draft(revision: str, message: str) -> None:
    """Write `versions/<revision>_<message>.py`."""

    def compare(connection: Connection) -> None:
        config = alembic_config(connection)
        command.revision(config, message=message, autogenerate=True, rev_id=revision)

    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/draft.db"
        await migrate(url)
        engine = make_engine(url)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(compare)
        finally:
            await engine.dispose()


if __name__ == "__main__":
    asyncio.run(draft(sys.argv[1], sys.argv[2]))
