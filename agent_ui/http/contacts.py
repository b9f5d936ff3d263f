"""People we deal with: `/api/v1/contacts`."""

from __future__ import annotations

from datetime import datetime

from agent_ui.bodies import Bodies
from agent_ui.http.problems import not_found
from agent_ui.http.routes import EVERYBODY, Ask, Body, IdParams, NoBody, PageParams, Routes, Text
from agent_ui.http.touches import visible_touches
from agent_ui.messages import TouchBody
from crm_core.model import Contact, ContactId
from crm_core.text import storable

routes = Routes()


class AccountBody(Body):
    """An organisation."""

    id: int
    name: str
    external_id: str = ""
    tier: str = ""


class PointBody(Body):
    """A number or address of a contact. `display` is what to show: numbers in readable form."""

    kind: str
    value: str
    display: str
    label: str = ""
    shared: bool = False
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class ContactBody(Body):
    """A person."""

    id: int
    name: str
    external_id: str = ""
    kind: str
    tier: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    account: AccountBody | None = None
    owner: int | None = None
    points: tuple[PointBody, ...] = ()


class ContactWithTouches(ContactBody):
    """A person with the last touches that the user may see, newest first."""

    touches: tuple[TouchBody, ...] = ()


class ContactPage(Body):
    """A page of contacts by name."""

    items: tuple[ContactBody, ...]
    next: str | None


class ContactsParams(PageParams):
    """Which contacts: `text` is looked for in name, company, numbers and addresses."""

    text: Text = ""


@routes.add("GET", "/api/v1/contacts", roles=EVERYBODY, params=ContactsParams, answer=ContactPage)
async def contacts(ask: Ask, params: ContactsParams, _body: NoBody) -> ContactPage:
    """Contacts by name."""
    async with ask.services.store.begin() as uow:
        found, after = await uow.contacts.page(
            text=params.text, after=params.after, limit=params.limit
        )
    bodies = ask.services.bodies
    items = tuple(ContactBody.model_validate(_fields(contact, bodies)) for contact in found)
    return ContactPage(items=items, next=after)


@routes.add(
    "GET", "/api/v1/contacts/{id}", roles=EVERYBODY, params=IdParams, answer=ContactWithTouches
)
async def contact(ask: Ask, params: IdParams, _body: NoBody) -> ContactWithTouches:
    """One contact with numbers, addresses and last touches."""
    async with ask.services.store.begin() as uow:
        found = await uow.contacts.get(ContactId(params.id))
        if found is None:
            raise not_found()
        last, _ = await visible_touches(uow, ask.user, contact=found.id, limit=10)
    bodies = ask.services.bodies
    return ContactWithTouches.model_validate(
        {**_fields(found, bodies), "touches": tuple(bodies.touch(touch) for touch in last)}
    )


def _fields(contact: Contact, bodies: Bodies) -> dict[str, object]:
    account = contact.account
    return {
        "id": contact.id,
        "name": storable(contact.name),
        "external_id": storable(contact.external_id),
        "kind": contact.kind,
        "tier": storable(contact.tier),
        "tags": tuple(storable(tag) for tag in contact.tags),
        "notes": storable(contact.notes),
        "account": AccountBody(
            id=account.id,
            name=storable(account.name),
            external_id=storable(account.external_id),
            tier=storable(account.tier),
        )
        if account
        else None,
        "owner": contact.owner,
        "points": tuple(
            PointBody(
                kind=point.kind.value,
                value=storable(point.value),
                display=bodies.number(point.value),
                label=storable(point.label),
                shared=point.shared,
                valid_from=point.valid_from,
                valid_to=point.valid_to,
            )
            for point in contact.points
        ),
    }
