"""Messages become events: the one place that knows Asterisk's headers.

`decode` is called for every message of every call, so it reads a message as Asterisk writes it:
the name first, most messages dropped by it, then only the fields that the event needs. Bytes
become text as late as possible, and once for all messages in which they look the same: the block
of headers that describes a channel, and what follows the last block.
A message in any other shape (keys in another case or order, repeated keys, a JSON object) is first
put into that shape.

All text comes from whoever calls: control characters are removed, lengths limited, and exactly the
fields that Asterisk escapes (`ast_escape_c`) are unescaped. People's names are unescaped once more:
chan_pjsip leaves in them the backslashes with which SIP quotes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cti.ami.events import (
    AgentCalled,
    AgentComplete,
    AgentConnect,
    AgentDump,
    AgentEvent,
    AgentRingNoAnswer,
    AmiEvent,
    AttendedTransfer,
    BlindTransfer,
    BridgeDestroy,
    BridgeEnter,
    BridgeLeave,
    BridgeMerge,
    ChannelEvent,
    ChannelSnapshot,
    ChannelState,
    CoreShowChannel,
    DeviceStateChange,
    DialBegin,
    DialEnd,
    DialState,
    FullyBooted,
    Hangup,
    HangupRequest,
    Hold,
    Linkedid,
    LocalBridge,
    Malformed,
    NewCallerid,
    Newchannel,
    NewConnectedLine,
    Newexten,
    Newstate,
    Parked,
    Pickup,
    QueueCallerAbandon,
    QueueCallerJoin,
    QueueCallerLeave,
    QueueEntry,
    QueueMember,
    QueueParams,
    Rename,
    Shutdown,
    Unhold,
    Uniqueid,
    VarSet,
)
from cti.ami.framing import Message, event_name
from cti.ami.quick import quick, stamped

MAX_TEXT: Final = 256
"""Characters kept of a value. Asterisk's own limit for most of them is 80."""

WANTED_VARIABLES: Final = frozenset({b"QUEUESTATUS"})
"""Why somebody left a queue, which no other event tells."""

WANTED_APPLICATIONS: Final = frozenset(
    {b"VoiceMail", b"Queue", b"Dial", b"Park", b"Hangup", b"Busy", b"Congestion"}
)
"""Applications of the dialplan that say where a call went."""


def wanted(raw: bytes) -> bool:
    """Tell, from as few bytes as possible, whether `decode` makes an event of this message."""
    reader = _reader_of(raw)
    return reader is not None and (not reader.chosen or _is_chosen(raw, reader))


def decode(raw: bytes, seq: int = 0) -> AmiEvent | None:
    """Return the event of one message, None if it is not of interest. Never raises.

    Args:
        raw: A message as `Framer` gives it.
        seq: Its number in the stream.

    """
    reader = _reader_of(raw)
    if reader is None or (reader.chosen and not _is_chosen(raw, reader)):
        return None
    lines = raw + b"\r\n"
    try:
        return reader.build(lines, _timestamp(lines), seq)
    except _Unusual:
        return _decode_unusual(Message.parse(raw), reader, seq)


def decode_message(message: Message, seq: int = 0) -> AmiEvent | None:
    """Do as `decode` for a message whose fields are already apart. Never raises."""
    reader = _READERS.get(b"Event: " + message.name.encode("utf-8", "replace"))
    if reader is None:
        return None
    if reader.chosen:
        key, values = _CHOSEN_BY[message.name]
        if message.get(key).encode("utf-8", "replace") not in values:
            return None
    return _decode_unusual(message, reader, seq)


def decode_headers(headers: Mapping[str, object], seq: int = 0) -> AmiEvent | None:
    """Do as `decode` for a JSON object of headers. Never raises."""
    return decode_message(Message.from_headers(headers), seq)


def unescape(value: str) -> str:
    r"""Undo `ast_escape_c`: `O\'Brien` is `O'Brien`. Control characters are removed later."""
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], value)


def unquote(name: str) -> str:
    r"""Undo the quoted pairs of SIP (RFC 3261, 25.1): `Zoë \"Z\" O` is `Zoë "Z" O`.

    For every name, not only on PJSIP channels: a name that came in over SIP travels to Local
    channels, queues and the connected line of any other channel.
    """
    return _QUOTED_PAIR.sub(r"\1", name) if "\\" in name else name


def clean(value: str, limit: int = MAX_TEXT) -> str:
    """Remove what could hide or fake text on a screen or in a log, and limit the length."""
    if not value.isprintable():
        value = "".join(character for character in value if not _is_unsafe(character))
    return value[:limit]


