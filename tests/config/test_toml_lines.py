"""Each setting is found on its line, however oddly the file is written."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.toml_lines import lines_of, nearest_line


def lines(text: str) -> dict[tuple[str | int, ...], int]:
    return lines_of(text, tomllib.loads(text))


def test_plain_tables_and_arrays_of_tables() -> None:
    found = lines(
        'region = "TR"  # the country\n'
        "[[pbx]]\n"
        'name = "main"\n'
        "[[pbx]]\n"
        'name = "second"\n'
        "[pbx.tuning]\n"
        "ping_s = 3\n"
        "[web]\n"
        "port = 1\n"
    )
    assert found["region",] == 1
    assert found["pbx", 0] == 2
    assert found["pbx", 0, "name"] == 3
    assert found["pbx", 1] == 4
    assert found["pbx", 1, "name"] == 5
    assert found["pbx", 1, "tuning", "ping_s"] == 7
    assert found["web", "port"] == 9


def test_what_looks_like_settings_inside_a_string_is_none() -> None:
    found = lines('[a]\nx = """\n[b]\ny = 1\n"""\nz = \'\'\'\n# "\'\'\'\nw = 2\n')
    assert found == {("a",): 1, ("a", "x"): 2, ("a", "z"): 6, ("a", "w"): 8}


def test_quotes_and_backslashes_at_the_end_of_strings() -> None:
    found = lines('a = """x\\\\"""\nb = """y"""""\nc = "\\\\"\nd = \'\\\'\ne = "#"\n')
    assert found == {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4, ("e",): 5}


def test_inline_tables_nested_arrays_and_comments_between() -> None:
    found = lines("a = [ # one\n  1,\n  # ]\n  { b = [[2], 3] },\n]\nc . 'd e' . \"f\" = 1\n")
    assert found["a", 0] == 2
    assert found["a", 1, "b", 0, 0] == 4
    assert found["c", "d e", "f"] == 6


def test_a_table_named_after_its_part_has_its_own_line() -> None:
    found = lines("[a.b]\nx = 1\n[a]\ny = 2\n")
    assert found["a",] == 3
    assert found["a", "y"] == 4


def test_windows_line_ends() -> None:
    assert lines("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


def test_a_text_that_is_not_what_was_read_gives_no_line_rather_than_a_wrong_one() -> None:
    assert lines_of("a = 1\nb = 2\n", {"a": 1}) == {}
    assert lines_of("a 1", {"a": 1}) == {}


def test_the_nearest_line_of_a_missing_key_is_its_tables() -> None:
    found = lines("\n[[pbx]]\nname = 'x'\n")
    assert nearest_line(found, ("pbx", 0, "host")) == 2
    assert nearest_line(found, ("web", "port")) is None


KEYS = st.text(min_size=1, max_size=8)
LEAVES = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.text(max_size=12),
    st.lists(st.integers(0, 9) | st.text(max_size=5), max_size=3),
)
TABLES = st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, max_size=3), max_size=5)


def toml_key(key: str) -> str:
    # JSON's escapes are TOML's, but for pairs of surrogates and DEL.
    return json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007F")


def toml_value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return toml_key(value)
        case list():
            return "[\n" + "".join(f"  {toml_value(item)},\n" for item in value) + "]"
        case dict():
            return (
                "{" + ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
            )
        case _:
            return str(value)


@given(tables=st.lists(TABLES, max_size=4), root=TABLES)
def test_every_written_key_is_found_on_the_line_where_it_was_written(
    tables: list[dict[str, object]], root: dict[str, object]
) -> None:
    text = ""
    expected: dict[tuple[str | int, ...], int] = {}
    root.pop("pbx", None)
    for key, value in root.items():
        expected[key,] = text.count("\n") + 1
        text += f"{toml_key(key)} = {toml_value(value)} # {toml_key(key)}\n"
    for index, table in enumerate(tables):
        text += "\n[[ pbx ]]\n"
        for key, value in table.items():
            expected["pbx", index, key] = text.count("\n") + 1
            text += f"  {toml_key(key)}= {toml_value(value)}\n"
    found = lines(text)
    assert {path: found.get(path) for path in expected} == expected


@given(text=st.text(alphabet="ab=[]{}.\"'#\n\\, 1", max_size=40))
def test_whatever_tomllib_accepts_is_placed_inside_the_text(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = lines_of(text, values)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
    if values:
        assert found


@pytest.mark.parametrize("depth", [50])
def test_deep_nesting(depth: int) -> None:
    assert lines("a = " + "[" * depth + "]" * depth)["a",] == 1
