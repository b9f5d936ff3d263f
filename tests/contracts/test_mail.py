"""What every store promises about mails: nothing lost, nothing doubled."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from crm_core.errors import NotFound
from crm_core.model import Direction
from crm_core.ports import FolderState, NewEmail, PendingMail, Store, UnitOfWork
from tests.contracts.conftest import NOW

INBOX = b"INBOX"


async def begin_folder(store: Store, *, uidvalidity: int = 100, last_uid: int = 0) -> FolderState:
    async with store.begin() as uow:
        folder = await uow.mail.open_epoch(
            "support", INBOX, uidvalidity=uidvalidity, last_uid=last_uid
        )
        await uow.commit()
    return folder


async def note(store: Store, folder: FolderState, *uids: int, kind: str = "live") -> None:
    async with store.begin() as uow:
        await uow.mail.note_uids(folder, uids, kind=kind, at=NOW)
        await uow.commit()


async def pending(store: Store, folder: FolderState, *, limit: int = 100) -> list[PendingMail]:
    async with store.begin() as uow:
        return await uow.mail.pending(folder, at=NOW, limit=limit)


async def keep(uow: UnitOfWork, item: PendingMail, raw: bytes, key: str) -> tuple[int, bool, bool]:
    """What ingest does with one mail, in its transaction."""
    digest = await uow.mail.store_raw(raw)
    email, is_new = await uow.mail.store_email(
        NewEmail(
            direction=Direction.INBOUND,
            message_id="m@example.com",
            content_key=key,
            raw_sha256=digest,
            parse_state="ok",
            subject="Merhaba",
            sender="ayse@example.com",
            recipients=("support@example.org",),
            sent_at=NOW,
            references=("a@example.com",),
            text="…",
            flags=("list",),
        )
    )
    located = await uow.mail.store_location(
        item, email=email, raw_sha256=digest, size=len(raw), internal_date=NOW
    )
    return email, is_new, located


async def test_a_folder_begins_once(store: Store) -> None:
    async with store.begin() as uow:
        assert await uow.mail.folder("support", INBOX) is None
    folder = await begin_folder(store)
    assert (folder.mailbox, folder.raw_name) == ("support", INBOX)
    assert (folder.uidvalidity, folder.epoch, folder.last_uid) == (100, 1, 0)
    await note(store, folder, 5)
    assert (await begin_folder(store)).last_uid == 5, "opening the same epoch changes nothing"
    async with store.begin() as uow:
        assert await uow.mail.folder("support", b"Sent") is None
        assert await uow.mail.folder("sales", INBOX) is None


async def test_a_folder_may_begin_after_what_it_has(store: Store) -> None:
    folder = await begin_folder(store, last_uid=41)
    assert folder.last_uid == 41
    assert await pending(store, folder) == []


async def test_noted_uids_are_pending_and_move_the_checkpoint_together(store: Store) -> None:
    folder = await begin_folder(store)
    async with store.begin() as uow:
        await uow.mail.note_uids(folder, [3, 1, 2], kind="live", at=NOW)
    async with store.begin() as uow:
        state = await uow.mail.folder("support", INBOX)
    assert state is not None
    assert state.last_uid == 0, "a crash before the commit loses neither"
    assert await pending(store, folder) == []

    await note(store, folder, 3, 1, 2)
    async with store.begin() as uow:
        state = await uow.mail.folder("support", INBOX)
        assert await uow.mail.known_uids(folder) == {1, 2, 3}
        assert await uow.mail.next_due(folder) == NOW
    assert state is not None
    assert state.last_uid == 3
    items = await pending(store, folder)
    assert [(item.uid, item.attempts, item.kind) for item in items] == [
        (1, 0, "live"),
        (2, 0, "live"),
        (3, 0, "live"),
    ]
    assert [item.uid for item in await pending(store, folder, limit=2)] == [1, 2]


async def test_noting_again_changes_nothing(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1, 2)
    [first, _] = await pending(store, folder)
    async with store.begin() as uow:
        await uow.mail.postpone(first, error="x\x00y", next_try_at=NOW)
        await keep(uow, (await uow.mail.pending(folder, at=NOW, limit=9))[1], b"raw", "k")
        await uow.commit()
    await note(store, folder, 1, 2, 3, 3, kind="reconcile")
    items = await pending(store, folder)
    assert [(item.uid, item.attempts, item.last_error, item.kind) for item in items] == [
        (1, 1, "xy", "live"),
        (3, 0, "", "reconcile"),
    ]
    await note(store, folder)


async def test_a_lower_uid_does_not_move_the_checkpoint_back(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 10)
    await note(store, folder, 4, kind="reconcile")
    async with store.begin() as uow:
        state = await uow.mail.folder("support", INBOX)
    assert state is not None
    assert state.last_uid == 10


async def test_a_mail_is_kept_and_taken_off_the_list_together(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1)
    [item] = await pending(store, folder)
    async with store.begin() as uow:
        await keep(uow, item, b"raw", "k")
    assert await pending(store, folder) == [item], "a crash before the commit keeps it pending"
    async with store.begin() as uow:
        _, is_new, located = await keep(uow, item, b"raw", "k")
        assert (is_new, located) == (True, True)
        await uow.commit()
    assert await pending(store, folder) == []
    async with store.begin() as uow:
        assert await uow.mail.known_uids(folder) == {1}
        assert await uow.mail.next_due(folder) is None
        assert await uow.mail.raw(hashlib.sha256(b"raw").digest()) == b"raw"
        assert await uow.mail.raw(b"x" * 32) is None


async def test_a_second_worker_finds_it_known(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1)
    [item] = await pending(store, folder)
    for expected in [(1, True, True), (1, False, False)]:
        async with store.begin() as uow:
            assert await keep(uow, item, b"raw", "k") == expected
            await uow.commit()


async def test_the_same_mail_in_two_mailboxes_is_one_mail(store: Store) -> None:
    support = await begin_folder(store)
    async with store.begin() as uow:
        sales = await uow.mail.open_epoch("sales", INBOX, uidvalidity=7)
        await uow.commit()
    await note(store, support, 1)
    await note(store, sales, 1)
    seen = []
    for folder in (support, sales):
        [item] = await pending(store, folder)
        async with store.begin() as uow:
            seen.append(await keep(uow, item, b"raw", "k"))
            await uow.commit()
    assert seen == [(1, True, True), (1, False, True)]


async def test_same_message_id_and_other_content_are_two_mails(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1, 2)
    async with store.begin() as uow:
        for item, key in zip(await uow.mail.pending(folder, at=NOW, limit=9), "ab", strict=True):
            _, is_new, _ = await keep(uow, item, key.encode(), key)
            assert is_new
        await uow.commit()


async def test_a_failed_mail_waits_and_does_not_hold_up_others(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1, 2)
    [bad, _good] = await pending(store, folder)
    later = NOW + timedelta(minutes=5)
    async with store.begin() as uow:
        await uow.mail.postpone(bad, error="timeout", next_try_at=later)
        await uow.commit()
    assert [item.uid for item in await pending(store, folder)] == [2]
    async with store.begin() as uow:
        [first, _] = await uow.mail.pending(folder, at=later, limit=9)
        assert (first.uid, first.attempts, first.last_error) == (1, 1, "timeout")
        assert first.next_try_at == later
        assert await uow.mail.next_due(folder) == NOW


async def test_a_mail_that_went_away_is_dropped_and_may_come_back(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1)
    [item] = await pending(store, folder)
    async with store.begin() as uow:
        await uow.mail.postpone(item, error="missing", next_try_at=NOW)
        await uow.mail.drop_pending(item, reason="expunged before it was read")
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.mail.pending(folder, at=NOW, limit=9) == []
        assert await uow.mail.next_due(folder) is None
        assert await uow.mail.known_uids(folder) == set()
    await note(store, folder, 1, kind="reconcile")
    [again] = await pending(store, folder)
    assert (again.uid, again.attempts, again.last_error, again.kind) == (1, 0, "", "reconcile")


async def test_a_new_epoch_starts_over_and_keeps_what_was(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1, 2)
    async with store.begin() as uow:
        [item, _] = await uow.mail.pending(folder, at=NOW, limit=9)
        await keep(uow, item, b"raw", "k")
        await uow.commit()
    fresh = await begin_folder(store, uidvalidity=200)
    assert (fresh.id, fresh.epoch, fresh.last_uid, fresh.uidvalidity) == (folder.id, 2, 0, 200)
    async with store.begin() as uow:
        assert await uow.mail.known_uids(fresh) == set()
        assert await uow.mail.known_uids(folder) == {1, 2}
    await note(store, fresh, 1)
    [item] = await pending(store, fresh)
    async with store.begin() as uow:
        assert await keep(uow, item, b"raw", "k") == (1, False, True)
        await uow.commit()
    await note(store, folder, 50)
    async with store.begin() as uow:
        state = await uow.mail.folder("support", INBOX)
    assert state is not None
    assert state.last_uid == 1, "a straggler of the old epoch moves nothing"


async def test_a_mail_needs_its_raw_bytes(store: Store) -> None:
    async with store.begin() as uow:
        with pytest.raises(NotFound):
            await uow.mail.store_email(
                NewEmail(
                    direction=Direction.INBOUND,
                    message_id="",
                    content_key="k",
                    raw_sha256=b"x" * 32,
                    parse_state="ok",
                )
            )


async def test_many_uids_at_once(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, *range(1, 5_001))
    async with store.begin() as uow:
        assert await uow.mail.known_uids(folder) == set(range(1, 5_001))


async def test_what_comes_live_goes_before_what_is_old(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1, 2, 3, kind="backfill")
    await note(store, folder, 4, 5)
    assert [item.uid for item in await pending(store, folder)] == [4, 5, 3, 2, 1]
    assert [item.uid for item in await pending(store, folder, limit=3)] == [4, 5, 3]
    assert [item.uid for item in await pending(store, folder, limit=1)] == [4]


async def test_a_folder_remembers_since_when_its_mails_are_ours(store: Store) -> None:
    async with store.begin() as uow:
        await uow.mail.open_epoch("support", INBOX, uidvalidity=100, since=NOW)
        await uow.commit()
    folder = await begin_folder(store, uidvalidity=200)
    assert (folder.epoch, folder.since) == (2, NOW)
    async with store.begin() as uow:
        assert await uow.mail.folder("support", INBOX) == folder


async def test_mails_that_fail_again_and_again_are_counted(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1, 2, 3)
    async with store.begin() as uow:
        for item in (await uow.mail.pending(folder, at=NOW, limit=9))[:2]:
            await uow.mail.postpone(item, error="x", next_try_at=NOW)
        await uow.commit()
    [*_, last] = await pending(store, folder)
    async with store.begin() as uow:
        assert await uow.mail.often_failed(folder, attempts=1) == 2
        assert await uow.mail.often_failed(folder, attempts=2) == 0
        assert await uow.mail.often_failed(folder, attempts=0) == 3
    assert last.attempts == 0


async def test_the_same_bytes_are_the_same_mail(store: Store) -> None:
    folder = await begin_folder(store)
    await note(store, folder, 1)
    [item] = await pending(store, folder)
    digest = hashlib.sha256(b"raw").digest()
    async with store.begin() as uow:
        assert await uow.mail.content_key(digest) is None
        await keep(uow, item, b"raw", "k")
        await uow.commit()
    async with store.begin() as uow:
        assert await uow.mail.content_key(digest) == "k"
        assert await uow.mail.content_key(b"another") is None
