"""A call as plain values, for JSON and for the details of a touch."""

from __future__ import annotations

from typing import Any

from cti.model import Call, Leg, Transfer


def call_record(call: Call) -> dict[str, Any]:
    """Return a call as `santral replay` prints it."""
    return {
        "call": call.id,
        "linkedids": list(call.linkedids),
        "direction": call.direction.value,
        "outcome": None if call.outcome is None else call.outcome.value,
        "ended": call.ended,
        "caller": {"number": call.caller.number, "name": call.caller.name},
        "dialed": call.dialed,
        "queues": list(call.queues),
        "legs": [leg_record(leg) for leg in call.legs],
        "talks": [list(talk) for talk in call.talks],
        "transfers": [transfer_record(transfer) for transfer in call.transfers],
        "merged": list(call.merged),
        "wait_s": _rounded(call.wait_s),
        "talk_s": _rounded(call.talk_s),
        "hold_s": _rounded(call.hold_s),
        "anomalies": call.anomalies,
    }


def leg_record(leg: Leg) -> dict[str, Any]:
    """Return a leg as a part of `call_record`."""
    return {
        "uniqueid": leg.uniqueid,
        "channel": leg.channel,
        "endpoint": leg.endpoint,
        "role": leg.role.value,
        "rang": leg.rang,
        "answered": leg.answered,
        "result": leg.result.value,
    }


def transfer_record(transfer: Transfer) -> dict[str, Any]:
    """Return a transfer as a part of `call_record`. Its result is empty while it is open."""
    return {
        "kind": transfer.kind.value,
        "by": transfer.by,
        "to": list(transfer.to),
        "result": transfer.result,
    }


def _rounded(seconds: float | None) -> float | None:
    """Return milliseconds: the rest of the digits is noise of the PBX's clock."""
    return None if seconds is None else round(seconds, 3)
