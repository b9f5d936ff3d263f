"""The call tracker: Asterisk's events in, what happened to calls out.

How it sees a call, and why:

- **Which channels are one call?** Asterisk marks them with a linkedid, but changes it silently when
  channels meet, and gives a consultation a linkedid of its own. So each linkedid ever seen leads to
  one call, and when a channel shows another linkedid, or a bridge, dial, transfer or pickup joins
  channels of two calls, the calls are merged. The customer's call survives.
- **Does it ring?** When the phone says so: state 5, or the dial reports RINGING or PROGRESS.
  That it was dialled is not enough, an unreachable phone is dialled too.
- **Who talks?** Legs that are up and reach each other through bridges and Local pairs. "ANSWER" of
  a dial is not enough: a mobile may ask "press 1 to take the call".
- **When is it over?** When its last channel has hung up. Only a hangup is the last word about a
  leg; dials may end twice, and even for a leg that still rings.

Events about channels we never saw are surprises (`Anomaly`). Where they show that the channel is
alive it is adopted, its call marked as partly seen; after its hangup it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

from cti.ami.events import (
    AgentCalled,
    AgentConnect,
    AmiEvent,
    AttendedTransfer,
    AuditBegun,
    AuditEnded,
    BlindTransfer,
    BridgeDestroy,
    BridgeEnter,
    BridgeLeave,
    BridgeMerge,
    ChannelEvent,
    ChannelSnapshot,
    ChannelState,
    CoreShowChannel,
    DialBegin,
    DialEnd,
    DialState,
    FullyBooted,
    Hangup,
    HangupRequest,
    Hold,
    LinkLost,
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
    QueueParams,
    Rename,
    SnapshotBegun,
    SnapshotEnded,
    Unhold,
    VarSet,
)
from cti.ami.quick import quick
from cti.model import (
    ADOPTED_BY_AUDIT,
    CLOSED_BY_AUDIT,
    Anomaly,
    Call,
    CallAnswered,
    CallChange,
    CallChangedParty,
    CallEnded,
    CallHeld,
    CallId,
    CallLeftQueue,
    CallQueued,
    CallResumed,
    CallRinging,
    CallsMerged,
    CallStarted,
    CallTransferred,
    Gap,
    LegEnded,
    LegResult,
    LegRole,
    TransferKind,
)
from cti.tracker.calls import LiveCall, LiveLeg, Span, Talk, Time, Wait
from cti.tracker.endpoints import EndpointRules, endpoint_of, is_somebody
from cti.tracker.graph import Bridge, Channel, local_pair_name, reachable
from cti.tracker.outcomes import gave_up_waiting, outcome_of, picked_up_instead, result_of_leg
from cti.transfers import LiveTransfer

REMEMBERED: Final = 4096
"""Ended channels and calls whose ids are remembered, so that a late event revives nothing."""

COMES_BACK_S: Final = 1.0
"""A call that goes out by one trunk and comes back by it is one call when it takes no longer."""

_NO_NUMBER: Final = frozenset({"", "s", "i", "t", "h", "o"})
"""Extensions that are not what somebody dialled."""

_WITHHELD: Final = frozenset({"anonymous", "restricted", "private", "withheld"})
"""Numbers with which PBXs and providers say that the caller hides the number (RFC 3323)."""

_FLOWED: Final = frozenset(
    {
        "TIMEOUT",
        "FULL",
        "JOINEMPTY",
        "LEAVEEMPTY",
        "JOINUNAVAIL",
        "LEAVEUNAVAIL",
        "CONTINUE",
        "WITHDRAW",
    }
)
"""Values of QUEUESTATUS with which the dialplan goes on with the caller."""

_TOLD_LATE: Final = frozenset({NewCallerid, NewConnectedLine})
"""What Asterisk may tell right after a Hangup: no sign that the channel lives.

