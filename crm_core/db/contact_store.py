"""People, organisations and their contact points in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Table,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)

from crm_core.contacts import cleaned, new_contact, same_person, updated_contact
from crm_core.cursors import name_cursor, read_name_cursor
from crm_core.db.tables import account, app_user, contact, contact_point
from crm_core.db.transaction import Transaction
from crm_core.model import (
    Account,
    AccountId,
    Candidate,
    Contact,
    ContactId,
    ContactPoint,
    PointKind,
    UserId,
)
from crm_core.ports import ContactDraft, Hit
from crm_core.text import folded, name_key, search_key, searched_value, storable, storable_key

_BATCH = 500
# Taken by whoever creates or changes contacts on PostgreSQL, so that two imports at once wait for
# each other instead of creating a person twice. The number means nothing.
_UPSERT_LOCK = text("SELECT pg_advisory_xact_lock(7205759403792793)")
_NEXT_IDS = text(
    "SELECT nextval(pg_get_serial_sequence(:table_name, 'id')) FROM generate_series(1, :count)"
)

_people = contact.outerjoin(account, contact.c.account_id == account.c.id)
_account_columns = (
    account.c.name.label("account_name"),
    account.c.external_id.label("account_external_id"),
    account.c.tier.label("account_tier"),
)

# Built once: the first question of every call.
_hits = (
    select(
        contact_point.c.kind,
        contact_point.c.value,
        contact_point.c.label,
        contact_point.c.shared,
        contact_point.c.valid_from,
        contact_point.c.valid_to,
        contact.c.id,
        contact.c.name,
        contact.c.external_id,
        contact.c.tier,
        contact.c.account_id,
        contact.c.owner_id,
        account.c.name.label("account_name"),
    )
    .select_from(
        contact_point.join(contact, contact_point.c.contact_id == contact.c.id).outerjoin(
            account, contact.c.account_id == account.c.id
        )
    )
    .where(contact_point.c.value == bindparam("value"), contact_point.c.kind == bindparam("kind"))
    .order_by(contact_point.c.shared, contact.c.id)
)
_hits_at = _hits.where(
    or_(contact_point.c.valid_from.is_(None), contact_point.c.valid_from <= bindparam("at")),
    or_(contact_point.c.valid_to.is_(None), contact_point.c.valid_to > bindparam("at")),
)


class SqlContacts:
    """A `ContactStore` on a database."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def hits(self, kind: PointKind, value: str, *, at: datetime | None = None) -> list[Hit]:
        """Every contact that has exactly this number or address."""
        parameters: dict[str, object] = {"kind": kind, "value": value}
        if at is None:
            rows = await self._transaction.read(_hits, parameters)
        else:
            rows = await self._transaction.read(_hits_at, {**parameters, "at": at})
        return [Hit(candidate=_candidate(row), point=_point(row)) for row in rows]

    async def get(self, contact: ContactId) -> Contact | None:
        """The contact with its points and account, or None."""
        found = await self._load([contact])
        return found[0] if found else None

    async def upsert(self, draft: ContactDraft) -> tuple[ContactId, str]:
        """Create or update one contact."""
        return (await self.upsert_many([draft]))[0]

    async def upsert_many(self, drafts: Sequence[ContactDraft]) -> list[tuple[ContactId, str]]:
        """`upsert` for each, in order."""
        results: list[tuple[ContactId, str]] = []
        for start in range(0, len(drafts), _BATCH):
            batch = [cleaned(draft) for draft in drafts[start : start + _BATCH]]
            results += await self._upsert_batch(batch)
        return results

    async def page(
        self, *, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[Contact], str | None]:
        """Contacts by name, filtered by `text` in name, account or contact point."""
        statement = select(contact.c.id, contact.c.search).select_from(_people)
        if wanted := folded(storable(text)):
            statement = statement.where(_found(wanted, searched_value(storable(text))))
        ids, cursor = await self._page_by_name(statement, contact, after, limit)
        found = {person.id: person for person in await self._load(ids)}
        return [found[ContactId(id_)] for id_ in ids], cursor

    async def accounts(
        self, *, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[Account], str | None]:
        """Accounts by name."""
        statement = select(account.c.id, account.c.search)
        if wanted := folded(storable(text)):
            statement = statement.where(account.c.search.contains(wanted, autoescape=True))
        ids, cursor = await self._page_by_name(statement, account, after, limit)
        rows = await self._transaction.read(select(account).where(account.c.id.in_(ids)))
        found = {row.id: _account(row) for row in rows}
        return [found[id_] for id_ in ids], cursor

    async def count(self) -> int:
        """How many contacts there are."""
        counted = await self._transaction.read(select(func.count()).select_from(contact))
        return int(counted.scalar_one())

    async def _page_by_name(
        self, statement: Select[Any], table: Any, after: str | None, limit: int
    ) -> tuple[list[int], str | None]:
        if after is not None:
            name, row = read_name_cursor(after)
            statement = statement.where(
                tuple_(table.c.search, table.c.id)
                > tuple_(
                    bindparam("after_name", name, type_=table.c.search.type),
                    bindparam("after_id", row, type_=table.c.id.type),
                )
            )
        statement = statement.order_by(table.c.search, table.c.id).limit(limit + 1)
        rows = (await self._transaction.read(statement)).all()
        page = rows[:limit]
        more = page and len(rows) > limit
        cursor = name_cursor(page[-1].search, page[-1].id) if more else None
        return [row.id for row in page], cursor

    async def _load(self, ids: Collection[int]) -> list[Contact]:
        """These contacts with everything, by id."""
        if not ids:
            return []
        points: dict[int, list[ContactPoint]] = {}
        for row in await self._transaction.read(
            select(contact_point)
            .where(contact_point.c.contact_id.in_(ids))
            .order_by(contact_point.c.id)
        ):
            points.setdefault(row.contact_id, []).append(_point(row))
        rows = await self._transaction.read(
            select(contact, *_account_columns)
            .select_from(_people)
            .where(contact.c.id.in_(ids))
            .order_by(contact.c.id)
        )
        return [_contact(row, points.get(row.id, ())) for row in rows]

    async def _upsert_batch(self, drafts: list[ContactDraft]) -> list[tuple[ContactId, str]]:
        if not self._transaction.on_sqlite:
            await self._transaction.write(_UPSERT_LOCK)
        accounts = await self._accounts_named([draft.account for draft in drafts])
        owners = await self._owners({draft.owner for draft in drafts if draft.owner})
        book = _Book(await self._meant(drafts))
        answers = [
            book.take(
                draft,
                account=accounts.get(_account_key(draft.account)),
                owner=owners.get(draft.owner.casefold()),
            )
            for draft in drafts
        ]
        await self._write(book.entries)
        return [(ContactId(entry.now.id), what) for entry, what in answers]

    async def _accounts_named(self, names: Iterable[str]) -> dict[str, Account]:
        """The accounts with these names, by key; new ones are created."""
        wanted: dict[str, str] = {}
        for name in names:
            wanted.setdefault(_account_key(name), name)  # spelled as it came first
        wanted.pop("", None)
        if not wanted:
            return {}
        # As a write, so that on SQLite nobody else creates one between looking and creating.
        rows = await self._transaction.write(
            select(account).where(account.c.name_key.in_(list(wanted)))
        )
        found = {row.name_key: _account(row) for row in rows}
        missing = [key for key in wanted if key not in found]
        for key, id_ in zip(missing, await self._new_ids(account, len(missing)), strict=True):
            found[key] = Account(id=AccountId(id_), name=wanted[key])
        if missing:
            await self._transaction.write(
                insert(account),
                [
                    {
                        "id": found[key].id,
                        "name": wanted[key],
                        "name_key": key,
                        "search": search_key(wanted[key]),
                    }
                    for key in missing
                ],
            )
        return found

    async def _owners(self, logins: Iterable[str]) -> dict[str, UserId]:
        wanted = [login.casefold() for login in logins]
        if not wanted:
            return {}
        rows = await self._transaction.read(
            select(app_user.c.login, app_user.c.id).where(app_user.c.login.in_(wanted))
        )
        return {row.login: UserId(row.id) for row in rows}

    async def _meant(self, drafts: list[ContactDraft]) -> list[Contact]:
        """The contacts that the drafts may be about."""
        external = [draft.external_id for draft in drafts if draft.external_id]
        named = [draft for draft in drafts if not draft.external_id]
        ways: list[Select[Any]] = []
        if external:
            ways.append(select(contact.c.id).where(contact.c.external_id.in_(external)))
        names = list({search_key(draft.name) for draft in named})
        values = list({point.value for draft in named for point in draft.points})
        if values:
            ways.append(
                select(contact.c.id)
                .join(contact_point, contact_point.c.contact_id == contact.c.id)
                .where(contact_point.c.value.in_(values), contact.c.search.in_(names))
            )
        bare = list({search_key(draft.name) for draft in named if not draft.points})
        if bare:
            has_points = select(contact_point.c.id).where(
                contact_point.c.contact_id == contact.c.id
            )
            ways.append(
                select(contact.c.id).where(contact.c.search.in_(bare), ~has_points.exists())
            )
        ids: set[int] = set()
        for way in ways:
            ids.update((await self._transaction.write(way)).scalars())
        return await self._load(sorted(ids))

    async def _new_ids(self, table: Table, count: int) -> list[int]:
        """Ids for new rows, so that all of them go in with one statement.

        SQLite numbers rows by the largest id too, and its write lock is held here.
        """
        if count == 0:
            return []
        if self._transaction.on_sqlite:
            largest = await self._transaction.write(select(func.max(table.c.id)))
            first = (largest.scalar_one() or 0) + 1
            return list(range(first, first + count))
        taken = await self._transaction.write(_NEXT_IDS, {"table_name": table.name, "count": count})
        return list(taken.scalars())

    async def _write(self, entries: list[_Entry]) -> None:
        new = [entry for entry in entries if entry.before is None]
        changed = [entry for entry in entries if entry.before not in {None, entry.now}]
        for entry, id_ in zip(new, await self._new_ids(contact, len(new)), strict=True):
            entry.now = replace(entry.now, id=ContactId(id_))
        if new:
            await self._transaction.write(
                insert(contact),
                [{"id": entry.now.id, **_contact_row(entry.now)} for entry in new],
            )
        if changed:
            await self._transaction.write(
                update(contact).where(contact.c.id == bindparam("which")),
                [{"which": entry.now.id, **_contact_row(entry.now)} for entry in changed],
            )
        added: list[dict[str, object]] = []
        altered: list[dict[str, object]] = []
        for entry in (*new, *changed):
            before = {(p.kind, p.value): p for p in entry.before.points} if entry.before else {}
            for point in entry.now.points:
                known = before.get((point.kind, point.value))
                if known is None:
                    added.append({"contact_id": entry.now.id, **_point_row(point)})
                elif known != point:
                    row = _point_row(point)
                    which = {f"which_{name}": row.pop(name) for name in ("kind", "value")}
                    altered.append({"which_contact": entry.now.id, **which, **row})
        if added:
            await self._transaction.write(insert(contact_point), added)
        if altered:
            await self._transaction.write(
                update(contact_point).where(
                    contact_point.c.contact_id == bindparam("which_contact"),
                    contact_point.c.kind == bindparam("which_kind"),
                    contact_point.c.value == bindparam("which_value"),
                ),
                altered,
            )