_ESCAPED: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "?": "?",
}
_ESCAPE: Final = re.compile(r"""\\([abfnrtv\\'"?])""")

_QUOTED_PAIR: Final = re.compile(r"""\\([\\"])""")

_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION_OVERRIDES: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _is_unsafe(character: str) -> bool:
    return (
        unicodedata.category(character) in _UNSAFE_CATEGORIES or character in _DIRECTION_OVERRIDES
    )


# --- reading the shape that Asterisk writes -------------------------------------------------------


class _Unusual(Exception):
    """The message lacks something, or is not in the shape that Asterisk writes: not an error."""


_KNOWN_KEYS: dict[str, str] = {}
"""Each header we read: its name in lower case to its name as Asterisk writes it."""


def _key(name: str) -> bytes:
    """The bytes before the value of a header. Registers it as one we read."""
    _KNOWN_KEYS[name.lower()] = name
    return f"\r\n{name}: ".encode()


def _decoded(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return text if len(text) <= MAX_TEXT and text.isprintable() else clean(text)


def _text(lines: bytes, key: bytes) -> str:
    start = lines.find(key)
    if start < 0:
        return ""
    start += len(key)
    return _decoded(lines[start : lines.find(b"\r\n", start)])


def _required(lines: bytes, key: bytes) -> str:
    value = _text(lines, key)
    if not value:
        raise _Unusual(key.decode().strip("\r\n: "))
    return value


def _known(lines: bytes, key: bytes) -> str:
    value = _text(lines, key)
    return "" if value in _NOT_KNOWN else value


class _Fields:
    """Reads several headers at once, quickest when they stand in the order in which we name them.

    Other headers may stand between them. A missing one is `""`.
    """

    def __init__(self, *names: str) -> None:
        self.keys = [_key(name) for name in names]
        first, *others = map(re.escape, names)
        between = (rf"(?:\r\n(?!{name}: )[^\r]*+)*+\r\n{name}: ([^\r]*+)" for name in others)
        self.pattern = re.compile(rf"\r\n{first}: ([^\r]*+){''.join(between)}".encode())

    def __call__(self, lines: bytes) -> Sequence[str]:
        found = self.pattern.search(lines)
        if found is None:
            return [_text(lines, key) for key in self.keys]
        # All at once; none of them has a "\r".
        values = b"\r".join(found.groups()).decode("utf-8", "replace").split("\r")
        return values if "".join(values).isprintable() else [clean(value) for value in values]


def _int(lines: bytes, key: bytes) -> int:
    return _to_int(_text(lines, key))


def _to_int(value: str) -> int:
    try:
        return int(value) if len(value) < 20 else 0
    except ValueError:
        return 0


def _seconds(lines: bytes, key: bytes) -> float:
    value = _to_seconds(_text(lines, key))
    return 0.0 if value is None else value


def _to_seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e11 else None  # neither "nan" nor "inf"


def _clock(lines: bytes, key: bytes) -> float:
    """Seconds of a duration written as HH:MM:SS."""
    total = 0
    for part in _text(lines, key).split(":"):
        total = total * 60 + _to_int(part)
    return float(total)


def _flag(lines: bytes, key: bytes) -> bool:
    return _text(lines, key).lower() in _TRUE


_NOT_KNOWN: Final = frozenset({"<unknown>", "unknown"})
_TRUE: Final = frozenset({"1", "yes", "true"})
_TIMESTAMP: Final = _key("Timestamp")
_HEAD: Final = 160
"""Bytes. `Timestamp` stands in the head of a message, before anything a caller can write."""


def _timestamp(lines: bytes) -> float | None:
    start = lines.find(_TIMESTAMP, 0, _HEAD)
    if start < 0:
        return None
    start += 13  # len(_TIMESTAMP)
    try:
        return float(lines[start : start + 17])  # ten digits, a point, six digits, nothing else
    except ValueError:
        return _to_seconds(lines[start : lines.find(b"\r\n", start)].decode("utf-8", "replace"))


# --- the block of headers that describes a channel ------------------------------------------------

_CHANNEL_KEYS: Final = (
    "Channel",
    "ChannelState",
    "ChannelStateDesc",
    "CallerIDNum",
    "CallerIDName",
    "ConnectedLineNum",
    "ConnectedLineName",
    "Language",
    "AccountCode",
    "Context",
    "Exten",
    "Priority",
    "Uniqueid",
    "Linkedid",
)
_USUAL_BLOCK: Final = 1024
"""Characters. In a longer one the length of each value is looked at."""
_IDENTITIES: Final = ("Channel", "Uniqueid", "Linkedid")
_NOT_READ: Final = frozenset({"ChannelStateDesc", "Language"})
_STATES: Final = {str(state.value): state for state in ChannelState}


class _Block:
    """Where a channel block stands: all its headers begin with the same word."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        for name in _CHANNEL_KEYS:
            _key(prefix + name)
        self.first = f"\r\n{prefix}Channel: ".encode()
        self.last = f"\r\n{prefix}Linkedid: ".encode()
        self.pattern = re.compile(
            "".join(
                rf"\r\n{prefix}{name}: " + (r"[^\r]*+" if name in _NOT_READ else r"([^\r]*+)")
                for name in _CHANNEL_KEYS
            )
        )


_CHANNEL: Final = _Block("")
_DEST: Final = _Block("Dest")
_TRANSFERER: Final = _Block("Transferer")
_TRANSFEREE: Final = _Block("Transferee")
_ORIG_TRANSFERER: Final = _Block("OrigTransferer")
_SECOND_TRANSFERER: Final = _Block("SecondTransferer")
_TRANSFER_TARGET: Final = _Block("TransferTarget")
_LOCAL_ONE: Final = _Block("LocalOne")
_LOCAL_TWO: Final = _Block("LocalTwo")
_PARKEE: Final = _Block("Parkee")
_RETRIEVER: Final = _Block("Retriever")
_TARGET: Final = _Block("Target")
_BLOCKS: Final = (
    *(_CHANNEL, _DEST, _TRANSFERER, _TRANSFEREE, _ORIG_TRANSFERER, _SECOND_TRANSFERER),
    *(_TRANSFER_TARGET, _LOCAL_ONE, _LOCAL_TWO, _PARKEE, _RETRIEVER, _TARGET),
)


def _cut(lines: bytes, block: _Block = _CHANNEL) -> tuple[ChannelSnapshot | None, bytes]:
    """Return the channel, if the message has this block, and the lines after it."""
    start = lines.find(block.first)
    if start < 0:
        return None, lines
    last = lines.find(block.last, start)
    if last < 0:
        raise _Unusual(f"{block.prefix}Linkedid")
    end = lines.find(b"\r\n", last + 2)
    return _read_snapshot(lines[start:end], block), lines[end:]


def _snapshot_if_any(lines: bytes, block: _Block) -> ChannelSnapshot | None:
    return _cut(lines, block)[0]


def _snapshot(lines: bytes, block: _Block = _CHANNEL) -> ChannelSnapshot:
    return _must(_cut(lines, block)[0], block)


def _must(snapshot: ChannelSnapshot | None, block: _Block = _CHANNEL) -> ChannelSnapshot:
    if snapshot is None:
        raise _Unusual(f"{block.prefix}Channel")
    return snapshot


@lru_cache(maxsize=1024)
def _read_snapshot(block_lines: bytes, block: _Block) -> ChannelSnapshot:
    # Half of all blocks repeat one that was just read: a channel does not change with every event.
    headers = block_lines.decode("utf-8", "replace")
    found = block.pattern.fullmatch(headers)
    if found is None:
        raise _Unusual(f"{block.prefix}Channel")
    values = found.groups()
    if len(headers) > _USUAL_BLOCK or not "".join(values).isprintable():
        values = tuple(map(clean, values))
    (channel, state, number, name, connected_number, connected_name) = values[:6]
    (account_code, context, exten, priority, uniqueid, linkedid) = values[6:]
    if not channel or not uniqueid or not linkedid:
        missing = _IDENTITIES[(channel, uniqueid, linkedid).index("")]
        raise _Unusual(block.prefix + missing)
    return _channel_snapshot(
        channel=channel,
        uniqueid=Uniqueid(uniqueid),
        linkedid=Linkedid(linkedid),
        state=_STATES.get(state, ChannelState.UNKNOWN),
        caller_number="" if number in _NOT_KNOWN else number,
        caller_name=_name(name),
        connected_number="" if connected_number in _NOT_KNOWN else connected_number,
        connected_name=_name(connected_name),
        account_code=account_code,
        context=context,
        exten=exten,
        priority=priority,
    )


_channel_snapshot = quick(ChannelSnapshot)


def _name(value: str) -> str:
    if value in _NOT_KNOWN:
        return ""
    return clean(unquote(unescape(value))) if "\\" in value else value


# --- putting a message into that shape ------------------------------------------------------------


def _decode_unusual(message: Message, reader: _Reader, seq: int) -> AmiEvent:
    name = message.name
    try:
        lines = _reshape(message)
        at = _timestamp(lines)
    except _Unusual as unusual:
        return Malformed(name=clean(name), reason=f"{unusual} given twice", seq=seq)
    try:
        return reader.build(lines, at, seq)
    except _Unusual as unusual:
        return Malformed(name=clean(name), reason=f"{unusual} is missing", at=at, seq=seq)


def _reshape(message: Message) -> bytes:
    """Write the headers that we read as Asterisk would: names, order, one value each.

    Raises:
        _Unusual: A channel is identified twice, differently: somebody smuggled a line in.

    """
    values: dict[str, str] = {}
    for key, value in message.fields:
        name = _KNOWN_KEYS.get(key.lower())
        if name is None:
            continue
        line = " ".join(value.splitlines()) if "\n" in value or "\r" in value else value
        if values.setdefault(name, line) != line and name.endswith(_IDENTITIES):
            raise _Unusual(name)
    lines = [f"Event: {message.name}", f"Timestamp: {values.pop('Timestamp', '')}"]
    for block in _BLOCKS:
        if f"{block.prefix}Channel" in values:
            names = (block.prefix + name for name in _CHANNEL_KEYS)
            lines += [f"{name}: {values.pop(name, '')}" for name in names]
    # Queue before what is said of it, as `_read_member` expects.
    lines += [f"{name}: {values[name]}" for name in _KNOWN_KEYS.values() if name in values]
    return ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")


# --- one builder for each kind --------------------------------------------------------------------

_Builder = Callable[[bytes, "float | None", int], AmiEvent]


def _channel_event(kind: type[ChannelEvent]) -> _Builder:
    make = quick(kind)

    def build(lines: bytes, at: float | None, seq: int) -> AmiEvent:
        return make(channel=_snapshot(lines), at=at, seq=seq)

    return build


_PRESENTATION: Final = _key("CID-CallingPres")
_PRESENTATIONS: Final = {
    0x00: "allowed_not_screened",
    0x01: "allowed_passed_screen",
    0x02: "allowed_failed_screen",
    0x03: "allowed",
    0x20: "prohib_not_screened",
    0x21: "prohib_passed_screen",
    0x22: "prohib_failed_screen",
    0x23: "prohib",
    0x43: "unavailable",
}
"""Asterisk's names of them (`main/callerid.c`); the event has number and description."""


_make_new_callerid = quick(NewCallerid)


@lru_cache(maxsize=64)
def _read_presentation(after: bytes) -> str:
    value = _text(after, _PRESENTATION)
    number, _, _ = value.partition(" ")
    return _PRESENTATIONS.get(int(number), value) if number.isdecimal() else value


def _new_callerid(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    channel, after = _cut(lines)
    return _make_new_callerid(
        channel=_must(channel), presentation=_read_presentation(after), at=at, seq=seq
    )


_APPLICATION: Final = _key("Application")
_APP_DATA: Final = _key("AppData")
_APPLICATION_DATA: Final = _key("ApplicationData")


_make_newexten = quick(Newexten)


@lru_cache(maxsize=1024)
def _read_application(after: bytes) -> tuple[str, str]:
    return _text(after, _APPLICATION), _text(after, _APP_DATA)


def _newexten(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    channel, after = _cut(lines)
    application, app_args = _read_application(after)
    return _make_newexten(
        channel=_must(channel), application=application, app_args=app_args, at=at, seq=seq
    )


_VARIABLE: Final = _key("Variable")
_VALUE: Final = _key("Value")


_make_var_set = quick(VarSet)


def _var_set(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return _make_var_set(
        channel=_snapshot(lines),
        variable=_required(lines, _VARIABLE),
        value=clean(unescape(_text(lines, _VALUE))).strip(),
        at=at,
        seq=seq,
    )


_CHANNEL_NAME: Final = _key("Channel")
_UNIQUEID: Final = _key("Uniqueid")
_NEW_NAME: Final = _key("Newname")


def _rename(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return Rename(
        uniqueid=Uniqueid(_required(lines, _UNIQUEID)),
        channel=_text(lines, _CHANNEL_NAME),
        new_name=_required(lines, _NEW_NAME),
        at=at,
        seq=seq,
    )


_CAUSE: Final = _key("Cause")
_TECH_CAUSE: Final = _key("TechCause")


_make_hangup_request = quick(HangupRequest)


@lru_cache(maxsize=64)
def _read_request(after: bytes) -> int:
    return _int(after, _CAUSE)


def _hangup_request(*, soft: bool) -> _Builder:
    def build(lines: bytes, at: float | None, seq: int) -> AmiEvent:
        channel, after = _cut(lines)
        return _make_hangup_request(
            channel=_must(channel), soft=soft, cause=_read_request(after), at=at, seq=seq
        )

    return build


_make_hangup = quick(Hangup)


@lru_cache(maxsize=256)
def _read_hangup(after: bytes) -> tuple[int, str]:
    return _int(after, _CAUSE), _text(after, _TECH_CAUSE)


def _hangup(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    channel, after = _cut(lines)
    cause, tech_cause = _read_hangup(after)
    return _make_hangup(channel=_must(channel), cause=cause, tech_cause=tech_cause, at=at, seq=seq)


_DIAL_STRING: Final = _key("DialString")
_DIAL_STATUS: Final = _key("DialStatus")
_FORWARD: Final = _key("Forward")


_make_dial_begin = quick(DialBegin)


@lru_cache(maxsize=1024)
def _read_dial(after: bytes) -> tuple[str, str, str]:
    return _text(after, _DIAL_STRING), _text(after, _DIAL_STATUS), _text(after, _FORWARD)


def _dial_begin(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    caller, after = _cut(lines)
    dest, after = _cut(after, _DEST)
    return _make_dial_begin(
        caller=caller,
        dest=_must(dest, _DEST),
        dial_string=_read_dial(after)[0],
        at=at,
        seq=seq,
    )


_make_dial_state = quick(DialState)


def _dial_state(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    caller, after = _cut(lines)
    dest, after = _cut(after, _DEST)
    return _make_dial_state(
        caller=caller, dest=_must(dest, _DEST), status=_read_dial(after)[1], at=at, seq=seq
    )


_make_dial_end = quick(DialEnd)


def _dial_end(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    caller, after = _cut(lines)
    dest, after = _cut(after, _DEST)
    _, status, forward = _read_dial(after)
    return _make_dial_end(
        caller=caller, dest=_must(dest, _DEST), status=status, forward=forward, at=at, seq=seq
    )


_BRIDGE: Final = _key("BridgeUniqueid")
_BRIDGE_FIELDS: Final = _Fields(
    "BridgeUniqueid", "BridgeType", "BridgeTechnology", "BridgeCreator", "BridgeName"
)
_TO_BRIDGE: Final = _key("ToBridgeUniqueid")
_FROM_BRIDGE: Final = _key("FromBridgeUniqueid")
_SWAP: Final = _key("SwapUniqueid")


_make_bridge_enter = quick(BridgeEnter)


def _bridge_enter(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    bridge, bridge_type, technology, creator, name = _BRIDGE_FIELDS(lines)
    if not bridge:
        raise _Unusual("BridgeUniqueid")
    channel, after = _cut(lines)
    return _make_bridge_enter(
        channel=_must(channel),
        bridge=bridge,
        bridge_type=bridge_type,
        technology=technology,
        creator="" if creator in _NOT_KNOWN else creator,
        name="" if name in _NOT_KNOWN else name,
        swap=_text(after, _SWAP),
        at=at,
        seq=seq,
    )


_make_bridge_leave = quick(BridgeLeave)


def _bridge_leave(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return _make_bridge_leave(
        channel=_snapshot(lines), bridge=_required(lines, _BRIDGE), at=at, seq=seq
    )


def _bridge_merge(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return BridgeMerge(
        to_bridge=_required(lines, _TO_BRIDGE),
        from_bridge=_required(lines, _FROM_BRIDGE),
        at=at,
        seq=seq,
    )


_make_bridge_destroy = quick(BridgeDestroy)


def _bridge_destroy(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return _make_bridge_destroy(bridge=_required(lines, _BRIDGE), at=at, seq=seq)


_CONTEXT: Final = _key("Context")
_EXTEN: Final = _key("Exten")
_OPTIMIZATION: Final = _key("LocalOptimization")


def _local_bridge(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return LocalBridge(
        one=_snapshot(lines, _LOCAL_ONE),
        two=_snapshot(lines, _LOCAL_TWO),
        context=_text(lines, _CONTEXT),
        exten=_text(lines, _EXTEN),
        optimization=_flag(lines, _OPTIMIZATION),
        at=at,
        seq=seq,
    )


_RESULT: Final = _key("Result")
_IS_EXTERNAL: Final = _key("IsExternal")
_EXTENSION: Final = _key("Extension")
_ORIG_BRIDGE: Final = _key("OrigBridgeUniqueid")
_SECOND_BRIDGE: Final = _key("SecondBridgeUniqueid")
_DEST_TYPE: Final = _key("DestType")
_DEST_BRIDGE: Final = _key("DestBridgeUniqueid")
_DEST_APP: Final = _key("DestApp")


def _blind_transfer(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return BlindTransfer(
        result=_text(lines, _RESULT),
        transferer=_snapshot(lines, _TRANSFERER),
        transferee=_snapshot_if_any(lines, _TRANSFEREE),
        bridge=_text(lines, _BRIDGE),
        external=_flag(lines, _IS_EXTERNAL),
        context=_text(lines, _CONTEXT),
        exten=_text(lines, _EXTENSION),
        at=at,
        seq=seq,
    )


def _attended_transfer(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return AttendedTransfer(
        result=_text(lines, _RESULT),
        orig_transferer=_snapshot(lines, _ORIG_TRANSFERER),
        second_transferer=_snapshot(lines, _SECOND_TRANSFERER),
        transferee=_snapshot_if_any(lines, _TRANSFEREE),
        target=_snapshot_if_any(lines, _TRANSFER_TARGET),
        orig_bridge=_text(lines, _ORIG_BRIDGE),
        second_bridge=_text(lines, _SECOND_BRIDGE),
        external=_flag(lines, _IS_EXTERNAL),
        dest_type=_text(lines, _DEST_TYPE),
        dest_bridge=_text(lines, _DEST_BRIDGE),
        dest_app=_text(lines, _DEST_APP),
        local_one=_snapshot_if_any(lines, _LOCAL_ONE),
        local_two=_snapshot_if_any(lines, _LOCAL_TWO),
        at=at,
        seq=seq,
    )


def _pickup(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return Pickup(channel=_snapshot(lines), target=_snapshot(lines, _TARGET), at=at, seq=seq)


_LOT: Final = _key("Parkinglot")
_SPACE: Final = _key("ParkingSpace")
_PARKER_DIAL_STRING: Final = _key("ParkerDialString")


def _parked(kind: str) -> _Builder:
    def build(lines: bytes, at: float | None, seq: int) -> AmiEvent:
        return Parked(
            kind=kind,
            parkee=_snapshot(lines, _PARKEE),
            retriever=_snapshot_if_any(lines, _RETRIEVER),
            lot=_text(lines, _LOT),
            space=_text(lines, _SPACE),
            dial_string=_text(lines, _PARKER_DIAL_STRING),
            at=at,
            seq=seq,
        )

    return build


_QUEUE: Final = _key("Queue")
_POSITION: Final = _key("Position")
_HOLD_TIME: Final = _key("HoldTime")
_QUEUE_PLACE: Final = _Fields("Queue", "Position", "Count")


def _queue_caller(kind: type[QueueCallerJoin | QueueCallerLeave]) -> _Builder:
    make = quick(kind)

    def build(lines: bytes, at: float | None, seq: int) -> AmiEvent:
        channel, after = _cut(lines)
        queue, position, count = _QUEUE_PLACE(after)
        if not queue:
            raise _Unusual("Queue")
        return make(
            channel=_must(channel),
            queue=queue,
            position=_to_int(position),
            count=_to_int(count),
            at=at,
            seq=seq,
        )

    return build


def _queue_caller_abandon(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return QueueCallerAbandon(
        channel=_snapshot(lines),
        queue=_required(lines, _QUEUE),
        position=_int(lines, _POSITION),
        hold_s=_seconds(lines, _HOLD_TIME),
        at=at,
        seq=seq,
    )


_MEMBER_NAME: Final = _key("MemberName")
_INTERFACE: Final = _key("Interface")
_TALK_TIME: Final = _key("TalkTime")
_RING_TIME: Final = _key("RingTime")
_REASON: Final = _key("Reason")


def _agent_event(
    kind: type[AgentEvent], read_more: Callable[[bytes], Mapping[str, object]] | None = None
) -> _Builder:
    make = quick(kind)

    def build(lines: bytes, at: float | None, seq: int) -> AmiEvent:
        caller, after = _cut(lines)
        dest, after = _cut(after, _DEST)
        more: Mapping[str, Any] = read_more(after) if read_more is not None else {}
        return make(
            queue=_required(after, _QUEUE),
            member=_text(after, _MEMBER_NAME),
            interface=_required(after, _INTERFACE),
            caller=caller,
            dest=dest,
            at=at,
            seq=seq,
            **more,
        )

    return build


def _connect_times(lines: bytes) -> Mapping[str, object]:
    return {"hold_s": _seconds(lines, _HOLD_TIME), "ring_s": _seconds(lines, _RING_TIME)}


def _complete_times(lines: bytes) -> Mapping[str, object]:
    return {
        "hold_s": _seconds(lines, _HOLD_TIME),
        "talk_s": _seconds(lines, _TALK_TIME),
        "reason": _text(lines, _REASON),
    }


def _no_answer_times(lines: bytes) -> Mapping[str, object]:
    # Milliseconds in this event alone (app_queue.c, rna()): seen as 4000 for four seconds.
    return {"ring_s": _seconds(lines, _RING_TIME) / 1000}


_MEMBER_HEADERS: Final = (
    *("StateInterface", "Membership", "Penalty", "CallsTaken", "LastCall", "LastPause", "InCall"),
    *("Status", "Paused", "PausedReason", "Wrapuptime"),
)


_make_queue_member = quick(QueueMember)
_stamp_queue_member = stamped(QueueMember)


@lru_cache(maxsize=1024)
def _read_member(after: bytes, kind: str, read: _Fields) -> QueueMember:
    # A member has few states between which it changes, and tells each of its queues every time.
    (queue, member, interface, state_interface, membership, penalty, calls, *rest) = read(after)
    (last_call, last_pause, in_call, status, paused, paused_reason, wrapup) = rest
    if not queue or not interface:
        raise _Unusual("Interface" if queue else "Queue")
    return _make_queue_member(
        kind=kind,
        queue=queue,
        member=member,
        interface=interface,
        state_interface=state_interface,
        membership=membership,
        penalty=_to_int(penalty),
        calls_taken=_to_int(calls),
        last_call=_to_seconds(last_call) or 0.0,
        last_pause=_to_seconds(last_pause) or 0.0,
        in_call=in_call in _TRUE,
        status=_to_int(status),
        paused=paused in _TRUE,
        paused_reason=paused_reason,
        wrapup_s=_to_int(wrapup),
    )


def _queue_member(kind: str, name: str = "MemberName", interface: str = "Interface") -> _Builder:
    read = _Fields("Queue", name, interface, *_MEMBER_HEADERS)

    def build(lines: bytes, at: float | None, seq: int) -> AmiEvent:
        start = lines.find(_QUEUE)
        if start < 0:
            raise _Unusual("Queue")
        return _stamp_queue_member(_read_member(lines[start:], kind, read), at, seq)

    return build


_STRATEGY: Final = _key("Strategy")
_CALLS: Final = _key("Calls")
_COMPLETED: Final = _key("Completed")
_ABANDONED: Final = _key("Abandoned")
_SERVICE_LEVEL: Final = _key("ServiceLevel")


def _queue_params(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return QueueParams(
        queue=_required(lines, _QUEUE),
        strategy=_text(lines, _STRATEGY),
        calls=_int(lines, _CALLS),
        completed=_int(lines, _COMPLETED),
        abandoned=_int(lines, _ABANDONED),
        service_level_s=_int(lines, _SERVICE_LEVEL),
        at=at,
        seq=seq,
    )


_CALLER_NUMBER: Final = _key("CallerIDNum")
_CALLER_NAME: Final = _key("CallerIDName")
_WAIT: Final = _key("Wait")


def _queue_entry(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return QueueEntry(
        queue=_required(lines, _QUEUE),
        position=_int(lines, _POSITION),
        channel=_text(lines, _CHANNEL_NAME),
        uniqueid=Uniqueid(_required(lines, _UNIQUEID)),
        caller_number=_known(lines, _CALLER_NUMBER),
        caller_name=unquote(_known(lines, _CALLER_NAME)),  # app_queue does not escape it
        wait_s=_seconds(lines, _WAIT),
        at=at,
        seq=seq,
    )


_DEVICE_NAME: Final = _key("Device")
_DEVICE: Final = _Fields("Device", "State")


_make_device_state_change = quick(DeviceStateChange)
_stamp_device_state_change = stamped(DeviceStateChange)


@lru_cache(maxsize=4096)
def _read_device(after: bytes) -> DeviceStateChange:
    device, state = _DEVICE(after)
    if not device:
        raise _Unusual("Device")
    return _make_device_state_change(device=device, state=state)


def _device_state_change(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    start = lines.find(_DEVICE_NAME)
    if start < 0:
        raise _Unusual("Device")
    return _stamp_device_state_change(_read_device(lines[start:]), at, seq)


_DURATION: Final = _key("Duration")
_BRIDGE_ID: Final = _key("BridgeId")


_make_core_show_channel = quick(CoreShowChannel)


def _core_show_channel(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return _make_core_show_channel(
        channel=_snapshot(lines),
        application=_text(lines, _APPLICATION),
        app_args=_text(lines, _APPLICATION_DATA),
        duration_s=_clock(lines, _DURATION),
        bridge=_text(lines, _BRIDGE_ID),
        at=at,
        seq=seq,
    )


_UPTIME: Final = _key("Uptime")


def _fully_booted(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return FullyBooted(uptime_s=_to_seconds(_text(lines, _UPTIME)), at=at, seq=seq)


_RESTART: Final = _key("Restart")


def _shutdown(lines: bytes, at: float | None, seq: int) -> AmiEvent:
    return Shutdown(restart=_flag(lines, _RESTART), at=at, seq=seq)


_BUILDERS: Final[dict[str, _Builder]] = {
    "Newchannel": _channel_event(Newchannel),
    "Newstate": _channel_event(Newstate),
    "NewCallerid": _new_callerid,
    "NewConnectedLine": _channel_event(NewConnectedLine),
    "Newexten": _newexten,
    "VarSet": _var_set,
    "Rename": _rename,
    "HangupRequest": _hangup_request(soft=False),
    "SoftHangupRequest": _hangup_request(soft=True),
    "Hangup": _hangup,
    "Hold": _channel_event(Hold),
    "Unhold": _channel_event(Unhold),
    "DialBegin": _dial_begin,
    "DialState": _dial_state,
    "DialEnd": _dial_end,
    "BridgeEnter": _bridge_enter,
    "BridgeLeave": _bridge_leave,
    "BridgeMerge": _bridge_merge,
    "BridgeDestroy": _bridge_destroy,
    "LocalBridge": _local_bridge,
    "BlindTransfer": _blind_transfer,
    "AttendedTransfer": _attended_transfer,
    "Pickup": _pickup,
    "ParkedCall": _parked("ParkedCall"),
    "UnParkedCall": _parked("UnParkedCall"),
    "ParkedCallTimeOut": _parked("ParkedCallTimeOut"),
    "ParkedCallGiveUp": _parked("ParkedCallGiveUp"),
    "ParkedCallSwap": _parked("ParkedCallSwap"),
    "QueueCallerJoin": _queue_caller(QueueCallerJoin),
    "QueueCallerLeave": _queue_caller(QueueCallerLeave),
    "QueueCallerAbandon": _queue_caller_abandon,
    "AgentCalled": _agent_event(AgentCalled),
    "AgentConnect": _agent_event(AgentConnect, _connect_times),
    "AgentComplete": _agent_event(AgentComplete, _complete_times),
    "AgentRingNoAnswer": _agent_event(AgentRingNoAnswer, _no_answer_times),
    "AgentDump": _agent_event(AgentDump),
    "QueueMemberAdded": _queue_member("added"),
    "QueueMemberRemoved": _queue_member("removed"),
    "QueueMemberPause": _queue_member("paused"),
    "QueueMemberStatus": _queue_member("status"),
    "QueueMemberRinginuse": _queue_member("status"),
    "QueueMemberPenalty": _queue_member("penalty"),
    "QueueMember": _queue_member("listed", "Name", "Location"),
    "QueueParams": _queue_params,
    "QueueEntry": _queue_entry,
    "DeviceStateChange": _device_state_change,
    "CoreShowChannel": _core_show_channel,
    "FullyBooted": _fully_booted,
    "Shutdown": _shutdown,
}
"""Every event we read. All others are dropped by their name."""

_CHOSEN_BY: Final = {
    "VarSet": ("Variable", WANTED_VARIABLES),
    "Newexten": ("Application", WANTED_APPLICATIONS),
}
"""Of these, only some: the header that decides, and the values we want."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """How to read one kind of event."""

    build: _Builder
    chosen: tuple[bytes, ...]
    """Lines of which one must be in the message, before its last line as Asterisk writes them.
    Half of all messages fall here; whether it was the first line of that name is seen later."""


def _chosen_lines(name: str) -> tuple[bytes, ...]:
    key, values = _CHOSEN_BY.get(name, ("", frozenset()))
    return tuple(b"\r\n%s: %s\r\n" % (key.encode(), value) for value in sorted(values))


_READERS: Final = {
    f"Event: {name}".encode(): _Reader(build, _chosen_lines(name))
    for name, build in _BUILDERS.items()
}
"""By the first line of a message: most are dropped without a look at anything else."""


def _reader_of(raw: bytes) -> _Reader | None:
    line = raw.partition(b"\r\n")[0]
    if line.startswith(b"Event: "):
        return _READERS.get(line)
    return _READERS.get(b"Event: " + event_name(raw))


def _is_chosen(raw: bytes, reader: _Reader) -> bool:
    for line in reader.chosen:  # noqa: SIM110 - `any` would cost more than the search
        if raw.rfind(line) >= 0:  # twice as quick as `in` for bytes like these
            return True
    return False