`queue/leaves_when_empty_other_answers`
"""

_UP: Final = ChannelState.UP
_RINGING: Final = ChannelState.RINGING
_HOLDING: Final = "holding"

_MAKERS: Final[dict[type[CallChange], Callable[..., CallChange]]] = {
    kind: quick(kind) for kind in get_args(CallChange)
}

E = TypeVar("E", bound=AmiEvent)
Handler = Callable[[Any], None]


class CallTracker:
    """Follows the calls of one PBX.

    Feed events in the order in which the PBX sent them. Never raises, whatever they say.

    Args:
        pbx: The PBX's name, the first part of each call's id.
        endpoints: Which endpoints are phones.

    """

    def __init__(self, pbx: str, endpoints: EndpointRules | None = None) -> None:
        self.pbx = pbx
        self._endpoints = endpoints or EndpointRules()
        self._channels: dict[str, Channel] = {}
        self._calls: dict[CallId, LiveCall] = {}
        self._by_linkedid: dict[str, LiveCall] = {}
        self._bridges: dict[str, Bridge] = {}
        self._halves: dict[str, Channel] = {}
        """Halves of Local channels that wait for their other half, by the name they share."""
        self._sent_out: dict[tuple[str, str, str], Channel] = {}
        """Callers from outside who were sent on by another trunk: by trunk, number and name."""
        self._gone: dict[str, None] = {}
        """Uniqueids of channels that hung up, oldest first."""
        self._ended: dict[str, int] = {}
        """How many calls that began with a linkedid are over, oldest first."""
        self._order = 0
        self._now: Time = None
        self._event: AmiEvent = AmiEvent()
        self._out: list[CallChange | Anomaly] = []
        self._alive: set[str] | None = None
        """Uniqueids that events spoke of since a snapshot began (and that it lists), or since an
        audit missed some channels; None when nobody asks."""
        self._listing = False
        """True while a snapshot comes in."""
        self._audit: dict[str, CoreShowChannel] | None = None
        """While an audit comes in: what it lists."""
        self._missed: set[str] = set()
        """Channels of ours that the last audit did not list."""
        self._lacked: set[str] = set()
        """Channels that the last audit listed and that are not ours."""
        self._adopted: dict[Channel, None] = {}
        self._queues_listed = False
        self._waiting: set[tuple[str, str]] = set()
        self._before: Time = None
        """The time of the event before this one."""
        self._heard: Time = None
        """When the PBX was last heard before the link was lost; None once it is heard again."""
        self._uptime: float | None = None
        """The PBX's uptime as last told."""
        self._restarted = False
        """True from the first word of a PBX that was restarted until its list was compared."""
        self._handlers: dict[type[AmiEvent], Handler] = {
            Newchannel: self._newchannel,
            Newstate: self._seen,
            NewConnectedLine: self._seen,
            NewCallerid: self._new_callerid,
            Newexten: self._newexten,
            VarSet: self._var_set,
            Rename: self._rename,
            HangupRequest: self._hangup_request,
            Hangup: self._hangup,
            Hold: self._hold,
            Unhold: self._unhold,
            DialBegin: self._dial_begin,
            DialState: self._dial_state,
            DialEnd: self._dial_end,
            BridgeEnter: self._bridge_enter,
            BridgeLeave: self._bridge_leave,
            BridgeMerge: self._bridge_merge,
            BridgeDestroy: self._bridge_destroy,
            LocalBridge: self._local_bridge,
            BlindTransfer: self._blind_transfer,
            AttendedTransfer: self._attended_transfer,
            Pickup: self._pickup,
            Parked: self._parked,
            QueueCallerJoin: self._queue_caller_join,
            QueueCallerLeave: self._queue_caller_leave,
            QueueCallerAbandon: self._queue_caller_abandon,
            AgentCalled: self._agent_called,
            AgentConnect: self._agent_called,
            QueueParams: self._queue_params,
            QueueEntry: self._queue_entry,
            LinkLost: self._link_lost,
            FullyBooted: self._fully_booted,
            SnapshotBegun: self._snapshot_begun,
            CoreShowChannel: self._core_show_channel,
            SnapshotEnded: self._snapshot_ended,
            AuditBegun: self._audit_begun,
            AuditEnded: self._audit_ended,
            Malformed: self._malformed,
        }

    def handle(self, event: AmiEvent) -> list[CallChange | Anomaly]:
        """Return what the event means for the calls in progress, in order."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return []
        if event.at is not None:
            self._before, self._now = self._now, event.at
        self._event = event
        handler(event)
        if not self._out:
            return []
        out = self._out
        self._out = []
        return out

    def calls(self) -> list[Call]:
        """Return the calls in progress, oldest first."""
        return [call.freeze(self._now) for call in self._calls.values() if call.announced]

    # --- saying what happened ---------------------------------------------------------------------

    def _announce(self, call: LiveCall) -> None:
        """Say that a call began: as soon as somebody takes part in it."""
        if not call.announced and call.legs:
            call.announced = True
            call.told = (call.direction, call.dialed)
            self._out.append(CallStarted(call=call.freeze(self._now), at=call.started_at))

    def _emit(self, kind: type[CallChange], call: LiveCall, **more: object) -> None:
        self._announce(call)
        if call.announced:
            make = _MAKERS[kind]
            self._out.append(make(call=call.freeze(self._now), at=self._now, **more))

    def _surprise(self, reason: str, call: LiveCall | None = None) -> None:
        if call is not None:
            call.anomalies += 1
        self._out.append(
            Anomaly(
                reason=reason,
                event=type(self._event).__name__,
                at=self._now,
                call=call.id if call else None,
            )
        )

    def _next(self) -> int:
        self._order += 1
        return self._order

    # --- channels ---------------------------------------------------------------------------------

    def _newchannel(self, event: Newchannel) -> None:
        snapshot = event.channel
        uniqueid = snapshot.uniqueid
        if uniqueid in self._channels:
            self._know(snapshot)
        elif uniqueid in self._gone:
            self._surprise("a channel that hung up is made again")
        else:
            self._add(snapshot, caller=_is_first(snapshot))

    def _seen(self, event: ChannelEvent) -> None:
        self._know(event.channel)

    def _know(self, snapshot: ChannelSnapshot, *, adopt: bool = True) -> Channel | None:
        """Return the channel and take over what the event shows of it.

        None if we do not know it, and the event is not one that makes us adopt it.
        """
        channel = self._channels.get(snapshot.uniqueid)
        if channel is None:
            return self._unknown(snapshot, adopt=adopt)
        if self._alive is not None:
            self._alive.add(snapshot.uniqueid)
        if snapshot.linkedid != channel.linkedid:
            self._relink(channel, snapshot.linkedid)
        if snapshot.state is not channel.state:
            self._set_state(channel, snapshot.state)
        return channel

    def _unknown(self, snapshot: ChannelSnapshot, *, adopt: bool) -> Channel | None:
        told_late = type(self._event) in _TOLD_LATE
        if told_late and snapshot.uniqueid in self._gone:
            return None
        if not adopt or told_late or snapshot.uniqueid in self._gone:
            self._surprise("unknown channel", self._by_linkedid.get(snapshot.linkedid))
            return None
        caller = _is_first(snapshot)
        channel = self._add(snapshot, caller=caller, partial=True)
        self._surprise("channel joined late", channel.call)
        return channel

    def _add(
        self, snapshot: ChannelSnapshot, *, caller: bool, partial: bool = False, quiet: bool = False
    ) -> Channel:
        call = self._by_linkedid.get(snapshot.linkedid)
        sent_out = self._sent_out_as(snapshot) if call is None and caller else None
        if sent_out is not None:
            call = sent_out.call
            self._link(call, snapshot.linkedid)
        if call is None:
            call = self._begin(snapshot.linkedid)
            # A first channel that is not the first of its linkedid: we missed those before it.
            call.partial = partial or not caller
        call.partial |= partial
        channel = Channel(snapshot.uniqueid, snapshot.channel, snapshot.linkedid, call)
        self._channels[snapshot.uniqueid] = channel
        call.channels[channel] = None
        if self._alive is not None:
            self._alive.add(snapshot.uniqueid)
        if is_somebody(snapshot.channel):
            self._add_leg(channel, snapshot, caller=caller)
            if sent_out is not None and channel.leg is not None:
                channel.leg.role = LegRole.CALLER
            if not quiet:
                self._announce(call)
        elif pair := local_pair_name(snapshot.channel):
            self._pair_by_name(channel, pair)
        if quiet:
            channel.state = snapshot.state
            if channel.leg is not None and snapshot.state is _UP:
                channel.leg.up = self._next()
        elif snapshot.state is not channel.state:
            self._set_state(channel, snapshot.state)
        return channel

    def _begin(self, linkedid: str) -> LiveCall:
        call_id = CallId(f"{self.pbx}:{linkedid}")
        used = self._ended.get(linkedid, 0)
        if used:  # a stray channel of a call that is over
            call_id = CallId(f"{call_id}~{used + 1}")
        call = LiveCall(call_id, self.pbx, started_at=self._now, order=self._next())
        self._calls[call_id] = call
        self._link(call, linkedid)
        return call

    def _link(self, call: LiveCall, linkedid: str) -> None:
        self._by_linkedid[linkedid] = call
        call.linkedids[linkedid] = None

    def _add_leg(self, channel: Channel, snapshot: ChannelSnapshot, *, caller: bool) -> None:
        call = channel.call
        endpoint = endpoint_of(snapshot.channel)
        leg = LiveLeg(
            self._next(),
            snapshot.uniqueid,
            snapshot.channel,
            endpoint=endpoint,
            role=LegRole.CALLEE,
            is_phone=self._endpoints.is_phone(endpoint),
            started_at=self._now,
        )
        channel.leg = leg
        call.legs.append(leg)
        if call.originated_by is not None and len(call.legs) == 1:
            # Who is called for nobody through a Local channel calls, once they pick up.
            leg.originated = caller = True
        if caller and call.caller_leg is None:
            self._make_caller(call, leg, snapshot)

        elif not caller and not leg.is_phone:
            self._send_out(channel)

    def _send_out(self, channel: Channel) -> None:
        """Remember a caller from outside who is sent on by another trunk: they may come back."""
        leg, call = channel.leg, channel.call
        first = call.caller_leg
        if leg is None or first is None or first.is_phone or not call.caller_number:
            return
        if first.endpoint != leg.endpoint:
            channel.sent_out = (leg.endpoint, call.caller_number, call.caller_name)
            self._sent_out[channel.sent_out] = channel

    def _sent_out_as(self, snapshot: ChannelSnapshot) -> Channel | None:
        """Return the channel by which a call went out that comes in with this one again.

        Nothing joins the two but trunk, number and name; so only right after it was sent out, and
        before anything rings there.
        """
        if not self._sent_out or type(self._event) is not Newchannel:
            return None
        key = (endpoint_of(snapshot.channel), snapshot.caller_number, snapshot.caller_name)
        channel = self._sent_out.get(key)
        leg = None if channel is None else channel.leg
        if leg is None or leg.rang or leg.up:
            return None
        if leg.started_at is None or self._now is None:
            return channel  # a stream without times
        return channel if self._now - leg.started_at <= COMES_BACK_S else None

    def _make_caller(self, call: LiveCall, leg: LiveLeg, snapshot: ChannelSnapshot) -> None:
        leg.role = LegRole.CALLER
        if snapshot.caller_number.lower() in _WITHHELD:
            call.presentation = "prohib"
        else:
            call.caller_number = snapshot.caller_number
            call.caller_name = snapshot.caller_name
        if not call.dialed and snapshot.exten not in _NO_NUMBER:
            call.dialed = snapshot.exten

    def _relink(self, channel: Channel, linkedid: str) -> None:
        """Asterisk shows another linkedid: the channel belongs together with its channels."""
        channel.linkedid = linkedid
        other = self._by_linkedid.get(linkedid)
        if other is None:
            self._link(channel.call, linkedid)
        else:
            self._merge(channel.call, other)

    def _set_state(self, channel: Channel, state: ChannelState) -> None:
        # Who is up stays up: an older state is a late copy of an event.
        if channel.state is _UP or state is ChannelState.UNKNOWN:
            return
        channel.state = state
        if channel.leg is None:
            return
        if state is _RINGING:
            self._rings(channel)
        elif state is _UP:
            channel.leg.up = self._next()
            if channel.bridge is not None:
                self._connect(channel)

    def _rings(self, channel: Channel) -> None:
        """The phone at this channel rings: said once."""
        leg = channel.leg
        if leg is None or leg.rang or leg.up:
            return
        call = channel.call
        leg.rang = True
        leg.ringing_at = self._now
        leg.result = LegResult.RINGING
        wait = call.open_wait
        self._emit(CallRinging, call, leg=leg.freeze(self._now), queue=wait.queue if wait else "")

    def _new_callerid(self, event: NewCallerid) -> None:
        channel = self._know(event.channel)
        if channel is None:
            return
        call, leg = channel.call, channel.leg
        # Of a phone that calls, this is the number it shows to others: we know who it is.
        if leg is None or leg.role is not LegRole.CALLER or leg.is_phone:
            return
        if call.talked or any(other.rang for other in call.legs):
            return
        number, name = event.channel.caller_number, event.channel.caller_name
        presentation = event.presentation or call.presentation
        if number.lower() in _WITHHELD:
            number, name, presentation = "", "", "prohib"
        if (number, name, presentation) != (
            call.caller_number,
            call.caller_name,
            call.presentation,
        ):
            call.caller_number, call.caller_name = number, name
            call.presentation = presentation
            self._emit(CallChangedParty, call)

    def _newexten(self, event: Newexten) -> None:
        channel = self._know(event.channel)
        if channel is None:
            return
        call = channel.call
        if event.application.lower() == "voicemail" and not call.voicemail:
            call.voicemail = True
            call.voicemail_at = self._now
        for wait in call.waits:
            # The dialplan goes on with a caller who left the queue: nobody hung up in it.
            if wait.uniqueid == channel.uniqueid and not wait.open:
                wait.flowed = True

    def _var_set(self, event: VarSet) -> None:
        channel = self._know(event.channel)
        if channel is not None and event.variable == "QUEUESTATUS" and event.value in _FLOWED:
            for wait in channel.call.waits:
                if wait.uniqueid == channel.uniqueid:
                    wait.flowed = True

    def _rename(self, event: Rename) -> None:
        channel = self._channels.get(event.uniqueid)
        if channel is None:
            self._surprise("unknown channel")
            return
        self._stop_waiting_for_half(channel)
        channel.name = event.new_name
        if channel.leg is not None:
            channel.leg.channel = event.new_name
            channel.leg.endpoint = endpoint_of(event.new_name)

    def _hangup_request(self, event: HangupRequest) -> None:
        channel = self._know(event.channel, adopt=False)
        if channel is not None and channel.leg is not None and not channel.leg.asked:
            channel.leg.asked = self._next()
            channel.leg.hung_up = not event.soft

    def _hangup(self, event: Hangup) -> None:
        uniqueid = event.channel.uniqueid
        channel = self._channels.get(uniqueid)
        if channel is None:
            self._remember_gone(uniqueid)
            self._surprise("unknown channel", self._by_linkedid.get(event.channel.linkedid))
            return
        if event.channel.linkedid != channel.linkedid:
            self._relink(channel, event.channel.linkedid)
        leg = channel.leg
        if leg is not None:
            leg.cause = event.cause
        self._remove(channel)

    def _remove(self, channel: Channel, *, lost: bool = False) -> None:
        """A channel is gone, and with its last one the call."""
        call = channel.call
        at = None if lost else self._now
        del self._channels[channel.uniqueid]
        if channel.sent_out is not None and self._sent_out.get(channel.sent_out) is channel:
            del self._sent_out[channel.sent_out]
        self._remember_gone(channel.uniqueid)
        self._leave(channel, lost=lost)
        self._unpair(channel, lost=lost)
        self._end_waits(channel, at, lost=lost)
        del call.channels[channel]
        if channel.leg is not None:
            self._end_leg(channel.leg, call, at, lost=lost)
        if not call.channels:
            self._end_call(call, at, lost=lost)

    def _end_leg(self, leg: LiveLeg, call: LiveCall, at: Time, *, lost: bool) -> None:
        if leg.held:
            leg.holds[-1].lost = lost
            leg.holds[-1].close(at)
        if not lost or leg.answered:
            leg.result = result_of_leg(leg, call)
        else:
            leg.result = LegResult.UNKNOWN
        leg.ended = True
        leg.ended_at = at
        taker = picked_up_instead(leg, call) if leg.result is LegResult.ANSWERED_ELSEWHERE else None
        self._emit(
            LegEnded,
            call,
            leg=leg.freeze(at),
            answered_by=taker.freeze(at) if taker is not None else None,
        )

    def _end_call(self, call: LiveCall, at: Time, *, lost: bool) -> None:
        call.lost = lost
        call.partial |= lost
        for transfer in call.transfers:
            if not lost and transfer.ended(call.legs):
                self._emit(CallTransferred, call, transfer=transfer.freeze())
        call.ended = True
        call.ended_at = at
        call.outcome = outcome_of(call)
        self._forget(call)
        self._emit(CallEnded, call)

    def _forget(self, call: LiveCall) -> None:
        del self._calls[call.id]
        first = next(iter(call.linkedids))
        self._ended[first] = self._ended.pop(first, 0) + 1
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        for linkedid in call.linkedids:
            if self._by_linkedid.get(linkedid) is call:
                del self._by_linkedid[linkedid]

    def _remember_gone(self, uniqueid: str) -> None:
        self._gone[uniqueid] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]

    # --- two calls turn out to be one -------------------------------------------------------------

    def _merge(self, one: LiveCall, other: LiveCall) -> LiveCall:
        """Join two calls and return the one that goes on: the customer's, else the older."""
        if one is other:
            return one
        survivor, merged = sorted((one, other), key=_precedence)
        self._forget(merged)
        survivor.absorb(merged)
        for linkedid in merged.linkedids:
            self._by_linkedid[linkedid] = survivor
        if merged.announced:
            self._emit(CallsMerged, survivor, merged=merged.id)
        else:
            self._announce(survivor)
        return survivor

    # --- dialling ---------------------------------------------------------------------------------

    def _dial_begin(self, event: DialBegin) -> None:
        caller = None if event.caller is None else self._know(event.caller)
        dest = self._know(event.dest)
        if dest is None:
            return
        if event.caller is None:
            self._originated(dest, event)
        elif caller is not None:
            dest.dialled_by = caller
            self._merge(caller.call, dest.call)
            self._complete_caller(caller, event.caller)
            if _dials_for_nobody(caller):
                self._originated(dest, event)
        call = dest.call
        if call.announced and call.told != (call.direction, call.dialed):
            call.told = (call.direction, call.dialed)
            self._emit(CallChangedParty, call)

    def _originated(self, dest: Channel, event: DialBegin) -> None:
        """Asterisk dials for nobody: click-to-call, a dialler, or a recall after a transfer."""
        leg, call = dest.leg, dest.call
        if leg is None and not call.legs and event.caller is None:
            call.originated_by = dest
        if leg is None or leg.up:
            return
        if event.caller is not None:
            leg.originated = True
        if leg.role is not LegRole.CALLER:
            return
        leg.originated = True
        call.dialed = ""
        if not leg.is_phone:
            leg.role = LegRole.CALLEE
            call.dialed_out = True
            call.dialed = event.dest.caller_number or _dialled_number(event.dial_string)
            call.caller_number = call.caller_name = ""

    def _complete_caller(self, caller: Channel, snapshot: ChannelSnapshot) -> None:
        call, leg = caller.call, caller.leg
        if leg is None:
            if call.originated_by is caller and not call.dialed:
                # The person behind the Local channel picked up; now it dials for them.
                call.dialed = "" if snapshot.exten in _NO_NUMBER else snapshot.exten
            return
        if call.caller_leg is None and not call.dialed_out and leg.number <= call.legs[0].number:
            self._make_caller(call, leg, snapshot)
        elif call.caller_leg is None and call.partial and not leg.rang:
            # Whoever dials, and joined late, called: the first channel's uniqueid is not known.
            self._make_caller(call, leg, snapshot)
        if leg.role is LegRole.CALLER and not call.dialed and snapshot.exten not in _NO_NUMBER:
            call.dialed = snapshot.exten

    def _dial_state(self, event: DialState) -> None:
        if event.caller is not None:
            self._know(event.caller)
        dest = self._know(event.dest)
        if dest is not None and event.status in ("RINGING", "PROGRESS"):
            self._rings(dest)

    def _dial_end(self, event: DialEnd) -> None:
        caller = None if event.caller is None else self._know(event.caller, adopt=False)
        dest = self._know(event.dest, adopt=False)
        if dest is None:
            return
        if event.status == "ANSWER":
            if caller is not None and _dials_for_nobody(caller):
                self._calls_instead(dest)
            return
        self._dial_failed(dest, event.status)
        leg = dest.leg
        if leg is not None and event.forward and not leg.forwarded:
            leg.forwarded = True
            self._handed_on(
                dest.call, TransferKind.FORWARD, leg.channel, (leg,), dest.call.caller_leg
            )

    def _calls_instead(self, dest: Channel) -> None:
        """Of several phones that ring for a call from the desk, this one was picked up."""
        leg, first = dest.leg, dest.call.caller_leg
        if leg is None or first is None or leg is first or first.up:
            return
        if leg.originated and first.originated and leg.is_phone:
            first.role, leg.role = LegRole.CALLEE, LegRole.CALLER

    def _dial_failed(self, dest: Channel, status: str) -> None:
        """Note why dialling failed, also of the phones that rang behind a Local pair."""
        if dest.leg is not None:
            dest.leg.dial_status = dest.leg.dial_status or status
        elif dest.other_half is not None:
            for channel in dest.call.people():
                dialler = channel.dialled_by
                if dialler is dest.other_half and channel.leg is not None:
                    channel.leg.dial_status = channel.leg.dial_status or status

    # --- bridges and Local pairs ------------------------------------------------------------------

    def _bridge_enter(self, event: BridgeEnter) -> None:
        channel = self._know(event.channel)
        if channel is None:
            return
        holding = _HOLDING in event.technology or event.bridge_type == _HOLDING
        bridge = self._join(channel, event.bridge, holding=holding)
        if event.bridge_type == "basic" and not holding:
            # Asterisk gives all members of a basic bridge one linkedid, but tells us later.
            for member in list(bridge.members):
                self._merge(channel.call, member.call)
        self._connect(channel)

    def _join(self, channel: Channel, bridge_id: str, *, holding: bool) -> Bridge:
        bridge = self._bridges.get(bridge_id)
        if bridge is None:
            bridge = self._bridges[bridge_id] = Bridge(bridge_id, holding=holding)
        if channel.bridge is not bridge:
            self._leave(channel)
            self._bridges[bridge_id] = bridge
            channel.bridge = bridge
            bridge.members[channel] = None
        return bridge

    def _bridge_leave(self, event: BridgeLeave) -> None:
        channel = self._know(event.channel, adopt=False)
        # It may have entered another bridge before it is said to have left this one.
        if channel is not None and channel.bridge and channel.bridge.id == event.bridge:
            self._leave(channel)

    def _leave(self, channel: Channel, *, lost: bool = False) -> None:
        bridge = channel.bridge
        if bridge is None:
            return
        before = [] if channel.leg is not None else reachable(channel)
        channel.bridge = None
        del bridge.members[channel]
        if not bridge.members:
            self._bridges.pop(bridge.id, None)
        self._disconnect(channel, before, lost=lost)

    def _bridge_merge(self, event: BridgeMerge) -> None:
        source = self._bridges.get(event.from_bridge)
        if source is None or event.from_bridge == event.to_bridge:
            return
        target = self._bridges.get(event.to_bridge)
        holding = target.holding if target is not None else source.holding
        for channel in list(source.members):
            self._join(channel, event.to_bridge, holding=holding)
            self._connect(channel)

    def _bridge_destroy(self, event: BridgeDestroy) -> None:
        bridge = self._bridges.get(event.bridge)
        if bridge is not None:
            for channel in list(bridge.members):
                self._leave(channel)

    def _local_bridge(self, event: LocalBridge) -> None:
        one, two = self._know(event.one), self._know(event.two)
        if one is not None and two is not None:
            self._merge(one.call, two.call)
            self._pair(one, two)

    def _pair_by_name(self, channel: Channel, pair: str) -> None:
        other = self._halves.pop(pair, None)
        if other is None:
            self._halves[pair] = channel
        else:
            self._pair(channel, other)

    def _pair(self, one: Channel, two: Channel) -> None:
        if one.other_half is two or one is two:
            return
        self._unpair(one)
        self._unpair(two)
        one.other_half, two.other_half = two, one
        self._connect(one)

    def _unpair(self, channel: Channel, *, lost: bool = False) -> None:
        self._stop_waiting_for_half(channel)
        other = channel.other_half
        if other is None:
            return
        before = reachable(channel)
        channel.other_half = other.other_half = None
        self._disconnect(channel, before, lost=lost)

    def _stop_waiting_for_half(self, channel: Channel) -> None:
        pair = local_pair_name(channel.name)
        if pair and self._halves.get(pair) is channel:
            del self._halves[pair]

    # --- who talks --------------------------------------------------------------------------------

    def _connect(self, channel: Channel) -> None:
        """The channel reaches others now: begin the talks of people who hear each other."""
        if channel.bridge is None and channel.other_half is None:
            return
        people = reachable(channel)
        if channel.leg is not None:
            for other in people:
                if other is not channel:
                    self._talk(channel, other)
        else:
            for index, one in enumerate(people):
                for other in people[index + 1 :]:
                    self._talk(one, other)

    def _disconnect(self, channel: Channel, before: list[Channel], *, lost: bool) -> None:
        """The channel left: end the talks of people who no longer hear each other."""
        for one in before or [channel]:
            if not one.talks:
                continue
            still = set(reachable(one))
            for other in list(one.talks):
                if other not in still:
                    talk = one.talks.pop(other)
                    del other.talks[one]
                    talk.spans[-1].lost = lost
                    talk.spans[-1].close(self._now)

    def _talk(self, one: Channel, other: Channel) -> None:
        if other in one.talks or one.state is not _UP or other.state is not _UP:
            return
        if one.leg is None or other.leg is None:
            return
        first, second = sorted((one, other), key=_leg_number)
        pair = (first.leg, second.leg)
        calls = list(dict.fromkeys((first.call, second.call)))
        talk = next((call.talks[pair] for call in calls if pair in call.talks), None)
        if talk is None:
            talk = Talk(pair[0], pair[1], self._next())  # type: ignore[arg-type]
        talk.spans.append(Span(self._now))
        one.talks[other] = other.talks[one] = talk
        for call in calls:
            if not call.talks:
                call.answered_at = self._now
            call.talks[talk.one, talk.other] = talk
            for wait in call.waits:
                if wait.leg in pair:
                    wait.connected(self._now)
        self._say_answered(first, second)
        for call in calls:
            for transfer in call.transfers:
                if transfer.open and transfer.connected(talk.one, talk.other, call.legs):
                    self._emit(CallTransferred, call, transfer=transfer.freeze())

    def _say_answered(self, one: Channel, other: Channel) -> None:
        fresh = [channel for channel in (one, other) if channel.leg and not channel.leg.answered]
        for channel in fresh:
            leg = channel.leg
            if leg is not None:
                leg.answered = True
                leg.answered_at = self._now
                leg.result = LegResult.ANSWERED
        for channel in fresh:
            leg = channel.leg
            if leg is None:
                continue
            # In a conference each caller comes with a call of their own.
            if leg.role is LegRole.CALLEE or one.call is not other.call:
                self._emit(CallAnswered, channel.call, leg=leg.freeze(self._now))

    def _hold(self, event: Hold) -> None:
        channel = self._know(event.channel)
        if channel is not None and channel.leg is not None and not channel.leg.held:
            channel.leg.holds.append(Span(self._now))
            self._emit(CallHeld, channel.call, leg=channel.leg.freeze(self._now))

    def _unhold(self, event: Unhold) -> None:
        channel = self._know(event.channel, adopt=False)
        # A transfer sends it whether or not anybody was on hold.
        if channel is not None and channel.leg is not None and channel.leg.held:
            channel.leg.holds[-1].close(self._now)
            self._emit(CallResumed, channel.call, leg=channel.leg.freeze(self._now))

    # --- transfers, pickup, parking ---------------------------------------------------------------

    def _handed_on(
        self,
        call: LiveCall,
        kind: TransferKind,
        by: str,
        by_legs: tuple[LiveLeg, ...],
        follower: LiveLeg | None,
    ) -> None:
        transfer = LiveTransfer(kind, by=by, by_legs=by_legs, follower=follower, order=self._next())
        call.transfers.append(transfer)
        self._emit(CallTransferred, call, transfer=transfer.freeze())

    def _blind_transfer(self, event: BlindTransfer) -> None:
        transferer = self._know(event.transferer, adopt=False)
        transferee = None if event.transferee is None else self._know(event.transferee)
        channel = transferer or transferee
        if channel is None:
            return
        by_legs = _legs(transferer)
        follower = self._follower(transferee, by_legs)
        # "external_replaces" is how an attended transfer to another PBX looks from here.
        kind = TransferKind.ATTENDED if event.exten == "external_replaces" else TransferKind.BLIND
        if event.result != "Success":
            self._failed(channel.call, kind, event.transferer.channel)
            return
        for transfer in channel.call.transfers:
            # The parking space was told before the transfer that led there.
            if transfer.open and transfer.kind is TransferKind.PARK and transfer.by_legs == by_legs:
                return
        self._handed_on(channel.call, kind, event.transferer.channel, by_legs, follower)

    def _attended_transfer(self, event: AttendedTransfer) -> None:
        orig = self._know(event.orig_transferer, adopt=False)
        second = self._know(event.second_transferer, adopt=False)
        transferee = None if event.transferee is None else self._know(event.transferee)
        target = None if event.target is None else self._know(event.target)
        known = [channel for channel in (transferee, orig, second, target) if channel is not None]
        if not known:
            return
        by = event.orig_transferer.channel
        if event.result != "Success":
            self._failed(known[0].call, TransferKind.ATTENDED, by)
            return
        by_legs = tuple(dict.fromkeys(_legs(orig) + _legs(second)))
        follower = self._follower(transferee, by_legs)
        consulted = _partners(second or orig, without=(*by_legs, follower))
        rung = [] if second is None else _rung_by(second, without=by_legs)
        consulting = second is not None and second.leg is second.call.caller_leg
        for channel in known[1:]:
            self._merge(known[0].call, channel.call)
        leg = second.leg if consulting and second is not None else None
        if leg is not None and leg.role is not LegRole.CALLER:
            leg.role = LegRole.CONSULT
        call = known[0].call
        kind = TransferKind.ATTENDED if consulted else TransferKind.BLONDE
        transfer = LiveTransfer(
            kind,
            by=by,
            by_legs=by_legs,
            follower=follower,
            order=self._next(),
            to=consulted or rung,
        )
        call.transfers.append(transfer)
        # The bridges may have moved before the event told why.
        for talk in call.talks.values():
            if talk.open and transfer.open:
                transfer.connected(talk.one, talk.other, call.legs)
        self._emit(CallTransferred, call, transfer=transfer.freeze())

    def _failed(self, call: LiveCall, kind: TransferKind, by: str) -> None:
        transfer = LiveTransfer(kind, by=by, by_legs=(), follower=None, order=self._next())
        transfer.settle("failed", [])
        call.transfers.append(transfer)
        self._emit(CallTransferred, call, transfer=transfer.freeze())

    def _follower(self, transferee: Channel | None, by_legs: tuple[LiveLeg, ...]) -> LiveLeg | None:
        """Who follows the transfer: the person at the transferee, also behind a Local pair."""
        if transferee is None:
            return None
        if transferee.leg is not None:
            return transferee.leg
        # Look through the pair first: its near end may be with the target by now.
        people = (person.leg for person in reachable(transferee.other_half or transferee))
        return next((leg for leg in people if leg is not None and leg not in by_legs), None)

    def _pickup(self, event: Pickup) -> None:
        picker = self._know(event.channel)
        target = self._know(event.target, adopt=False)
        if picker is None:
            return
        if target is not None:
            self._merge(picker.call, target.call)
        leg = picker.leg
        if leg is not None:
            self._handed_on(picker.call, TransferKind.PICKUP, leg.channel, (leg,), None)

    def _parked(self, event: Parked) -> None:
        parkee = self._know(event.parkee)
        retriever = None if event.retriever is None else self._know(event.retriever)
        if parkee is None:
            return
        if retriever is not None:
            self._merge(parkee.call, retriever.call)
        if event.kind == "ParkedCall":
            self._parked_by(parkee, event.dial_string)
        elif event.kind == "ParkedCallTimeOut":
            for transfer in parkee.call.transfers:
                transfer.timed_out |= transfer.open and transfer.kind is TransferKind.PARK

    def _parked_by(self, parkee: Channel, dial_string: str) -> None:
        call = parkee.call
        for transfer in call.transfers:
            # Parked by a transfer to the parking extension: that was the transfer.
            if transfer.open and transfer.kind is TransferKind.BLIND:
                transfer.kind = TransferKind.PARK
                self._emit(CallTransferred, call, transfer=transfer.freeze())
                return
        parkers = [leg for leg in call.legs if leg.endpoint == dial_string]
        by = parkers[-1].channel if parkers else dial_string
        self._handed_on(call, TransferKind.PARK, by, tuple(parkers[-1:]), parkee.leg)

    # --- queues -----------------------------------------------------------------------------------

    def _queue_caller_join(self, event: QueueCallerJoin) -> None:
        channel = self._know(event.channel)
        if channel is not None and self._open_wait(channel, event.queue) is None:
            self._join_queue(channel, event.queue, self._now, event.position)

    def _join_queue(self, channel: Channel, queue: str, joined: Time, position: int) -> None:
        call = channel.call
        wait = Wait(
            queue,
            channel.uniqueid,
            channel.leg or call.caller_leg,
            joined=joined,
            order=self._next(),
        )
        call.waits.append(wait)
        self._emit(CallQueued, call, queue=queue, position=position)

    def _queue_caller_leave(self, event: QueueCallerLeave) -> None:
        channel = self._know(event.channel, adopt=False)
        if channel is None:
            return
        wait = self._open_wait(channel, event.queue) or self._inherited_wait(channel, event.queue)
        if wait is None:
            return
        wait.connecting = any(leg.up > wait.order and not leg.ended for leg in channel.call.legs)
        self._leave_queue(channel.call, wait, self._now)

    def _queue_caller_abandon(self, event: QueueCallerAbandon) -> None:
        channel = self._know(event.channel, adopt=False)
        if channel is None:
            return
        wait = self._open_wait(channel, event.queue) or self._inherited_wait(channel, event.queue)
        if wait is not None:
            wait.abandoned = self._next()

    def _leave_queue(self, call: LiveCall, wait: Wait, at: Time) -> None:
        wait.span.close(at)
        self._emit(CallLeftQueue, call, queue=wait.queue)

    def _open_wait(self, channel: Channel, queue: str) -> Wait | None:
        for wait in channel.call.waits:
            if wait.open and wait.queue == queue and wait.uniqueid == channel.uniqueid:
                return wait
        return None

    def _inherited_wait(self, channel: Channel, queue: str) -> Wait | None:
        """Find the place in the queue that another channel of the call had before.

        After a blonde transfer to a queue the customer takes the transferer's place.
        """
        for wait in channel.call.waits:
            if wait.open and wait.queue == queue:
                wait.uniqueid = channel.uniqueid
                wait.leg = channel.leg or wait.leg
                return wait
        return None

    def _end_waits(self, channel: Channel, at: Time, *, lost: bool) -> None:
        call, leg = channel.call, channel.leg
        for wait in call.waits:
            if wait.uniqueid != channel.uniqueid or self._inherits(wait, channel):
                continue
            caller = leg or wait.leg
            if not lost and caller is not None and not call.talked:
                wait.gave_up = gave_up_waiting(wait, caller)
            if wait.open:
                self._leave_queue(call, wait, at)

    def _inherits(self, wait: Wait, gone: Channel) -> bool:
        """Give the place in the queue of a transferer who hangs up to whom they handed on."""
        if not wait.open:
            return False
        for transfer in gone.call.transfers:
            if transfer.open and gone.leg in transfer.by_legs and transfer.follower is not None:
                wait.leg = transfer.follower
                wait.uniqueid = transfer.follower.uniqueid
                return not transfer.follower.ended
        return False

    def _agent_called(self, event: AgentCalled | AgentConnect) -> None:
        if event.caller is not None:
            self._know(event.caller)
        if event.dest is not None:
            self._know(event.dest)

    # --- gaps: what exists now --------------------------------------------------------------------

    def _link_lost(self, event: LinkLost) -> None:
        if self._heard is None:
            self._heard = self._now if event.at is None else self._before
        for call in self._calls.values():
            call.partial = True
            call.gap = call.gap or Gap.LINK_LOST
        self._end_audits()

    def _fully_booted(self, event: FullyBooted) -> None:
        """Tell a restart from a network gap: after one, the PBX is up for less long than that.

        `FullyBooted` carries no time of its own, so the one that it is given may be ours. When the
        PBX was started is therefore not compared, only how long it was not heard.
        """
        heard, self._heard = self._heard, None
        uptime, before = event.uptime_s, self._uptime
        if uptime is None:
            return
        self._uptime = uptime
        unheard = None if event.at is None or heard is None else event.at - heard
        if (before is not None and uptime < before) or (unheard is not None and uptime <= unheard):
            self._restarted = True

    def _snapshot_begun(self, event: SnapshotBegun) -> None:  # noqa: ARG002
        self._end_audits()
        self._alive = set()
        self._listing = True
        self._adopted.clear()
        self._queues_listed = False
        self._waiting = set()

    def _core_show_channel(self, event: CoreShowChannel) -> None:
        snapshot = event.channel
        if self._audit is not None:
            self._audit[snapshot.uniqueid] = event
            return
        if snapshot.uniqueid in self._gone:
            return  # it hung up while the list was made
        channel = self._channels.get(snapshot.uniqueid)
        if channel is None:
            if not self._listing:
                return  # somebody else's list
            channel = self._adopt_listed(event)
        else:
            self._know(snapshot)
        if event.application.lower() == "voicemail":
            channel.call.voicemail = True
        self._place(channel, event)

    def _adopt_listed(self, event: CoreShowChannel) -> Channel:
        called = event.application in ("AppDial", "AppDial2", "AppQueue")
        snapshot = event.channel
        caller = not called and (
            _is_first(snapshot) or snapshot.state in (ChannelState.RING, ChannelState.UP)
        )
        channel = self._add(snapshot, caller=caller, partial=True, quiet=True)
        self._adopted[channel] = None
        if self._now is not None and event.duration_s:
            started = self._now - event.duration_s
            if channel.leg is not None:
                channel.leg.started_at = started
            call = channel.call
            if not call.announced and (call.started_at is None or started < call.started_at):
                call.started_at = started
        return channel

    def _place(self, channel: Channel, event: CoreShowChannel) -> None:
        """Put a listed channel into the bridge in which it is."""
        if not event.bridge:
            self._leave(channel)
        elif channel.bridge is None or channel.bridge.id != event.bridge:
            self._join(channel, event.bridge, holding=event.application.startswith("Park"))
            if channel not in self._adopted:
                self._connect(channel)

    def _queue_params(self, event: QueueParams) -> None:  # noqa: ARG002
        self._queues_listed = self._listing

    def _queue_entry(self, event: QueueEntry) -> None:
        channel = self._channels.get(event.uniqueid)
        if channel is None or not self._listing:
            return
        self._waiting.add((event.queue, event.uniqueid))
        if self._open_wait(channel, event.queue) is None:
            joined = None if self._now is None else self._now - event.wait_s
            self._join_queue(channel, event.queue, joined, event.position)

    def _snapshot_ended(self, event: SnapshotEnded) -> None:
        alive, self._alive, self._listing = self._alive, None, False
        adopted = list(self._adopted)
        self._adopted.clear()
        for channel in adopted:
            self._settle(channel)
        restarted, self._restarted = self._restarted, False
        # Nothing outlives a restart: then even half a list tells what is gone.
        if alive is None or not (event.complete or restarted):
            return
        if self._queues_listed and event.complete:
            self._end_waits_not_listed()
        for uniqueid, channel in list(self._channels.items()):
            if uniqueid not in alive:
                channel.call.partial = True
                channel.call.gap = Gap.PBX_RESTART if restarted else Gap.LINK_LOST
                self._remove(channel, lost=True)

    # --- audits: were events lost although the link held? -----------------------------------------

    def _audit_begun(self, event: AuditBegun) -> None:  # noqa: ARG002
        if not self._listing:
            self._audit = {}

    def _audit_ended(self, event: AuditEnded) -> None:
        """Believe what two complete lists in a row say, against what the events told.

        One alone proves nothing: events of before the list may come after it.
        """
        listed, self._audit = self._audit, None
        heard, self._alive = self._alive or set(), None
        if listed is None:
            return
        if not event.complete:
            self._end_audits()
            return
        missed = self._channels.keys() - listed.keys()
        lacked = listed.keys() - self._channels.keys() - self._gone.keys()
        for uniqueid in sorted(missed & self._missed - heard):
            channel = self._channels[uniqueid]
            channel.call.partial = True
            channel.call.gap = Gap.NOT_LISTED
            self._surprise(CLOSED_BY_AUDIT, channel.call)
            self._remove(channel, lost=True)
        for uniqueid in sorted(lacked & self._lacked):
            channel = self._adopt_listed(listed[uniqueid])
            self._place(channel, listed[uniqueid])
            self._surprise(ADOPTED_BY_AUDIT, channel.call)
        for channel in list(self._adopted):
            self._settle(channel)
        self._adopted.clear()
        self._missed = missed & self._channels.keys()
        self._lacked = lacked - self._channels.keys()
        if self._missed:
            self._alive = set()

    def _end_audits(self) -> None:
        self._audit = None
        self._missed, self._lacked = set(), set()
        if not self._listing:
            self._alive = None

    def _settle(self, channel: Channel) -> None:
        """Say what an adopted channel does, now that all of its call is known."""
        if self._channels.get(channel.uniqueid) is not channel:
            return
        self._announce(channel.call)
        if channel.state is _RINGING:
            self._rings(channel)
        self._connect(channel)

    def _end_waits_not_listed(self) -> None:
        for call in list(self._calls.values()):
            for wait in call.waits:
                if wait.open and (wait.queue, wait.uniqueid) not in self._waiting:
                    wait.span.lost = True
                    self._leave_queue(call, wait, None)

    def _malformed(self, event: Malformed) -> None:
        self._out.append(Anomaly(reason=event.reason, event=event.name or "Malformed", at=event.at))


