"""The ports of the core on SQLite and PostgreSQL. The only importer of SQLAlchemy and Alembic.

- `store`: `open_store(url)`, the unit of work. Its parts: `contact_store`, `touch_store`,
  `user_store`, `mail_store`.
- `transaction`: one connection, one transaction, one writer at a time on SQLite.
- `engine`: how connections are made, which errors mean "try again".
- `tables`: the schema. `migrations/` brings a database to it, `schema` runs them.
"""

from crm_core.db.store import open_store

__all__ = ["open_store"]
