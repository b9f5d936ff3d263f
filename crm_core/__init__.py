"""The customer core: who is it, what happened, and what may be shown to whom.

`crm_core` knows nobody: `cti`, `mail` and `agent_ui` build on it, never the other way.

- `model`: the values of the core (contacts, touches, matches). Pure.
- `phone`: numbers as people write them, turned into E.164. Pure.
- `matching`: who a party is, and why we think so. Pure.
- `notices`: what is told to people's screens after a commit. Pure.
- `ports`: what the core needs from a database and from a publisher.
- `memory`: the ports in memory, complete, for tests.
- `touches`, `contacts`: services, one transaction each.
- `db`: the ports on SQLite and PostgreSQL. The only importer of SQLAlchemy.
"""
