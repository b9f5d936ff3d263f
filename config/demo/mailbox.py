"""A mailbox for the demo: IMAP and SMTP in memory, and customers who write to it.

mail-devel serves both protocols for real; the mails travel over SMTP into the mailbox, and Santral
reads them from there over IMAP like from any other server.
"""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import socket
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid

import aiosmtplib

from crm_core.model import PointKind
from crm_core.ports import ContactDraft

ADDRESS = "support@santral.example"

_TEXTS = {
    "tr": (
        (
            "Fatura sorusu",
            "Merhaba,\n\nSon faturamda iki kez kargo ücreti görünüyor. Bakar mısınız?",
        ),
        (
            "Teslimat saati",
            "İyi günler,\n\nSiparişim yarın öğleden önce gelebilir mi?\n\nTeşekkürler",
        ),
        ("Ynt: Garanti belgesi", "Belgeyi ekte bulamadım, tekrar gönderebilir misiniz?"),
    ),
    "ru": (
        (
            "Вопрос по счёту",
            "Здравствуйте!\n\nВ счёте дважды указана доставка. Проверьте, пожалуйста.",
        ),
        ("Перенос доставки", "Добрый день!\n\nМожно ли перенести доставку на пятницу после обеда?"),
        ("Не работает вход", "Не могу войти в личный кабинет: пишет «неверный пароль»."),
    ),
    "en": (
        (
            "Question about my invoice",
            "Hello,\n\nI was charged twice for delivery. Could you check?",
        ),
        ("Change of address", "Hi there,\n\nWe are moving next week. Which form do you need?"),
        ("Thank you!", "Just wanted to say that the replacement arrived this morning. Great job."),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMailbox:
    """Where the demo's mailbox can be reached."""

    imap_port: int
    smtp_port: int
    user: str
    password: str

    async def deliver(self, sender: ContactDraft, draw: random.Random) -> None:
        """Let a customer write to us, in their language."""
        language = sender.tags[0] if sender.tags and sender.tags[0] in _TEXTS else "en"
        subject, text = draw.choice(_TEXTS[language])
        address = next(p.value for p in sender.points if p.kind is PointKind.EMAIL)
        mail = EmailMessage()
        mail["From"] = formataddr((sender.name, address))
        mail["To"] = ADDRESS
        mail["Subject"] = subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = make_msgid(domain=address.partition("@")[2])
        mail.set_content(f"{text}\n\n{sender.name}\n")
        await aiosmtplib.send(
            mail, hostname="127.0.0.1", port=self.smtp_port, start_tls=False, use_tls=False
        )


@contextlib.asynccontextmanager
async def serve_mailbox() -> AsyncIterator[DemoMailbox]:
    """Run IMAP and SMTP on free ports of the loopback until the block ends."""
    with warnings.catch_warnings():
        # passlib, far below, still imports the deprecated module `crypt`.
        warnings.simplefilter("ignore", DeprecationWarning)
        from mail_devel.service import Service  # noqa: PLC0415 - only the demo needs the extra
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    user, password = ADDRESS, secrets.token_hex(16)
    imap_port, smtp_port = _free_port(), _free_port()
    arguments = ["--host", "127.0.0.1", "--imap-port", str(imap_port)]
    arguments += ["--smtp-port", str(smtp_port), "--no-http", "--user", user]
    arguments += ["--password", password]
    service = await Service.init(Service.parse(arguments))
    async with service.start():
        try:
            yield DemoMailbox(
                imap_port=imap_port, smtp_port=smtp_port, user=user, password=password
            )
        finally:
            service.smtp.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
