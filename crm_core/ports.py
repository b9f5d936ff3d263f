"""What the core and its neighbours need from a database and from a publisher.

A port is written in the words of its user; its docstring states the promise. Each port has an
implementation in memory (`crm_core.memory`) and one on SQL (`crm_core.db`); the contract suite in
`tests/contracts` runs on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from crm_core.model import (
    Account,
    Candidate,
    Contact,
    ContactId,
    ContactPoint,
    Direction,
    Match,
    Medium,
    Outcome,
    Party,
    PointKind,
    Touch,
    TouchId,
    User,
    UserId,
)
from crm_core.notices import Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTouch:
    """A touch before it has an id. `key` makes opening it idempotent."""

    key: str
    medium: Medium
    direction: Direction
    outcome: Outcome
    at: datetime
    party: Party
    match: Match
    agent: UserId | None = None
    team: str = ""
    subject: str = ""
    ended_at: datetime | None = None
    details: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A contact point that equals the address looked for, with the contact it belongs to."""

    candidate: Candidate
    point: ContactPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactDraft:
    """A contact as an import or a form gives it.

    Upserted by `external_id` when there is one, else by name within the same account and a common
    contact point (or, if the draft has no points, a contact without any). An update adds and
    changes what the draft gives; what is empty in it stays as it is, and points are never removed.
    """

    name: str
    external_id: str = ""
    account: str = ""
    """The name of the organisation, which is created when it is new."""
    kind: str = "customer"
    """`""` leaves the kind as it is; a new contact is then a customer."""
    tier: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    owner: str = ""
    """The login of a user; one that does not exist changes nothing."""
    points: tuple[ContactPoint, ...] = ()


class ContactStore(Protocol):
    """People, organisations and their contact points."""

    async def hits(self, kind: PointKind, value: str, *, at: datetime | None = None) -> list[Hit]:
        """Every contact that has exactly this number or address (valid at `at` when given)."""
        ...

    async def get(self, contact: ContactId) -> Contact | None:
        """The contact with its points and account, or None."""
        ...

    async def upsert(self, draft: ContactDraft) -> tuple[ContactId, str]:
        """Create or update; the second value is `created`, `updated` or `unchanged`."""
        ...

    async def upsert_many(self, drafts: Sequence[ContactDraft]) -> list[tuple[ContactId, str]]:
        """`upsert` for each, in order, in as few statements as the database allows."""
        ...

    async def page(
        self, *, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[Contact], str | None]:
        """Contacts by name, filtered by `text` in name, account or contact point.

        The second value is the cursor of the next page or None.

        Raises:
            Invalid: `after` is no cursor of ours.
        """
        ...

    async def accounts(
        self, *, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[Account], str | None]:
        """Accounts by name, paged like `page`."""
        ...

    async def count(self) -> int:
        """How many contacts there are."""
        ...


class TouchStore(Protocol):
    """The history: one touch a key, newest first."""

    async def open(self, new: NewTouch) -> tuple[Touch, bool]:
        """Store the touch, or return the one that has this key already (then False)."""
        ...

    async def change(self, touch: TouchId, **fields: object) -> Touch:
        """Set the named fields of `Touch` (`outcome`, `agent`, `talk_s`, `match`, `party`, …).

        Raises:
            NotFound: no such touch.
        """
        ...

    async def get(self, touch: TouchId) -> Touch | None:
        """The touch, or None."""
        ...

    async def by_key(self, key: str) -> Touch | None:
        """The touch with this key, or None."""
        ...

    async def of_contact(self, contact: ContactId, *, limit: int = 5) -> list[Touch]:
        """The last touches of a contact, newest first, without those merged into others."""
        ...

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
        """Touches, newest first, with the cursor of the next page or None.

        Those merged into others are left out.

        `visible_to` and `teams` together limit it to what an agent may see: touches of that user,
        of contacts the user owns, or of one of the teams.
        """
        ...

    async def unfinished(self, *, key_prefix: str) -> list[Touch]:
        """Touches still `in_progress` whose key starts so: what a restart must take up again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSession:
    """A signed-in browser. Only the SHA-256 of its token is stored."""

    token_sha256: bytes
    user: UserId
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class UserStore(Protocol):
    """Who may sign in, and who is signed in."""

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
        """Create a user.

        Raises:
            Conflict: the login, or one of the phones, is taken.
        """
        ...

    async def get(self, user: UserId) -> User | None:
        """The user, or None."""
        ...

    async def by_login(self, login: str) -> tuple[User, str | None] | None:
        """The user with this login (case folded) and the password hash, or None."""
        ...

    async def all(self) -> list[User]:
        """Every user."""
        ...

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
        """Change what is given of a user; None leaves it as it is.

        Who is no longer active is signed out: sessions and unused links are gone.

        Raises:
            NotFound: there is no such user, or a phone to remove is not theirs.
            Conflict: a phone to add is somebody else's.
        """
        ...

    async def set_password_hash(self, user: UserId, password_hash: str | None) -> None:
        """Replace the password hash and end all sessions and unused links of the user."""
        ...

    async def open_session(self, session: SignInSession) -> None:
        """Store a session. Sessions and links that have expired when it begins are forgotten."""
        ...

    async def session(self, token_sha256: bytes) -> SignInSession | None:
        """The session with this token's hash, or None."""
        ...

    async def sessions(self, tokens_sha256: Iterable[bytes]) -> list[SignInSession]:
        """Those of the sessions that there are, in any order."""
        ...

    async def touch_session(self, *tokens_sha256: bytes, seen_at: datetime) -> None:
        """Note that the sessions are in use."""
        ...

    async def close_session(self, token_sha256: bytes) -> None:
        """End a session; nothing happens if there is none."""
        ...

    async def add_link(self, token_sha256: bytes, *, user: UserId, expires_at: datetime) -> None:
        """Store a one-time sign-in link."""
        ...

    async def use_link(self, token_sha256: bytes, *, at: datetime) -> UserId | None:
        """The user of an unused, unexpired link, which is used up by this; else None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderState:
    """How far a mail folder was read."""

    id: int
    mailbox: str
    raw_name: bytes
    uidvalidity: int
    epoch: int
    last_uid: int
    since: datetime | None = None
    """Mails that came to the folder before are none of ours; None if all are."""


LIVE = "live"
"""The kind of a pending mail that came while we watched; it goes before all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMail:
    """A mail that was seen on the server and is not yet in the history."""

    folder: int
    epoch: int
    uid: int
    attempts: int
    next_try_at: datetime
    last_error: str = ""
    kind: str = LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEmail:
    """What is kept of a mail: its raw bytes by hash, and what the parser made of it."""

    direction: Direction
    message_id: str
    """Normalised Message-ID without angle brackets, `""` if none. A hint, never a key."""
    content_key: str
    """Key of the content: equal for copies of one mail."""
    raw_sha256: bytes
    parse_state: str
    subject: str = ""
    sender: str = ""
    sender_name: str = ""
    recipients: tuple[str, ...] = ()
    sent_at: datetime | None = None
    received_at: datetime | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    text: str = ""
    flags: tuple[str, ...] = ()


