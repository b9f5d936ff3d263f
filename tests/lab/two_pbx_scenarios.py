"""Stories with two PBXs of one company and a trunk between them."""

from __future__ import annotations

from typing import Any

from tests.lab.asterisk import Did
from tests.lab.refer_scenarios import WITH_1001, talked
from tests.lab.scenarios import CUSTOMER, NAME, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario
from tests.lab.transfer_scenarios import customer_with_1001, transferred

PEER = "PJSIP/peer"
"""The trunk to the other PBX."""


def peer_leg(role: str = "callee") -> dict[str, Any]:
    """Describe the trunk to the other PBX as a party of an answered call."""
    return leg(PEER, role, answered=True, result="answered")


@scenario("two_pbxs/attended_to_phone_there", "1001", ring_seconds=6, two=True)
async def attended_to_phone_there(stage: Stage) -> Truth:
    """1001 holds the customer, asks 1002 at the other PBX through the trunk, connects the two."""
    there = stage.other
    await there.phones.register("1002")
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    consult = await stage.phones.dial("1001", "21002")
    target = await there.phones.incoming("1002")
    await stage.pass_time(0.4)
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.8)
    await desk.attended(consult)
    await talked(stage, caller, target)
    there.truth = [
        {
            "direction": "inbound",
            "outcome": "answered",
            "ended": True,
            "dialed": "1002",
            "queues": [],
            "legs": [leg(PEER, "caller"), callee("1002", "answered")],
            "talks": [[PEER, phone("1002")]],
            "transfers": [],
        }
    ]
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered"),
                leg(phone("1001"), "consult"),
                peer_leg(),
            ],
            talks=[WITH_1001, [phone("1001"), PEER], [TRUNK, PEER]],
            transfers=[transferred("attended", [PEER], "answered")],
        )
    ]


@scenario("two_pbxs/remote_attended", "1001", ring_seconds=6, two=True)
async def remote_attended(stage: Stage) -> Truth:
    """1001's phone is also 1003 of the other PBX: it asks 1002 there and connects the two."""
    there = stage.other
    await there.phones.register("1002")
    await stage.phones.register_at(there.asterisk, "1003")
    caller, desk = await customer_with_1001(stage)
    await desk.hold()
    consult = await stage.phones.dial("1003", "1002")
    target = await there.phones.incoming("1002")
    await stage.pass_time(0.4)
    await target.answer()
    await consult.confirmed()
    await stage.pass_time(0.8)
    await desk.attended(consult)
    await talked(stage, caller, target)
    # As with a transfer within one PBX, the customer's call goes on, the agent's was a question.
    there.truth = [
        {
            "direction": "inbound",
            "outcome": "answered",
            "ended": True,
            "queues": [],
            "dialed": "1002",
            "caller": {"number": CUSTOMER, "name": NAME},
            "legs": [
                leg(phone("1003"), "consult"),
                callee("1002", "answered"),
                leg(PEER, "caller", answered=True),
            ],
            "talks": [[phone("1003"), phone("1002")], [phone("1002"), PEER]],
        }
    ]
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), peer_leg()],
            talks=[WITH_1001, [TRUNK, PEER]],
            transfers=[transferred("attended", [PEER], "answered")],
        )
    ]


@scenario("two_pbxs/looped_back", "1002", ring_seconds=6, two=True)
async def looped_back(stage: Stage) -> Truth:
    """The customer's call goes to the other PBX and comes back to ring 1002, who answers."""
    caller = await stage.phones.call_in(CUSTOMER, Did.LOOP, name=NAME)
    desk = await stage.phones.incoming("1002")
    stage.mark("rings")
    await stage.pass_time(0.6)
    await desk.answer()
    stage.mark("answered")
    await talked(stage, caller, desk)
    stage.mark("over")
    stage.other.truth = [
        {
            "outcome": "answered",
            "ended": True,
            "queues": [],
            "dialed": "51002",
            "caller": {"number": CUSTOMER, "name": NAME},
            "legs": [leg(PEER, "caller"), peer_leg()],
            "talks": [[PEER, PEER]],
        }
    ]
    return [
        inbound(
            Did.LOOP,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                peer_leg(),
                leg(PEER, "caller", answered=True),
                callee("1002", "answered"),
            ],
            # The answer travels back to the customer from the phone.
            talks=[[PEER, phone("1002")], [TRUNK, PEER]],
            wait_s=stage.between("rings", "answered"),
            talk_s=stage.between("answered", "over"),
        )
    ]
