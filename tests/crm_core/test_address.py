"""Mail addresses as people and servers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.address import mail_address, mail_party
from crm_core.model import PartyKind


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Ayse@Example.COM", "ayse@example.com"),
        ("  ayse@example.com ", "ayse@example.com"),
        ('"Şen, Ayşe" <ayse@example.com>', "ayse@example.com"),
        ("mailto:ayse@example.com?subject=x", "ayse@example.com"),
        ("a.b+news@example.co.uk", "a.b+news@example.co.uk"),
        ("ayse@bücher.example", "ayse@xn--bcher-kva.example"),
        ("ayse@example.com.", "ayse@example.com"),
        ('"ayse yilmaz"@example.com', '"ayse yilmaz"@example.com'),
        ("şükrü@example.com", "şükrü@example.com"),
        ("root@localhost", "root@localhost"),
        ("", None),
        ("ayse", None),
        ("ayse@", None),
        ("@example.com", None),
        ("ayse@example", None),
        ("ayse@exa mple.com", None),
        ("ayse@-example.com", None),
        ("ayse@example..com", None),
        ("a@b.com, c@d.com", None),
        ("a@b@c.com", None),
        ("ayse\x00@example.com", None),
        ("x" * 65 + "@example.com", None),
        ("x@" + "y." * 200 + "com", None),
    ],
)
def test_addresses(raw: str, expected: str | None) -> None:
    assert mail_address(raw) == expected


@given(st.text(max_size=400))
def test_hostile_text_never_raises(raw: str) -> None:
    party = mail_party(raw, name=raw)
    assert (party.address == "") == (party.kind is PartyKind.WITHHELD)
    address = mail_address(raw)
    assert address is None or mail_address(address) == address


def test_a_bounce_has_no_sender() -> None:
    assert mail_party("<>").kind is PartyKind.WITHHELD


def test_a_broken_sender_is_still_shown() -> None:
    party = mail_party("Undisclosed Sender", name="Zoë\r\nBcc: x")
    assert (party.kind, party.address) == (PartyKind.EMAIL, "undisclosed sender")
    assert party.name == "Zoë Bcc: x"
