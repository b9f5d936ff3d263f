"""A mail is delivered into the real Dovecot; the history has it and the page shows it."""

from __future__ import annotations

import secrets
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.conftest import MakeDaemon, people, settings, sign_in
from tests.e2e.test_a_call import touches
from tests.lab.dovecot import Dovecot

pytestmark = [pytest.mark.dovecot, pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.mark.postgres
async def test_a_mail_reaches_the_history_and_the_page(
    database: str, tmp_path: Path, daemons: MakeDaemon, dovecot: Dovecot, browser: Browser
) -> None:
    user = f"e2e-{secrets.token_hex(4)}"
    daemon = daemons(
        tmp_path, settings(database=database, asterisk=None, dovecot=dovecot, user=user)
    )
    await people(daemon)
    await daemon.start()
    await daemon.said("mailbox_up")
    desk = await sign_in(daemon, browser, "ece")
    mail = EmailMessage()
    mail["From"] = "Анна Ёлкина <Anna@Baltika.example>"
    mail["To"] = "support@santral.example"
    mail["Subject"] = "Sözleşme <b>№ 7</b>"
    mail["Message-ID"] = f"<{user}@baltika.example>"
    mail.set_content("Merhaba, здравствуйте!")
    raw = mail.as_bytes()
    path = dovecot.deliver(raw, user=user)

    row = desk.locator(".touch-row")
    await expect(row).to_contain_text("Анна Ёлкина")
    await expect(row).to_contain_text("Sözleşme <b>№ 7</b>")

    [touch] = await touches(database)
    assert touch.outcome.value == "received"
    assert touch.match.contact is not None
    assert touch.match.contact.external_id == "C-4"
    # What the mailbox's owner sees is as it was: the mail is still unseen.
    [stored] = dovecot.messages(user=user)
    assert "S" not in stored.name.rpartition(":2,")[2]
    assert path.name.split(":")[0] in stored.name
    assert await daemon.stop() == 0
