"""The ports in memory: complete, and with the same promises as the database's.

For tests, and for trying things out. A unit of work that writes has the whole store for itself
and works on a copy, which becomes the store when it commits.
"""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from types import TracebackType
from typing import Self

from crm_core import ports
from crm_core.contacts import cleaned, new_contact, same_person, updated_contact
from crm_core.cursors import name_cursor, read_name_cursor, read_time_cursor, time_cursor
from crm_core.errors import Conflict, NotFound, StoreUnavailable
from crm_core.model import (
    Account,
    AccountId,
    Candidate,
    Contact,
    ContactId,
    Endpoint,
    Medium,
    Outcome,
    PointKind,
    Role,
    Touch,
    TouchId,
    User,
    UserId,
)
from crm_core.ports import (
    LIVE,
    ContactDraft,
    FolderState,
    Hit,
    NewEmail,
    NewTouch,
    PendingMail,
    SignInSession,
)
from crm_core.text import folded, name_key, searched_value, storable, storable_key
from crm_core.touches import changed_touch, new_touch

_LOCK_DEADLINE_S = 10.0


@dataclass(slots=True)
class _Tables:
    """All rows, and the indexes that find them. Values are frozen, so a copy may be shallow."""

    accounts: dict[AccountId, Account] = field(default_factory=dict)
    account_by_key: dict[str, AccountId] = field(default_factory=dict)
    contacts: dict[ContactId, Contact] = field(default_factory=dict)
    contacts_at: dict[tuple[PointKind, str], tuple[ContactId, ...]] = field(default_factory=dict)
    contact_by_external_id: dict[str, ContactId] = field(default_factory=dict)
    touches: dict[TouchId, Touch] = field(default_factory=dict)
    touch_by_key: dict[str, TouchId] = field(default_factory=dict)
    touches_of: dict[ContactId, frozenset[TouchId]] = field(default_factory=dict)
    users: dict[UserId, User] = field(default_factory=dict)
    password_hashes: dict[UserId, str | None] = field(default_factory=dict)
    sessions: dict[bytes, SignInSession] = field(default_factory=dict)
    links: dict[bytes, tuple[UserId, datetime]] = field(default_factory=dict)
    folders: dict[int, FolderState] = field(default_factory=dict)
    pending: dict[tuple[int, int, int], PendingMail] = field(default_factory=dict)
    located: dict[tuple[int, int, int], int] = field(default_factory=dict)
    raw: dict[bytes, bytes] = field(default_factory=dict)
    emails: dict[int, NewEmail] = field(default_factory=dict)
    email_by_content: dict[str, int] = field(default_factory=dict)
    email_by_raw: dict[bytes, int] = field(default_factory=dict)

    def copy(self) -> _Tables:
        return _Tables(**{item.name: dict(getattr(self, item.name)) for item in fields(self)})


class MemoryStore:
    """A `Store` without a database."""

    def __init__(self) -> None:
        self.unavailable = False
        """Set it to let every call fail as it does when the database is away."""
        self.tables = _Tables()
        self.lock = asyncio.Lock()

    def begin(self) -> MemoryUnitOfWork:
        """A new unit of work."""
        return MemoryUnitOfWork(self)

    async def ping(self) -> None:
        """Raises StoreUnavailable if `unavailable` is set."""
        if self.unavailable:
            raise StoreUnavailable("the store in memory was made unavailable")

    async def close(self) -> None:
        """Nothing is open."""


