"""The page and the REST API: the only importer of aiohttp here.

- `routes`: declares routes with their roles, parameters and bodies; refuses by default.
- `problems`: errors as RFC 9457 problem documents with a stable `code`.
- `sessions`, `touches`, `contacts`, `live`, `operations`: the routes by resource.
- `page`: the built page from `agent_ui/static`.
- `documents`: OpenAPI and AsyncAPI, generated.
- `app`: puts it all together.
"""
