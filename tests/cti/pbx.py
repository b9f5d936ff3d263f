"""A PBX made of paper: channels that say what Asterisk would send about them."""

from __future__ import annotations

from itertools import count
from typing import Any

from cti.ami.events import (
    AgentCalled,
    AgentConnect,
    AttendedTransfer,
    BlindTransfer,
    BridgeEnter,
    BridgeLeave,
    ChannelSnapshot,
    ChannelState,
    CoreShowChannel,
    DialBegin,
    DialEnd,
    DialState,
    Hangup,
    HangupRequest,
    Hold,
    Linkedid,
    LocalBridge,
    NewCallerid,
    Newchannel,
    Newexten,
    Newstate,
    Parked,
    Pickup,
    QueueCallerAbandon,
    QueueCallerJoin,
    QueueCallerLeave,
    Unhold,
    Uniqueid,
    VarSet,
)


class Clock:
    """The PBX's clock: `clock.after(2)` lets two seconds pass."""

    def __init__(self) -> None:
        self.now: float | None = 1000.0

    def after(self, seconds: float) -> Clock:
        """Let time pass."""
        assert self.now is not None
        self.now += seconds
        return self


class Pbx:
    """Makes channels."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._numbers = count()

    def channel(
        self, endpoint: str, *, number: str = "", name: str = "", of: Channel | None = None
    ) -> Channel:
        """Make a channel; `of` is the one whose linkedid it takes."""
        index = next(self._numbers)
        uniqueid = f"100.{index}"
        linkedid = of.linkedid if of is not None else uniqueid
        half = ""
        if endpoint.endswith((";1", ";2")):
            endpoint, half, index = endpoint[:-2], endpoint[-2:], 7
        return Channel(
            self,
            f"{endpoint}-{index:08x}{half}",
            uniqueid,
            linkedid,
            number=number,
            caller_name=name,
        )

    def trunk(self, number: str = "905321112233", name: str = "Zoë") -> Channel:
        """Make a caller from outside."""
        return self.channel("PJSIP/trunk", number=number, name=name)

    def phone(self, number: str, of: Channel | None = None) -> Channel:
        """Make a channel of a phone."""
        return self.channel(f"PJSIP/{number}", number=number, of=of)


class Channel:
    """One channel; its methods return the events about it."""

    def __init__(
        self,
        pbx: Pbx,
        name: str,
        uniqueid: str,
        linkedid: str,
        *,
        number: str,
        caller_name: str,
    ) -> None:
        self.pbx = pbx
        self.name = name
        self.uniqueid = uniqueid
        self.linkedid = linkedid
        self.number = number
        self.caller_name = caller_name
        self.state = ChannelState.DOWN
        self.exten = ""

    @property
    def now(self) -> ChannelSnapshot:
        """The channel block of an event."""
        return ChannelSnapshot(
            channel=self.name,
            uniqueid=Uniqueid(self.uniqueid),
            linkedid=Linkedid(self.linkedid),
            state=self.state,
            caller_number=self.number,
            caller_name=self.caller_name,
            exten=self.exten,
        )

    @property
    def _about(self) -> dict[str, Any]:
        return {"channel": self.now, "at": self.pbx.clock.now}

    def new(self, *, exten: str = "s", state: ChannelState = ChannelState.DOWN) -> Newchannel:
        """It is made, to be dialled."""
        self.exten, self.state = exten, state
        return Newchannel(**self._about)

    def calls(self, exten: str) -> Newchannel:
        """It is made because somebody dialled."""
        return self.new(exten=exten, state=ChannelState.RING)

    def becomes(self, state: ChannelState) -> Newstate:
        """Its state changes."""
        self.state = state
        return Newstate(**self._about)

    def rings(self) -> Newstate:
        """The phone rings."""
        return self.becomes(ChannelState.RINGING)

    def up(self) -> Newstate:
        """It is picked up."""
        return self.becomes(ChannelState.UP)

    def known_as(self, number: str, name: str = "", presentation: str = "") -> NewCallerid:
        """Its caller id is rewritten."""
        self.number, self.caller_name = number, name
        return NewCallerid(presentation=presentation, **self._about)

    def runs(self, application: str) -> Newexten:
        """The dialplan goes on with it."""
        return Newexten(application=application, **self._about)

    def variable(self, name: str, value: str) -> VarSet:
        """A variable of it is set."""
        return VarSet(variable=name, value=value, **self._about)

    def dials(self, dest: Channel) -> DialBegin:
        """It dials another."""
        return DialBegin(caller=self.now, dest=dest.now, at=self.pbx.clock.now)

    def dial_says(self, dest: Channel, status: str) -> DialState:
        """The dial goes on."""
        return DialState(caller=self.now, dest=dest.now, status=status, at=self.pbx.clock.now)

    def dial_ends(self, dest: Channel, status: str, forward: str = "") -> DialEnd:
        """The dial is over."""
        return DialEnd(
            caller=self.now,
            dest=dest.now,
            status=status,
            forward=forward,
            at=self.pbx.clock.now,
        )

    def dialled_by_nobody(self, dial_string: str = "") -> DialBegin:
        """Asterisk dials it for an Originate."""
        return DialBegin(caller=None, dest=self.now, dial_string=dial_string, at=self.pbx.clock.now)

    def enters(self, bridge: str, kind: str = "basic") -> BridgeEnter:
        """It joins a bridge."""
        technology = "holding_bridge" if kind == "holding" else "simple_bridge"
        return BridgeEnter(bridge=bridge, bridge_type=kind, technology=technology, **self._about)

    def leaves(self, bridge: str) -> BridgeLeave:
        """It leaves a bridge."""
        return BridgeLeave(bridge=bridge, **self._about)

    def tube(self, other: Channel) -> LocalBridge:
        """The two halves of a Local channel are joined."""
        return LocalBridge(one=self.now, two=other.now, at=self.pbx.clock.now)

    def asks_to_hang_up(self, cause: int = 16, *, soft: bool = False) -> HangupRequest:
        """The person at it hangs up, or (soft) the dialplan does."""
        return HangupRequest(cause=cause, soft=soft, **self._about)

    def hangs_up(self, cause: int = 16) -> Hangup:
        """It is gone."""
        return Hangup(cause=cause, **self._about)

    def hold(self) -> Hold:
        """Hold is pressed."""
        return Hold(**self._about)

    def unhold(self) -> Unhold:
        """Hold is released."""
        return Unhold(**self._about)

    def joins(self, queue: str, position: int = 1) -> QueueCallerJoin:
        """It joins a queue."""
        return QueueCallerJoin(queue=queue, position=position, count=position, **self._about)

    def leaves_queue(self, queue: str) -> QueueCallerLeave:
        """It is no longer in the queue."""
        return QueueCallerLeave(queue=queue, **self._about)

    def abandons(self, queue: str) -> QueueCallerAbandon:
        """Asterisk says that it left the queue without an agent."""
        return QueueCallerAbandon(queue=queue, **self._about)

    def offered(self, dest: Channel, queue: str) -> AgentCalled:
        """The queue calls a member for it."""
        return AgentCalled(
            queue=queue,
            member="",
            interface=dest.name,
            caller=self.now,
            dest=dest.now,
            at=self.pbx.clock.now,
        )

    def gets(self, dest: Channel, queue: str) -> AgentConnect:
        """The queue connects it with a member."""
        return AgentConnect(
            queue=queue,
            member="",
            interface=dest.name,
            caller=self.now,
            dest=dest.now,
            at=self.pbx.clock.now,
        )

    def picks_up(self, target: Channel) -> Pickup:
        """It takes the call that rings at another."""
        return Pickup(target=target.now, **self._about)

    def hands_on(self, customer: Channel | None, exten: str, result: str = "Success") -> Any:
        """A blind transfer."""
        return BlindTransfer(
            result=result,
            transferer=self.now,
            transferee=customer.now if customer else None,
            exten=exten,
            at=self.pbx.clock.now,
        )

    def connects(
        self,
        second: Channel,
        customer: Channel,
        target: Channel | None,
        *,
        result: str = "Success",
        dest_type: str = "Bridge",
    ) -> AttendedTransfer:
        """An attended transfer: it and `second` are the two calls of the transferer."""
        return AttendedTransfer(
            result=result,
            orig_transferer=self.now,
            second_transferer=second.now,
            transferee=customer.now,
            target=target.now if target else None,
            dest_type=dest_type,
            at=self.pbx.clock.now,
        )

    def parked(self, kind: str = "ParkedCall", *, by: str = "", retriever: Any = None) -> Parked:
        """It is parked, or retrieved."""
        return Parked(
            kind=kind,
            parkee=self.now,
            retriever=retriever.now if retriever else None,
            dial_string=by,
            at=self.pbx.clock.now,
        )

    def listed(
        self, application: str = "", bridge: str = "", duration_s: float = 0.0
    ) -> CoreShowChannel:
        """It exists, as CoreShowChannels says. List items have no time."""
        return CoreShowChannel(
            channel=self.now, application=application, bridge=bridge, duration_s=duration_s
        )
