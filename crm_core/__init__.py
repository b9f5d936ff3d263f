"""The customer core: who is it, what happened, and what may be shown to whom.

`crm_core` knows nobody: `cti`, `mail` and `agent_ui` build on it, never the other way.

- `model`: the values of the core (contacts, touches, matches). Pure.
- `phone`, `address`: numbers and mail addresses as people write them, in one form. Pure.
- `matching`: who a party is, and why we think so. Pure.
- `notices`: what is told to people's screens after a commit. Pure.
- `ports`: what the core needs from a database and from a publisher.
- `memory`: the ports in memory, complete, for tests.
- `touches`, `contacts`: what is asked and what changes in a transaction, the same in every store.
- `imports`: contacts from CSV files; `columns` guesses which column is which.
- `text`, `cursors`: text that can be stored and compared; where the next page begins. Pure.
- `db`: the ports on SQLite and PostgreSQL. The only importer of SQLAlchemy.
"""
