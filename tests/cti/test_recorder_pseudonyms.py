"""Who the people in a recording are must not be seen; what they did must."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cti.ami.codec import decode
from cti.flight.pseudonyms import HIDDEN, Pseudonyms, pseudonymised

KEY: Final = b"the key of this test"


def line(key: str, value: str, *others: str) -> str:
    """What becomes of the value of a header, in a message with these other lines."""
    message = "\r\n".join([*others, f"{key}: {value}"]).encode("utf-8", "surrogateescape")
    (new,) = pseudonymised([message], KEY)
    last = new.decode("utf-8", "surrogateescape").split("\r\n")[-1]
    assert last.startswith(f"{key}: ")
    return last.removeprefix(f"{key}: ")


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *("100", "1001", "12345", "*8", "*21", "#72", "s", "h", "i", "s-NOANSWER", ""),
        *("<unknown>", "unknown", "anonymous", "Anonymous", "restricted", "unavailable"),
    ],
)
def test_extensions_codes_and_withheld_numbers_stay(value: str) -> None:
    assert line("CallerIDNum", value) == value
    assert line("Exten", value) == value


@pytest.mark.parametrize(
    "value",
    [
        "905321112233",
        "+905321112233",
        "00905321112233",
        "0532 111 22 33",
        "(0532) 111-22-33",
        "0532.111.22.33",
        "*67905321112233",
        "123456",
    ],
)
def test_a_number_keeps_its_length_its_signs_and_its_beginning(value: str) -> None:
    new = line("CallerIDNum", value)
    assert re.sub(r"\d", "0", new) == re.sub(r"\d", "0", value)
    assert digits(new)[:-7] == digits(value)[:-7]
    assert digits(new)[-7:] != digits(value)[-7:]


def test_ways_to_write_a_number_still_look_alike() -> None:
    ways = ["905321112233", "+905321112233", "05321112233", "5321112233", "0532 111 22 33"]
    assert len({digits(line("CallerIDNum", way))[-10:] for way in ways}) == 1


@given(st.lists(st.from_regex(r"[0-9]{6,15}", fullmatch=True), min_size=2, max_size=20))
def test_two_numbers_stay_two(numbers: list[str]) -> None:
    pseudonyms = Pseudonyms(KEY)
    new = {number: pseudonyms.number(number) for number in numbers}
    assert all(len(new[number]) == len(number) for number in numbers)
    assert all(new[number] != number for number in numbers)
    assert len(set(new.values())) == len(set(numbers))


def test_another_key_gives_other_pseudonyms() -> None:
    one, other = Pseudonyms(KEY), Pseudonyms(b"another key")
    assert one.number("905321112233") != other.number("905321112233")
    assert one.name("Zoë Müller") != other.name("Zoë Müller")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Channel", "Local/905321112233@from-internal-00000001;2"),
        ("DestChannel", "SIP/905321112233-0000001a"),
        ("DialString", "905321112233@trunk"),
        ("DialString", "trunk/905321112233"),
        ("Forward", "Local/905321112233@from-internal"),
        ("Destination", "905321112233@trunk"),
        ("Message", "call to 905321112233 failed"),
        ("ActionID", "click-905321112233"),
        ("Uniqueid", "click-905321112233"),
        ("Linkedid", "click2call-905321112233-1"),
        ("CallerIDName", "905321112233"),
    ],
)
def test_a_number_within_something_else_becomes_the_same(key: str, value: str) -> None:
    number = line("CallerIDNum", "905321112233")
    assert line(key, value) == value.replace("905321112233", number)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Channel", "PJSIP/trunk-00000001"),
        ("Channel", "Local/1002@from-queue-0000000a;1"),
        ("Interface", "PJSIP/1001"),
        ("Uniqueid", "1795555652.12"),
        ("Linkedid", "pbx-east-1795555652.12"),
        ("BridgeUniqueid", "d1b3c65f-5f8a-432f-9fb4-87298b787b13"),
        ("Timestamp", "1795555652.927259"),
        ("Queue", "support"),
        ("Context", "from-internal"),
        ("Cause-txt", "Normal Clearing"),
        ("ChannelStateDesc", "Ringing"),
    ],
)
def test_what_the_pbx_calls_its_own_stays(key: str, value: str) -> None:
    assert line(key, value) == value


# --- names ----------------------------------------------------------------------------------------


def test_a_name_becomes_two_words_always_the_same() -> None:
    new = line("CallerIDName", "Zoë Şükrü Ёлкин")
    assert re.fullmatch(r"[A-Z][a-z]{5} [A-Z][a-z]{5}", new)
    for way in ("zoë  şükrü ёлкин", '"Zoë Şükrü Ёлкин"', "Zoë Şükrü Ёлкин "):
        assert line("ConnectedLineName", way) == new


def test_backslashes_make_no_other_person() -> None:
    plain = line("CallerIDName", "Brian O'Neill")
    assert line("CallerIDName", r"Brian O\'Neill") == plain
    assert line("MemberName", r"Brian O\\\'Neill") == plain


def test_a_name_is_found_where_no_name_is_expected() -> None:
    new = line("CallerIDName", "Jane Roe")
    assert line("Message", "call of Jane Roe", "CallerIDName: Jane Roe") == f"call of {new}"
    assert line("CallerID", '"Jane Roe" <1001>', "MemberName: Jane Roe") == f'"{new}" <1001>'


def test_a_name_that_is_a_word_of_the_pbx_changes_no_channel() -> None:
    for name in ("PJSIP", "trunk", "from-internal", "1001", "Local/1002", "Up"):
        assert line("Channel", "PJSIP/trunk-00000001", f"CallerIDName: {name}") == (
            "PJSIP/trunk-00000001"
        )
        assert line("Context", "from-internal", f"CallerIDName: {name}") == "from-internal"


def test_an_account_in_place_of_a_number_is_a_name() -> None:
    assert re.fullmatch(r"[A-Z]\w+", line("CallerIDNum", "jane.roe"))
    assert "jane" not in line("CallerIDNum", "jane2").lower()


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ("sip:jane@pbx.example.org:5060;ob", r"sip:[a-z]+@[a-z]+\.example:5060;ob"),
        ("sip:1001@203.0.113.9:5060", r"sip:1001@198\.1[89]\.\d+\.\d+:5060"),
        ("sip:+905321112233@pbx", r"sip:\+90532\d{7}@[a-z]+\.example"),
        ("jane.roe@example.org", r"[a-z]+@[a-z]+\.example"),
        ("203.0.113.9:20999", r"198\.1[89]\.\d+\.\d+:20999"),
        ("2001:db8:1:2::9", r"2001:db8::[0-9a-f]+:[0-9a-f]+"),
        ("127.0.0.1:4000", r"127\.0\.0\.1:4000"),
    ],
)
def test_addresses_are_replaced(value: str, pattern: str) -> None:
    new = line("URI", value)
    assert re.fullmatch(pattern, new), new
    assert "jane" not in new
    assert "5321112233" not in new


# --- what we do not know --------------------------------------------------------------------------


def test_only_what_is_known_to_be_harmless_is_shown() -> None:
    assert line("Value", "4711 0815", "Event: VarSet", "Variable: CARD") == HIDDEN
    assert line("Value", "ANSWER", "Event: VarSet", "Variable: DIALSTATUS") == "ANSWER"
    assert line("AppData", "NAME=Jane", "Application: Set") == HIDDEN
    assert line("AppData", "PJSIP/1001,30,tT", "Application: Dial") == "PJSIP/1001,30,tT"
    assert line("LastData", "secret.php,x", "LastApplication: AGI") == HIDDEN
    assert line("X-Customer", "Jane", "Event: UserEvent") == HIDDEN
    assert pseudonymised([b"no header at all"], KEY) == [HIDDEN.encode()]


def test_pressed_keys_are_hidden() -> None:
    assert [line("Digit", key) for key in "19*#"] == ["0", "0", "*", "#"]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_are_taken(messages: list[bytes]) -> None:
    assert len(pseudonymised(messages, KEY)) == len(messages)


@example(";>")
@given(
    st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=60)
)
def test_no_name_or_number_makes_another_event(value: str) -> None:
    """Hostile text changes neither how many lines there are nor which channel it is."""
    message = (
        "Event: Newchannel\r\nTimestamp: 1795555652.927259\r\nChannel: PJSIP/trunk-00000001\r\n"
        f"ChannelState: 4\r\nChannelStateDesc: Ring\r\nCallerIDNum: {value}\r\n"
        f"CallerIDName: {value}\r\nConnectedLineNum: \r\nConnectedLineName: \r\nLanguage: en\r\n"
        f"AccountCode: {value}\r\nContext: in\r\nExten: {value}\r\nPriority: 1\r\n"
        "Uniqueid: 1795555652.1\r\nLinkedid: 1795555652.1"
    ).encode()
    (new,) = pseudonymised([message], KEY)
    assert new.count(b"\r\n") == message.count(b"\r\n")
    before, after = decode(message), decode(new)
    assert type(before) is type(after)
    for name in ("uniqueid", "linkedid", "channel", "state", "context"):
        assert getattr(before.channel, name) == getattr(after.channel, name)  # type: ignore[union-attr]
