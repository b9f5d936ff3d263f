"""What people see: sign-in, live push, the REST API and the page.

- `messages`: the push protocol. Pure.
- `session`: what one signed-in person may see. Pure.
- `bodies`: values of the core turned into bodies of messages and answers. Pure.
- `caller`: who calls, seen through trusted proxies. Pure.
- `hub`: retained state and bounded outboxes, one a browser; `metrics`: its counts and times.
- `push`: the websocket and the shared port; the only importer of websockets.
- `http`: page and REST API; the only importer of aiohttp here.
- `auth`: passwords, sessions, one-time links.
- `health`: which connections are up.
- `server`: opens all of it on one port, and closes it in order.
- `settings`: the `[web]` part of the settings.
- `web`: the TypeScript source of the page; its build lies in `static`.
"""
