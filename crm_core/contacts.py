"""What an import or a form changes in a contact. Pure; the stores carry it out."""

from __future__ import annotations

from dataclasses import replace

from crm_core.model import Account, Contact, ContactId, ContactPoint, UserId
from crm_core.ports import ContactDraft
from crm_core.text import name_key, storable, storable_key

DEFAULT_KIND = "customer"


def cleaned(draft: ContactDraft) -> ContactDraft:
    """The draft with text that every database takes, and each tag and point once."""
    points: dict[tuple[str, str], ContactPoint] = {}
    for point in draft.points:
        key = (point.kind, storable_key(point.value))
        points[key] = replace(point, value=key[1], label=storable(point.label))
    return ContactDraft(
        name=storable(draft.name),
        external_id=storable_key(draft.external_id),
        account=storable(" ".join(draft.account.split())),
        kind=storable(draft.kind),
        tier=storable(draft.tier),
        tags=tuple(dict.fromkeys(storable(tag) for tag in draft.tags)),
        notes=storable(draft.notes),
        owner=storable(draft.owner),
        points=tuple(points.values()),
    )


def same_person(contact: Contact, draft: ContactDraft) -> bool:
    """Whether a draft without an external id means this contact.

    Name and account must be the same, and one number or address in common; contacts without any
    number and address are the same by name and account alone.
    """
    account = contact.account.name if contact.account else ""
    if name_key(contact.name) != name_key(draft.name) or name_key(account) != name_key(
        draft.account
    ):
        return False
    mine = {(point.kind, point.value) for point in contact.points}
    theirs = {(point.kind, point.value) for point in draft.points}
    return bool(mine & theirs) or not (mine or theirs)


def new_contact(
    draft: ContactDraft, contact: ContactId, *, account: Account | None, owner: UserId | None
) -> Contact:
    """The contact that a draft creates."""
    return Contact(
        id=contact,
        name=draft.name,
        external_id=draft.external_id,
        kind=draft.kind or DEFAULT_KIND,
        tier=draft.tier,
        tags=draft.tags,
        notes=draft.notes,
        account=account,
        owner=owner,
        points=draft.points,
    )


def updated_contact(
    contact: Contact, draft: ContactDraft, *, account: Account | None, owner: UserId | None
) -> Contact:
    """The contact as the draft leaves it; equal to `contact` if the draft says nothing new."""
    return replace(
        contact,
        name=draft.name or contact.name,
        kind=draft.kind or contact.kind,
        tier=draft.tier or contact.tier,
        tags=draft.tags or contact.tags,
        notes=draft.notes or contact.notes,
        account=account or contact.account,
        owner=owner if owner is not None else contact.owner,
        points=_updated_points(contact.points, draft.points),
    )


def _updated_points(
    mine: tuple[ContactPoint, ...], theirs: tuple[ContactPoint, ...]
) -> tuple[ContactPoint, ...]:
    points = {(point.kind, point.value): point for point in mine}
    for given in theirs:
        known = points.get((given.kind, given.value), given)
        points[given.kind, given.value] = replace(
            known,
            label=given.label or known.label,
            shared=given.shared or known.shared,
            valid_from=given.valid_from or known.valid_from,
            valid_to=given.valid_to or known.valid_to,
        )
    return tuple(points.values())
