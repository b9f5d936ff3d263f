"""Messages become events: names, escapes, hostile text, times, what is missing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.ami.codec import MAX_TEXT, decode, decode_headers, unescape, wanted
from cti.ami.events import (
    AgentCalled,
    AgentComplete,
    AgentConnect,
    AgentRingNoAnswer,
    AmiEvent,
    AttendedTransfer,
    BlindTransfer,
    BridgeDestroy,
    BridgeEnter,
    BridgeLeave,
    BridgeMerge,
    ChannelSnapshot,
    ChannelState,
    CoreShowChannel,
    DeviceStateChange,
    DialBegin,
    DialEnd,
    FullyBooted,
    Hangup,
    HangupRequest,
    Linkedid,
    LocalBridge,
    Malformed,
    NewCallerid,
    Newchannel,
    Newexten,
    Parked,
    Pickup,
    QueueCallerAbandon,
    QueueCallerJoin,
    QueueEntry,
    QueueMember,
    QueueParams,
    Rename,
    Shutdown,
    Uniqueid,
    VarSet,
)
from cti.ami.framing import Framer, Message
from tests.servers.ami import channel, message

TRACES = sorted((Path(__file__).parents[2] / "traces").rglob("*.ami"))
AT = "1700000000.123456"


def raw(name: str, *blocks: dict[str, str], timestamp: str = AT, **headers: str) -> bytes:
    """A message as the framer gives it."""
    fields = {"Event": name, "Privilege": "call,all", "Timestamp": timestamp}
    for block in blocks:
        fields |= block
    return message(fields | headers)[:-4]


def decoded(name: str, *blocks: dict[str, str], **headers: str) -> AmiEvent | None:
    return decode(raw(name, *blocks, **headers), 7)


SNAPSHOT = ChannelSnapshot(
    channel="PJSIP/trunk-00000001",
    uniqueid=Uniqueid("1700000000.1"),
    linkedid=Linkedid("1700000000.1"),
    state=ChannelState.RING,
    caller_number="905321112233",
    caller_name="Zoë",
    context="from-trunk",
    exten="902125550101",
    priority="1",
)


def test_a_channel_with_all_that_describes_it() -> None:
    event = decoded("Newchannel", channel())
    assert event == Newchannel(channel=SNAPSHOT, at=1700000000.123456, seq=7)


def test_what_is_decoded_is_frozen() -> None:
    event = decoded("Newchannel", channel())
    assert isinstance(event, Newchannel)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.channel.channel = "other"  # type: ignore[misc]
    assert dataclasses.replace(event.channel, exten="9").exten == "9"
    assert hash(event.channel) == hash(SNAPSHOT)


@pytest.mark.parametrize("name", ["RTCPReceived", "TestEvent", "Cdr", "UserEvent", "newchannel"])
def test_events_we_do_not_know_are_dropped_by_name(name: str) -> None:
    assert not wanted(raw(name, channel()))
    assert decoded(name, channel()) is None


@pytest.mark.parametrize("value", ["", "<unknown>", "unknown"])
def test_a_missing_caller_is_an_empty_string(value: str) -> None:
    event = decoded("Newstate", channel(CallerIDNum=value, CallerIDName=value))
    assert event.channel.caller_number == event.channel.caller_name == ""  # type: ignore[union-attr]


# --- escapes: telephony fact 17 ---

HOSTILE = 'Zoë "<script>" O\'Brien \\ Şükrü Ёлкин'
ESCAPED = 'Zoë \\"<script>\\" O\\\'Brien \\\\ Şükrü Ёлкин'


def test_names_are_unescaped() -> None:
    event = decoded(
        "DialBegin",
        channel(CallerIDName=ESCAPED),
        channel(prefix="Dest", ConnectedLineName=ESCAPED),
    )
    assert isinstance(event, DialBegin)
    assert event.caller is not None
    assert event.caller.caller_name == HOSTILE
    assert event.dest.connected_name == HOSTILE


@pytest.mark.parametrize("carrier", ["PJSIP/trunk-00000001", "Local/1@q-00000001;1", "SIP/1001-1"])
def test_a_name_that_came_in_over_sip_loses_the_backslashes_that_sip_put_there(
    carrier: str,
) -> None:
    r"""chan_pjsip keeps `\"` and `\\` of a quoted string; AMI escapes them again."""
    event = decoded("Newstate", channel(Channel=carrier, ConnectedLineName=r"Zo\\ë \\\\ \\\"Z\\\""))
    assert event.channel.connected_name == r'Zo\ë \ "Z"'  # type: ignore[union-attr]


def test_numbers_extensions_and_queues_are_not_unescaped() -> None:
    odd = "a\\'b\\n"
    event = decoded("QueueCallerJoin", channel(CallerIDNum=odd, Exten=odd), Queue=odd)
    assert isinstance(event, QueueCallerJoin)
    assert event.channel.caller_number == event.channel.exten == event.queue == odd


def test_the_caller_name_in_a_queue_list_is_not_escaped() -> None:
    event = decode(
        message(
            [
                ("Event", "QueueEntry"),
                ("Queue", "support"),
                ("Position", "1"),
                ("Channel", "PJSIP/trunk-00000001"),
                ("Uniqueid", "1.1"),
                ("CallerIDNum", "unknown"),
                ("CallerIDName", 'a\\\'b \\"c\\"'),
                ("Wait", "12"),
            ]
        )[:-4]
    )
    assert event == QueueEntry(
        queue="support",
        position=1,
        channel="PJSIP/trunk-00000001",
        uniqueid=Uniqueid("1.1"),
        caller_name='a\\\'b "c"',
        wait_s=12.0,
    )


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet=st.sampled_from("a\\'\"?\n\r\tü ")))
def test_unescape_undoes_what_asterisk_does(text: str) -> None:
    """`ast_escape_c` writes a backslash before each of these, and a letter for controls."""
    letters = {"\\": "\\\\", "'": "\\'", '"': '\\"', "?": "\\?", "\n": "\\n", "\r": "\\r"}
    letters["\t"] = "\\t"
    assert unescape("".join(letters.get(c, c) for c in text)) == text


def test_a_line_end_hidden_in_an_escape_is_removed() -> None:
    event = decoded("Newchannel", channel(CallerIDName="a\\r\\nEvent: Hangup\\x1b"))
    assert event.channel.caller_name == "aEvent: Hangup\\x1b"  # type: ignore[union-attr]


def test_controls_and_text_that_turns_direction_are_removed() -> None:
    name = "a\x00b\x1b[31mc\u202ed\u2066e\u2028f\u0085g"
    event = decoded("Newchannel", channel(CallerIDName=name, CallerIDNum="1\x072"))
    assert event.channel.caller_name == "ab[31mcdefg"  # type: ignore[union-attr]
    assert event.channel.caller_number == "12"  # type: ignore[union-attr]


def test_joiners_and_hard_spaces_of_names_are_kept() -> None:
    name = "علی\u200cرضا Jean\u00a0Luc"
    event = decoded("Newchannel", channel(CallerIDName=name))
    assert event.channel.caller_name == name  # type: ignore[union-attr]


def test_long_values_are_cut() -> None:
    event = decoded("Newchannel", channel(CallerIDName="x" * 5000))
    assert event.channel.caller_name == "x" * MAX_TEXT  # type: ignore[union-attr]
    event = decoded("QueueCallerJoin", channel(), Queue="q" * 5000)
    assert isinstance(event, QueueCallerJoin)
    assert event.queue == "q" * MAX_TEXT


def test_latin_1_names_do_not_vanish() -> None:
    event = decode(raw("Newchannel", channel()).replace("Zoë".encode(), b"M\xfcller"))
    assert event.channel.caller_name == "M�ller"  # type: ignore[union-attr]


# --- shapes other than Asterisk's own ---


def test_keys_in_any_case_and_order() -> None:
    fields = list((channel() | {"Cause": "17", "TechCause": "SIP 486"}).items())[::-1]
    odd = message([("event", "Hangup"), *((k.swapcase(), v) for k, v in fields)])[:-4]
    assert decode(odd) == Hangup(channel=SNAPSHOT, cause=17, tech_cause="SIP 486")


def test_headers_of_an_older_asterisk_may_be_missing() -> None:
    block = channel()
    for name in ("Language", "ChannelStateDesc", "AccountCode", "CallerIDName"):
        del block[name]
    event = decoded("Newchannel", block)
    assert event == Newchannel(
        channel=dataclasses.replace(SNAPSHOT, caller_name=""), at=1700000000.123456, seq=7
    )


def test_more_headers_of_a_newer_asterisk_do_no_harm() -> None:
    event = decoded(
        "BridgeEnter",
        {"BridgeUniqueid": "b1", "BridgeType": "basic", "BridgeColour": "red"},
        {"BridgeTechnology": "simple_bridge", "BridgeCreator": "<unknown>"},
        {"BridgeName": "<unknown>", "BridgeNumChannels": "1", "BridgeVideoSourceMode": "none"},
        channel() | {"Tenantid": "", "ChanVariable(x)": "y"},
        SwapUniqueid="2.2",
    )
    assert event == BridgeEnter(
        channel=SNAPSHOT,
        bridge="b1",
        bridge_type="basic",
        technology="simple_bridge",
        swap="2.2",
        at=1700000000.123456,
        seq=7,
    )


def test_a_repeated_header_has_its_first_value() -> None:
    event = decode(raw("Hangup", channel(), Cause="17") + b"\r\nCause: 16\r\nUniqueid: 9.9")
    assert event == Hangup(channel=SNAPSHOT, cause=17, at=1700000000.123456)


def test_a_smuggled_identity_is_malformed() -> None:
    """A line end in an unescaped field would forge the Uniqueid that follows."""
    event = decoded("Newchannel", channel(CallerIDNum="1\r\nUniqueid: 9.9"))
    assert event == Malformed(name="Newchannel", reason="Uniqueid given twice", at=None, seq=7)


@pytest.mark.parametrize("lost", ["Channel", "Uniqueid", "Linkedid"])
def test_a_channel_without_identity_is_malformed(lost: str) -> None:
    block = channel()
    del block[lost]
    event = decoded("Newchannel", block)
    assert event == Malformed(
        name="Newchannel", reason=f"{lost} is missing", at=1700000000.123456, seq=7
    )
    event = decoded("Newchannel", channel() | {lost: ""})
    assert isinstance(event, Malformed)


def test_a_dial_without_a_caller_but_not_without_a_callee() -> None:
    """Originate dials for nobody."""
    event = decoded("DialBegin", channel(prefix="Dest"), DialString="1001")
    assert isinstance(event, DialBegin)
    assert event.caller is None
    assert event.dial_string == "1001"
    assert isinstance(decoded("DialBegin", channel()), Malformed)


def test_json_objects_of_headers() -> None:
    headers: dict[str, object] = {"event": "Hangup", **channel(), "Cause": 17, "content": ""}
    headers["Timestamp"] = 1700000000.5
    assert decode_headers(headers, 3) == Hangup(channel=SNAPSHOT, cause=17, at=1700000000.5, seq=3)
    assert decode_headers({"Event": "Hangup"}) == Malformed(
        name="Hangup", reason="Channel is missing"
    )
    assert decode_headers({"Event": ["Hangup", "Newchannel"], **channel()}) == Hangup(
        channel=SNAPSHOT
    )
    assert decode_headers({}) is None
    assert decode_headers({"Event": None}) is None
    assert decode_headers({"Event": "VarSet", **channel(), "Variable": "X"}) is None
    assert decode_headers({"Event": "Newchannel", **channel(CallerIDName="\ud800x")}) is not None


# --- times and numbers ---


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1700000000.123456", 1700000000.123456),
        ("1700000000", 1700000000.0),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("-5", None),
        ("1e300", None),
        ("today", None),
    ],
)
def test_timestamps(text: str, at: float | None) -> None:
    event = decode(raw("FullyBooted", timestamp=text, Uptime="5"))
    assert event == FullyBooted(uptime_s=5.0, at=at)


def test_no_timestamp_is_taken_from_what_a_caller_wrote() -> None:
    fields = {"Event": "Newchannel"} | channel(CallerIDName="x\\r\\nTimestamp: 5")
    event = decode(message(fields)[:-4])
    assert event is not None
    assert event.at is None


def test_ring_time_is_milliseconds_in_one_event_and_seconds_in_the_other() -> None:
    common = {"Queue": "support", "MemberName": "Ayşe", "Interface": "PJSIP/1001"}
    event = decoded("AgentRingNoAnswer", channel(), common, RingTime="4000")
    assert isinstance(event, AgentRingNoAnswer)
    assert event.ring_s == 4.0
    event = decoded("AgentConnect", channel(), common, RingTime="4", HoldTime="9")
    assert isinstance(event, AgentConnect)
    assert (event.ring_s, event.hold_s, event.member) == (4.0, 9.0, "Ayşe")
    event = decoded("AgentComplete", channel(), common, TalkTime="x", HoldTime="", Reason="agent")
    assert isinstance(event, AgentComplete)
    assert (event.talk_s, event.hold_s, event.reason) == (0.0, 0.0, "agent")
    event = decoded("AgentCalled", channel(), channel(prefix="Dest"), common)
    assert isinstance(event, AgentCalled)
    assert event.caller is not None
    assert event.dest is not None


def test_numbers_that_are_none_are_zero() -> None:
    event = decoded("Hangup", channel(ChannelState="x"), Cause="9" * 5000)
    assert isinstance(event, Hangup)
    assert event.cause == 0
    assert event.channel.state is ChannelState.UNKNOWN


# --- every other kind ---


def test_variables_of_interest_only() -> None:
    event = decoded("VarSet", channel(), Variable="QUEUESTATUS", Value=" TIMEOUT\\n ")
    assert event == VarSet(
        channel=SNAPSHOT, variable="QUEUESTATUS", value="TIMEOUT", at=1700000000.123456, seq=7
    )
    assert decoded("VarSet", channel(), Variable="SIPDOMAIN", Value="x") is None
    assert decoded("VarSet", {"Channel": "none", "Uniqueid": "none"}, Variable="X") is None


def test_applications_of_interest_only() -> None:
    event = decoded("Newexten", channel(), Application="VoiceMail", AppData="1001@default,u")
    assert isinstance(event, Newexten)
    assert (event.application, event.app_args) == ("VoiceMail", "1001@default,u")
    assert decoded("Newexten", channel(), Application="NoOp", AppData="x") is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("0 (Presentation Allowed, Not Screened)", "allowed_not_screened"),
        ("32 (Presentation Prohibited, Not Screened)", "prohib_not_screened"),
        ("67 (Number Unavailable)", "unavailable"),
        ("99", "99"),
        ("", ""),
        ("²", "²"),
    ],
)
def test_presentation_of_a_number(value: str, name: str) -> None:
    event = decoded("NewCallerid", channel(), **{"CID-CallingPres": value})
    assert isinstance(event, NewCallerid)
    assert event.presentation == name


def test_hangup_requests() -> None:
    for name, soft in (("HangupRequest", False), ("SoftHangupRequest", True)):
        event = decoded(name, channel(), Cause="16")
        assert event == HangupRequest(
            channel=SNAPSHOT, soft=soft, cause=16, at=1700000000.123456, seq=7
        )


def test_bridges() -> None:
    assert isinstance(decoded("BridgeLeave", {"BridgeUniqueid": "b"}, channel()), BridgeLeave)
    assert isinstance(decoded("BridgeLeave", channel()), Malformed)
    assert isinstance(decoded("BridgeEnter", channel()), Malformed)
    event = decoded("BridgeMerge", ToBridgeUniqueid="a", FromBridgeUniqueid="b")
    assert isinstance(event, BridgeMerge)
    assert (event.to_bridge, event.from_bridge) == ("a", "b")
    assert isinstance(decoded("BridgeDestroy", BridgeUniqueid="b"), BridgeDestroy)
    event = decoded(
        "LocalBridge",
        channel("Local/1@x-00000001;1", "1.1", prefix="LocalOne"),
        channel("Local/1@x-00000001;2", "1.2", prefix="LocalTwo"),
        Context="x",
        Exten="1",
        LocalOptimization="No",
    )
    assert isinstance(event, LocalBridge)
    assert (event.one.uniqueid, event.two.uniqueid, event.context) == ("1.1", "1.2", "x")
    assert not event.optimization


def test_transfers() -> None:
    event = decoded(
        "BlindTransfer",
        {"Result": "Success"},
        channel("PJSIP/1001-00000002", "1.2", prefix="Transferer"),
        BridgeUniqueid="b1",
        IsExternal="Yes",
        Context="from-internal",
        Extension="1002",
    )
    assert isinstance(event, BlindTransfer)
    assert event.transferee is None
    assert (event.external, event.exten, event.bridge) == (True, "1002", "b1")
    event = decoded(
        "AttendedTransfer",
        {"Result": "Success"},
        channel("PJSIP/1001-00000002", "1.2", prefix="OrigTransferer"),
        {"OrigBridgeUniqueid": "b1"},
        channel("PJSIP/1001-00000003", "1.3", prefix="SecondTransferer"),
        channel("PJSIP/trunk-00000001", "1.1", prefix="Transferee"),
        IsExternal="Yes",
        DestType="App",
        DestApp="Dial",
    )
    assert isinstance(event, AttendedTransfer)
    assert event.transferee is not None
    assert event.target is None
    assert (event.orig_bridge, event.dest_type, event.dest_app) == ("b1", "App", "Dial")
    event = decoded("Pickup", channel(), channel("PJSIP/1002-00000009", "1.9", prefix="Target"))
    assert isinstance(event, Pickup)
    assert event.target.uniqueid == "1.9"
    event = decoded("Rename", Channel="a", Newname="b", Uniqueid="1.1")
    assert isinstance(event, Rename)
    assert (event.channel, event.new_name, event.uniqueid) == ("a", "b", "1.1")


def test_parking() -> None:
    event = decoded(
        "UnParkedCall",
        channel(prefix="Parkee"),
        {"Parkinglot": "default", "ParkingSpace": "701", "ParkerDialString": "PJSIP/1001"},
        channel("PJSIP/1002-00000009", "1.9", prefix="Retriever"),
    )
    assert isinstance(event, Parked)
    assert event.retriever is not None
    assert (event.kind, event.lot, event.space) == ("UnParkedCall", "default", "701")


def test_dial_end() -> None:
    event = decoded(
        "DialEnd", channel(), channel(prefix="Dest"), DialStatus="CANCEL", Forward="Local/5@x"
    )
    assert isinstance(event, DialEnd)
    assert (event.status, event.forward) == ("CANCEL", "Local/5@x")


def test_queues() -> None:
    event = decoded("QueueCallerJoin", channel(), Queue="support", Position="2", Count="3")
    assert isinstance(event, QueueCallerJoin)
    assert (event.queue, event.position, event.count) == ("support", 2, 3)
    event = decoded("QueueCallerAbandon", channel(), Queue="support", Position="1", HoldTime="6")
    assert isinstance(event, QueueCallerAbandon)
    assert (event.position, event.hold_s) == (1, 6.0)
    event = decoded("QueueParams", Queue="support", Strategy="ringall", Calls="1", Abandoned="4")
    assert isinstance(event, QueueParams)
    assert (event.calls, event.abandoned) == (1, 4)
    assert isinstance(decoded("QueueParams"), Malformed)


MEMBER = {
    "StateInterface": "PJSIP/1001",
    "Membership": "static",
    "Penalty": "1",
    "CallsTaken": "2",
    "LastCall": "1700000000",
    "LastPause": "0",
    "LoginTime": "1699999999",
    "InCall": "0",
    "Status": "6",
    "Paused": "1",
    "PausedReason": "lunch",
    "Ringinuse": "1",
    "Wrapuptime": "15",
}


def test_members() -> None:
    live = {"Queue": "support", "MemberName": "Ayşe", "Interface": "PJSIP/1001"} | MEMBER
    listed = {"Queue": "support", "Name": "Ayşe", "Location": "PJSIP/1001"} | MEMBER
    expected = QueueMember(
        kind="paused",
        queue="support",
        member="Ayşe",
        interface="PJSIP/1001",
        state_interface="PJSIP/1001",
        membership="static",
        penalty=1,
        calls_taken=2,
        last_call=1700000000.0,
        in_call=False,
        status=6,
        paused=True,
        paused_reason="lunch",
        wrapup_s=15,
        at=1700000000.123456,
        seq=7,
    )
    assert decoded("QueueMemberPause", live) == expected
    assert decoded("QueueMember", listed) == dataclasses.replace(expected, kind="listed")
    older = {k: v for k, v in live.items() if k not in ("LoginTime", "Wrapuptime")}
    assert decoded("QueueMemberStatus", older) == dataclasses.replace(
        expected, kind="status", wrapup_s=0
    )
    assert isinstance(decoded("QueueMemberAdded", MEMBER), Malformed)


def test_devices_and_the_system() -> None:
    assert decoded("DeviceStateChange", Device="PJSIP/1001", State="INUSE") == DeviceStateChange(
        device="PJSIP/1001", state="INUSE", at=1700000000.123456, seq=7
    )
    event = decoded("Shutdown", Shutdown="Cleanly", Restart="True")
    assert isinstance(event, Shutdown)
    assert event.restart
    event = decoded(
        "CoreShowChannel",
        channel(),
        BridgeId="b1",
        Application="AppDial",
        ApplicationData="(Outgoing Line)",
        Duration="01:02:03",
    )
    assert isinstance(event, CoreShowChannel)
    assert (event.duration_s, event.bridge, event.application) == (3723.0, "b1", "AppDial")


# --- all of it ---


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recording_of_a_real_asterisk_has_nothing_malformed(trace: Path) -> None:
    """And each message means the same as the JSON object of its headers."""
    events = 0
    for number, whole in enumerate(Framer(lenient=True).feed(trace.read_bytes()), 1):
        event = decode(whole, number)
        assert not isinstance(event, Malformed), whole
        assert (event is not None) == wanted(whole)
        if event is not None:
            headers = dict(reversed(Message.parse(whole).fields))
            assert decode_headers(json.loads(json.dumps(headers)), number) == event
            events += 1
    assert events


@settings(deadline=None)  # the machine may be busy
@given(st.data())
def test_a_damaged_message_never_raises(data: st.DataObject) -> None:
    whole = raw("DialEnd", channel(), channel(prefix="Dest"), DialStatus="ANSWER")
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        length = data.draw(st.integers(0, 40))
        damaged[at : at + length] = data.draw(st.binary(max_size=12))
    event = decode(bytes(damaged))
    assert event is None or isinstance(event, AmiEvent)
