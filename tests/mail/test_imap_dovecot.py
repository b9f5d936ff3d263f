"""The IMAP session on the real Dovecot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mail.errors import CommandRefused, LoginRefused
from mail.imap import PART, ImapSession
from mail.wire import decode_folder, encode_folder
from tests.lab.dovecot import Dovecot

pytestmark = pytest.mark.dovecot


def mail(number: int, size: int = 0) -> bytes:
    return b"Subject: mail %d\r\n\r\n" % number + b"0123456789\r\n" * (size // 12)


@contextlib.asynccontextmanager
async def inbox(dovecot: Dovecot, user: str) -> AsyncIterator[ImapSession]:
    async with ImapSession.open("127.0.0.1", dovecot.port, tls=None) as session:
        await session.login(user, dovecot.password)
        await session.select(b"INBOX")
        yield session


async def test_three_thousand_flags(dovecot: Dovecot) -> None:
    """A1: aioimaplib ends in a RecursionError here."""
    for number in range(3000):
        dovecot.deliver(mail(number), user="many")
    async with inbox(dovecot, "many") as session:
        uids = await session.uids_above(0)
        assert uids == list(range(1, 3001))
        heads = await session.heads(uids)
        assert [head.uid for head in heads] == uids
        assert heads[0].internal_date is not None
        # One command for all: more lines at once than the session itself ever asks for.
        assert len(await session._fetch("1:*", "(UID FLAGS)")) == 3000
        assert await session.uids_above(3000) == []


@pytest.mark.parametrize("size", [0, 1000, PART, 3 * PART])
async def test_mails_come_byte_for_byte(dovecot: Dovecot, size: int) -> None:
    user = f"size{size}"
    raw = mail(1, size)
    raw += b"x" * (size - len(raw))
    dovecot.deliver(raw, user=user)
    async with inbox(dovecot, user) as session:
        fetched = await session.fetch(1, limit=10 * PART)
        assert fetched is not None
        assert (fetched.raw, fetched.complete) == (raw, True)
        cut = await session.fetch(1, limit=100)
        assert cut is not None
        assert (cut.raw, cut.complete) == (raw[:100], len(raw) <= 100)


async def test_idle_tells_of_mail(dovecot: Dovecot) -> None:
    dovecot.maildir("idle")
    async with inbox(dovecot, "idle") as session:
        assert session.can_idle
        assert await session.uids_above(0) == []

        async def deliver() -> None:
            async with asyncio.timeout(10):
                while session._protocol.pushed is None:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0)
            dovecot.deliver(mail(1), user="idle")

        came, _ = await asyncio.gather(session.idle(10), deliver())
        assert came
        assert await session.uids_above(0) == [1]
        assert not await session.idle(0.2)


@pytest.mark.parametrize("name", ["Müşteri şikâyet", "Входящие", "R&D", "{5}", "a b", "%*"])
async def test_folders_of_any_name(dovecot: Dovecot, name: str) -> None:
    raw_name = encode_folder(name)
    dovecot.deliver(mail(1), user="names", mailbox=raw_name.decode())
    async with inbox(dovecot, "names") as session:
        listed = [folder.raw_name for folder in await session.folders()]
        assert raw_name in listed
        assert name in map(decode_folder, listed)
        assert (await session.select(raw_name)).exists == 1


@pytest.mark.parametrize("name", [b"no such", b'a"b', b"a\\b", b"../x", b"\xff\xfe"])
async def test_a_folder_that_cannot_be_is_refused_cleanly(dovecot: Dovecot, name: bytes) -> None:
    async with inbox(dovecot, "refused") as session:
        with pytest.raises(CommandRefused):
            await session.select(name)
        await session.noop()


async def test_two_thousand_folders(dovecot: Dovecot) -> None:
    for number in range(2000):
        (dovecot.maildir("folders") / f".Box{number}").mkdir()
    dovecot.deliver(mail(1), user="folders")
    async with inbox(dovecot, "folders") as session:
        assert len(await session.folders()) >= 2000


async def test_a_wrong_password(dovecot: Dovecot) -> None:
    async with ImapSession.open("127.0.0.1", dovecot.port, tls=None) as session:
        with pytest.raises(LoginRefused):
            await session.login("anybody", 'wrong "password" ş')


async def test_tls(dovecot: Dovecot) -> None:
    tls = dovecot.ssl_context()
    async with ImapSession.open("127.0.0.1", dovecot.imaps_port, tls=tls) as session:
        await session.login("tls", dovecot.password)
        await session.select(b"INBOX")
