"""What people see: sign-in, live push, the REST API and the page.

- `messages`: the push protocol. Pure.
- `session`: what one signed-in browser may see. Pure.
- `hub`: retained state and bounded outboxes, one a browser.
- `push`: the websocket; the only importer of websockets.
- `http`: page and REST API; the only importer of aiohttp here.
- `auth`: passwords, sessions, one-time links.
- `web`: the TypeScript source of the page; its build lies in `static`.
"""
