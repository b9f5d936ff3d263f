"""Bytes of a server become responses and values, however they are cut and whatever they hold."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.errors import ProtocolSurprise
from mail.wire import ResponseFramer, decode_folder, encode_folder, number, quote, values

STREAM = (
    b"* OK ready\r\n"
    b"* 1 FETCH (BODY[] {5}\r\na\r\nb) UID 7)\r\n"
    b"* 2 FETCH (UID 8 BODY[] {0}\r\n FLAGS ())\r\n"
    b'* LIST () "/" {3}\r\nBox\r\n'
    b"* OK this is just text {5}\r\n"
    b"t1 OK done\r\n"
)
RESPONSES = [
    (b"* OK ready",),
    (b"* 1 FETCH (BODY[] ", b"a\r\nb)", b" UID 7)"),
    (b"* 2 FETCH (UID 8 BODY[] ", b"", b" FLAGS ())"),
    (b'* LIST () "/" ', b"Box", b""),
    (b"* OK this is just text {5}",),
    (b"t1 OK done",),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_means_the_same_however_it_is_cut(size: int) -> None:
    framer = ResponseFramer()
    chunks = (STREAM[at : at + size] for at in range(0, len(STREAM), size))
    assert [response for chunk in chunks for response in framer.feed(chunk)] == RESPONSES


def test_a_literal_is_found_on_a_line_that_holds_a_bare_line_feed() -> None:
    """Aioimaplib takes such a literal for lines."""
    [response] = ResponseFramer().feed(b'* 1 FETCH (X "a\nb" BODY[] {4}\r\n* 1 )\r\n')
    assert response == (b'* 1 FETCH (X "a\nb" BODY[] ', b"* 1 ", b")")


def test_what_looks_like_a_tagged_answer_inside_a_literal_is_a_mail() -> None:
    [response] = ResponseFramer().feed(b"* 1 FETCH (BODY[] {9}\r\nA1 OK hi\n)\r\n")
    assert response[1] == b"A1 OK hi\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"x" * 2000,  # an endless line
        b"* 1 FETCH (BODY[] {1073741824}\r\n",  # a gigabyte announced
        b"* 1 FETCH (A {900}\r\n" + b"x" * 900 + b" B {900}\r\n",  # in two pieces
        b"* 1 FETCH (A {0}\r\n" + b" A {0}\r\n" * 400,  # endless, but no single line is
    ],
)
def test_what_is_too_large_to_hold_is_refused(stream: bytes) -> None:
    framer = ResponseFramer(max_line=1000, max_literal=1000, max_response=1000)
    with pytest.raises(ProtocolSurprise):
        list(framer.feed(stream))


def test_values_are_atoms_strings_literals_nil_and_lists() -> None:
    response = (
        (
            rb'* 1 FETCH (UID 7 FLAGS (\Seen $x) X NIL "NIL" "a \"b\\ (c" '
            rb"BODY[HEADER.FIELDS (DATE)]<0> "
        ),
        b"Date: )(",
        b" Y (()))",
    )
    assert values(response, len(b"* 1 FETCH ")) == [
        [
            *(b"UID", b"7", b"FLAGS", [b"\\Seen", b"$x"], b"X", None, b"NIL", b'a "b\\ (c'),
            *(b"BODY[HEADER.FIELDS (DATE)]<0>", b"Date: )(", b"Y", [[]]),
        ]
    ]


def test_stars_in_a_string_stay() -> None:
    """Aioimaplib removes every `* ` from an untagged line."""
    assert values((b'* X "5* hotel ** deal"',), 2) == [b"X", b"5* hotel ** deal"]


@pytest.mark.parametrize(
    "line",
    [
        b"(" * 1_000_000,
        b"(a",
        b"a)",
        b'"never ends',
        b"[" * 100_000,
        b"a " * 200_000,
    ],
)
def test_hostile_grammar_is_a_surprise_not_a_crash(line: bytes) -> None:
    with pytest.raises(ProtocolSurprise):
        values((line,))


@given(st.binary(max_size=200))
def test_any_line_gives_values_or_a_surprise(line: bytes) -> None:
    with contextlib.suppress(ProtocolSurprise):
        values((line,))


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_any_stream_gives_responses_or_a_surprise(chunks: list[bytes]) -> None:
    framer = ResponseFramer(max_line=100, max_literal=100, max_response=200)
    try:
        for chunk in chunks:
            list(framer.feed(chunk))
    except ProtocolSurprise:
        pass


@pytest.mark.parametrize("value", [None, b"", b"-1", b"1e3", b"9" * 20, b"9" * 19, [], b"\xb2"])
def test_only_whole_numbers_in_range_are_numbers(value: bytes | None) -> None:
    with pytest.raises(ProtocolSurprise):
        number(value)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("INBOX", b"INBOX"),
        ("R&D", b"R&-D"),
        ("Müşteri/Şikâyet", b"M&APwBXw-teri/&AV4-ik&AOI-yet"),
        ("Входящие", b"&BBIERQQ+BDQETwRJBDgENQ-"),
        ("🙂", b"&2D3eQg-"),
        ('say "hi" \\', b'say "hi" \\'),
    ],
)
def test_folder_names_are_modified_utf7(name: str, raw: bytes) -> None:
    assert encode_folder(name) == raw
    assert decode_folder(raw) == name


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_folder_name_comes_back(name: str) -> None:
    raw = encode_folder(name)
    assert raw.isascii()
    assert decode_folder(raw) == name


@given(st.binary(max_size=40))
def test_any_folder_name_can_be_shown(raw: bytes) -> None:
    assert isinstance(decode_folder(raw), str)


def test_a_quoted_string_holds_quotes_and_backslashes() -> None:
    assert quote('a"b\\c') == r'"a\"b\\c"'
