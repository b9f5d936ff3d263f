"""Asterisk's events as values, in Asterisk's words.

Only what call tracking, queues and resynchronisation need. Field sources: Asterisk 16-22
`main/manager_channels.c`, `manager_bridges.c`, `apps/app_queue.c`, `res/parking/`, and the recorded
streams in `tests/traces`. Strings are unescaped and cleaned by `cti.ami.codec`; missing caller ids
are `""`. `at` is the PBX's own `Timestamp` in seconds since the epoch, None when the stream
has none (`timestampevents=no`). `seq` counts messages of one stream from 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

Uniqueid = NewType("Uniqueid", str)
Linkedid = NewType("Linkedid", str)


class ChannelState(IntEnum):
    """States of a channel (`include/asterisk/channelstate.h`)."""

    DOWN = 0
    RESERVED = 1
    OFFHOOK = 2
    DIALING = 3
    RING = 4
    RINGING = 5
    UP = 6
    BUSY = 7
    DIALING_OFFHOOK = 8
    PRERING = 9
    UNKNOWN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSnapshot:
    """The block of headers that describes one channel in an event."""

    channel: str
    uniqueid: Uniqueid
    linkedid: Linkedid
    state: ChannelState = ChannelState.UNKNOWN
    caller_number: str = ""
    caller_name: str = ""
    connected_number: str = ""
    connected_name: str = ""
    account_code: str = ""
    context: str = ""
    exten: str = ""
    priority: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiEvent:
    """Something a PBX told us."""

    at: float | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEvent(AmiEvent):
    """An event about one channel."""

    channel: ChannelSnapshot


# --- channels -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Newchannel(ChannelEvent):
    """A channel was made. `channel.exten` is the dialled number only here and only on a caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newstate(ChannelEvent):
    """A channel's state changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallerid(ChannelEvent):
    """A channel's caller id was rewritten. `presentation` is `CID-CallingPres`."""

    presentation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConnectedLine(ChannelEvent):
    """What a channel is shown of its peer changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newexten(ChannelEvent):
    """A channel runs a dialplan application (class `dialplan`, often not subscribed)."""

    application: str = ""
    app_args: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarSet(ChannelEvent):
    """A channel variable that matters to us was set (the codec drops all others)."""

    variable: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(AmiEvent):
    """A channel got another name."""

    uniqueid: Uniqueid
    channel: str
    new_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HangupRequest(ChannelEvent):
    """Somebody asked for the hangup: the remote side, or (soft) AMI, dialplan, timeout."""

    soft: bool = False
    cause: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(ChannelEvent):
    """A channel is gone. Nothing follows for this Uniqueid."""

    cause: int = 0
    tech_cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(ChannelEvent):
    """The person at this channel pressed hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhold(ChannelEvent):
    """The person at this channel took the call off hold."""


# --- dialling -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DialEvent(AmiEvent):
    """An event about one channel (absent for Originate) dialling another."""

    caller: ChannelSnapshot | None
    dest: ChannelSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class DialBegin(DialEvent):
    """A channel is being dialled."""

    dial_string: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialState(DialEvent):
    """The dial goes on: RINGING, PROCEEDING or PROGRESS."""

    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialEnd(DialEvent):
    """The dial is over: ANSWER, BUSY, CANCEL, NOANSWER, CONGESTION, CHANUNAVAIL, … May repeat."""

    status: str = ""
    forward: str = ""


# --- bridges --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEnter(ChannelEvent):
    """A channel joined a bridge; `swap` is the Uniqueid of the channel whose place it took."""

    bridge: str
    bridge_type: str = ""
    technology: str = ""
    creator: str = ""
    name: str = ""
    swap: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLeave(ChannelEvent):
    """A channel left a bridge."""

    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeMerge(AmiEvent):
    """All channels of one bridge moved to another."""

    to_bridge: str
    from_bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeDestroy(AmiEvent):
    """A bridge is gone."""

    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBridge(AmiEvent):
    """The two halves of a Local channel were joined."""

    one: ChannelSnapshot
    two: ChannelSnapshot
    context: str = ""
    exten: str = ""
    optimization: bool = True


