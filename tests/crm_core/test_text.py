"""Text from outside, and the cursors that carry it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.cursors import name_cursor, read_name_cursor, read_time_cursor, time_cursor
from crm_core.errors import Invalid
from crm_core.text import (
    folded,
    name_key,
    one_line,
    searched_value,
    storable,
    storable_json,
    storable_key,
)

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=80)


@given(ANY_TEXT)
def test_storable_text_is_what_databases_take(text: str) -> None:
    clean = storable(text)
    clean.encode()
    assert "\x00" not in clean
    assert storable(clean) == clean


def test_json_is_cleaned_to_the_bottom() -> None:
    assert storable_json({"a\x00": ["\ud800", {"b": ("x\x00", 1, None, True)}]}) == {
        "a": ["\ufffd", {"b": ["x", 1, None, True]}]
    }


def test_keys_stay_short_and_unique() -> None:
    long = "x" * 10_000
    assert storable_key("call:1") == "call:1"
    assert len(storable_key(long)) == 500
    assert storable_key(long) != storable_key(long + "y")
    assert storable_key(storable_key(long)) == storable_key(long)


@given(ANY_TEXT, st.integers(min_value=1, max_value=50))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == line.strip()
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Şükrü  ÖZTÜRK", "sukru ozturk"),
        ("İSTANBUL ışık", "istanbul isik"),
        ("Ёлкин", "елкин"),
        ("Łódź Ørsted", "lodz orsted"),
        ("Straße", "strasse"),
    ],
)
def test_folding(text: str, expected: str) -> None:
    assert folded(text) == expected


def test_names_that_are_the_same() -> None:
    assert name_key("  AYŞE\tKaya ") == name_key("Ayşe Kaya")
    assert name_key("Ayse") != name_key("Ayşe")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0532 123", "532123"),
        ("+90 (532) 123-45-67", "905321234567"),
        ("Ayse@Example.com", "ayse@example.com"),
        ("", ""),
        ("0", ""),
    ],
)
def test_what_is_searched_in_numbers_and_addresses(text: str, value: str) -> None:
    assert searched_value(text) == value


@given(st.text(max_size=200), st.integers(min_value=0, max_value=2**63 - 1))
def test_cursors_come_back(name: str, row: int) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(microseconds=row % 10**12)
    assert read_name_cursor(name_cursor(name, row)) == (name, row)
    assert read_time_cursor(time_cursor(at, row)) == (at, row)


@given(ANY_TEXT)
def test_foreign_cursors_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_name_cursor(text)
    with pytest.raises(Invalid):
        read_time_cursor(text)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_cursor_out_of_all_time_is_refused(at: str) -> None:
    """Such a time exists, but not in UTC."""
    cursor = time_cursor(datetime(2026, 1, 1, tzinfo=UTC), 1)
    packed = urlsafe_b64encode(json.dumps([at, 1]).encode()).decode().rstrip("=")
    assert read_time_cursor(cursor)
    with pytest.raises(Invalid):
        read_time_cursor(packed)
