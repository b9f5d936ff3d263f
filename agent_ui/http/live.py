"""What goes on now: `/api/v1/calls`, `/api/v1/queues`, `/api/v1/agents`; the same as by push."""

from __future__ import annotations

from agent_ui.http.routes import EVERYBODY, Ask, Body, NoBody, Params, Routes
from agent_ui.messages import AgentBody, CallBody, QueueBody

routes = Routes()


class CallPage(Body):
    """Live calls; always one page."""

    items: tuple[CallBody, ...]
    next: str | None = None


class QueuePage(Body):
    """Queues; always one page."""

    items: tuple[QueueBody, ...]
    next: str | None = None


class AgentPage(Body):
    """Agents; always one page."""

    items: tuple[AgentBody, ...]
    next: str | None = None


@routes.add("GET", "/api/v1/calls", roles=EVERYBODY, answer=CallPage)
async def calls(ask: Ask, _params: Params, _body: NoBody) -> CallPage:
    """Live calls the user may see."""
    return CallPage(items=ask.services.hub.snapshot(ask.user).calls)


@routes.add("GET", "/api/v1/queues", roles=EVERYBODY, answer=QueuePage)
async def queues(ask: Ask, _params: Params, _body: NoBody) -> QueuePage:
    """Queues the user may see, with who waits and who can answer."""
    return QueuePage(items=ask.services.hub.snapshot(ask.user).queues)


@routes.add("GET", "/api/v1/agents", roles=EVERYBODY, answer=AgentPage)
async def agents(ask: Ask, _params: Params, _body: NoBody) -> AgentPage:
    """Agents the user may see, with their state."""
    return AgentPage(items=ask.services.hub.snapshot(ask.user).agents)
