"""Stories without a call: what an idle PBX says."""

from __future__ import annotations

from tests.lab.stage import Stage, Truth, scenario


@scenario("loose/idle_with_queue_status", "1001", "1002")
async def idle_with_queue_status(stage: Stage) -> Truth:
    """Nobody calls; the state of queues, channels and devices is asked for."""
    await stage.ami.send("Action: QueueStatus", "ActionID: lab-1")
    await stage.ami.event("QueueStatusComplete")
    await stage.ami.send("Action: QueueSummary", "ActionID: lab-2")
    await stage.ami.event("QueueSummaryComplete")
    await stage.ami.send("Action: CoreShowChannels", "ActionID: lab-3")
    await stage.ami.event("CoreShowChannelsComplete")
    await stage.ami.send("Action: DeviceStateList", "ActionID: lab-4")
    await stage.ami.event("DeviceStateListComplete")
    await stage.ami.send("Action: UserEvent", "UserEvent: Nothing", "Meaning: none")
    await stage.ami.event("UserEvent")
    return []
