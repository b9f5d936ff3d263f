"""What an operator may set for a mailbox."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from mail.settings import MailboxSettings

BASE: dict[str, Any] = {"host": "imap.example", "user": "u", "password": SecretStr("secret")}


def test_defaults_are_safe() -> None:
    settings = MailboxSettings(**BASE)
    assert (settings.port, settings.tls, settings.folders) == (993, "tls", ("INBOX",))
    context = settings.ssl_context()
    assert context is not None
    assert context.check_hostname
    assert "secret" not in repr(settings)
    assert MailboxSettings(**BASE, tls="none").ssl_context() is None


def test_own_addresses_are_brought_into_one_form() -> None:
    settings = MailboxSettings(**BASE, own_addresses=("Support@Santral.Example", "@Bücher.example"))
    assert settings.own_addresses == ("support@santral.example", "@xn--bcher-kva.example")


@pytest.mark.parametrize(
    "wrong",
    [
        {"own_addresses": ("nobody",)},
        {"own_addresses": ("@",)},
        {"user": "a\r\nb"},
        {"folders": ()},
        {"folders": ("IN\nBOX",)},
        {"tls": "maybe"},
        {"poll_s": 0},
        {"no_such_setting": 1},
        {"name": "a b"},
    ],
)
def test_mistakes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MailboxSettings(**{**BASE, **wrong})