# --- transfers, pickup, parking -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindTransfer(AmiEvent):
    """A blind transfer was tried."""

    result: str
    transferer: ChannelSnapshot
    transferee: ChannelSnapshot | None
    bridge: str = ""
    external: bool = False
    context: str = ""
    exten: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendedTransfer(AmiEvent):
    """An attended transfer was tried; Success does not mean that the target answered."""

    result: str
    orig_transferer: ChannelSnapshot
    second_transferer: ChannelSnapshot
    transferee: ChannelSnapshot | None
    target: ChannelSnapshot | None
    orig_bridge: str = ""
    second_bridge: str = ""
    external: bool = False
    dest_type: str = ""
    dest_bridge: str = ""
    dest_app: str = ""
    local_one: ChannelSnapshot | None = None
    local_two: ChannelSnapshot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pickup(ChannelEvent):
    """A channel picked up a call that rang at another."""

    target: ChannelSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked(AmiEvent):
    """`ParkedCall`, `UnParkedCall`, `ParkedCallTimeOut`, `ParkedCallGiveUp`, `ParkedCallSwap`."""

    kind: str
    parkee: ChannelSnapshot
    retriever: ChannelSnapshot | None = None
    lot: str = ""
    space: str = ""
    dial_string: str = ""


# --- queues ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCallerJoin(ChannelEvent):
    """A caller joined a queue."""

    queue: str
    position: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCallerLeave(ChannelEvent):
    """A caller left a queue: to an agent, by hanging up, by timeout, by key."""

    queue: str
    position: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCallerAbandon(ChannelEvent):
    """A caller left without an agent. Also raised on timeout: not yet an abandoned call."""

    queue: str
    position: int = 0
    hold_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent(AmiEvent):
    """A queue and one of its members about one caller."""

    queue: str
    member: str
    """MemberName."""
    interface: str
    caller: ChannelSnapshot | None
    dest: ChannelSnapshot | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCalled(AgentEvent):
    """A queue rings a member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConnect(AgentEvent):
    """A member got the caller."""

    hold_s: float = 0.0
    ring_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentComplete(AgentEvent):
    """A member is done with the caller. May be missing or late."""

    hold_s: float = 0.0
    talk_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRingNoAnswer(AgentEvent):
    """A member did not take the call. `ring_s` is seconds here (Asterisk sends ms)."""

    ring_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDump(AgentEvent):
    """A member hung up during the announcement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMember(AmiEvent):
    """A member's state: added, changed, paused, removed, or an item of QueueStatus."""

    kind: str
    """`added`, `removed`, `paused`, `status`, `penalty` or `listed`."""
    queue: str
    member: str
    interface: str
    state_interface: str = ""
    membership: str = ""
    penalty: int = 0
    calls_taken: int = 0
    last_call: float = 0.0
    last_pause: float = 0.0
    in_call: bool = False
    status: int = 0
    """Device state 0-8 (`include/asterisk/devicestate.h`): 1 idle, 2 in use, 6 ringing, …"""
    paused: bool = False
    paused_reason: str = ""
    wrapup_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueParams(AmiEvent):
    """A queue as QueueStatus lists it."""

    queue: str
    strategy: str = ""
    calls: int = 0
    completed: int = 0
    abandoned: int = 0
    service_level_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry(AmiEvent):
    """A waiting caller as QueueStatus lists it."""

    queue: str
    position: int
    channel: str
    uniqueid: Uniqueid
    caller_number: str = ""
    caller_name: str = ""
    wait_s: float = 0.0


# --- devices, system ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStateChange(AmiEvent):
    """A device became idle, busy, unreachable and so on."""

    device: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreShowChannel(ChannelEvent):
    """A channel that exists now, as CoreShowChannels lists it."""

    application: str = ""
    app_args: str = ""
    duration_s: float = 0.0
    bridge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyBooted(AmiEvent):
    """The PBX is ready; `uptime_s` tells a restart from a network gap."""

    uptime_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(AmiEvent):
    """The PBX goes down."""

    restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotBegun(AmiEvent):
    """Not Asterisk's: a list of what exists now follows (after each login)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEnded(AmiEvent):
    """Not Asterisk's: the list is complete; what was not in it is gone."""

    complete: bool = True
    """False when a list action failed or timed out: then nothing may be concluded from absence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBegun(AmiEvent):
    """Not Asterisk's: a list of the channels follows, to compare with what the events told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEnded(AmiEvent):
    """Not Asterisk's: the list of an audit is over."""

    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost(AmiEvent):
    """Not Asterisk's: the connection broke; events may be missing from here on."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(AmiEvent):
    """A message that lacks what its kind must have. Counted, logged, never raised."""

    name: str
    reason: str
