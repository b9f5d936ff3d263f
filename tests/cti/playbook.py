"""Plays: events that a PBX sends, and what each means, written as what happened.

    (
        Playbook()
        .sent(A.new(exten="902125550101"))
        .expect("started inbound 905321112233 > 902125550101")
        .sent(B.new(), A.dials(B), B.rings())
        .expect("ringing PJSIP/1001")
        ...
        .over()
    )

Each change is one line. A play has to end with `over()`: no call may be left in the tracker, or
`goes_on()`. One that ends with neither is an error (see `conftest.py`).
"""

from __future__ import annotations

import difflib
from typing import ClassVar, Self

from cti.ami.events import AmiEvent
from cti.model import (
    Anomaly,
    Call,
    CallAnswered,
    CallChange,
    CallChangedParty,
    CallEnded,
    CallHeld,
    CallLeftQueue,
    CallQueued,
    CallResumed,
    CallRinging,
    CallsMerged,
    CallStarted,
    CallTransferred,
    Leg,
    LegEnded,
)
from cti.tracker import CallTracker, EndpointRules


class Playbook:
    """Feeds a tracker and compares what it says with what is expected."""

    unfinished: ClassVar[list[Playbook]] = []

    def __init__(self, rules: EndpointRules | None = None) -> None:
        self.tracker = CallTracker("pbx", rules)
        self.ended: list[Call] = []
        self._said: list[str] = []
        Playbook.unfinished.append(self)

    def sent(self, *events: AmiEvent) -> Self:
        """Feed what the PBX sent."""
        for event in events:
            for change in self.tracker.handle(event):
                if isinstance(change, CallEnded):
                    self.ended.append(change.call)
                self._said.append(describe(change))
        return self

    def expect(self, *lines: str) -> Self:
        """Compare all that was said since the last `expect`."""
        said, self._said = self._said, []
        if said != list(lines):
            difference = "\n".join(difflib.ndiff(list(lines), said))
            raise AssertionError(f"- expected, + said\n{difference}")
        return self

    def silence(self) -> Self:
        """Expect that nothing was said."""
        return self.expect()

    def goes_on(self) -> Call:
        """End the play with one call in progress, and return it."""
        self._finish()
        (call,) = self.tracker.calls()
        return call

    def over(self) -> Call:
        """End the play: no call is left. Return the last one that ended."""
        self._finish()
        left = [call.id for call in self.tracker.calls()]
        if left:
            raise AssertionError(f"still in progress: {left}")
        return self.ended[-1]

    def _finish(self) -> None:
        Playbook.unfinished.remove(self)
        if self._said:
            raise AssertionError(f"said, but not expected: {self._said}")


def describe(change: CallChange | Anomaly) -> str:
    """Write a change as one line."""
    match change:
        case Anomaly():
            return f"surprise: {change.reason} ({change.event})"
        case CallStarted(call=call):
            return f"started {call.direction} {call.caller.number or '-'} > {call.dialed or '-'}"
        case CallChangedParty(call=call):
            return f"party {call.direction} {call.caller.number or '-'} > {call.dialed or '-'}"
        case CallQueued():
            return f"queued {change.queue} {change.position}"
        case CallLeftQueue():
            return f"left {change.queue}"
        case CallRinging():
            return f"ringing {change.leg.endpoint}" + (f" of {change.queue}" * bool(change.queue))
        case CallAnswered():
            return f"answered {change.leg.endpoint}"
        case CallHeld():
            return f"held by {change.leg.endpoint}"
        case CallResumed():
            return f"resumed by {change.leg.endpoint}"
        case LegEnded():
            by = f" by {change.answered_by.endpoint}" if change.answered_by else ""
            return f"leg {change.leg.endpoint} {change.leg.result}{by}"
        case CallTransferred(transfer=transfer):
            to = " ".join(channel.rpartition("-")[0] for channel in transfer.to) or "-"
            return f"transfer {transfer.kind} to {to} {transfer.result or 'open'}"
        case CallsMerged():
            return f"merged {change.merged} into {change.call.id}"
        case CallEnded(call=call):
            return f"ended {call.outcome}"


def leg_of(call: Call, endpoint: str) -> Leg:
    """Return the first leg of an endpoint."""
    return next(leg for leg in call.legs if leg.endpoint == endpoint)
