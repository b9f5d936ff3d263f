"""Numbers as people, phones and trunks write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm_core.errors import Invalid
from crm_core.model import PartyKind
from crm_core.phone import PhoneRules, e164, normalise, own_numbers

TR = PhoneRules(region="TR")
RU = PhoneRules(region="RU")
IT = PhoneRules(region="IT")
US = PhoneRules(region="US")
DE = PhoneRules(region="DE")
AR = PhoneRules(region="AR")
GB = PhoneRules(region="GB")
KZ = PhoneRules(region="KZ")


@pytest.mark.parametrize(
    ("rules", "raw", "expected", "region"),
    [
        # Turkey: national with and without the trunk 0, as trunks give it, as people write it.
        (TR, "+905321234567", "+905321234567", "TR"),
        (TR, "905321234567", "+905321234567", "TR"),
        (TR, "05321234567", "+905321234567", "TR"),
        (TR, "5321234567", "+905321234567", "TR"),
        (TR, "00905321234567", "+905321234567", "TR"),
        (TR, "0 (532) 123 45 67", "+905321234567", "TR"),
        (TR, "+90 532 123-45-67", "+905321234567", "TR"),
        (TR, "0212 345 67 89 dahili 12", "+902123456789", "TR"),
        (TR, "4440123", "+904440123", "TR"),  # a company's number without area code
        (TR, "08502220000", "+908502220000", "TR"),
        # Abroad, seen from Turkey.
        (TR, "004930123456", "+4930123456", "DE"),
        (TR, "4930123456", "+4930123456", "DE"),  # a trunk that omits the plus
        (TR, "+7 916 123-45-67", "+79161234567", "RU"),
        (TR, "+39 06 1234 5678", "+390612345678", "IT"),
        # Russia and its 8.
        (RU, "89161234567", "+79161234567", "RU"),
        (RU, "8 (916) 123-45-67", "+79161234567", "RU"),
        (RU, "79161234567", "+79161234567", "RU"),
        (RU, "+79161234567", "+79161234567", "RU"),
        (RU, "9161234567", "+79161234567", "RU"),
        (RU, "810905321234567", "+905321234567", "TR"),  # 8~10, the way out of Russia
        (RU, "+7 495 123-45-67 доб. 101", "+74951234567", "RU"),
        # Italy keeps the zero of its area codes.
        (IT, "0612345678", "+390612345678", "IT"),
        (IT, "06 1234 5678", "+390612345678", "IT"),
        (IT, "3331234567", "+393331234567", "IT"),
        (IT, "00390612345678", "+390612345678", "IT"),
        # North America.
        (US, "2125550123", "+12125550123", "US"),
        (US, "12125550123", "+12125550123", "US"),
        (US, "(212) 555-0123 ext. 45", "+12125550123", "US"),
        (US, "01190 532 123 45 67", "+905321234567", "TR"),
        (US, "00905321234567", "+905321234567", "TR"),  # 00 from a European trunk
        # Germany: numbers of many lengths, the zero read aloud in brackets.
        (DE, "030 123456", "+4930123456", "DE"),
        (DE, "0911/1234567", "+499111234567", "DE"),
        (DE, "+49 (0)30 123456", "+4930123456", "DE"),
        # Argentina: the 15 of a mobile moves to a 9 in front.
        (AR, "011 15 2345-6789", "+5491123456789", "AR"),
        (AR, "+54 9 11 2345-6789", "+5491123456789", "AR"),
        # United Kingdom: reserved for fiction, so not valid, and still a number.
        (GB, "07700 900123", "+447700900123", ""),
        # What phones and trunks wrap around a number.
        (TR, "sip:+905321234567@10.0.0.1;user=phone", "+905321234567", "TR"),
        (TR, "<sip:05321234567@10.0.0.1:5060>", "+905321234567", "TR"),
        (TR, '"Ayşe" <sip:%2B905321234567@pbx.example>;tag=x', "+905321234567", "TR"),
        (TR, "sips:+905321234567;npdi@trunk.example", "+905321234567", "TR"),
        (TR, "tel:+90-532-123-45-67;phone-context=example.com", "+905321234567", "TR"),
        (TR, "+905321234567@10.0.0.1", "+905321234567", "TR"),
        (TR, "tel:+902123456789;ext=12", "+902123456789", "TR"),
        (TR, "0532 123 45 67 (ev)", "+905321234567", "TR"),
        (TR, "0212 345 67 89 (dahili: 12)", "+902123456789", "TR"),
        # Of a range that nobody has yet, but as long as a line.
        (TR, "0299 123 45 67", "+902991234567", "TR"),
        # Kazakhstan shares +7 with Russia.
        (KZ, "8 701 123 45 67", "+77011234567", "KZ"),
        (RU, "8 701 123 45 67", "+77011234567", "KZ"),
        # Digits of other scripts, a full-width plus, invisible direction marks.
        (TR, "٠٥٣٢١٢٣٤٥٦٧", "+905321234567", "TR"),
        (TR, "\u202a+90 532 123 45 67\u202c", "+905321234567", "TR"),
        (TR, "\uff0b905321234567", "+905321234567", "TR"),  # full-width plus
    ],
)
def test_public_numbers_become_e164(
    rules: PhoneRules, raw: str, expected: str, region: str
) -> None:
    party = normalise(raw, rules)
    assert (party.kind, party.address, party.region) == (PartyKind.PHONE, expected, region)


@pytest.mark.parametrize(
    "raw",
    [
        None, "", "  ", "<unknown>", "unknown", "Anonymous", "anonymous@anonymous.invalid",
        "sip:anonymous@anonymous.invalid", "<sip:anonymous@anonymous.invalid>", "Restricted",
        "WITHHELD", "unavailable", "Private", "0", "0000000000", "s", "-", '""', "<>",
        "sip:10.0.0.1",
    ],
)  # fmt: skip
def test_no_number_is_withheld(raw: str | None) -> None:
    party = normalise(raw, TR)
    assert (party.kind, party.address) == (PartyKind.WITHHELD, "")


@pytest.mark.parametrize("raw", ["10", "1001", "20001", "sip:1001@pbx.example", "<sip:1001@x>"])
def test_two_to_five_digits_are_an_extension(raw: str) -> None:
    party = normalise(raw, TR)
    assert party.kind is PartyKind.INTERNAL
    assert party.address in {"10", "1001", "20001"}


def test_the_length_of_extensions_is_a_setting() -> None:
    six = PhoneRules(region="TR", extension_digits=(3, 6))
    assert normalise("100001", six).kind is PartyKind.INTERNAL
    assert normalise("10", six).kind is PartyKind.PHONE


@pytest.mark.parametrize(
    ("raw", "address"), [("112", "112"), ("9112", "112"), ("118118", "118118")]
)
def test_short_codes_are_public_but_not_e164(raw: str, address: str) -> None:
    party = normalise(raw, PhoneRules(region="TR", trunk_prefixes=("9",)))
    assert (party.kind, party.address) == (PartyKind.PHONE, address)


@pytest.mark.parametrize(
    ("region", "prefix", "raw", "expected"),
    [
        ("TR", "9", "905321234567", "+905321234567"),
        ("TR", "9", "900905321234567", "+905321234567"),
        ("TR", "9", "05321234567", "+905321234567"),
        ("US", "9", "912125550123", "+12125550123"),  # not India's +91
        ("US", "9", "9195550123", "+19195550123"),  # an area code that begins with 9
        ("RU", "9", "989161234567", "+79161234567"),
        ("RU", "9", "9161234567", "+79161234567"),
        ("DE", "0", "0030123456", "+4930123456"),
        ("DE", "0", "000905321234567", "+905321234567"),
        ("DE", "0", "030123456", "+4930123456"),
        ("TR", "9", "+905321234567", "+905321234567"),
    ],
)
def test_a_trunk_prefix_goes_only_when_a_number_remains(
    region: str, prefix: str, raw: str, expected: str | None
) -> None:
    assert e164(raw, PhoneRules(region=region, trunk_prefixes=(prefix,))) == expected


def test_rewrites_come_first() -> None:
    rules = PhoneRules(region="TR", rewrites=((r"8(\d{10})", r"+7\1"), (r"77(\d+)", r"\1")))
    assert e164("89161234567", rules) == "+79161234567"
    assert normalise("771001", rules).address == "1001"


@pytest.mark.parametrize(
    ("rules", "raw", "address"),
    [
        # Without the area code it could be anywhere in the country.
        (TR, "555 12 34", "5551234"),
        (RU, "123-45-67", "1234567"),
        (US, "555-0123", "5550123"),
        # Which of two numbers, or which extension? The digits together are no line of anybody.
        (TR, "0212 555 12 34 / 15", "0212555123415"),
        (TR, "0216 555 12 34 - 35", "0216555123435"),
    ],
)
def test_no_number_is_made_up_of_a_part_or_of_more(
    rules: PhoneRules, raw: str, address: str
) -> None:
    party = normalise(raw, rules)
    assert (party.kind, party.address) == (PartyKind.PHONE, address)
    assert e164(raw, rules) is None


def test_what_is_no_number_keeps_its_text() -> None:
    assert normalise("sip:Alice@example.com", TR).address == "alice"
    assert normalise("12345678901234567890", TR).address == "12345678901234567890"
    assert e164("12345678901234567890", TR) is None
    assert not normalise("+9999999", TR).address.startswith("+")


def test_names_are_kept_and_cleaned() -> None:
    name = '  Zoë "<script>" O\'Brien\r\n Şükrü\x00 Ёлкин\u202e '
    assert normalise("05321234567", TR, name=name).name == 'Zoë "<script>" O\'Brien Şükrü Ёлкин'
    assert normalise("05321234567", TR, name="<unknown>").name == ""
    assert len(normalise("05321234567", TR, name="x" * 10_000).name) == 200


@given(st.text(max_size=200))
@example("+" * 100)
@example("sip:" * 30)
@example("9" * 10_000)
@example("<sip:%zz%ff@")
@example("\ud800\x00")
def test_hostile_text_never_raises(raw: str) -> None:
    for rules in (TR, US, PhoneRules(region="DE", trunk_prefixes=("9", "0"))):
        party = normalise(raw, rules, name=raw)
        assert len(party.address) <= 64
        assert len(party.raw) <= 64
        party.address.encode()
        assert (party.address == "") == (party.kind is PartyKind.WITHHELD)


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
@example("+49000000")
def test_e164_stays_as_it_is(raw: str) -> None:
    """Reading an answer again gives the same answer."""
    once = e164(raw, TR)
    assert once is None or e164(once, TR) == once


def test_own_numbers_are_read_by_the_same_rules() -> None:
    assert own_numbers(["0212 345 67 89", "+902123456780", "", "1001"], TR) == {
        "+902123456789",
        "+902123456780",
        "1001",
    }


@pytest.mark.parametrize(
    "rules",
    [
        {"region": "XX"},
        {"trunk_prefixes": ("9a",)},
        {"rewrites": (("(", ""),)},
        {"rewrites": ((r"8(\d+)", r"\2"),)},
        {"extension_digits": (5, 2)},
    ],
)
def test_senseless_rules_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        PhoneRules(**rules)
