"""Numbers as people, phones and trunks write them, turned into E.164. Pure.

The only importer of `phonenumbers`. A number comes as the PBX gives it: with or without `+`,
with a national or an international prefix, as a SIP URI, as an extension, as `<unknown>`, or as
hostile text. Nothing here raises for what comes from outside.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

from crm_core.errors import Invalid
from crm_core.model import Party, PartyKind
from crm_core.text import one_line

_LONGEST = 64
_NAME_LONGEST = 200

# What Asterisk, trunks and phones say when they do not tell the number.
_WITHHELD = frozenset(
    {
        "anonymous",
        "anonymouscaller",
        "asserted identity",
        "blocked",
        "caller id blocked",
        "invalid",
        "no caller id",
        "no number",
        "not available",
        "null",
        "private",
        "private number",
        "restricted",
        "s",
        "unavailable",
        "unknown",
        "withheld",
        "gizli numara",
        "bilinmeyen",
        "özel numara",
        "скрыт",
        "скрытый номер",
        "номер скрыт",
        "неизвестный",
    }
)
_URI = re.compile(r"(?:<\s*)?(sips?|tel):(?://)?([^>]*)", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015\u2212\u00a0]+")
_SUFFIX = re.compile(
    r"[\s,;(]*(?:;ext=|\bext(?:ension|n)?\b\.?|\bx|#|\bdahili\b|\bdah\.?"
    r"|\bдоб(?:авочный)?\b\.?"
    r"|\bвн(?:утр)?\b\.?)[\s.:=]*\d{1,7}[\s)]*$",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\([^()\d]*\)\s*$")  # 0532… (home)
_DIGITS = re.compile(r"\+?[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRules:
    """How numbers of one PBX are to be read.

    Raises:
        Invalid: an unknown region, a pattern that is none, or a senseless range.
    """

    region: str = "TR"
    """The ISO 3166 country of numbers without an international prefix."""
    trunk_prefixes: tuple[str, ...] = ()
    """Digits that phones dial, or the PBX prepends, to reach the outside line, such as `9`.
    Taken off only when a whole public number remains."""
    rewrites: tuple[tuple[str, str], ...] = ()
    """Pairs of a pattern, which must match all of the number, and its replacement, for example
    `(r"8(\\d{10})", r"+7\\1")`. The first that matches is applied, before anything else."""
    extension_digits: tuple[int, int] = (2, 5)
    """Fewest and most digits of an internal extension."""

    def __post_init__(self) -> None:
        if self.region not in phonenumbers.SUPPORTED_REGIONS:
            raise Invalid(f"{self.region!r} is no country code such as 'TR'")
        fewest, most = self.extension_digits
        if not 1 <= fewest <= most <= 15:
            raise Invalid(f"extensions of {fewest} to {most} digits cannot be")
        for prefix in self.trunk_prefixes:
            if not (prefix.isascii() and prefix.isdigit()):
                raise Invalid(f"the trunk prefix {prefix!r} has other characters than digits")
        for pattern, replacement in self.rewrites:
            try:
                re.compile(pattern).sub(replacement, "")
                re.compile(f"{pattern}|").fullmatch("")
            except (re.error, IndexError) as error:
                raise Invalid(f"the rewrite rule {pattern!r}: {error}") from error


DEFAULT_RULES = PhoneRules()


def normalise(raw: str | None, rules: PhoneRules = DEFAULT_RULES, *, name: str = "") -> Party:
    """The far end of a call from the number that the PBX gives, and the name beside it.

    The kinds: `phone` with an E.164 address; `phone` with the bare text as its address when it is
    a public short code (`112`, `118118`) or no number we can read; `internal` with the extension;
    `withheld`. Answers are cached; the first reading of a number takes about 50 µs.
    """
    party = _read(one_line(raw or "", _LONGEST), rules)
    if name and (name := one_line(name, _NAME_LONGEST)) and not is_withheld(name):
        return Party(
            kind=party.kind, address=party.address, raw=party.raw, name=name, region=party.region
        )
    return party


def e164(raw: str, rules: PhoneRules = DEFAULT_RULES) -> str | None:
    """The number as E.164, or None if it is no public number: the strict reading, for imports."""
    address = normalise(raw, rules).address
    return address if address.startswith("+") else None


def display(party: Party, region: str) -> str:
    """The address as people read it: numbers of `region` in national form, others with `+`."""
    if party.kind is PartyKind.PHONE and party.address.startswith("+"):
        return _displayed(party.address, region)
    return party.address or party.raw


@lru_cache(maxsize=20_000)
def _displayed(address: str, region: str) -> str:
    number = _parsed(address, None)
    if number is None:
        return address
    form = PhoneNumberFormat.INTERNATIONAL
    if phonenumbers.region_code_for_country_code(number.country_code or 0) == region:
        form = PhoneNumberFormat.NATIONAL
    return phonenumbers.format_number(number, form)


def own_numbers(raws: Iterable[str], rules: PhoneRules = DEFAULT_RULES) -> frozenset[str]:
    """Our own numbers in the form in which parties have them; see `matching.identify`."""
    return frozenset(party.address for raw in raws if (party := normalise(raw, rules)).address)


def is_withheld(text: str) -> bool:
    """Whether this is one of the ways to say "no number"."""
    word = text.strip(" <>\"'()").casefold()
    return not word.strip("0-") or word in _WITHHELD


@lru_cache(maxsize=16_384)
def _read(raw: str, rules: PhoneRules) -> Party:
    text = _user_of_uri(raw)
    if is_withheld(text):
        return Party(kind=PartyKind.WITHHELD, address="", raw=raw)
    text = _SUFFIX.sub("", _REMARK.sub("", text)) or text
    number = _SEPARATORS.sub("", text if text.isascii() else _plain_digits(text))
    if "(0)" in text and number.startswith(("+", "00")):  # +49 (0)30 …: the 0 is for reading aloud
        number = _SEPARATORS.sub("", text.replace("(0)", "", 1))
    for pattern, replacement in rules.rewrites:
        if found := re.fullmatch(pattern, number):
            number = found.expand(replacement)
            break
    if not _DIGITS.fullmatch(number):
        return Party(kind=PartyKind.PHONE, address=text.lower(), raw=raw)
    if public := _short_or_internal(number, raw, rules):
        return public
    for reading in _readings(number, rules):
        return Party(
            kind=PartyKind.PHONE,
            address=phonenumbers.format_number(reading, PhoneNumberFormat.E164),
            raw=raw,
            region=_region(reading),
        )
    # The plus stays off: what begins with it is an E.164 number.
    return Party(kind=PartyKind.PHONE, address=number.lstrip("+"), raw=raw)


def _user_of_uri(raw: str) -> str:
    """The number inside `"Ayşe" <sip:+90…@host;user=phone>`; other text as it is."""
    if found := _URI.search(raw):
        scheme, rest = found[1].lower(), found[2]
        user, at, _host = rest.partition("@")
        if not at and scheme != "tel":
            return ""  # sip:host names a server and nobody
        main = user.partition(";")[0]
        return unquote(main).strip()
    user, at, host = raw.partition("@")
    return user.strip() if at and host else raw


def _plain_digits(text: str) -> str:
    """The text with the digits of every script, and full-width plus signs, as ASCII."""
    return "".join(
        str(digit) if (digit := unicodedata.decimal(char, None)) is not None else char
        for char in unicodedata.normalize("NFKC", text)
    )


def _short_or_internal(number: str, raw: str, rules: PhoneRules) -> Party | None:
    fewest, most = rules.extension_digits
    if number.startswith("+") or len(number) > max(most, 6):
        return None
    for dialled in (number, *_without_trunk_prefix(number, rules)):
        if phonenumbers.is_emergency_number(dialled, rules.region):
            return Party(kind=PartyKind.PHONE, address=dialled, raw=raw, region=rules.region)
    if fewest <= len(number) <= most:
        return Party(kind=PartyKind.INTERNAL, address=number, raw=raw)
    return None


def _without_trunk_prefix(number: str, rules: PhoneRules) -> Iterator[str]:
    for prefix in rules.trunk_prefixes:
        if number.startswith(prefix) and number != prefix:
            yield number[len(prefix) :]


def _readings(number: str, rules: PhoneRules) -> Iterator[PhoneNumber]:
    """The readings of a number that make sense, best first."""
    if number.startswith("+"):
        # An international number is taken at its word: new ranges are older than our tables.
        yield from _possible(number, None)
        return
    for inner in _without_trunk_prefix(number, rules):
        yield from _valid(inner, rules.region)
        if inner.startswith("00"):
            yield from _valid(f"+{inner[2:]}", None)
    yield from _valid(number, rules.region)
    if number.startswith("00"):
        yield from _possible(f"+{number[2:]}", None)
    elif not number.startswith("0") and len(number) >= 8:
        # Many trunks give international numbers without any prefix.
        yield from _valid(f"+{number}", None)
    yield from _full_length(number, rules.region)


def _parsed(number: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number, region)
    except NumberParseException:
        return None


def _valid(number: str, region: str | None) -> Iterator[PhoneNumber]:
    parsed = _parsed(number, region)
    if parsed is not None and phonenumbers.is_valid_number(parsed):
        yield parsed


def _possible(number: str, region: str | None) -> Iterator[PhoneNumber]:
    parsed = _parsed(number, region)
    if parsed is not None and phonenumbers.is_possible_number(parsed) and _is_settled(parsed):
        yield parsed


def _is_settled(number: PhoneNumber) -> bool:
    """Whether its E.164 reads as itself. `+49 00 00 00` loses a national prefix at each reading."""
    return _parsed(phonenumbers.format_number(number, PhoneNumberFormat.E164), None) == number


def _full_length(number: str, region: str) -> Iterator[PhoneNumber]:
    """A national number of an unknown range, if a line can have one of this length.

    Without its area code it is no number of the whole country; with the digits of an extension
    behind it, it is no number at all. Neither is made up into one.
    """
    parsed = _parsed(number, region)
    if parsed is not None and (
        phonenumbers.is_possible_number_for_type_with_reason(
            parsed, PhoneNumberType.FIXED_LINE_OR_MOBILE
        )
        == ValidationResult.IS_POSSIBLE
    ):
        yield parsed


def _region(number: PhoneNumber) -> str:
    """The country of a number; `""` for one without (`+800…`) or outside the known ranges."""
    region = phonenumbers.region_code_for_number(number)
    return region if region is not None and region != "001" else ""
