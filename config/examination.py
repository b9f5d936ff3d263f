"""Tries every connection of an installation, for `santral doctor`. Changes nothing.

Each finding says in plain words what was tried and, if it failed, what an operator may do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agent_ui.settings import UiSettings
from config.settings import DatabaseSettings, Settings
from crm_core.db import open_store, schema
from crm_core.errors import CoreError
from cti.ami.link import open_connection
from cti.errors import ActionFailed, LoginRefused, PeerUnavailable
from cti.settings import PbxSettings
from mail.errors import CommandRefused, ServerUnavailable
from mail.errors import LoginRefused as MailLoginRefused
from mail.imap import ImapSession
from mail.settings import MailboxSettings
from mail.wire import decode_folder, encode_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one try."""

    well: bool
    what: str
    """What was tried: `pbx main, events`."""
    words: str


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Try everything, one after the other; what fails does not stop the rest."""
    yield await _database(settings.database)
    yield await _port(settings.web)
    for pbx in settings.pbx:
        yield await _pbx(pbx, "events", pbx.events_user, pbx.events_secret.get_secret_value())
        if pbx.takes_orders:
            secret = pbx.actions_secret.get_secret_value()
            yield await _pbx(pbx, "orders", pbx.actions_user, secret)
    for mailbox in settings.mailbox:
        yield await _mailbox(mailbox)


async def _database(settings: DatabaseSettings) -> Finding:
    what = f"database {settings.shown}"
    url = settings.url.get_secret_value()
    try:
        settings.make_directory()
        state = await schema.check(url)
        if state.has is None:
            return Finding(well=True, what=what, words="empty; it gets its tables at the first use")
        if not state.current:
            return Finding(
                well=False,
                what=what,
                words=f"has the schema {state.has}, needs {state.needs}: run `santral migrate`",
            )
        store = open_store(url)
        try:
            async with store.begin() as uow:
                contacts, users = await uow.contacts.count(), len(await uow.users.all())
        finally:
            await store.close()
    except (CoreError, OSError) as error:
        return Finding(well=False, what=what, words=str(error))
    words = f"{contacts} contacts, {users} users"
    if not users:
        words += "; nobody can sign in before `santral user add`"
    return Finding(well=True, what=what, words=words)


async def _port(settings: UiSettings) -> Finding:
    what = f"web {settings.host}:{settings.port}"
    try:
        server = await asyncio.start_server(lambda *_: None, settings.host, settings.port)
    except OSError as error:
        words = (
            f"cannot be opened ({error.strerror}); is Santral, or something else, running there?"
        )
        return Finding(well=False, what=what, words=words)
    server.close()
    await server.wait_closed()
    return Finding(well=True, what=what, words="free")


async def _pbx(settings: PbxSettings, session: str, user: str, secret: str) -> Finding:
    what = f"pbx {settings.name}, {session}"
    where = f"{settings.host}:{settings.port}"
    heard = bytearray()
    try:
        connection = await open_connection(
            settings, on_message=lambda *_: None, on_bytes=heard.extend
        )
        try:
            await connection.log_in(
                user=user,
                secret=secret,
                events=session == "events",
                auth=settings.auth,
                timeout_s=settings.link.login_s,
            )
        finally:
            await connection.aclose()
    except LoginRefused as error:
        words = (
            f"{where} refused the user {user!r} ({error}): compare user and secret with "
            "manager.conf and its permit= lines, and see `manager show user` in Asterisk"
        )
        return Finding(well=False, what=what, words=words)
    except (PeerUnavailable, ActionFailed) as error:
        words = (
            _of_another_server(settings, bytes(heard))
            or _of_tls(error)
            or (
                f"{error}; is Asterisk running, `enabled = yes` in manager.conf, bindaddr and "
                "firewall open for this host, and tls the same on both sides?"
            )
        )
        return Finding(well=False, what=what, words=f"{where}: {words}")
    return Finding(well=True, what=what, words=f"logged in at {where} as {user!r}")


_GREETING = b"Asterisk Call Manager"
_TLS_ALERT = b"\x15\x03"


def _of_another_server(settings: PbxSettings, heard: bytes) -> str:
    """What is wrong if the first bytes that came are not those of a manager interface."""
    if heard.startswith(_TLS_ALERT) and not settings.tls:
        return "what answers there speaks TLS: set `tls = true`, or give the port without TLS"
    if heard and not heard.startswith(_GREETING[: len(heard)]):
        return (
            "what answers there is no Asterisk manager: give the port of manager.conf, usually "
            "5038, or 5039 with TLS"
        )
    return ""


def _of_tls(error: Exception) -> str:
    """What a failed TLS handshake means; `""` if it was something else."""
    match error.__cause__:
        case ssl.SSLCertVerificationError() as refused:
            return (
                f"its certificate is not trusted ({refused.verify_message}): name the file of who "
                "signed it in tls_ca_file, and host as the certificate has it"
            )
        case ssl.SSLError():
            return (
                "what answers there does not speak TLS as we do: set `tls = false`, or give the "
                "port of tlsbindaddr in manager.conf, usually 5039"
            )
        case _:
            return ""


async def _mailbox(settings: MailboxSettings) -> Finding:
    what = f"mailbox {settings.name}"
    where = f"{settings.host}:{settings.port}"
    folder = ""
    try:
        async with ImapSession.open(
            settings.host,
            settings.port,
            tls=settings.ssl_context(),
            answer_s=min(settings.answer_s, 15.0),
        ) as session:
            await session.login(settings.user, settings.password.get_secret_value())
            counts = []
            for folder in settings.folders:
                selected = await session.select(encode_folder(folder))
                counts.append(f"{selected.exists} mails in {folder}")
            idle = "" if session.can_idle else "; no IDLE here, new mails are found by polling"
    except MailLoginRefused as error:
        words = (
            f"{where}: {error}; are user and password right, and may programs log in with a "
            "password (some providers want one made for this)?"
        )
        return Finding(well=False, what=what, words=words)
    except CommandRefused as error:
        there = await _folders(settings)
        words = f"{where} does not open the folder {folder!r} ({error}); there are: {there}"
        return Finding(well=False, what=what, words=words)
    except (ServerUnavailable, OSError) as error:
        words = f"{where}: {error}; are host, port and tls right?"
        return Finding(well=False, what=what, words=words)
    return Finding(well=True, what=what, words=f"{', '.join(counts)}{idle}")


async def _folders(settings: MailboxSettings) -> str:
    """The names of a mailbox's folders, for somebody who wrote one wrong."""
    try:
        async with ImapSession.open(
            settings.host, settings.port, tls=settings.ssl_context(), answer_s=15.0
        ) as session:
            await session.login(settings.user, settings.password.get_secret_value())
            found = await session.folders()
    except (MailLoginRefused, CommandRefused, ServerUnavailable, OSError):
        return "unknown"
    return ", ".join(decode_folder(each.raw_name) for each in found[:50])