@dataclass(slots=True)
class _Entry:
    """A contact while a batch of drafts is applied to it."""

    before: Contact | None
    """As the database has it, or None if it is new."""
    now: Contact


class _Book:
    """The contacts that a batch is about, found as the drafts name them."""

    def __init__(self, contacts: Iterable[Contact]) -> None:
        self.entries: list[_Entry] = []
        self._by_external_id: dict[str, _Entry] = {}
        self._by_name: dict[str, list[_Entry]] = {}
        for known in contacts:
            self._add(_Entry(before=known, now=known))

    def take(
        self, draft: ContactDraft, *, account: Account | None, owner: UserId | None
    ) -> tuple[_Entry, str]:
        """Apply a draft; returns what it was about, and what it did."""
        entry = self._find(draft)
        if entry is None:
            fresh = new_contact(draft, ContactId(0), account=account, owner=owner)
            entry = _Entry(before=None, now=fresh)
            self._add(entry)
            return entry, "created"
        after = updated_contact(entry.now, draft, account=account, owner=owner)
        if after == entry.now:
            return entry, "unchanged"
        entry.now = after
        self._by_name.setdefault(name_key(after.name), []).append(entry)
        return entry, "updated"

    def _find(self, draft: ContactDraft) -> _Entry | None:
        if draft.external_id:
            return self._by_external_id.get(draft.external_id)
        near = self._by_name.get(name_key(draft.name), ())
        return next((entry for entry in near if same_person(entry.now, draft)), None)

    def _add(self, entry: _Entry) -> None:
        self.entries.append(entry)
        if entry.now.external_id:
            self._by_external_id[entry.now.external_id] = entry
        self._by_name.setdefault(name_key(entry.now.name), []).append(entry)