class MailStore(Protocol):
    """Raw mails, where they lie on the server, and how far each folder was read.

    The order that loses nothing (docs/email-notes.md): `note_uids` moves the checkpoint and writes
    the pending rows in one transaction; each mail is then stored, logged and taken off the
    pending list in one transaction of its own.
    """

    async def folder(self, mailbox: str, raw_name: bytes) -> FolderState | None:
        """The state of a folder, or None if it was never read."""
        ...

    async def open_epoch(
        self,
        mailbox: str,
        raw_name: bytes,
        *,
        uidvalidity: int,
        last_uid: int = 0,
        since: datetime | None = None,
    ) -> FolderState:
        """Begin a folder, or a new epoch of it after UIDVALIDITY changed. Old rows stay.

        Mails up to `last_uid` are left alone: that is how a mailbox begins with what comes next.
        `since` is kept from the very beginning of the folder through all epochs.
        """
        ...

    async def note_uids(
        self, folder: FolderState, uids: Sequence[int], *, kind: str, at: datetime
    ) -> None:
        """Write a pending row for each uid not known yet and raise `last_uid` to the largest."""
        ...

    async def pending(self, folder: FolderState, *, at: datetime, limit: int) -> list[PendingMail]:
        """Pending mails of the current epoch that are due.

        First those of kind `live`, lowest uid first; then all others, newest first.
        """
        ...

    async def next_due(self, folder: FolderState) -> datetime | None:
        """When the next pending mail is due, or None if there is none."""
        ...

    async def often_failed(self, folder: FolderState, *, attempts: int) -> int:
        """How many pending mails of the current epoch failed so many times or more."""
        ...

    async def postpone(self, item: PendingMail, *, error: str, next_try_at: datetime) -> None:
        """Count a failed attempt and set the next."""
        ...

    async def drop_pending(self, item: PendingMail, *, reason: str) -> None:
        """Take it off the list without a mail, because it is gone from the server."""
        ...

    async def store_raw(self, raw: bytes) -> bytes:
        """Keep the bytes; returns their SHA-256. The same bytes are kept once."""
        ...

    async def raw(self, sha256: bytes) -> bytes | None:
        """The bytes, or None."""
        ...

    async def content_key(self, raw_sha256: bytes) -> str | None:
        """The content key of the mail that these bytes were stored as, or None.

        The same bytes are the same mail, whatever the parser makes of them today.
        """
        ...

    async def store_email(self, email: NewEmail) -> tuple[int, bool]:
        """The id of the mail with this content key, and whether it is new."""
        ...

    async def store_location(
        self,
        item: PendingMail,
        *,
        email: int,
        raw_sha256: bytes,
        size: int,
        internal_date: datetime | None,
    ) -> bool:
        """Where the mail lies; takes it off the pending list. False if it was known."""
        ...

    async def known_uids(self, folder: FolderState) -> set[int]:
        """Every uid of the current epoch that has a location or is pending or quarantined."""
        ...


class UnitOfWork(Protocol):
    """One transaction. It rolls back unless `commit` was called."""

    contacts: ContactStore
    touches: TouchStore
    users: UserStore
    mail: MailStore

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(self) -> None:
        """Make everything durable; only after this returns may anybody be told.

        Raises:
            StoreUnavailable: the database cannot be reached; nothing is promised, try again.
        """
        ...


class Store(Protocol):
    """The database: makes units of work.

    Any call in a unit of work may raise `crm_core.errors.StoreUnavailable`; then the whole unit is
    to be repeated, which idempotency keys make safe.
    """

    def begin(self) -> UnitOfWork:
        """A new unit of work: `async with store.begin() as uow: …; await uow.commit()`."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable if the database does not answer."""
        ...

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        ...


class Publisher(Protocol):
    """Tells screens, now, that something happened. Never waits, never raises, may be lost."""

    def publish(self, notice: Notice, *, received_ns: int | None = None) -> None:
        """Hand the notice to everybody it is for.

        `received_ns` (`time.monotonic_ns`) is when the bytes that caused it came in, so that the
        way to the screen can be measured.
        """
        ...
