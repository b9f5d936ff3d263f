"""Mails and the state of their folders in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exc, func, literal, select, union, update

from crm_core.db.tables import email as mails
from crm_core.db.tables import (
    email_delivery,
    mail_folder,
    mail_location,
    mail_pending,
    mail_raw,
)
from crm_core.db.transaction import Transaction
from crm_core.errors import NotFound
from crm_core.ports import LIVE, FolderState, NewEmail, PendingMail

_BATCH = 1_000


class SqlMail:
    """A `MailStore` on a database."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def folder(self, mailbox: str, raw_name: bytes) -> FolderState | None:
        """The state of a folder, or None if it was never read."""
        wanted = select(mail_folder).where(
            mail_folder.c.mailbox == mailbox, mail_folder.c.raw_name == raw_name
        )
        row = (await self._transaction.read(wanted)).one_or_none()
        return None if row is None else _folder(row)

    async def open_epoch(
        self,
        mailbox: str,
        raw_name: bytes,
        *,
        uidvalidity: int,
        last_uid: int = 0,
        since: datetime | None = None,
    ) -> FolderState:
        """Begin a folder, or a new epoch of it after UIDVALIDITY changed."""
        await self._transaction.write(
            self._transaction.insert(mail_folder)
            .values(
                mailbox=mailbox,
                raw_name=raw_name,
                uidvalidity=uidvalidity,
                epoch=1,
                last_uid=last_uid,
                since=since,
            )
            .on_conflict_do_nothing(index_elements=["mailbox", "raw_name"])
        )
        await self._transaction.write(
            update(mail_folder)
            .where(
                mail_folder.c.mailbox == mailbox,
                mail_folder.c.raw_name == raw_name,
                mail_folder.c.uidvalidity != uidvalidity,
            )
            .values(uidvalidity=uidvalidity, epoch=mail_folder.c.epoch + 1, last_uid=last_uid)
        )
        folder = await self.folder(mailbox, raw_name)
        assert folder is not None, "it was begun above"  # noqa: S101
        return folder

    async def note_uids(
        self, folder: FolderState, uids: Sequence[int], *, kind: str, at: datetime
    ) -> None:
        """Write a pending row for each uid not known yet and raise `last_uid` to the largest."""
        if not uids:
            return
        for start in range(0, len(uids), _BATCH):
            batch = sorted(set(uids[start : start + _BATCH]))
            located = await self._transaction.write(
                select(mail_location.c.uid).where(
                    _in(mail_location, folder.id, folder.epoch), mail_location.c.uid.in_(batch)
                )
            )
            known = set(located.scalars())
            rows = [
                {
                    "folder_id": folder.id,
                    "epoch": folder.epoch,
                    "uid": uid,
                    "attempts": 0,
                    "next_try_at": at,
                    "kind": kind,
                    "last_error": "",
                }
                for uid in batch
                if uid not in known
            ]
            if rows:
                insert = self._transaction.insert(mail_pending)
                await self._transaction.write(
                    insert.values(rows).on_conflict_do_update(
                        index_elements=["folder_id", "epoch", "uid"],
                        # It had gone from the server, and now is there again.
                        set_={
                            "gone_reason": None,
                            "attempts": 0,
                            "last_error": "",
                            "kind": insert.excluded.kind,
                            "next_try_at": insert.excluded.next_try_at,
                        },
                        where=mail_pending.c.gone_reason.is_not(None),
                    )
                )
        await self._transaction.write(
            update(mail_folder)
            .where(
                mail_folder.c.id == folder.id,
                mail_folder.c.epoch == folder.epoch,
                mail_folder.c.last_uid < max(uids),
            )
            .values(last_uid=max(uids))
        )

    async def pending(self, folder: FolderState, *, at: datetime, limit: int) -> list[PendingMail]:
        """Pending mails of the current epoch that are due: live ones first, then the newest."""
        due = select(mail_pending).where(_waiting(folder), mail_pending.c.next_try_at <= at)
        live = due.where(mail_pending.c.kind == LIVE).order_by(mail_pending.c.uid).limit(limit)
        found = [_pending(row) for row in await self._transaction.read(live)]
        if len(found) < limit:
            old = due.where(mail_pending.c.kind != LIVE).order_by(mail_pending.c.uid.desc())
            rows = await self._transaction.read(old.limit(limit - len(found)))
            found += [_pending(row) for row in rows]
        return found

    async def next_due(self, folder: FolderState) -> datetime | None:
        """When the next pending mail is due, or None if there is none."""
        wanted = (
            select(mail_pending.c.next_try_at)
            .where(_waiting(folder))
            .order_by(mail_pending.c.next_try_at)
            .limit(1)
        )
        due: datetime | None = (await self._transaction.read(wanted)).scalar_one_or_none()
        return due

    async def often_failed(self, folder: FolderState, *, attempts: int) -> int:
        """How many pending mails of the current epoch failed so many times or more."""
        counted = await self._transaction.read(
            select(func.count()).where(_waiting(folder), mail_pending.c.attempts >= attempts)
        )
        return int(counted.scalar_one())

    async def postpone(self, item: PendingMail, *, error: str, next_try_at: datetime) -> None:
        """Count a failed attempt and set the next."""
        await self._transaction.write(
            update(mail_pending)
            .where(_is(mail_pending, item))
            .values(attempts=mail_pending.c.attempts + 1, last_error=error, next_try_at=next_try_at)
        )

    async def drop_pending(self, item: PendingMail, *, reason: str) -> None:
        """Take it off the list without a mail, because it is gone from the server."""
        await self._transaction.write(
            update(mail_pending).where(_is(mail_pending, item)).values(gone_reason=reason)
        )

    async def store_raw(self, raw: bytes) -> bytes:
        """Keep the bytes; returns their SHA-256."""
        digest = hashlib.sha256(raw).digest()
        await self._transaction.write(
            self._transaction.insert(mail_raw)
            .values(sha256=digest, size=len(raw), content=raw)
            .on_conflict_do_nothing(index_elements=["sha256"])
        )
        return digest

    async def raw(self, sha256: bytes) -> bytes | None:
        """The bytes, or None."""
        wanted = select(mail_raw.c.content).where(mail_raw.c.sha256 == sha256)
        content: bytes | None = (await self._transaction.read(wanted)).scalar_one_or_none()
        return content

    async def content_key(self, raw_sha256: bytes) -> str | None:
        """The content key of the mail that these bytes were stored as, or None."""
        wanted = (
            select(mails.c.content_key)
            .join(mail_location, mail_location.c.email_id == mails.c.id)
            .where(mail_location.c.raw_sha256 == raw_sha256)
            .order_by(mails.c.id)
            .limit(1)
        )
        key: str | None = (await self._transaction.read(wanted)).scalar_one_or_none()
        return key

    async def store_email(self, email: NewEmail) -> tuple[int, bool]:
        """The id of the mail with this content key, and whether it is new."""
        row = {
            "content_key": email.content_key,
            "direction": email.direction,
            "message_id": email.message_id,
            "raw_sha256": email.raw_sha256,
            "parse_state": email.parse_state,
            "subject": email.subject,
            "sender": email.sender,
            "sender_name": email.sender_name,
            "recipients": list(email.recipients),
            "sent_at": email.sent_at,
            "received_at": email.received_at,
            "in_reply_to": email.in_reply_to,
            "references": list(email.references),
            "text": email.text,
            "flags": list(email.flags),
        }
        statement = (
            self._transaction.insert(mails)
            .values(row)
            .on_conflict_do_nothing(index_elements=["content_key"])
            .returning(mails.c.id)
        )
        try:
            created = (await self._transaction.write(statement)).scalar_one_or_none()
        except exc.IntegrityError as error:
            raise NotFound("the raw bytes of the mail must be stored before it") from error
        if created is not None:
            return created, True
        known = select(mails.c.id).where(mails.c.content_key == email.content_key)
        return (await self._transaction.read(known)).scalar_one(), False

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
        created = await self._transaction.write(
            self._transaction.insert(mail_location)
            .values(
                folder_id=item.folder,
                epoch=item.epoch,
                uid=item.uid,
                email_id=email,
                raw_sha256=raw_sha256,
                size=size,
                internal_date=internal_date,
            )
            .on_conflict_do_nothing(index_elements=["folder_id", "epoch", "uid"])
            .returning(mail_location.c.uid)
        )
        is_new = created.one_or_none() is not None
        await self._transaction.write(delete(mail_pending).where(_is(mail_pending, item)))
        if is_new:
            mailbox = select(literal(email), mail_folder.c.mailbox).where(
                mail_folder.c.id == item.folder
            )
            await self._transaction.write(
                self._transaction.insert(email_delivery)
                .from_select(["email_id", "mailbox"], mailbox)
                .on_conflict_do_nothing(index_elements=["email_id", "mailbox"])
            )
        return is_new

    async def known_uids(self, folder: FolderState) -> set[int]:
        """Every uid of the current epoch that has a location or is pending."""
        wanted = union(
            select(mail_location.c.uid).where(_in(mail_location, folder.id, folder.epoch)),
            select(mail_pending.c.uid).where(_waiting(folder)),
        )
        return set((await self._transaction.read(wanted)).scalars())


def _in(table: Any, folder: int, epoch: int) -> ColumnElement[bool]:
    return and_(table.c.folder_id == folder, table.c.epoch == epoch)


def _is(table: Any, item: PendingMail) -> ColumnElement[bool]:
    return and_(_in(table, item.folder, item.epoch), table.c.uid == item.uid)


def _waiting(folder: FolderState) -> ColumnElement[bool]:
    return and_(_in(mail_pending, folder.id, folder.epoch), mail_pending.c.gone_reason.is_(None))


def _folder(row: Row[Any]) -> FolderState:
    return FolderState(
        id=row.id,
        mailbox=row.mailbox,
        raw_name=row.raw_name,
        uidvalidity=row.uidvalidity,
        epoch=row.epoch,
        last_uid=row.last_uid,
        since=row.since,
    )


def _pending(row: Row[Any]) -> PendingMail:
    return PendingMail(
        folder=row.folder_id,
        epoch=row.epoch,
        uid=row.uid,
        attempts=row.attempts,
        next_try_at=row.next_try_at,
        last_error=row.last_error,
        kind=row.kind,
    )
