"""Stories of conference rooms: everybody comes there with a call of their own."""

from __future__ import annotations

from tests.lab.asterisk import AGENTS, Did
from tests.lab.scenarios import CUSTOMER, NAME, inbound
from tests.lab.stage import TRUNK, Stage, Truth, leg, phone, scenario


@scenario("conference/room_of_three", "1001", "1002")
async def room_of_three(stage: Stage) -> Truth:
    """1001, the customer and 1002 call the conference room, one after the other, and talk."""
    first = await stage.phones.dial("1001", "8000")
    await stage.ami.until(lambda: stage.ami.count("ConfbridgeJoin") == 1, "1001 to be there")
    await stage.pass_time(0.4)
    caller = await stage.phones.call_in(CUSTOMER, Did.CONFERENCE, name=NAME)
    await stage.ami.until(lambda: stage.ami.count("ConfbridgeJoin") == 2, "the customer")
    await stage.pass_time(0.4)
    second = await stage.phones.dial("1002", "8000")
    await stage.ami.until(lambda: stage.ami.count("ConfbridgeJoin") == 3, "1002 to be there")
    await stage.pass_time(1.0)
    await caller.hangup()
    await stage.pass_time(0.6)
    await second.hangup()
    await first.hangup()
    await stage.ami.event("ConfbridgeEnd")
    shared = {"outcome": "answered", "ended": True, "queues": [], "transfers": []}
    with_1001 = [phone("1001"), TRUNK]
    agents = [phone("1001"), phone("1002")]
    with_1002 = [TRUNK, phone("1002")]
    inside = [
        {
            **shared,
            "direction": "internal",
            "caller": {"number": number, "name": AGENTS[number]},
            "dialed": "8000",
            "legs": [leg(phone(number), "caller", answered=True)],
            "talks": talks,
        }
        for number, talks in (("1001", [with_1001, agents]), ("1002", [agents, with_1002]))
    ]
    customer = inbound(
        Did.CONFERENCE,
        "answered",
        legs=[leg(TRUNK, "caller", answered=True)],
        talks=[with_1001, with_1002],
        transfers=[],
    )
    return [inside[0], customer, inside[1]]