def _precedence(call: LiveCall) -> tuple[bool, bool, int]:
    """Sort the call that lives on first: a customer's, one that somebody made, the older."""
    outside = any(not leg.is_phone for leg in call.legs)
    return (not outside, not call.legs, call.order)


def _is_first(snapshot: ChannelSnapshot) -> bool:
    """Tell whether a channel is the first of its linkedid: that of whoever called."""
    return str(snapshot.uniqueid) == str(snapshot.linkedid)


def _dials_for_nobody(caller: Channel) -> bool:
    """Tell whether this is the far half of a Local channel that Asterisk called for nobody."""
    return caller.leg is None and (
        caller.other_half is not None and caller.call.originated_by is caller.other_half
    )


def _leg_number(channel: Channel) -> int:
    return channel.leg.number if channel.leg is not None else 0


def _legs(channel: Channel | None) -> tuple[LiveLeg, ...]:
    return (channel.leg,) if channel is not None and channel.leg is not None else ()


def _partners(channel: Channel | None, *, without: tuple[LiveLeg | None, ...]) -> list[LiveLeg]:
    """Return whom the person at this channel has talked to, in order."""
    if channel is None or channel.leg is None:
        return []
    found = []
    for talk in channel.call.talks.values():
        if channel.leg in (talk.one, talk.other):
            partner = talk.other if talk.one is channel.leg else talk.one
            if partner not in without:
                found.append(partner)
    return found


def _rung_by(channel: Channel, *, without: tuple[LiveLeg, ...]) -> list[LiveLeg]:
    """Return whom the person at this channel is ringing."""
    return [
        leg
        for leg in channel.call.legs
        if leg.rang and not leg.up and not leg.ended and leg not in without
    ]


def _dialled_number(dial_string: str) -> str:
    """Return `905559998877` for `905559998877@trunk` or `trunk/905559998877`."""
    number, at, _ = dial_string.partition("@")
    return number if at else dial_string.rpartition("/")[2]
