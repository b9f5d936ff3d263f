"""Stories of parked customers and of calls that a colleague takes."""

from __future__ import annotations

from tests.lab.asterisk import Did
from tests.lab.manager_scenarios import channel_of, order
from tests.lab.phones import PhoneCall
from tests.lab.refer_scenarios import WITH_1001, talked
from tests.lab.scenarios import CUSTOMER, NAME, inbound
from tests.lab.stage import TRUNK, Stage, Truth, callee, leg, phone, scenario
from tests.lab.transfer_scenarios import customer_with_1001, transferred


async def parked(stage: Stage) -> PhoneCall:
    """Play: 1001 parks the customer by a blind transfer to 700; return the customer."""
    caller, desk = await customer_with_1001(stage)
    await desk.transfer("700")
    await stage.ami.event("ParkedCall")
    return caller


@scenario("park/timed_out_recalled", "1001", ring_seconds=5)
async def park_timed_out_recalled(stage: Stage) -> Truth:
    """1001 parks the customer, nobody takes them: 1001 rings again and answers."""
    caller = await parked(stage)
    back = await stage.phones.incoming("1001", 15)
    await stage.pass_time(0.4)
    await back.answer()
    await talked(stage, caller, back)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered"), callee("1001", "answered")],
            talks=[WITH_1001, WITH_1001],
            transfers=[transferred("park", [], "failed")],
        )
    ]


@scenario("park/caller_gives_up", "1001")
async def park_caller_gives_up(stage: Stage) -> Truth:
    """1001 parks the customer, who hangs up before anybody takes them."""
    caller = await parked(stage)
    await stage.pass_time(1.0)
    await caller.hangup()
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[leg(TRUNK, "caller"), callee("1001", "answered")],
            talks=[WITH_1001],
            transfers=[transferred("park", [], "abandoned")],
        )
    ]


@scenario("park/by_manager_retrieved", "1001", "1002")
async def park_by_manager_retrieved(stage: Stage) -> Truth:
    """The customer is parked by the action Park; 1002 dials the space and takes them."""
    caller, desk = await customer_with_1001(stage)
    await order(
        stage,
        "Park",
        f"Channel: {channel_of(stage, TRUNK)}",
        f"TimeoutChannel: {channel_of(stage, phone('1001'))}",
    )
    space = (await stage.ami.event("ParkedCall"))["ParkingSpace"]
    await desk.ended()
    await stage.pass_time(0.6)
    retriever = await stage.phones.dial("1002", space)
    await retriever.confirmed()
    await talked(stage, caller, retriever)
    return [
        inbound(
            Did.PHONE,
            "answered",
            talks=[WITH_1001, [TRUNK, phone("1002")]],
            transfers=[transferred("park", [phone("1002")], "answered")],
        )
    ]


@scenario("pickup/directed_answered", "1001", "1004", ring_seconds=6)
async def pickup_directed(stage: Stage) -> Truth:
    """1001 rings; 1004 dials **1001 and takes the call."""
    caller = await stage.phones.call_in(CUSTOMER, Did.PHONE, name=NAME)
    desk = await stage.phones.incoming("1001")
    await caller.ringing()
    await stage.pass_time(0.5)
    picker = await stage.phones.dial("1004", "**1001")
    await picker.confirmed()
    await desk.ended()
    await talked(stage, caller, picker)
    return [
        inbound(
            Did.PHONE,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                leg(phone("1004"), "callee", answered=True, result="answered"),
            ],
            talks=[[TRUNK, phone("1004")]],
            transfers=[transferred("pickup", [phone("1004")], "answered", phone("1004"))],
        )
    ]


@scenario("pickup/of_ring_group_answered", "1001", "1002", "1004", ring_seconds=6)
async def pickup_of_ring_group(stage: Stage) -> Truth:
    """1001 and 1002 ring; 1004 dials *8 and takes the call."""
    caller = await stage.phones.call_in(CUSTOMER, Did.RING_GROUP, name=NAME)
    first = await stage.phones.incoming("1001")
    second = await stage.phones.incoming("1002")
    await caller.ringing()
    await stage.pass_time(0.5)
    picker = await stage.phones.dial("1004", "*8")
    await picker.confirmed()
    await first.ended()
    await second.ended()
    await talked(stage, caller, picker)
    return [
        inbound(
            Did.RING_GROUP,
            "answered",
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                callee("1002", "answered_elsewhere"),
                leg(phone("1004"), "callee", answered=True, result="answered"),
            ],
            talks=[[TRUNK, phone("1004")]],
            transfers=[transferred("pickup", [phone("1004")], "answered", phone("1004"))],
        )
    ]


@scenario("pickup/of_queue_call_answered", "1001", "1004", queue_seconds=10)
async def pickup_of_queue_call(stage: Stage) -> Truth:
    """The queue rings 1001; 1004, no member of it, dials *8 and takes the call."""
    caller = await stage.phones.call_in(CUSTOMER, Did.SUPPORT, name=NAME)
    desk = await stage.phones.incoming("1001")
    await caller.confirmed()
    await stage.pass_time(0.5)
    picker = await stage.phones.dial("1004", "*8")
    await picker.confirmed()
    await desk.ended()
    await talked(stage, caller, picker)
    return [
        inbound(
            Did.SUPPORT,
            "answered",
            queues=["support"],
            legs=[
                leg(TRUNK, "caller"),
                callee("1001", "answered_elsewhere"),
                leg(phone("1004"), "callee", answered=True, result="answered"),
            ],
            talks=[[TRUNK, phone("1004")]],
            transfers=[transferred("pickup", [phone("1004")], "answered", phone("1004"))],
        )
    ]


@scenario("pickup/nothing_rings", "1004")
async def pickup_nothing_rings(stage: Stage) -> Truth:
    """1004 dials *8 although nothing rings, and hears that it is in vain."""
    picker = await stage.phones.dial("1004", "*8")
    await picker.ended()
    return [
        {
            "direction": "internal",
            "ended": True,
            "dialed": "*8",
            "queues": [],
            "legs": [leg(phone("1004"), "caller", answered=False)],
            "talks": [],
            "transfers": [],
            "talk_s": 0.0,
        }
    ]