def _account_key(name: str) -> str:
    return storable_key(name_key(name))


def _found(wanted: str, value: str) -> ColumnElement[bool]:
    ways: list[ColumnElement[bool]] = [
        contact.c.search.contains(wanted, autoescape=True),
        account.c.search.contains(wanted, autoescape=True),
    ]
    if value:
        ways.append(
            contact.c.id.in_(
                select(contact_point.c.contact_id).where(
                    contact_point.c.value.contains(value, autoescape=True)
                )
            )
        )
    return or_(*ways)


def _candidate(row: Row[Any]) -> Candidate:
    return Candidate(
        contact=ContactId(row.id),
        name=row.name,
        account=row.account_name or "",
        account_id=None if row.account_id is None else AccountId(row.account_id),
        external_id=row.external_id or "",
        tier=row.tier,
        owner=None if row.owner_id is None else UserId(row.owner_id),
    )


def _contact(row: Row[Any], points: Iterable[ContactPoint]) -> Contact:
    organisation = None
    if row.account_id is not None:
        organisation = Account(
            id=AccountId(row.account_id),
            name=row.account_name,
            external_id=row.account_external_id,
            tier=row.account_tier,
        )
    return Contact(
        id=ContactId(row.id),
        name=row.name,
        external_id=row.external_id or "",
        kind=row.kind,
        tier=row.tier,
        tags=tuple(row.tags),
        notes=row.notes,
        account=organisation,
        owner=None if row.owner_id is None else UserId(row.owner_id),
        points=tuple(points),
    )


def _account(row: Row[Any]) -> Account:
    return Account(id=AccountId(row.id), name=row.name, external_id=row.external_id, tier=row.tier)


def _point(row: Row[Any]) -> ContactPoint:
    return ContactPoint(
        kind=PointKind(row.kind),
        value=row.value,
        label=row.label,
        shared=row.shared,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )


def _contact_row(person: Contact) -> dict[str, object]:
    return {
        "name": person.name,
        "search": search_key(person.name),
        "external_id": person.external_id or None,
        "kind": person.kind,
        "tier": person.tier,
        "tags": list(person.tags),
        "notes": person.notes,
        "account_id": person.account.id if person.account else None,
        "owner_id": person.owner,
    }


def _point_row(point: ContactPoint) -> dict[str, object]:
    return {
        "kind": point.kind,
        "value": point.value,
        "label": point.label,
        "shared": point.shared,
        "valid_from": point.valid_from,
        "valid_to": point.valid_to,
    }
