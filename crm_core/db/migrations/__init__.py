"""The history of the schema. Run by `crm_core.db.schema`; new revisions: see CONTRIBUTING."""
