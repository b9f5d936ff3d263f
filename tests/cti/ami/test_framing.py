"""Bytes become whole messages, however they were cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cti.ami.framing import Framer, Message, event_name
from tests.servers.ami import BANNER, event

STREAM = (
    BANNER
    + b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
    + event("Newchannel", CallerIDName="Müller Şükrü Ёлкин", Exten="")
    + event("Hangup", Cause="16")
)
WHOLE = [
    b"Response: Success\r\nMessage: Authentication accepted",
    event("Newchannel", CallerIDName="Müller Şükrü Ёлкин", Exten="")[:-4],
    event("Hangup", Cause="16")[:-4],
]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_same_messages_wherever_tcp_cuts(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    framer = Framer()
    messages: list[bytes] = []
    for start, end in pairwise(edges):
        messages += framer.feed(STREAM[start:end])
    assert messages == WHOLE
    assert framer.banner == "Asterisk Call Manager/11.0.0"
    assert framer.pending == 0


def test_byte_by_byte_keeps_each_letter_whole() -> None:
    framer = Framer()
    messages = [m for byte in STREAM for m in framer.feed(bytes([byte]))]
    assert messages == WHOLE
    assert Message.parse(messages[1]).get("CallerIDName") == "Müller Şükrü Ёлкин"


def test_a_message_that_is_too_long_is_skipped_and_the_next_is_read() -> None:
    long = event("Status", Variable="x" * 1_000_000)
    for size in (1, 1000, 65_536, len(long) + 100):
        framer = Framer(max_message=100_000)
        stream = event("Newchannel") + long + event("Hangup")
        step = max(size, 997)  # a million single bytes would only take time
        messages = []
        for at in range(0, len(stream), step):
            messages += framer.feed(stream[at : at + step])
        assert [event_name(m) for m in messages] == [b"Newchannel", b"Hangup"]
        assert framer.oversized == 1


def test_two_messages_too_long_in_a_row_are_both_counted() -> None:
    framer = Framer(max_message=1000)
    long = event("Status", Variable="x" * 5000)
    stream = long + long + event("Hangup")
    messages = [m for at in range(0, len(stream), 100) for m in framer.feed(stream[at : at + 100])]
    assert [event_name(m) for m in messages] == [b"Hangup"]
    assert framer.oversized == 2


def test_a_bare_line_feed_on_the_wire_is_part_of_the_value() -> None:
    raw = b"Event: Newchannel\r\nExten: 1\n\nEvent: Hangup\nUniqueid: 9.9\r\nUniqueid: 1.1\r\n\r\n"
    assert len(Framer().feed(raw)) == 1


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=7, max_size=7), st.integers(1, 40))
def test_files_may_mix_line_ends(ends: list[str], step: int) -> None:
    lines = ["Event: Newchannel", "Uniqueid: 1.1", "", "Event: Hangup", "Uniqueid: 1.1", "", ""]
    stream = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()
    framer = Framer(lenient=True)
    messages = [m for i in range(0, len(stream), step) for m in framer.feed(stream[i : i + step])]
    rest = framer.rest()
    if rest:
        messages.append(rest)
    assert messages == [
        b"Event: Newchannel\r\nUniqueid: 1.1",
        b"Event: Hangup\r\nUniqueid: 1.1",
    ]


def test_a_recording_that_was_cut_and_followed_by_another() -> None:
    framer = Framer(lenient=True)
    messages = framer.feed(BANNER + b"Event: Newchannel\r\nChann" + STREAM)
    assert messages == WHOLE


def test_the_end_of_a_file_without_an_empty_line() -> None:
    framer = Framer(lenient=True)
    assert framer.feed(b"Event: Hangup\r\nUniqueid: 1.1\r\n") == []
    assert framer.rest() == b"Event: Hangup\r\nUniqueid: 1.1"
    assert framer.rest() == b""


def test_half_a_line_at_the_end_of_a_file_is_dropped() -> None:
    framer = Framer(lenient=True)
    framer.feed(b"Event: Hangup\r\nUniqueid: 17000")
    assert framer.rest() == b""


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_survived(data: bytes, lenient: bool) -> None:
    framer = Framer(lenient=lenient, max_message=64)
    for raw in [*framer.feed(data), framer.rest()]:
        Message.parse(raw)
        event_name(raw)


def test_the_first_value_wins_and_keys_have_no_case() -> None:
    message = Message.parse(b"Event: X\r\nUniqueid: 1.1\r\nUNIQUEID: 2.2\r\nuniqueid: 3.3")
    assert message.get("UniqueID") == "1.1"
    assert message.all("uniqueid") == ["1.1", "2.2", "3.3"]
    assert message.name == "X"
    assert "uniqueid" in message
    assert "linkedid" not in message


def test_values_are_taken_as_they_are() -> None:
    message = Message.parse(
        b"Event: X\r\nEmpty:\r\nBlank: \r\nTight:value\r\nTwo: a: b\r\nno colon\r\nLatin: M\xfcller"
    )
    assert message.get("Empty") == message.get("Blank") == ""
    assert message.get("Tight") == "value"
    assert message.get("Two") == "a: b"
    assert message.get("Latin") == "M�ller"
    assert len(message.fields) == 6
    assert "Latin" not in repr(message)


def test_the_name_of_an_event() -> None:
    assert event_name(b"Event: Hangup\r\nCause: 16") == b"Hangup"
    assert event_name(b"Event: Hangup") == b"Hangup"
    assert event_name(b"\r\nevent:Hangup\r\n") == b"Hangup"
    assert event_name(b"Privilege: call\r\nEvent: Hangup") == b"Hangup"
    assert event_name(b"Response: Success\r\nEvent: Hangup") == b""
    assert event_name(b"") == b""
