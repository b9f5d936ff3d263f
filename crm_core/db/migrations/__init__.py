"""The history of the schema. Run by `crm_core.db.schema`.

After a change in `crm_core/db/tables.py`, `python -m crm_core.db.migrations 0002 "What changes"`
drafts the next revision; read it, make it plain, and let the contract suite compare it on both
databases.
"""
