"""The real servers start, do what a test asks of them, and leave nothing behind."""

from __future__ import annotations

import imaplib
import subprocess
from pathlib import Path

import pytest

from tests.lab import chromium
from tests.lab.asterisk import Asterisk, Did
from tests.lab.dovecot import Dovecot
from tests.lab.fixtures import available
from tests.lab.phones import Phones
from tests.lab.postgres import Postgres

MESSAGE = b"From: a@example.org\r\nSubject: Merhaba\r\nMessage-ID: <1@example.org>\r\n\r\nx\r\n"


@pytest.mark.asterisk
async def test_a_customer_calls_a_phone(asterisk: Asterisk, phones: Phones) -> None:
    await phones.register("1001")
    caller = await phones.call_in("905321112233", Did.PHONE, name="Zoë")
    desk = await phones.incoming("1001")
    assert (desk.number, desk.name) == ("905321112233", "Zoë")
    await desk.answer()
    await caller.confirmed()
    await caller.hangup()
    await desk.ended()
    assert "1001/sip:1001@127.0.0.1" in asterisk.cli("pjsip show contacts")


@pytest.mark.asterisk
async def test_phones_start_anew_for_each_test(phones: Phones) -> None:
    await phones.register("1001", "1002")
    desk = await phones.dial("1001", "1002")
    other = await phones.incoming("1002")
    await other.reject(486)
    assert await desk.ended() == 486


@pytest.mark.asterisk
def test_two_asterisks_run_side_by_side(asterisk: Asterisk, fresh_asterisk: Asterisk) -> None:
    assert asterisk.ami_port != fresh_asterisk.ami_port
    fresh_asterisk.set_global("RING_SECONDS", 9)
    assert "RING_SECONDS=9" in fresh_asterisk.cli("dialplan show globals")
    assert "RING_SECONDS=4" in asterisk.cli("dialplan show globals")


@pytest.mark.asterisk
def test_asterisk_leaves_nothing_behind() -> None:
    with available():
        server = Asterisk()
    with server:
        directory, pid = server.directory, server.pid
        assert directory.exists()
    assert not directory.exists()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.dovecot
def test_mail_is_delivered_and_read(dovecot: Dovecot) -> None:
    dovecot.deliver(MESSAGE, user="reader")
    with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
        client.login("reader", dovecot.password)
        assert client.select()[1] == [b"1"]
        before = client.response("UIDVALIDITY")[1]
        assert b"Subject: Merhaba" in repr(client.fetch("1", "(BODY[])")).encode()
    dovecot.change_uidvalidity(user="reader")
    with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
        client.login("reader", dovecot.password)
        assert client.select()[1] == [b"1"]
        assert client.response("UIDVALIDITY")[1] != before
    assert len(dovecot.messages(user="reader")) == 1


@pytest.mark.dovecot
def test_dovecot_speaks_tls(dovecot: Dovecot) -> None:
    context = dovecot.ssl_context()
    with imaplib.IMAP4_SSL(dovecot.host, dovecot.imaps_port, ssl_context=context) as client:
        client.login("secure", dovecot.password)
        assert client.select()[1] == [b"0"]


@pytest.mark.dovecot
def test_dovecot_survives_a_restart() -> None:
    with available():
        server = Dovecot()
    with server:
        server.deliver(MESSAGE)
        server.stop()
        server.start()
        with imaplib.IMAP4(server.host, server.port) as client:
            client.login("desk", server.password)
            assert client.select()[1] == [b"1"]
        directory = server.directory
    assert not directory.exists()


@pytest.mark.postgres
def test_each_test_has_a_database(postgres: Postgres, postgres_database: str) -> None:
    assert postgres.sql("SELECT 'ü' || 1", database=postgres_database) == "ü1"
    postgres.stop()
    postgres.start()
    assert postgres.sql("SELECT 1", database=postgres_database) == "1"


@pytest.mark.browser
def test_chromium_shows_a_page(chromium_path: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<title>x</title><script>document.write('sum ' + (20 + 22))</script>")
    done = subprocess.run(
        [
            *(chromium_path, "--headless", *chromium.ARGUMENTS, f"--user-data-dir={tmp_path}/u"),
            *("--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "sum 42" in done.stdout
