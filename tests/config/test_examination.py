"""`santral doctor` says in plain words what is wrong with each connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent_ui.settings import UiSettings
from config.demo.pbx import DemoPbx
from config.examination import Finding, examine
from config.settings import DatabaseSettings, Settings
from cti.settings import PbxSettings
from mail.settings import MailboxSettings
from tests.servers.imap import ScriptedImap

SECRET = "s3cret"


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something else has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def dead_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def installation(
    tmp_path: Path,
    *,
    pbx: tuple[PbxSettings, ...] = (),
    mailbox: tuple[MailboxSettings, ...] = (),
    port: int = 0,
) -> Settings:
    return Settings(
        database=DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/new/santral.sqlite3")),
        web=UiSettings(port=port),
        pbx=pbx,
        mailbox=mailbox,
    )


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding async for finding in examine(settings)}


def pbx(port: int, *, actions: str = "") -> PbxSettings:
    return PbxSettings(
        name="main",
        port=port,
        events_user="santral",
        events_secret=SecretStr(SECRET),
        actions_user="santral" if actions else "",
        actions_secret=SecretStr(actions),
    )


def mailbox(server: ScriptedImap, **more: object) -> MailboxSettings:
    values = {
        "name": "support",
        "host": "127.0.0.1",
        "port": server.port,
        "tls": "none",
        "user": server.user,
        "password": server.password,
    }
    return MailboxSettings.model_validate(values | more)


async def test_a_new_installation_is_well(tmp_path: Path) -> None:
    found = await findings(installation(tmp_path))
    assert [finding.well for finding in found.values()] == [True, True]
    assert "empty" in found[f"database sqlite:///{tmp_path}/new/santral.sqlite3"].words


async def test_a_port_that_is_taken(tmp_path: Path, taken_port: int) -> None:
    found = await findings(installation(tmp_path, port=taken_port))
    finding = found[f"web 127.0.0.1:{taken_port}"]
    assert not finding.well
    assert "running there" in finding.words


async def test_both_sessions_of_a_pbx(tmp_path: Path) -> None:
    async with DemoPbx(username="santral", secret=SECRET, members={}) as server:
        found = await findings(
            installation(tmp_path, pbx=(pbx(server.port, actions="wrong secret"),))
        )
    assert found["pbx main, events"].well
    orders = found["pbx main, orders"]
    assert not orders.well
    assert "refused the user 'santral'" in orders.words
    assert "manager.conf" in orders.words
    assert "wrong secret" not in orders.words


async def test_a_pbx_that_is_not_there(tmp_path: Path, dead_port: int) -> None:
    found = await findings(installation(tmp_path, pbx=(pbx(dead_port),)))
    finding = found["pbx main, events"]
    assert not finding.well
    assert f"127.0.0.1:{dead_port}" in finding.words
    assert "is Asterisk running" in finding.words


@pytest.mark.parametrize("greeting", [b"220 mail.example.com ESMTP\r\n", b"HTTP/1.1 400 No\r\n"])
async def test_another_kind_of_server_where_the_pbx_should_be(
    tmp_path: Path, greeting: bytes
) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await findings(installation(tmp_path, pbx=(pbx(port),)))
    finding = found["pbx main, events"]
    assert not finding.well
    assert "what answers there is no Asterisk manager" in finding.words


async def test_tls_on_a_port_without_it(tmp_path: Path) -> None:
    async with DemoPbx(username="santral", secret=SECRET, members={}) as server:
        encrypted = pbx(server.port).model_copy(update={"tls": True})
        found = await findings(installation(tmp_path, pbx=(encrypted,)))
    finding = found["pbx main, events"]
    assert not finding.well
    assert "does not speak TLS" in finding.words
    assert "_ssl.c" not in finding.words


async def test_no_tls_on_a_port_that_has_it(tmp_path: Path) -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # the alert of a TLS server
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await findings(installation(tmp_path, pbx=(pbx(port),)))
    assert "speaks TLS: set `tls = true`" in found["pbx main, events"].words


async def test_a_mailbox_that_is_well(tmp_path: Path) -> None:
    async with ScriptedImap() as server:
        server.put(b"Subject: x\r\n\r\nx")
        found = await findings(installation(tmp_path, mailbox=(mailbox(server),)))
    assert found["mailbox support"] == Finding(
        well=True, what="mailbox support", words="1 mails in INBOX"
    )


async def test_a_mailbox_with_another_password(tmp_path: Path) -> None:
    async with ScriptedImap() as server:
        box = mailbox(server, password="hunter22")
        found = await findings(installation(tmp_path, mailbox=(box,)))
    finding = found["mailbox support"]
    assert not finding.well
    assert "are user and password right" in finding.words
    assert "hunter22" not in finding.words


async def test_a_folder_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    async with ScriptedImap() as server:
        server.put(b"Subject: x\r\n\r\nx", folder=b"Sent")
        box = mailbox(server, folders=("INBOX", "Gesendet"))
        found = await findings(installation(tmp_path, mailbox=(box,)))
    finding = found["mailbox support"]
    assert not finding.well
    assert "'Gesendet'" in finding.words
    assert "there are: INBOX, Sent" in finding.words


async def test_a_mail_server_that_is_not_there(tmp_path: Path, dead_port: int) -> None:
    server = ScriptedImap()
    server.port = dead_port
    found = await findings(installation(tmp_path, mailbox=(mailbox(server),)))
    finding = found["mailbox support"]
    assert not finding.well
    assert "are host, port and tls right" in finding.words
