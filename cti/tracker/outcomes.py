"""How a leg and a call ended.

A leg's hangup cause alone says little: the outcome comes from the whole call. The order of the
questions matters, and follows what was seen from Asterisk 22 with PJSIP phones (`tests/traces`).
"""

from __future__ import annotations

from typing import Final

from cti.model import CallOutcome, LegResult, LegRole
from cti.tracker.calls import LiveCall, LiveLeg, Wait

_BUSY: Final = 17
_REJECTED: Final = 21
_ANSWERED_ELSEWHERE: Final = 26

_TIDIED_UP: Final = frozenset({0, 16, 26, 127})
"""Causes of a leg that Asterisk itself took down: its own BUSY was not said by the phone."""

_NOT_REACHED: Final = frozenset({"CHANUNAVAIL", "CONGESTION", "INVALIDARGS", "CHANUNAVAILABLE"})


def result_of_leg(leg: LiveLeg, call: LiveCall) -> LegResult:
    """Say how a leg ended, at its hangup."""
    if leg.answered:
        return LegResult.ANSWERED
    if leg.role is LegRole.CALLER and (leg.up or not leg.originated):
        return _result_of_caller(leg, call)
    if leg.role is LegRole.CONSULT:
        return LegResult.CANCELLED  # the transferer did not wait
    if leg.cause == _ANSWERED_ELSEWHERE:
        return LegResult.ANSWERED_ELSEWHERE
    if leg.cause == _REJECTED:
        return LegResult.REJECTED
    if leg.cause == _BUSY:
        return LegResult.BUSY
    if leg.dial_status == "BUSY" and (leg.hung_up or leg.cause not in _TIDIED_UP):
        return LegResult.BUSY
    if leg.dial_status == "NOANSWER":
        return LegResult.NO_ANSWER if leg.rang else LegResult.FAILED
    if leg.dial_status in _NOT_REACHED:
        return LegResult.FAILED
    if leg.forwarded:
        return LegResult.CANCELLED
    if picked_up_instead(leg, call) is not None:
        return LegResult.ANSWERED_ELSEWHERE
    if _somebody_gave_up(leg, call):
        return LegResult.CANCELLED
    if leg.dial_status == "CANCEL":
        return LegResult.CANCELLED
    return LegResult.NO_ANSWER if leg.rang else LegResult.FAILED


def picked_up_instead(leg: LiveLeg, call: LiveCall) -> LiveLeg | None:
    """Return the leg that took the call while `leg` rang."""
    takers = [
        other
        for other in call.legs
        if other is not leg
        and other.role is not LegRole.CALLER
        and other.up > leg.number
        and (other.answered or not other.ended)
    ]
    return max(takers, key=lambda other: other.up, default=None)


def gave_up_waiting(wait: Wait, leg: LiveLeg) -> bool:
    """Tell, at the caller's hangup, whether they hung up while they waited in the queue.

    Asterisk says "abandon" for callers whose time in the queue is over too; those live on in the
    dialplan until it hangs up on them, or they do.
    """
    if wait.open:
        return True
    if wait.abandoned:
        if leg.asked:
            return leg.hung_up and leg.asked < wait.abandoned
        return not wait.flowed
    return wait.connecting and leg.hung_up


def outcome_of(call: LiveCall) -> CallOutcome:
    """Say how a call ended; asked earlier, how it would have ended by now."""
    if call.talked:
        return CallOutcome.ANSWERED
    if call.lost:
        return CallOutcome.UNKNOWN
    if call.voicemail:
        return CallOutcome.VOICEMAIL
    if call.waits and call.waits[-1].gave_up:
        return CallOutcome.ABANDONED
    if call.partial and any(_may_have_talked(leg) for leg in call.legs):
        return CallOutcome.UNKNOWN
    results = _results_of_called(call)
    if results & _RANG_IN_VAIN:
        return CallOutcome.NO_ANSWER
    if LegResult.BUSY in results:
        return CallOutcome.BUSY
    if LegResult.FAILED in results:
        return CallOutcome.FAILED
    return _outcome_without_legs(call)


def _results_of_called(call: LiveCall) -> set[LegResult]:
    """Return how it ended with those who were called.

    Who only sent the caller on was not rung in vain. Whom Asterisk called first, for nobody, counts
    only when nobody was called for them.
    """
    called = [leg for leg in call.legs if not leg.originated and leg.role is not LegRole.CALLER]
    called = called or [leg for leg in call.legs if leg.originated]
    return {leg.result for leg in called if not leg.forwarded}


def _may_have_talked(leg: LiveLeg) -> bool:
    """Tell whether somebody picked up there, or may have, while we could not see it."""
    return leg.role is not LegRole.CALLER and (leg.up > 0 or leg.result is LegResult.UNKNOWN)


_RANG_IN_VAIN: Final = frozenset(
    {
        LegResult.NO_ANSWER,
        LegResult.CANCELLED,
        LegResult.REJECTED,
        LegResult.ANSWERED_ELSEWHERE,
    }
)


def _outcome_without_legs(call: LiveCall) -> CallOutcome:
    caller = call.caller_leg
    if call.partial or caller is None:
        return CallOutcome.UNKNOWN
    if caller.hung_up or caller.up:
        return CallOutcome.NO_ANSWER
    return CallOutcome.BUSY if caller.cause == _BUSY else CallOutcome.FAILED


def _result_of_caller(leg: LiveLeg, call: LiveCall) -> LegResult:
    if leg.hung_up:
        return LegResult.CANCELLED
    return {
        CallOutcome.BUSY: LegResult.BUSY,
        CallOutcome.FAILED: LegResult.FAILED,
        CallOutcome.UNKNOWN: LegResult.UNKNOWN,
    }.get(outcome_of(call), LegResult.NO_ANSWER)


def _somebody_gave_up(leg: LiveLeg, call: LiveCall) -> bool:
    """Tell whether a person who waited for `leg` hung up."""
    return any(
        other.hung_up
        and other.asked > leg.number
        and (other.answered or other.role is not LegRole.CALLEE)
        for other in call.legs
        if other is not leg
    )
