"""A mail arrives: it is fetched, stored, matched and logged, and then its people are told.

The order of the steps is what loses nothing and doubles nothing:

1. `_note_new` writes down which uids are new and moves the checkpoint, in ONE transaction. From
   here on a crash cannot forget a mail.
2. `_take` fetches one mail, parses it, and in ONE transaction stores its raw bytes, what was
   parsed, where it lies and its touch, and takes it off the list (`_log`).
3. Only after the commit it tells the screens (`_announce`).

A mail that cannot be taken is tried again later and never stands in the way of the next. The server
is only read: nothing is marked as seen, moved or deleted there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from crm_core.address import mail_party
from crm_core.errors import StoreUnavailable
from crm_core.model import Direction, Match, Medium, Outcome, Party, Touch, UserId
from crm_core.notices import Noticed, TouchLogged
from crm_core.ports import (
    LIVE,
    FolderState,
    NewEmail,
    NewTouch,
    PendingMail,
    Publisher,
    Store,
    UnitOfWork,
)
from crm_core.touches import match_party
from mail.errors import (
    CommandRefused,
    LoginRefused,
    MailError,
    ParserUnavailable,
    ServerUnavailable,
)
from mail.imap import FetchedMail, ImapSession, SelectedFolder
from mail.limited import LimitedParser
from mail.model import Mailbox, MailKind, ParsedMail, ParseState
from mail.parse import raw_only
from mail.settings import MailboxSettings
from mail.wire import decode_folder, encode_folder

log = logging.getLogger(__name__)

BACKFILL, NEW_EPOCH = "backfill", "new_epoch"
"""Why a mail is on the list if it is not `LIVE`: it was there at the first start, or UIDVALIDITY
changed."""
BATCH = 20
"""Mails taken at once. Between two batches of old mails we look for new ones."""
RECENT = timedelta(days=1)
"""Nobody is told of an old mail that is older than this."""
LONG_AGO = timedelta(days=7)
"""No bell rings for a mail that just came and is older: somebody moved or copied it here."""
GONE_ATTEMPTS = 3
"""Some servers announce a mail before they can give it."""
ASIDE = timedelta(hours=6)
"""A mail that was set aside is tried again after this."""
_EPOCHS_AN_HOUR = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxState:
    """Whether a mailbox is being read, since when, and what is wrong if it is not."""

    up: bool
    since: datetime
    reason: str = ""


@dataclass(slots=True)
class MailboxMetrics:
    """What a mailbox did since the start."""

    received: int = 0
    """Mails logged for the first time."""
    known: int = 0
    """Mails that were in the history already: copies, or found again."""
    gone: int = 0
    failed: int = 0
    """Tries to take a mail that failed."""
    quarantined: int = 0
    connects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Synced:
    """What one look at a folder brought."""

    new: int
    left: bool = False
    """There may be more old mails."""


def _now() -> datetime:
    return datetime.now(UTC)


class MailboxIngest:
    """Reads one mailbox, for ever: `run` returns only after `stop`.

    Args:
        settings: The mailbox.
        store: Where mails and touches are kept.
        publisher: Who is told after each commit.
        own: Addresses of ours beyond those of this mailbox, and `@example.com` for whole domains.
        on_state: Called whenever the mailbox comes up or goes down.
        parser: Parses mails; None makes one that ends with `run`.
    """

    def __init__(
        self,
        settings: MailboxSettings,
        *,
        store: Store,
        publisher: Publisher,
        own: AbstractSet[str] = frozenset(),
        on_state: Callable[[MailboxState], None] = lambda _state: None,
        parser: LimitedParser | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.metrics = MailboxMetrics()
        self.state = MailboxState(up=False, since=now(), reason="not connected yet")
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._own = frozenset(own) | settings.ours
        self._on_state = on_state
        self._parser = parser
        self._now = now
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._session: ImapSession | None = None
        self._healthy = False
        """This connection read every folder at least once."""
        self._epochs: dict[bytes, deque[datetime]] = {}
        self._refused: dict[bytes, str] = {}
        """Folders that cannot be read, and why."""
        self._folders = [encode_folder(name) for name in settings.folders]

    # --- from start to stop -----------------------------------------------------------------------

    async def run(self) -> None:
        """Read the mailbox until `stop`. A server or database that is away is waited for."""
        own_parser = self._parser is None
        try:
            async with contextlib.AsyncExitStack() as stack:
                if self._parser is None:
                    self._parser = await stack.enter_async_context(LimitedParser())
                await self._keep_reading()
        finally:
            if own_parser:
                self._parser = None
            self._ended.set()

    async def stop(self, *, deadline_s: float = 10.0) -> None:
        """Finish the mail being stored, then let `run` return. Waits for it, up to the deadline."""
        self._stopping.set()
        if self._session is not None:
            self._session.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._ended.wait()

    async def _keep_reading(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._healthy = False
            try:
                await self._read()
            except LoginRefused as error:
                self._down(str(error))
                await self._pause(self._settings.retry_refused_s * random.uniform(1, 1.2))  # noqa: S311
            except (ServerUnavailable, CommandRefused, ParserUnavailable, OSError) as error:
                failures = 1 if self._healthy else failures + 1
                self._down(str(error))
                await self._pause(self._delay(failures, error))

    def _delay(self, failures: int, error: Exception) -> float:
        """A random wait, longer on average after each failure: many mailboxes share a server."""
        most = self._settings.retry_most_s
        ceiling = min(most, self._settings.retry_first_s * 1.5 ** min(failures - 1, 30))
        if isinstance(error, ServerUnavailable) and error.throttled:
            ceiling = min(most, ceiling * 5)
        return random.uniform(ceiling / 4, ceiling)  # noqa: S311 - no secret

    async def _read(self) -> None:
        """One connection: from the greeting until it breaks or we stop."""
        settings = self._settings
        async with ImapSession.open(
            settings.host, settings.port, tls=settings.ssl_context(), answer_s=settings.answer_s
        ) as session:
            await session.login(settings.user, settings.password.get_secret_value())
            self._session = session
            self.metrics.connects += 1
            try:
                while not self._stopping.is_set():
                    if not await self._sync_all(session):
                        await self._wait_for_mail(session)
            finally:
                self._session = None

    async def _sync_all(self, session: ImapSession) -> bool:
        """Read every folder, the watched one last: it stays open. True if old mails are left."""
        left = False
        aside = 0
        for raw_name in [*self._folders[1:], self._folders[0]]:
            if self._stopping.is_set():
                return False
            try:
                folder = await self._open(session, raw_name)
            except CommandRefused as error:
                if raw_name == self._folders[0]:
                    raise
                self._note_refused(raw_name, str(error))
                continue
            self._refused.pop(raw_name, None)
            left |= (await self._sync(session, folder)).left
            aside += await self._set_aside(folder)
        self._healthy = True
        wrong = list(dict.fromkeys(self._refused.values()))
        if aside:
            wrong.append(f"mails set aside because they cannot be read: {aside}")
        self._up("; ".join(wrong))
        return left

    def _note_refused(self, raw_name: bytes, why: str) -> None:
        if self._refused.get(raw_name) != why:
            log.warning(
                "%s: folder %s cannot be read: %s",
                self._settings.name,
                decode_folder(raw_name),
                why,
                extra={"action": "mail_folder_refused", "mailbox": self._settings.name},
            )
        self._refused[raw_name] = why

    async def _set_aside(self, folder: FolderState) -> int:
        most = self._settings.max_attempts
        return await self._unit(lambda uow: uow.mail.often_failed(folder, attempts=most))

    async def _wait_for_mail(self, session: ImapSession) -> None:
        """Watch the open folder until the next poll, and read what is said to have come."""
        end = asyncio.get_running_loop().time() + self._settings.poll_s
        raw_name = self._folders[0]
        while not self._stopping.is_set():
            folder = await self._unit(lambda uow: uow.mail.folder(self._settings.name, raw_name))
            if folder is None:
                return
            left = end - asyncio.get_running_loop().time()
            due = await self._next_due(folder)
            if due is not None:
                left = min(left, max((due - self._now()).total_seconds(), 0.0))
            told = False
            if left > 0:
                told = await self._idle(session, left)
            if self._stopping.is_set():
                return
            await session.noop()
            found = await self._sync(session, folder)
            if told and not found.new:
                # A server that keeps announcing nothing must not keep us busy.
                await self._pause(0.5)
            if asyncio.get_running_loop().time() >= end:
                return

    async def _next_due(self, folder: FolderState) -> datetime | None:
        return await self._unit(lambda uow: uow.mail.next_due(folder))

    async def _idle(self, session: ImapSession, seconds: float) -> bool:
        if session.can_idle and not self._stopping.is_set():
            with contextlib.suppress(CommandRefused):
                return await session.idle(seconds)
        await self._pause(seconds)
        return False

    # --- 1. what is new ---------------------------------------------------------------------------

    async def _open(self, session: ImapSession, raw_name: bytes) -> FolderState:
        """Select the folder and know how far it was read."""
        selected = await session.select(raw_name)
        mailbox = self._settings.name
        known = await self._unit(lambda uow: uow.mail.folder(mailbox, raw_name))
        if known is None:
            return await self._begin(session, raw_name, selected)
        if known.uidvalidity == selected.uidvalidity:
            return known
        self._count_epoch(raw_name)
        log.warning(
            "%s: the server numbered folder %s anew (UIDVALIDITY %d, before %d): reading it again",
            mailbox,
            decode_folder(raw_name),
            selected.uidvalidity,
            known.uidvalidity,
            extra={"action": "mail_uidvalidity_changed", "mailbox": mailbox},
        )
        # Mails may have come since we last looked, so none may be passed over but those that were
        # there before our time. What is in the history already is recognised by its content.
        last = await self._last_uid(session, selected)
        uids = await self._uids_since(session, known.since)
        return await self._start_epoch(raw_name, selected, uids, kind=NEW_EPOCH, last_uid=last)

    async def _begin(
        self, session: ImapSession, raw_name: bytes, selected: SelectedFolder
    ) -> FolderState:
        """The very first time: begin with what comes from now on, and the last days if wanted."""
        last = await self._last_uid(session, selected)
        # Servers tell the time of a mail in whole seconds.
        since = self._now().replace(microsecond=0) - timedelta(days=self._settings.backfill_days)
        uids: list[int] = []
        if self._settings.backfill_days:
            uids = [uid for uid in await self._uids_since(session, since) if uid <= last]
        return await self._start_epoch(
            raw_name, selected, uids, kind=BACKFILL, last_uid=last, since=since
        )

    async def _last_uid(self, session: ImapSession, selected: SelectedFolder) -> int:
        if selected.uidnext is not None:
            return max(selected.uidnext - 1, 0)
        return max(await session.uids_above(0), default=0)

    async def _uids_since(self, session: ImapSession, since: datetime | None) -> list[int]:
        if since is None:
            return await session.uids_above(0)
        # SEARCH knows days only, in whatever time zone the server likes.
        uids = await session.uids_since((since - timedelta(days=1)).date())
        heads = await session.heads(uids)
        early = {head.uid for head in heads if head.internal_date and head.internal_date < since}
        return [uid for uid in uids if uid not in early]

    async def _start_epoch(
        self,
        raw_name: bytes,
        selected: SelectedFolder,
        uids: list[int],
        *,
        kind: str,
        last_uid: int,
        since: datetime | None = None,
    ) -> FolderState:
        async def start(uow: UnitOfWork) -> FolderState:
            folder = await uow.mail.open_epoch(
                self._settings.name,
                raw_name,
                uidvalidity=selected.uidvalidity,
                last_uid=last_uid,
                since=since,
            )
            if uids:
                await uow.mail.note_uids(folder, uids, kind=kind, at=self._now())
            return await uow.mail.folder(self._settings.name, raw_name) or folder

        return await self._unit(start)

    def _count_epoch(self, raw_name: bytes) -> None:
        """Refuse to read a folder again and again whose numbers change all the time."""
        now = self._now()
        epochs = self._epochs.setdefault(raw_name, deque(maxlen=_EPOCHS_AN_HOUR))
        if len(epochs) == _EPOCHS_AN_HOUR and now - epochs[0] < timedelta(hours=1):
            raise ServerUnavailable(
                "the server keeps numbering its mails anew (UIDVALIDITY)", throttled=True
            )
        epochs.append(now)

    async def _note_new(self, session: ImapSession, folder: FolderState) -> int:
        """Write down the uids that came. Returns how many."""
        current = await self._unit(lambda uow: uow.mail.folder(folder.mailbox, folder.raw_name))
        uids = await session.uids_above((current or folder).last_uid)
        if uids:
            await self._unit(
                lambda uow: uow.mail.note_uids(folder, uids, kind=LIVE, at=self._now())
            )
        return len(uids)

    async def _sync(self, session: ImapSession, folder: FolderState) -> _Synced:
        """Take the mails of the open folder that are new or due; of old ones, a batch at most."""
        new = await self._note_new(session, folder)
        while not self._stopping.is_set():
            items = await self._unit(
                lambda uow: uow.mail.pending(folder, at=self._now(), limit=BATCH)
            )
            for item in items:
                if self._stopping.is_set():
                    break
                await self._take(session, item)
            old = any(item.kind != LIVE for item in items)
            if old or len(items) < BATCH:
                return _Synced(new=new, left=old and len(items) == BATCH)
        return _Synced(new=new)

    # --- 2. one mail, one transaction -------------------------------------------------------------

    async def _take(self, session: ImapSession, item: PendingMail) -> None:
        """Take one mail from the server into the history, or put it off."""
        try:
            fetched = await session.fetch(item.uid, limit=self._settings.max_mail_bytes)
        except CommandRefused as error:
            await self._put_off(item, str(error))
            return
        except ServerUnavailable as error:
            # Maybe this very mail breaks the server: the others come first next time.
            await self._put_off(item, str(error))
            raise
        if fetched is None:
            await self._gone(item)
            return
        if self._parser is None:
            raise AssertionError("a mail is only taken while `run` runs")
        parsed = await self._parser.parse(fetched.raw, complete=fetched.complete)
        opened = False

        async def work(uow: UnitOfWork) -> Touch:
            nonlocal opened
            touch, is_new = await self._log(uow, item, fetched, parsed)
            # A commit whose answer is lost is repeated, and finds the touch of the first try.
            opened = opened or is_new
            return touch

        try:
            touch = await self._unit(work)
        except (MailError, StoreUnavailable):
            raise
        except Exception as error:
            # A defect of ours, or a database that refuses this one mail.
            log.exception(
                "%s: mail %d could not be logged",
                self._settings.name,
                item.uid,
                extra={"action": "mail_not_logged", "mailbox": self._settings.name},
            )
            if item.attempts + 1 >= self._settings.max_attempts:
                await self._quarantine(item, fetched, error)
            else:
                await self._put_off(item, repr(error))
            return
        if opened:
            self.metrics.received += 1
            self._announce(item, touch, parsed)
        else:
            self.metrics.known += 1

    async def _log(
        self, uow: UnitOfWork, item: PendingMail, fetched: FetchedMail, parsed: ParsedMail
    ) -> tuple[Touch, bool]:
        direction, party = self._far_end(parsed)
        at = self._when(item, fetched, parsed)
        email, content_key = await self._store_mail(uow, item, fetched, parsed, direction)
        match, _ = await match_party(uow, party, own=self._own, at=at, recent=0)
        return await uow.touches.open(
            NewTouch(
                key=f"mail:{content_key}",
                medium=Medium.EMAIL,
                direction=direction,
                outcome=Outcome.RECEIVED if direction is Direction.INBOUND else Outcome.SENT,
                at=at,
                party=party,
                match=match,
                agent=await self._writer(uow, direction, parsed),
                team=self._settings.team,
                subject=parsed.subject,
                ended_at=at,
                details=self._details(email, parsed),
            )
        )

    async def _store_mail(
        self,
        uow: UnitOfWork,
        item: PendingMail,
        fetched: FetchedMail,
        parsed: ParsedMail,
        direction: Direction,
    ) -> tuple[int, str]:
        """Store the mail and where it lies; returns its id and its content key."""
        digest = await uow.mail.store_raw(fetched.raw)
        # The parser may have come further with the same octets before, or less far.
        content_key = await uow.mail.content_key(digest) or parsed.content_key
        sender = parsed.sender
        flags = [*parsed.flags]
        if parsed.classification.kind is not MailKind.PERSONAL:
            flags.append(parsed.classification.kind.value)
        email, _ = await uow.mail.store_email(
            NewEmail(
                direction=direction,
                message_id=parsed.message_id,
                content_key=content_key,
                raw_sha256=digest,
                parse_state=parsed.parse_state.value,
                subject=parsed.subject,
                sender=sender.address if sender else "",
                sender_name=sender.name if sender else "",
                recipients=tuple(dict.fromkeys(box.address for box in (*parsed.to, *parsed.cc))),
                sent_at=parsed.sent_at,
                received_at=fetched.head.internal_date,
                in_reply_to=parsed.in_reply_to,
                references=parsed.references,
                text=parsed.text,
                flags=tuple(flags),
            )
        )
        await uow.mail.store_location(
            item,
            email=email,
            raw_sha256=digest,
            size=max(fetched.head.size, len(fetched.raw)),
            internal_date=fetched.head.internal_date,
        )
        return email, content_key

    def _far_end(self, parsed: ParsedMail) -> tuple[Direction, Party]:
        """Who it is with: the sender, or the first of the recipients who is not one of us."""
        sender = parsed.sender or Mailbox(address="")
        if not self._is_own(sender.address):
            return Direction.INBOUND, mail_party(sender.address, name=sender.name)
        for box in (*parsed.to, *parsed.cc):
            if box.address and not self._is_own(box.address):
                return Direction.OUTBOUND, mail_party(box.address, name=box.name)
        return Direction.INTERNAL, mail_party(sender.address, name=sender.name)

    def _is_own(self, address: str) -> bool:
        return address in self._own or f"@{address.rpartition('@')[2]}" in self._own

    def _when(self, item: PendingMail, fetched: FetchedMail, parsed: ParsedMail) -> datetime:
        """When it happened. The server's clock is believed, the sender's only for old mail."""
        came = fetched.head.internal_date or self._now()
        if item.kind != LIVE and parsed.sent_at is not None:
            came = min(came, parsed.sent_at)
        return min(came, self._now())

    async def _writer(
        self, uow: UnitOfWork, direction: Direction, parsed: ParsedMail
    ) -> UserId | None:
        """The user of ours who wrote it."""
        if direction is Direction.INBOUND or parsed.sender is None:
            return None
        address = parsed.sender.address
        users = await uow.users.all()
        return next((user.id for user in users if user.email.lower() == address), None)

    def _details(self, email: int, parsed: ParsedMail) -> dict[str, object]:
        return {
            "email": email,
            "mailbox": self._settings.name,
            "message_id": parsed.message_id,
            "parse_state": parsed.parse_state.value,
            "kind": parsed.classification.kind.value,
            "to": [box.address for box in parsed.to[:20]],
            "attachments": [part.filename for part in parsed.parts if part.filename][:50],
            "preview": " ".join(parsed.text[:600].split())[:300],
        }

    # --- a mail that cannot be taken --------------------------------------------------------------

    async def _gone(self, item: PendingMail) -> None:
        if item.attempts + 1 < GONE_ATTEMPTS:
            await self._put_off(item, "the server has no such mail", patience=2.0)
            return
        self.metrics.gone += 1
        log.info(
            "%s: mail %d was gone before it could be fetched",
            self._settings.name,
            item.uid,
            extra={"action": "mail_gone", "mailbox": self._settings.name},
        )
        await self._unit(lambda uow: uow.mail.drop_pending(item, reason="gone_before_fetch"))

    async def _put_off(self, item: PendingMail, error: str, *, patience: float = 5.0) -> None:
        """Try it again later, and rarely once it failed often."""
        self.metrics.failed += 1
        wait = timedelta(seconds=patience * 2 ** min(item.attempts, 20))
        if item.attempts + 1 >= self._settings.max_attempts:
            wait = ASIDE
            if item.attempts + 1 == self._settings.max_attempts:
                self._say_set_aside(item, error)
        later = self._now() + min(wait, ASIDE)
        await self._unit(lambda uow: uow.mail.postpone(item, error=error[:500], next_try_at=later))

    async def _quarantine(self, item: PendingMail, fetched: FetchedMail, error: Exception) -> None:
        """Keep the raw bytes of a mail that could not be logged, and go on without it."""
        parsed = ParsedMail(
            parse_state=ParseState.QUARANTINED,
            content_key=raw_only(fetched.raw).content_key,
        )
        try:
            await self._unit(
                lambda uow: self._store_mail(uow, item, fetched, parsed, Direction.INBOUND)
            )
        except (MailError, StoreUnavailable):
            raise
        except Exception as second:
            log.exception("%s: mail %d could not even be kept", self._settings.name, item.uid)
            await self._put_off(item, repr(second))
            return
        self._say_set_aside(item, repr(error))

    def _say_set_aside(self, item: PendingMail, error: str) -> None:
        self.metrics.quarantined += 1
        log.error(
            "%s: mail %d is set aside: %s",
            self._settings.name,
            item.uid,
            error,
            extra={"action": "mail_set_aside", "mailbox": self._settings.name},
        )
        values = {"mailbox": self._settings.name, "uid": str(item.uid)}
        self._publisher.publish(
            Noticed(code="mail_set_aside", values=values, team=self._settings.team)
        )

    # --- 3. who is told ---------------------------------------------------------------------------

    def _announce(self, item: PendingMail, touch: Touch, parsed: ParsedMail) -> None:
        if item.kind != LIVE and self._now() - touch.at > RECENT:
            return
        agents = _owners(touch.match)
        log.info(
            "%s: a mail was logged: %s",
            self._settings.name,
            touch.match.result.value,
            extra={"action": "mail_logged", "mailbox": self._settings.name, "touch": touch.id},
        )
        self._publisher.publish(TouchLogged(touch=touch, agents=agents, team=touch.team))
        machine = parsed.classification.kind in (MailKind.AUTOMATIC, MailKind.LIST)
        moved_here = self._now() - touch.at > LONG_AGO
        if touch.direction is not Direction.INBOUND or machine or moved_here:
            return
        contact = touch.match.contact
        values = {
            "from": contact.name if contact else touch.party.name or touch.party.address,
            "address": touch.party.address,
            "subject": touch.subject,
            "mailbox": self._settings.name,
            "touch": str(touch.id),
        }
        self._publisher.publish(
            Noticed(code="mail_received", values=values, agents=agents, team=touch.team)
        )

    # --- state, waiting, repeating ----------------------------------------------------------------

    def _up(self, reason: str) -> None:
        self._set_state(up=True, reason=reason)

    def _down(self, reason: str) -> None:
        self._set_state(up=False, reason=reason)

    def _set_state(self, *, up: bool, reason: str) -> None:
        if (self.state.up, self.state.reason) == (up, reason):
            return
        level = logging.INFO if up else logging.WARNING
        log.log(
            level,
            "%s: %s%s",
            self._settings.name,
            "reading mail" if up else "mail cannot be read",
            f": {reason}" if reason else "",
            extra={"action": "mailbox_up" if up else "mailbox_down"},
        )
        since = self.state.since if self.state.up == up else self._now()
        self.state = MailboxState(up=up, since=since, reason=reason)
        self._on_state(self.state)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _unit(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Do the work in one transaction; while the database is away, wait and begin again."""
        pause = 0.2
        before: MailboxState | None = None
        while True:
            try:
                async with self._store.begin() as uow:
                    result = await work(uow)
                    await uow.commit()
            except StoreUnavailable as error:
                before = before or self.state
                self._down(f"the database is away: {error}")
                if self._stopping.is_set():
                    raise ServerUnavailable("stopped while the database was away") from error
                await self._pause(pause)
                pause = min(pause * 2, 10.0)
            else:
                if before is not None:
                    self._set_state(up=before.up, reason=before.reason)
                return result


def _owners(match: Match) -> tuple[UserId, ...]:
    contact = match.contact
    return (contact.owner,) if contact is not None and contact.owner is not None else ()
