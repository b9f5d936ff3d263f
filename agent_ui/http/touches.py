"""The history: `/api/v1/touches`."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from agent_ui.http.problems import ProblemError, not_found
from agent_ui.http.routes import (
    EVERYBODY,
    Ask,
    Body,
    Id,
    IdParams,
    NoBody,
    PageParams,
    Routes,
)
from agent_ui.messages import TouchBody
from agent_ui.session import oversees, sees_touch
from crm_core.model import (
    Candidate,
    Contact,
    ContactId,
    Match,
    MatchResult,
    Medium,
    Touch,
    TouchId,
    User,
    UserId,
)
from crm_core.notices import PopUpdated, TouchLogged
from crm_core.ports import UnitOfWork

routes = Routes()


class TouchesParams(PageParams):
    """Which touches."""

    contact: Id | None = None
    agent: Id | None = None
    medium: Medium | None = None


class TouchPage(Body):
    """A page of touches, newest first."""

    items: tuple[TouchBody, ...]
    next: str | None


class ChosenBody(Body):
    """Whom the touch was with."""

    contact: Id


@routes.add("GET", "/api/v1/touches", roles=EVERYBODY, params=TouchesParams, answer=TouchPage)
async def touches(ask: Ask, params: TouchesParams, _body: NoBody) -> TouchPage:
    """Touches the user may see, newest first."""
    async with ask.services.store.begin() as uow:
        found, after = await visible_touches(
            uow,
            ask.user,
            contact=ContactId(params.contact) if params.contact else None,
            agent=UserId(params.agent) if params.agent else None,
            medium=params.medium,
            after=params.after,
            limit=params.limit,
        )
    items = tuple(ask.services.bodies.touch(touch) for touch in found)
    return TouchPage(items=items, next=after)


@routes.add("GET", "/api/v1/touches/{id}", roles=EVERYBODY, params=IdParams, answer=TouchBody)
async def touch(ask: Ask, params: IdParams, _body: NoBody) -> TouchBody:
    """One touch."""
    async with ask.services.store.begin() as uow:
        found = await _visible_touch(uow, ask, TouchId(params.id))
    return ask.services.bodies.touch(found)


@routes.add(
    "POST",
    "/api/v1/touches/{id}/match",
    roles=EVERYBODY,
    params=IdParams,
    body=ChosenBody,
    answer=TouchBody,
)
async def choose_match(ask: Ask, params: IdParams, body: ChosenBody) -> TouchBody:
    """Say whom a touch was with: one of its candidates, or any contact if there was none."""
    async with ask.services.store.begin() as uow:
        found = await _visible_touch(uow, ask, TouchId(params.id))
        match = await _chosen(uow, found.match, ContactId(body.contact), by=ask.user)
        changed = await uow.touches.change(found.id, match=match)
        recent = tuple(await uow.touches.of_contact(ContactId(body.contact), limit=6))
        await uow.commit()
    earlier = tuple(touch for touch in recent if touch.id != changed.id)[:5]
    ask.services.match_chosen(changed, earlier)
    hub = ask.services.hub
    owner = match.candidates[0].owner
    audience = {agent for agent in (changed.agent, ask.user.id, owner) if agent is not None}
    hub.publish(TouchLogged(touch=changed, agents=tuple(sorted(audience)), team=changed.team))
    for pop in hub.pops_of(changed.id):
        hub.publish(PopUpdated(pop=replace(pop, match=match, recent=earlier)))
    return ask.services.bodies.touch(changed)


async def visible_touches(
    uow: UnitOfWork,
    user: User,
    *,
    contact: ContactId | None = None,
    agent: UserId | None = None,
    medium: Medium | None = None,
    after: str | None = None,
    limit: int,
) -> tuple[list[Touch], str | None]:
    """A page of the touches that the user may see; the rules are those of `sees_touch`."""
    everything = oversees(user)
    return await uow.touches.page(
        contact=contact,
        agent=agent,
        medium=medium,
        visible_to=None if everything else user.id,
        teams=None if everything else (user.team,),
        after=after,
        limit=limit,
    )


async def _visible_touch(uow: UnitOfWork, ask: Ask, id_: TouchId) -> Touch:
    """The touch, if the user may see it; whose phone rings may, before it is anybody's."""
    found = await uow.touches.get(id_)
    if found is None:
        raise not_found()
    owner = None
    if found.match.contact is not None:
        contact = await uow.contacts.get(found.match.contact.contact)
        owner = contact.owner if contact else None
    on_screen = any(pop.agent == ask.user.id for pop in ask.services.hub.pops_of(id_))
    if not on_screen and not sees_touch(ask.user, found, owner=owner):
        raise not_found()
    return found


async def _chosen(uow: UnitOfWork, match: Match, contact: ContactId, *, by: User) -> Match:
    match match.result:
        case MatchResult.AMBIGUOUS:
            found = next((one for one in match.candidates if one.contact == contact), None)
            reasons = match.reasons
        case MatchResult.UNKNOWN:
            known = await uow.contacts.get(contact)
            found = _candidate(known) if known else None
            reasons = ()  # "no contact has this number" was the reason of the other answer
        case _:
            raise ProblemError(
                HTTPStatus.CONFLICT,
                "not_ambiguous",
                "Who it was is already known, or nobody can know.",
            )
    if found is None:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "no_candidate", "It cannot have been this contact."
        )
    return replace(
        match,
        result=MatchResult.KNOWN,
        candidates=(found,),
        reasons=(*reasons, f"chosen by {by.name}"),
    )


def _candidate(contact: Contact) -> Candidate:
    account = contact.account
    return Candidate(
        contact=contact.id,
        name=contact.name,
        account=account.name if account else "",
        account_id=account.id if account else None,
        external_id=contact.external_id,
        tier=contact.tier,
        owner=contact.owner,
    )