class MemoryUnitOfWork:
    """A `UnitOfWork` of a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._draft: _Tables | None = None
        self._failed = False
        self.contacts: ports.ContactStore = _Contacts(self)
        self.touches: ports.TouchStore = _Touches(self)
        self.users: ports.UserStore = _Users(self)
        self.mail: ports.MailStore = _Mail(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    async def commit(self) -> None:
        """Let everybody see what was written."""
        await self._store.ping()
        if self._failed:
            raise StoreUnavailable("the unit of work failed before and must be repeated")
        if self._draft is not None:
            self._store.tables = self._draft
            self._end()

    def failed(self) -> None:
        """Let nothing be committed, as a database does after a failed statement."""
        self._failed = True

    def _end(self) -> None:
        if self._draft is not None:
            self._draft = None
            self._store.lock.release()

    async def reading(self) -> _Tables:
        """The tables as this unit sees them."""
        await self._store.ping()
        return self._draft or self._store.tables

    async def writing(self) -> _Tables:
        """The tables to write to."""
        await self._store.ping()
        if self._draft is None:
            try:
                async with asyncio.timeout(_LOCK_DEADLINE_S):
                    await self._store.lock.acquire()
            except TimeoutError as error:
                raise StoreUnavailable("another unit of work does not end") from error
            self._draft = self._store.tables.copy()
        return self._draft


class _Contacts:
    def __init__(self, unit: MemoryUnitOfWork) -> None:
        self._unit = unit

    async def hits(self, kind: PointKind, value: str, *, at: datetime | None = None) -> list[Hit]:
        tables = await self._unit.reading()
        value = storable_key(value)
        found = [
            Hit(candidate=_candidate(contact), point=point)
            for contact in (
                tables.contacts[id_] for id_ in tables.contacts_at.get((kind, value), ())
            )
            for point in contact.points
            if (point.kind, point.value) == (kind, value)
            and (at is None or point.valid_from is None or point.valid_from <= at)
            and (at is None or point.valid_to is None or point.valid_to > at)
        ]
        return sorted(found, key=lambda hit: (hit.point.shared, hit.candidate.contact))

    async def get(self, contact: ContactId) -> Contact | None:
        return (await self._unit.reading()).contacts.get(contact)

    async def upsert(self, draft: ContactDraft) -> tuple[ContactId, str]:
        tables = await self._unit.writing()
        draft = cleaned(draft)
        account = _account(tables, draft.account)
        owner = next(
            (user.id for user in tables.users.values() if user.login == draft.owner.casefold()),
            None,
        )
        known = _meant(tables, draft)
        if known is None:
            contact = new_contact(
                draft,
                ContactId(len(tables.contacts) + 1),
                account=account,
                owner=owner,
            )
            what = "created"
        else:
            contact = updated_contact(known, draft, account=account, owner=owner)
            what = "unchanged" if contact == known else "updated"
        tables.contacts[contact.id] = contact
        if contact.external_id:
            tables.contact_by_external_id[contact.external_id] = contact.id
        for point in contact.points:
            holders = tables.contacts_at.get((point.kind, point.value), ())
            if contact.id not in holders:
                tables.contacts_at[point.kind, point.value] = (*holders, contact.id)
        return contact.id, what

    async def upsert_many(self, drafts: Sequence[ContactDraft]) -> list[tuple[ContactId, str]]:
        return [await self.upsert(draft) for draft in drafts]

    async def page(
        self, *, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[Contact], str | None]:
        tables = await self._unit.reading()
        text = storable(text)
        wanted, value = folded(text), searched_value(text)
        found = sorted(
            (folded(contact.name), contact.id)
            for contact in tables.contacts.values()
            if wanted in folded(contact.name)
            or (contact.account and wanted in folded(contact.account.name))
            or (value and any(value in point.value for point in contact.points))
        )
        rows, cursor = _page_by_name(found, after, limit)
        return [tables.contacts[ContactId(row)] for row in rows], cursor

    async def accounts(
        self, *, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[Account], str | None]:
        tables = await self._unit.reading()
        wanted = folded(storable(text))
        found = sorted(
            (folded(account.name), account.id)
            for account in tables.accounts.values()
            if wanted in folded(account.name)
        )
        rows, cursor = _page_by_name(found, after, limit)
        return [tables.accounts[AccountId(row)] for row in rows], cursor

    async def count(self) -> int:
        return len((await self._unit.reading()).contacts)


def _candidate(contact: Contact) -> Candidate:
    return Candidate(
        contact=contact.id,
        name=contact.name,
        account=contact.account.name if contact.account else "",
        account_id=contact.account.id if contact.account else None,
        external_id=contact.external_id,
        tier=contact.tier,
        owner=contact.owner,
    )


def _account(tables: _Tables, name: str) -> Account | None:
    key = name_key(name)
    if not key:
        return None
    if (known := tables.account_by_key.get(key)) is not None:
        return tables.accounts[known]
    account = Account(id=AccountId(len(tables.accounts) + 1), name=name)
    tables.accounts[account.id] = account
    tables.account_by_key[key] = account.id
    return account


def _meant(tables: _Tables, draft: ContactDraft) -> Contact | None:
    """The contact that a draft is about, or None if it is a new one."""
    if draft.external_id:
        known = tables.contact_by_external_id.get(draft.external_id)
        return None if known is None else tables.contacts[known]
    if draft.points:
        near: Iterable[ContactId] = sorted(
            {
                contact
                for point in draft.points
                for contact in tables.contacts_at.get((point.kind, point.value), ())
            }
        )
    else:
        near = tables.contacts
    return next(
        (tables.contacts[id_] for id_ in near if same_person(tables.contacts[id_], draft)), None
    )


def _page_by_name(
    found: Sequence[tuple[str, int]], after: str | None, limit: int
) -> tuple[list[int], str | None]:
    """The ids of one page of sorted (name, id) pairs, and the cursor of the next."""
    start = bisect_right(found, read_name_cursor(after)) if after is not None else 0
    page = found[start : start + limit]
    more = page and start + limit < len(found)
    return [row for _name, row in page], name_cursor(*page[-1]) if more else None


class _Touches:
    def __init__(self, unit: MemoryUnitOfWork) -> None:
        self._unit = unit

    async def open(self, new: NewTouch) -> tuple[Touch, bool]:
        tables = await self._unit.writing()
        key = storable_key(new.key)
        if (known := tables.touch_by_key.get(key)) is not None:
            return tables.touches[known], False
        touch = new_touch(
            new, TouchId(len(tables.touches) + 1), agent_name=_user_name(tables, new.agent)
        )
        _put_touch(tables, touch)
        return touch, True

    async def change(self, touch: TouchId, **fields: object) -> Touch:
        tables = await self._unit.writing()
        if (known := tables.touches.get(touch)) is None:
            raise NotFound(f"no touch {touch}")
        changed = changed_touch(known, fields)
        if changed.agent != known.agent and "agent_name" not in fields:
            changed = replace(changed, agent_name=_user_name(tables, changed.agent))
        _put_touch(tables, changed)
        return changed

    async def get(self, touch: TouchId) -> Touch | None:
        return (await self._unit.reading()).touches.get(touch)

    async def by_key(self, key: str) -> Touch | None:
        tables = await self._unit.reading()
        known = tables.touch_by_key.get(storable_key(key))
        return None if known is None else tables.touches[known]

    async def of_contact(self, contact: ContactId, *, limit: int = 5) -> list[Touch]:
        tables = await self._unit.reading()
        found = (tables.touches[id_] for id_ in tables.touches_of.get(contact, ()))
        shown = (touch for touch in found if touch.outcome is not Outcome.MERGED)
        return sorted(shown, key=_age, reverse=True)[:limit]

    async def page(
        self,
        *,
        contact: ContactId | None = None,
        agent: UserId | None = None,
        teams: Sequence[str] | None = None,
        visible_to: UserId | None = None,
        medium: Medium | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> tuple[list[Touch], str | None]:
        tables = await self._unit.reading()
        start = read_time_cursor(after) if after is not None else None

        def visible(touch: Touch) -> bool:
            if teams is None and visible_to is None:
                return True
            if teams is not None and touch.team in teams:
                return True
            if visible_to is None:
                return False
            candidate = touch.match.contact
            owner = tables.contacts.get(candidate.contact) if candidate else None
            return touch.agent == visible_to or (owner is not None and owner.owner == visible_to)

        found = [
            touch
            for touch in tables.touches.values()
            if touch.outcome is not Outcome.MERGED
            and (contact is None or touch.id in tables.touches_of.get(contact, ()))
            and (agent is None or touch.agent == agent)
            and (medium is None or touch.medium is medium)
            and (start is None or _age(touch) < start)
            and visible(touch)
        ]
        found.sort(key=_age, reverse=True)
        rows = found[:limit]
        more = rows and len(found) > limit
        return rows, time_cursor(rows[-1].at, rows[-1].id) if more else None

    async def unfinished(self, *, key_prefix: str) -> list[Touch]:
        tables = await self._unit.reading()
        found = (
            touch
            for touch in tables.touches.values()
            if touch.outcome is Outcome.IN_PROGRESS and touch.key.startswith(key_prefix)
        )
        return sorted(found, key=_age)


def _age(touch: Touch) -> tuple[datetime, int]:
    return touch.at, touch.id


def _user_name(tables: _Tables, user: UserId | None) -> str:
    known = tables.users.get(user) if user is not None else None
    return known.name if known else ""


def _put_touch(tables: _Tables, touch: Touch) -> None:
    before = tables.touches.get(touch.id)
    if before is not None and before.match.contact is not None:
        former = before.match.contact.contact
        tables.touches_of[former] = tables.touches_of[former] - {touch.id}
    if touch.match.contact is not None:
        now = touch.match.contact.contact
        tables.touches_of[now] = tables.touches_of.get(now, frozenset()) | {touch.id}
    tables.touches[touch.id] = touch
    tables.touch_by_key[touch.key] = touch.id


class _Users:
    def __init__(self, unit: MemoryUnitOfWork) -> None:
        self._unit = unit

    async def add(
        self,
        *,
        login: str,
        name: str,
        role: str,
        team: str = "",
        language: str = "en",
        email: str = "",
        phones: Iterable[tuple[str, str]] = (),
        password_hash: str | None = None,
    ) -> User:
        tables = await self._unit.writing()
        user = User(
            id=UserId(len(tables.users) + 1),
            login=storable(login).casefold(),
            name=storable(name),
            role=Role(role),
            team=storable(team),
            language=storable(language),
            email=storable(email),
            phones=tuple(_endpoints(phones)),
        )
        for other in tables.users.values():
            if other.login == user.login:
                self._unit.failed()
                raise Conflict(f"the login {user.login!r} is taken")
            for phone in user.phones:
                if phone in other.phones:
                    self._unit.failed()
                    raise Conflict(f"the phone {phone.name!r} belongs to {other.login!r}")
        tables.users[user.id] = user
        tables.password_hashes[user.id] = password_hash
        return user

    async def get(self, user: UserId) -> User | None:
        return (await self._unit.reading()).users.get(user)

    async def by_login(self, login: str) -> tuple[User, str | None] | None:
        tables = await self._unit.reading()
        for user in tables.users.values():
            if user.login == login.casefold():
                return user, tables.password_hashes[user.id]
        return None

    async def all(self) -> list[User]:
        return list((await self._unit.reading()).users.values())

    async def change(
        self,
        user: UserId,
        *,
        name: str | None = None,
        role: str | None = None,
        team: str | None = None,
        language: str | None = None,
        email: str | None = None,
        active: bool | None = None,
        add_phones: Iterable[tuple[str, str]] = (),
        remove_phones: Iterable[tuple[str, str]] = (),
    ) -> User:
        tables = await self._unit.writing()
        old = tables.users.get(user)
        if old is None:
            raise NotFound(f"no user {user}")
        phones = list(old.phones)
        for phone in _endpoints(remove_phones):
            if phone not in phones:
                self._unit.failed()
                raise NotFound(f"{old.login!r} has no phone {phone.name!r}")
            phones.remove(phone)
        for phone in _endpoints(add_phones):
            if phone in phones:
                continue
            if any(phone in other.phones for other in tables.users.values() if other.id != user):
                self._unit.failed()
                raise Conflict(f"the phone {phone.name!r} belongs to somebody else")
            phones.append(phone)
        new = replace(
            old,
            name=old.name if name is None else storable(name),
            role=old.role if role is None else Role(role),
            team=old.team if team is None else storable(team),
            language=old.language if language is None else storable(language),
            email=old.email if email is None else storable(email),
            active=old.active if active is None else active,
            phones=tuple(phones),
        )
        tables.users[user] = new
        if not new.active:
            self._sign_out(tables, user)
        return new

    async def set_password_hash(self, user: UserId, password_hash: str | None) -> None:
        tables = await self._unit.writing()
        if user not in tables.users:
            raise NotFound(f"no user {user}")
        tables.password_hashes[user] = password_hash
        self._sign_out(tables, user)

    def _sign_out(self, tables: _Tables, user: UserId) -> None:
        for token in [t for t, session in tables.sessions.items() if session.user == user]:
            del tables.sessions[token]
        for token in [t for t, (owner, _) in tables.links.items() if owner == user]:
            del tables.links[token]

    async def open_session(self, session: SignInSession) -> None:
        tables = await self._unit.writing()
        if session.user not in tables.users:
            self._unit.failed()
            raise NotFound(f"no user {session.user}")
        for token, known in list(tables.sessions.items()):
            if known.expires_at <= session.created_at:
                del tables.sessions[token]
        for token, (_, expires_at) in list(tables.links.items()):
            if expires_at <= session.created_at:
                del tables.links[token]
        tables.sessions[session.token_sha256] = session

    async def session(self, token_sha256: bytes) -> SignInSession | None:
        return (await self._unit.reading()).sessions.get(token_sha256)

    async def sessions(self, tokens_sha256: Iterable[bytes]) -> list[SignInSession]:
        known = (await self._unit.reading()).sessions
        return [known[token] for token in set(tokens_sha256) if token in known]

    async def touch_session(self, *tokens_sha256: bytes, seen_at: datetime) -> None:
        tables = await self._unit.writing()
        for token in tokens_sha256:
            if (known := tables.sessions.get(token)) is not None:
                tables.sessions[token] = replace(known, last_seen_at=seen_at)

    async def close_session(self, token_sha256: bytes) -> None:
        (await self._unit.writing()).sessions.pop(token_sha256, None)

    async def add_link(self, token_sha256: bytes, *, user: UserId, expires_at: datetime) -> None:
        tables = await self._unit.writing()
        if user not in tables.users:
            self._unit.failed()
            raise NotFound(f"no user {user}")
        tables.links[token_sha256] = (user, expires_at)

    async def use_link(self, token_sha256: bytes, *, at: datetime) -> UserId | None:
        tables = await self._unit.writing()
        user, expires_at = tables.links.get(token_sha256, (None, at))
        if user is None or expires_at <= at:
            return None
        del tables.links[token_sha256]
        return user


def _endpoints(phones: Iterable[tuple[str, str]]) -> Iterator[Endpoint]:
    return (Endpoint(pbx=storable(pbx), name=storable(name)) for pbx, name in phones)


class _Mail:
    def __init__(self, unit: MemoryUnitOfWork) -> None:
        self._unit = unit

    async def folder(self, mailbox: str, raw_name: bytes) -> FolderState | None:
        tables = await self._unit.reading()
        for folder in tables.folders.values():
            if (folder.mailbox, folder.raw_name) == (mailbox, raw_name):
                return folder
        return None

    async def open_epoch(
        self,
        mailbox: str,
        raw_name: bytes,
        *,
        uidvalidity: int,
        last_uid: int = 0,
        since: datetime | None = None,
    ) -> FolderState:
        tables = await self._unit.writing()
        known = await self.folder(mailbox, raw_name)
        if known is None:
            folder = FolderState(
                id=len(tables.folders) + 1,
                mailbox=mailbox,
                raw_name=raw_name,
                uidvalidity=uidvalidity,
                epoch=1,
                last_uid=last_uid,
                since=since,
            )
        elif known.uidvalidity == uidvalidity:
            return known
        else:
            folder = replace(
                known, uidvalidity=uidvalidity, epoch=known.epoch + 1, last_uid=last_uid
            )
        tables.folders[folder.id] = folder
        return folder

    async def note_uids(
        self, folder: FolderState, uids: Sequence[int], *, kind: str, at: datetime
    ) -> None:
        tables = await self._unit.writing()
        for uid in uids:
            key = (folder.id, folder.epoch, uid)
            if key not in tables.located and key not in tables.pending:
                tables.pending[key] = PendingMail(
                    folder=folder.id,
                    epoch=folder.epoch,
                    uid=uid,
                    attempts=0,
                    next_try_at=at,
                    kind=kind,
                )
        now = tables.folders[folder.id]
        if now.epoch == folder.epoch:
            tables.folders[folder.id] = replace(now, last_uid=max(now.last_uid, *uids, 0))

    async def pending(self, folder: FolderState, *, at: datetime, limit: int) -> list[PendingMail]:
        due = [item for item in await self._waiting(folder) if item.next_try_at <= at]
        live = sorted((item for item in due if item.kind == LIVE), key=lambda item: item.uid)
        old = sorted((item for item in due if item.kind != LIVE), key=lambda item: -item.uid)
        return [*live, *old][:limit]

    async def next_due(self, folder: FolderState) -> datetime | None:
        return min((item.next_try_at for item in await self._waiting(folder)), default=None)

    async def often_failed(self, folder: FolderState, *, attempts: int) -> int:
        return sum(item.attempts >= attempts for item in await self._waiting(folder))

    async def _waiting(self, folder: FolderState) -> list[PendingMail]:
        tables = await self._unit.reading()
        return [
            item
            for item in tables.pending.values()
            if (item.folder, item.epoch) == (folder.id, folder.epoch)
        ]

    async def postpone(self, item: PendingMail, *, error: str, next_try_at: datetime) -> None:
        tables = await self._unit.writing()
        key = (item.folder, item.epoch, item.uid)
        if (known := tables.pending.get(key)) is not None:
            tables.pending[key] = replace(
                known,
                attempts=known.attempts + 1,
                last_error=storable(error),
                next_try_at=next_try_at,
            )

    async def drop_pending(self, item: PendingMail, *, reason: str) -> None:  # noqa: ARG002 - SQL keeps it
        tables = await self._unit.writing()
        tables.pending.pop((item.folder, item.epoch, item.uid), None)

    async def store_raw(self, raw: bytes) -> bytes:
        tables = await self._unit.writing()
        digest = hashlib.sha256(raw).digest()
        tables.raw.setdefault(digest, raw)
        return digest

    async def raw(self, sha256: bytes) -> bytes | None:
        return (await self._unit.reading()).raw.get(sha256)

    async def content_key(self, raw_sha256: bytes) -> str | None:
        tables = await self._unit.reading()
        email = tables.email_by_raw.get(raw_sha256)
        return None if email is None else tables.emails[email].content_key

    async def store_email(self, email: NewEmail) -> tuple[int, bool]:
        tables = await self._unit.writing()
        if email.raw_sha256 not in tables.raw:
            self._unit.failed()
            raise NotFound("the raw bytes of the mail must be stored before it")
        key = storable(email.content_key)
        if (known := tables.email_by_content.get(key)) is not None:
            return known, False
        id_ = len(tables.emails) + 1
        tables.emails[id_] = email
        tables.email_by_content[key] = id_
        return id_, True

    async def store_location(
        self,
        item: PendingMail,
        *,
        email: int,
        raw_sha256: bytes,
        size: int,  # noqa: ARG002 - nothing here reads how large it was there, and since when
        internal_date: datetime | None,  # noqa: ARG002
    ) -> bool:
        tables = await self._unit.writing()
        key = (item.folder, item.epoch, item.uid)
        tables.pending.pop(key, None)
        if key in tables.located:
            return False
        tables.located[key] = email
        tables.email_by_raw.setdefault(raw_sha256, email)
        return True

    async def known_uids(self, folder: FolderState) -> set[int]:
        tables = await self._unit.reading()
        return {
            uid
            for rows in (tables.located, tables.pending)
            for (folder_id, epoch, uid) in rows
            if (folder_id, epoch) == (folder.id, folder.epoch)
        }
