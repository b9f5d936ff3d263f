"""Calls, as a PBX tells them. Each test is one rule; orders are those of Asterisk 22."""

from __future__ import annotations

import pytest

from cti.ami.events import AmiEvent, ChannelState, LinkLost, Rename, Uniqueid
from cti.model import CallDirection, CallOutcome, LegResult, LegRole
from cti.tracker import CallTracker, EndpointRules
from tests.cti.pbx import Channel, Pbx
from tests.cti.playbook import Playbook, leg_of

DID = "902125550101"
STARTED = f"started inbound 905321112233 > {DID}"


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


def ringing(caller: Channel, phone: Channel) -> list[AmiEvent]:
    return [phone.new(), caller.dials(phone), phone.rings(), caller.dial_says(phone, "RINGING")]


def answered(caller: Channel, phone: Channel, bridge: str = "b1") -> list[AmiEvent]:
    return [
        phone.up(),
        caller.dial_ends(phone, "ANSWER"),
        caller.up(),
        phone.enters(bridge),
        caller.enters(bridge),
    ]


def over(first: Channel, other: Channel, bridge: str = "b1") -> list[AmiEvent]:
    return [
        first.asks_to_hang_up(),
        first.leaves(bridge),
        other.leaves(bridge),
        first.hangs_up(),
        other.hangs_up(),
    ]


# --- one phone ------------------------------------------------------------------------------------


def test_an_inbound_call_is_answered(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    pbx.clock.after(1)
    play.sent(*ringing(a, b)).expect("ringing PJSIP/1001")
    pbx.clock.after(2)
    play.sent(*answered(a, b)).expect("answered PJSIP/1001")
    pbx.clock.after(30)
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    call = play.over()
    assert (call.id, call.ring_s, call.wait_s, call.talk_s, call.hold_s) == (
        "pbx:100.0",
        2.0,
        3.0,
        30.0,
        0.0,
    )
    assert call.talks == ((a.name, b.name),)
    assert call.started_at == 1000.0
    assert call.answered_at == 1003.0
    assert call.ended_at == 1033.0


def test_a_stream_without_times_gives_no_seconds(pbx: Pbx) -> None:
    pbx.clock.now = None
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), *answered(a, b), a.hold(), a.unhold())
    play.sent(*over(a, b))
    play.expect(
        STARTED,
        "ringing PJSIP/1001",
        "answered PJSIP/1001",
        "held by PJSIP/trunk",
        "resumed by PJSIP/trunk",
        "leg PJSIP/trunk answered",
        "leg PJSIP/1001 answered",
        "ended answered",
    )
    call = play.over()
    assert (call.ring_s, call.wait_s, call.talk_s, call.hold_s) == (None, None, None, None)


def test_being_dialled_is_not_ringing(pbx: Pbx) -> None:
    """An unreachable phone is dialled too; nobody is shown a card for it."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    play.sent(b.new(), a.dials(b)).silence()
    play.sent(a.dial_says(b, "PROCEEDING")).silence()
    play.sent(a.dial_ends(b, "CHANUNAVAIL"), b.hangs_up(20)).expect("leg PJSIP/1001 failed")
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up(20)).expect(
        "leg PJSIP/trunk failed", "ended failed"
    )
    assert play.over().ring_s == 0.0


@pytest.mark.parametrize("status", ["RINGING", "PROGRESS"])
def test_the_dial_may_say_first_that_it_rings(pbx: Pbx, status: str) -> None:
    """Phones that only send 183 never reach state 5."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), b.new(), a.dials(b)).expect(STARTED)
    play.sent(a.dial_says(b, status)).expect("ringing PJSIP/1001")
    play.sent(b.rings(), a.dial_says(b, status)).silence()
    assert play.goes_on().legs[1].rang


def test_the_phone_may_ring_before_its_dial_begins(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    play.sent(b.new(), b.rings()).expect("ringing PJSIP/1001")
    play.sent(a.dials(b)).silence().goes_on()


def test_nobody_is_there_to_dial(pbx: Pbx) -> None:
    """Without any phone the dial says nothing at all: only the caller's hangup is seen."""
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID), a.asks_to_hang_up(soft=True), a.hangs_up(20))
    play.expect(STARTED, "leg PJSIP/trunk failed", "ended failed").over()


def test_answer_of_a_dial_is_not_talking(pbx: Pbx) -> None:
    """A mobile that asks "press 1" is up; if the person declines, nobody has talked."""
    a = pbx.trunk()
    b = pbx.channel("PJSIP/mobile", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/mobile")
    play.sent(b.up(), a.dial_ends(b, "ANSWER")).silence()
    play.sent(b.hangs_up(16)).expect("leg PJSIP/mobile no_answer")
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up()).expect(
        "leg PJSIP/trunk no_answer", "ended no_answer"
    )
    assert play.over().talks == ()


def test_a_leg_that_goes_up_after_its_dial_ended_is_answered(pbx: Pbx) -> None:
    """Asterisk sends stray ends of dials for phones that still ring."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), a.dial_ends(b, "BUSY"))
    play.expect(STARTED, "ringing PJSIP/1001")
    play.sent(*answered(a, b)).expect("answered PJSIP/1001")
    play.sent(*over(b, a)).expect(
        "leg PJSIP/1001 answered", "leg PJSIP/trunk answered", "ended answered"
    ).over()


@pytest.mark.parametrize(
    ("status", "cause", "result", "outcome"),
    [
        ("BUSY", 17, "busy", "busy"),
        # SIP 603: Asterisk calls the dial NOANSWER
        ("NOANSWER", 21, "rejected", "no_answer"),
        ("NOANSWER", 0, "no_answer", "no_answer"),
        ("CONGESTION", 34, "failed", "failed"),
        # a stray BUSY of a phone that Asterisk took down itself
        ("BUSY", 0, "no_answer", "no_answer"),
    ],
)
def test_how_the_only_phone_did_not_answer(
    pbx: Pbx, status: str, cause: int, result: str, outcome: str
) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/1001")
    play.sent(a.dial_ends(b, status), b.hangs_up(cause)).expect(f"leg PJSIP/1001 {result}")
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up(cause)).expect(
        f"leg PJSIP/trunk {outcome}", f"ended {outcome}"
    )
    play.over()


def test_the_caller_gives_up_while_it_rings(pbx: Pbx) -> None:
    """Nobody answered. Abandoned is said of those who waited in a queue."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b)).expect(STARTED, "ringing PJSIP/1001")
    pbx.clock.after(4)
    play.sent(a.asks_to_hang_up(127), a.dial_ends(b, "CANCEL"), b.hangs_up(127), a.hangs_up(127))
    play.expect("leg PJSIP/1001 cancelled", "leg PJSIP/trunk cancelled", "ended no_answer")
    call = play.over()
    assert (call.ring_s, call.wait_s, call.talk_s) == (4.0, 4.0, 0.0)


def test_the_caller_is_known_better_before_it_rings(pbx: Pbx) -> None:
    a = pbx.trunk("05321112233", "")
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID)).expect(f"started inbound 05321112233 > {DID}")
    play.sent(a.known_as("905321112233", "Zoë")).expect(f"party inbound 905321112233 > {DID}")
    play.sent(a.known_as("905321112233", "Zoë")).silence()
    play.sent(*ringing(a, b)).expect("ringing PJSIP/1001")
    play.sent(a.known_as("1", "too late")).silence()
    assert play.goes_on().caller.number == "905321112233"


@pytest.mark.parametrize("number", ["anonymous", "Anonymous", "restricted"])
def test_the_caller_hides_the_number(pbx: Pbx, number: str) -> None:
    a = pbx.trunk(number, "Anonymous")
    call = Playbook().sent(a.calls(DID)).expect(f"started inbound - > {DID}").goes_on()
    assert (call.caller.number, call.caller.name, call.presentation) == ("", "", "prohib")


def test_the_caller_hides_the_number_by_its_presentation(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    play.sent(a.known_as("905321112233", "Zoë", "prohib_not_screened"))
    play.expect(f"party inbound 905321112233 > {DID}")
    assert play.goes_on().presentation == "prohib_not_screened"


def test_what_was_dialled_is_what_the_first_event_says(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    a.exten = "1"
    play.sent(a.up()).silence()
    assert play.goes_on().dialed == DID


# --- several phones -------------------------------------------------------------------------------


def test_a_colleague_answers_the_ring_group(pbx: Pbx) -> None:
    """The other phone's ring is answered elsewhere, and says by whom: not a missed call."""
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), *ringing(a, c))
    play.expect(STARTED, "ringing PJSIP/1001", "ringing PJSIP/1002")
    play.sent(c.up(), a.dial_ends(b, "CANCEL"), b.hangs_up(26))
    play.expect("leg PJSIP/1001 answered_elsewhere by PJSIP/1002")
    play.sent(a.dial_ends(c, "ANSWER"), a.up(), c.enters("b1"), a.enters("b1"))
    play.expect("answered PJSIP/1002")
    play.sent(*over(a, c)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1002 answered", "ended answered"
    )
    assert leg_of(play.over(), "PJSIP/1001").result is LegResult.ANSWERED_ELSEWHERE


@pytest.mark.parametrize("cause", [0, 16, 26])
def test_a_colleague_answered_whatever_the_cause_says(pbx: Pbx, cause: int) -> None:
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), *ringing(a, c))
    play.sent(c.up(), a.dial_ends(c, "ANSWER"), a.dial_ends(b, "CANCEL"), b.hangs_up(cause))
    play.expect(
        STARTED,
        "ringing PJSIP/1001",
        "ringing PJSIP/1002",
        "leg PJSIP/1001 answered_elsewhere by PJSIP/1002",
    ).goes_on()


def test_one_declines_and_nobody_else_answers(pbx: Pbx) -> None:
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), *ringing(a, c))
    play.sent(b.asks_to_hang_up(21), a.dial_ends(b, "NOANSWER"), b.hangs_up(21))
    play.sent(a.dial_ends(c, "NOANSWER"), c.hangs_up(0))
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up(16))
    play.expect(
        STARTED,
        "ringing PJSIP/1001",
        "ringing PJSIP/1002",
        "leg PJSIP/1001 rejected",
        "leg PJSIP/1002 no_answer",
        "leg PJSIP/trunk no_answer",
        "ended no_answer",
    ).over()


def test_one_is_busy_the_other_rings_in_vain(pbx: Pbx) -> None:
    """A phone rang: nobody answered, the call was not busy."""
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls(DID), b.new(), a.dials(b), *ringing(a, c))
    play.sent(a.dial_ends(b, "BUSY"), b.hangs_up(17), a.dial_ends(c, "NOANSWER"), c.hangs_up(0))
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up(16))
    play.expect(
        STARTED,
        "ringing PJSIP/1002",
        "leg PJSIP/1001 busy",
        "leg PJSIP/1002 no_answer",
        "leg PJSIP/trunk no_answer",
        "ended no_answer",
    ).over()


# --- outbound and internal ------------------------------------------------------------------------


def test_an_agent_calls_out(pbx: Pbx) -> None:
    """The number shown to the customer is not who called."""
    a = pbx.phone("1001")
    b = pbx.channel("PJSIP/trunk", of=a)
    play = Playbook().sent(a.calls("905559998877")).expect("started outbound 1001 > 905559998877")
    play.sent(a.known_as("902125550100")).silence()
    play.sent(*ringing(a, b)).expect("ringing PJSIP/trunk")
    play.sent(*answered(a, b)).expect("answered PJSIP/trunk")
    play.sent(*over(a, b)).expect(
        "leg PJSIP/1001 answered", "leg PJSIP/trunk answered", "ended answered"
    )
    call = play.over()
    assert call.caller.number == "1001"
    assert call.talks == ((a.name, b.name),)


def test_a_short_number_outside_is_outbound_once_the_trunk_is_dialled(pbx: Pbx) -> None:
    a = pbx.phone("1001")
    b = pbx.channel("PJSIP/trunk", of=a)
    play = Playbook().sent(a.calls("112")).expect("started internal 1001 > 112")
    play.sent(*ringing(a, b)).expect("party outbound 1001 > 112", "ringing PJSIP/trunk")
    assert play.goes_on().direction is CallDirection.OUTBOUND


def test_a_colleague_calls(pbx: Pbx) -> None:
    a = pbx.phone("1001")
    b = pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls("1002"), *ringing(a, b), *answered(a, b), *over(b, a))
    play.expect(
        "started internal 1001 > 1002",
        "ringing PJSIP/1002",
        "answered PJSIP/1002",
        "leg PJSIP/1002 answered",
        "leg PJSIP/1001 answered",
        "ended answered",
    )
    assert play.over().direction is CallDirection.INTERNAL


def test_click_to_call(pbx: Pbx) -> None:
    """Asterisk rings the agent first, then dials the customer: one outbound call."""
    a = pbx.phone("1001")
    play = Playbook().sent(a.new(), a.dialled_by_nobody(), a.rings())
    play.expect("started internal 1001 > -", "ringing PJSIP/1001")
    play.sent(a.up()).silence()
    a.exten = "905559998877"
    b = pbx.channel("PJSIP/trunk", of=a)
    play.sent(*ringing(a, b)).expect("party outbound 1001 > 905559998877", "ringing PJSIP/trunk")
    play.sent(*answered(a, b)).expect("answered PJSIP/trunk")
    call = play.goes_on()
    assert (call.direction, call.dialed) == (CallDirection.OUTBOUND, "905559998877")
    assert leg_of(call, "PJSIP/1001").role is LegRole.CALLER


def test_the_agent_rejects_click_to_call(pbx: Pbx) -> None:
    a = pbx.phone("1001")
    play = Playbook().sent(a.new(), a.dialled_by_nobody(), a.rings(), a.hangs_up(21))
    play.expect(
        "started internal 1001 > -",
        "ringing PJSIP/1001",
        "leg PJSIP/1001 rejected",
        "ended no_answer",
    ).over()


def test_the_customer_is_called_first(pbx: Pbx) -> None:
    a = pbx.channel("PJSIP/trunk")
    play = Playbook().sent(a.new(), a.dialled_by_nobody("905559998877@trunk"), a.rings())
    play.expect(
        "started inbound - > -", "party outbound - > 905559998877", "ringing PJSIP/trunk"
    ).goes_on()


def test_settings_say_what_is_a_phone(pbx: Pbx) -> None:
    rules = EndpointRules(phones=r"PJSIP/desk-.*", trunks="desk-gateway")
    a = pbx.channel("PJSIP/desk-zoe", number="7")
    call = Playbook(rules).sent(a.calls("905559998877"))
    call.expect("started outbound 7 > 905559998877").goes_on()
    b = pbx.channel("PJSIP/desk-gateway", number="905321112233")
    Playbook(rules).sent(b.calls(DID)).expect(STARTED).goes_on()


# --- queues ---------------------------------------------------------------------------------------


def waiting(pbx: Pbx) -> tuple[Playbook, Channel]:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID), a.up()).expect(STARTED)
    return play.sent(a.joins("support", 3)).expect("queued support 3"), a


def test_a_queue_call_is_answered(pbx: Pbx) -> None:
    play, a = waiting(pbx)
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    pbx.clock.after(5)
    for phone in (b, c):
        play.sent(phone.new(), a.offered(phone, "support"), a.dials(phone), phone.rings())
        play.expect(f"ringing {phone.name.rpartition('-')[0]} of support")
    pbx.clock.after(3)
    play.sent(b.up(), a.dial_ends(b, "ANSWER"))
    play.sent(a.dial_ends(c, "CANCEL"), a.dial_ends(c, "CANCEL"), c.hangs_up(26))
    play.expect("leg PJSIP/1002 answered_elsewhere by PJSIP/1001")
    play.sent(a.leaves_queue("support"), a.gets(b, "support")).expect("left support")
    pbx.clock.after(2)  # an announcement for the agent
    play.sent(b.enters("b1"), a.enters("b1")).expect("answered PJSIP/1001")
    pbx.clock.after(60)
    play.sent(*over(b, a)).expect(
        "leg PJSIP/1001 answered", "leg PJSIP/trunk answered", "ended answered"
    )
    call = play.over()
    assert call.queues == ("support",)
    assert (call.wait_s, call.ring_s, call.talk_s) == (10.0, 5.0, 60.0)


def test_a_caller_abandons_the_queue(pbx: Pbx) -> None:
    play, a = waiting(pbx)
    b = pbx.phone("1001", of=a)
    play.sent(b.new(), a.offered(b, "support"), a.dials(b), b.rings())
    pbx.clock.after(7)
    play.sent(a.asks_to_hang_up(), a.dial_ends(b, "CANCEL"), a.dial_ends(b, "CANCEL"))
    play.sent(b.hangs_up(0), a.abandons("support"), a.leaves_queue("support"), a.hangs_up(0))
    play.expect(
        "ringing PJSIP/1001 of support",
        "leg PJSIP/1001 cancelled",
        "left support",
        "leg PJSIP/trunk cancelled",
        "ended abandoned",
    )
    assert play.over().wait_s == 7.0


def test_the_queue_gives_up_on_the_caller(pbx: Pbx) -> None:
    """Asterisk says "abandon" on timeout too: the call was not abandoned."""
    play, a = waiting(pbx)
    b = pbx.phone("1001", of=a)
    play.sent(b.new(), a.offered(b, "support"), a.dials(b), b.rings())
    pbx.clock.after(15)
    play.sent(a.dial_ends(b, "NOANSWER"), a.dial_ends(b, "CANCEL"), a.abandons("support"))
    play.sent(b.hangs_up(0), a.leaves_queue("support"), a.variable("QUEUESTATUS", "TIMEOUT"))
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up())
    play.expect(
        "ringing PJSIP/1001 of support",
        "leg PJSIP/1001 no_answer",
        "left support",
        "leg PJSIP/trunk no_answer",
        "ended no_answer",
    )
    assert play.over().wait_s == 15.0


def test_a_caller_who_hangs_up_after_the_queue_gave_up_did_not_abandon(pbx: Pbx) -> None:
    """They listened to "all agents are busy" first."""
    play, a = waiting(pbx)
    play.sent(a.abandons("support"), a.leaves_queue("support")).expect("left support")
    play.sent(a.asks_to_hang_up(), a.hangs_up()).expect(
        "leg PJSIP/trunk cancelled", "ended no_answer"
    )
    play.over()


def test_a_stream_without_hangup_requests_still_tells_abandon_from_timeout(pbx: Pbx) -> None:
    play, a = waiting(pbx)
    play.sent(a.abandons("support"), a.leaves_queue("support"), a.hangs_up())
    play.expect("left support", "leg PJSIP/trunk no_answer", "ended abandoned").over()
    play, a = waiting(pbx)
    play.sent(a.abandons("support"), a.leaves_queue("support"), a.runs("Hangup"), a.hangs_up())
    play.expect("left support", "leg PJSIP/trunk no_answer", "ended no_answer").over()


def test_a_caller_hangs_up_in_the_queue_and_nothing_else_is_seen(pbx: Pbx) -> None:
    play, a = waiting(pbx)
    play.sent(a.hangs_up())
    play.expect("left support", "leg PJSIP/trunk no_answer", "ended abandoned").over()


def test_a_caller_hangs_up_between_queue_and_agent(pbx: Pbx) -> None:
    """The agent heard the announcement, the customer still the music."""
    play, a = waiting(pbx)
    b = pbx.phone("1001", of=a)
    play.sent(b.new(), a.dials(b), b.rings(), b.up(), a.leaves_queue("support"))
    play.sent(a.asks_to_hang_up(), b.hangs_up(16), a.hangs_up(16))
    play.expect(
        "ringing PJSIP/1001 of support",
        "left support",
        "leg PJSIP/1001 cancelled",
        "leg PJSIP/trunk cancelled",
        "ended abandoned",
    ).over()


def test_a_caller_leaves_the_queue_by_key_and_is_answered_elsewhere(pbx: Pbx) -> None:
    play, a = waiting(pbx)
    pbx.clock.after(3)
    play.sent(a.leaves_queue("support"), a.runs("Dial")).expect("left support")
    b = pbx.phone("1008", of=a)
    pbx.clock.after(2)
    play.sent(*ringing(a, b), *answered(a, b))
    play.expect("ringing PJSIP/1008", "answered PJSIP/1008")
    assert play.goes_on().wait_s == 5.0


def test_the_first_member_does_not_answer_the_second_does(pbx: Pbx) -> None:
    play, a = waiting(pbx)
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    play.sent(b.new(), a.dials(b), b.rings(), a.dial_ends(b, "NOANSWER"), b.hangs_up(0))
    play.expect("ringing PJSIP/1001 of support", "leg PJSIP/1001 no_answer")
    play.sent(c.new(), a.dials(c), c.rings(), c.up(), a.leaves_queue("support"))
    play.sent(c.enters("b1"), a.enters("b1"))
    play.expect("ringing PJSIP/1002 of support", "left support", "answered PJSIP/1002")
    assert play.goes_on().legs[1].result is LegResult.NO_ANSWER


def test_from_one_queue_to_the_next(pbx: Pbx) -> None:
    """Time between the queues is waiting too: nobody talked to the customer."""
    play, a = waiting(pbx)
    pbx.clock.after(10)
    play.sent(a.abandons("support"), a.leaves_queue("support"), a.runs("Queue"))
    pbx.clock.after(1)
    play.sent(a.joins("sales")).expect("left support", "queued sales 1")
    pbx.clock.after(4)
    play.sent(a.asks_to_hang_up(), a.abandons("sales"), a.leaves_queue("sales"), a.hangs_up())
    play.expect("left sales", "leg PJSIP/trunk cancelled", "ended abandoned")
    call = play.over()
    assert call.queues == ("support", "sales")
    assert call.wait_s == 14.0


def test_members_behind_local_channels(pbx: Pbx) -> None:
    """As FreePBX does it: the Local pair stays between caller and agent for the whole call."""
    play, a = waiting(pbx)
    x1 = pbx.channel("Local/1001@from-queue;1", of=a)
    x2 = pbx.channel("Local/1001@from-queue;2", of=a)
    b = pbx.phone("1001", of=a)
    play.sent(x1.new(), x2.calls("1001"), x1.tube(x2), a.offered(x1, "support"), a.dials(x1))
    play.sent(b.new(), x2.dials(b)).silence()
    play.sent(b.rings(), x1.rings(), a.dial_says(x1, "RINGING"), x2.dial_says(b, "RINGING"))
    play.expect("ringing PJSIP/1001 of support")
    play.sent(b.up(), x2.dial_ends(b, "ANSWER"), x2.up(), x1.up(), a.dial_ends(x1, "ANSWER"))
    play.sent(b.enters("b1"), x2.enters("b1"), a.leaves_queue("support"), a.gets(x1, "support"))
    play.expect("left support")
    play.sent(x1.enters("b2"), a.enters("b2")).expect("answered PJSIP/1001")
    pbx.clock.after(20)
    play.sent(a.asks_to_hang_up(), a.leaves("b2"), x1.leaves("b2"), a.hangs_up(), x1.hangs_up())
    play.expect("leg PJSIP/trunk answered")
    play.sent(x2.leaves("b1"), x2.hangs_up(), b.leaves("b1"), b.hangs_up())
    play.expect("leg PJSIP/1001 answered", "ended answered")
    call = play.over()
    assert [leg.endpoint for leg in call.legs] == ["PJSIP/trunk", "PJSIP/1001"]
    assert call.talks == ((a.name, b.name),)
    assert call.talk_s == 20.0


def test_a_member_behind_a_local_channel_does_not_answer(pbx: Pbx) -> None:
    """The phone itself only hears CANCEL: why is said of the Local half."""
    play, a = waiting(pbx)
    x1 = pbx.channel("Local/1001@from-queue;1", of=a)
    x2 = pbx.channel("Local/1001@from-queue;2", of=a)
    b = pbx.phone("1001", of=a)
    play.sent(x1.new(), x2.calls("1001"), x1.tube(x2), a.dials(x1), b.new(), x2.dials(b))
    play.sent(b.rings()).expect("ringing PJSIP/1001 of support")
    play.sent(a.dial_ends(x1, "NOANSWER"), x1.hangs_up(0), x2.dial_ends(b, "CANCEL"))
    play.sent(x2.hangs_up(0), b.hangs_up(16)).expect("leg PJSIP/1001 no_answer").goes_on()


def test_a_local_pair_that_optimises_itself_away_does_not_end_the_talk(pbx: Pbx) -> None:
    a = pbx.trunk()
    x1 = pbx.channel("Local/1001@group;1", of=a)
    x2 = pbx.channel("Local/1001@group;2", of=a)
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), x1.new(), x2.calls("1001"), x1.tube(x2))
    play.sent(a.dials(x1), *ringing(x2, b), b.up(), x2.up(), x1.up(), a.up())
    play.sent(b.enters("b1"), x2.enters("b1"), x1.enters("b2"), a.enters("b2"))
    play.expect(STARTED, "ringing PJSIP/1001", "answered PJSIP/1001")
    pbx.clock.after(1)
    play.sent(b.leaves("b1"), x1.leaves("b2"), b.enters("b2"), x2.leaves("b1")).silence()
    play.sent(x2.hangs_up(), x1.hangs_up()).silence()
    pbx.clock.after(1)
    play.sent(*over(a, b, "b2")).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    call = play.over()
    assert call.talks == ((a.name, b.name),)
    assert call.talk_s == 2.0


# --- hold, voicemail, conference ------------------------------------------------------------------


def connected(pbx: Pbx) -> tuple[Playbook, Channel, Channel]:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), *answered(a, b))
    return play.expect(STARTED, "ringing PJSIP/1001", "answered PJSIP/1001"), a, b


def test_hold_and_resume(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    pbx.clock.after(2)
    play.sent(b.hold(), b.hold()).expect("held by PJSIP/1001")
    pbx.clock.after(5)
    play.sent(b.unhold(), b.unhold()).expect("resumed by PJSIP/1001")
    pbx.clock.after(3)
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    call = play.over()
    assert (call.talk_s, call.hold_s) == (10.0, 5.0)
    assert leg_of(call, "PJSIP/1001").held_s == 5.0


def test_hold_ends_with_the_talk(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(b.hold()).expect("held by PJSIP/1001")
    pbx.clock.after(5)
    play.sent(a.asks_to_hang_up(), a.leaves("b1"), a.hangs_up()).expect("leg PJSIP/trunk answered")
    pbx.clock.after(9)
    play.sent(b.leaves("b1"), b.hangs_up()).expect("leg PJSIP/1001 answered", "ended answered")
    call = play.over()
    assert (call.talk_s, call.hold_s) == (5.0, 5.0)


def test_the_customer_leaves_a_message(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID), *ringing(a, b), a.dial_ends(b, "NOANSWER"), b.hangs_up(0))
    play.sent(a.runs("VoiceMail"), a.up(), a.asks_to_hang_up(), a.hangs_up())
    play.expect(
        STARTED,
        "ringing PJSIP/1001",
        "leg PJSIP/1001 no_answer",
        "leg PJSIP/trunk cancelled",
        "ended voicemail",
    ).over()


def test_two_callers_meet_in_a_conference(pbx: Pbx) -> None:
    """Two customers, two calls: a conference does not make them one."""
    a, b = pbx.trunk(), pbx.trunk("905334445566", "Jane")
    play = Playbook().sent(a.calls("8000"), a.up(), a.enters("room", "base"))
    play.sent(b.calls("8000"), b.up(), b.enters("room", "base"))
    play.expect(
        "started inbound 905321112233 > 8000",
        "started inbound 905334445566 > 8000",
        "answered PJSIP/trunk",
        "answered PJSIP/trunk",
    )
    play.sent(*over(a, b, "room")).expect(
        "leg PJSIP/trunk answered", "ended answered", "leg PJSIP/trunk answered", "ended answered"
    )
    call = play.over()
    assert call.talks == ((a.name, b.name),)


def test_waiting_side_by_side_is_not_talking(pbx: Pbx) -> None:
    """Parked callers share a bridge in which nobody hears anybody."""
    a, b = pbx.trunk(), pbx.trunk("905334445566")
    play = Playbook().sent(a.calls(DID), a.up(), b.calls(DID), b.up())
    play.expect(STARTED, f"started inbound 905334445566 > {DID}")
    play.sent(a.enters("lot", "holding"), b.enters("lot", "holding")).silence()
    play.sent(a.hangs_up(), b.hangs_up()).expect(
        "leg PJSIP/trunk no_answer",
        "ended no_answer",
        "leg PJSIP/trunk no_answer",
        "ended no_answer",
    )
    play.over()


# --- identity -------------------------------------------------------------------------------------


def test_another_linkedid_joins_two_calls(pbx: Pbx) -> None:
    """Asterisk has no event for it: the new value is simply in the next one."""
    a, p = pbx.trunk(), pbx.phone("1002")
    play = Playbook().sent(p.calls("*8"), a.calls(DID))
    play.expect("started internal 1002 > *8", STARTED)
    p.linkedid = a.linkedid
    play.sent(p.up()).expect("merged pbx:100.1 into pbx:100.0")
    call = play.goes_on()
    assert call.linkedids == ("100.0", "100.1")
    assert call.merged == ("pbx:100.1",)
    assert leg_of(call, "PJSIP/1002").role is LegRole.CALLEE


def test_a_linkedid_nobody_has_seen_stays_one_call(pbx: Pbx) -> None:
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    b.linkedid = a.linkedid = "99.9"
    play.sent(a.up(), b.new(), b.rings()).expect("ringing PJSIP/1001")
    assert play.goes_on().linkedids == ("100.0", "99.9")


def test_a_channel_is_renamed(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.calls(DID)).expect(STARTED)
    play.sent(Rename(uniqueid=Uniqueid(a.uniqueid), channel=a.name, new_name="PJSIP/isdn-00000001"))
    play.silence()
    assert play.goes_on().legs[0].endpoint == "PJSIP/isdn"


def test_a_stray_channel_of_a_call_that_is_over_is_not_that_call(pbx: Pbx) -> None:
    """A queue may still be making a member's channel when the caller hangs up."""
    play, a = waiting(pbx)
    b = pbx.phone("1001", of=a)
    play.sent(a.asks_to_hang_up(), a.hangs_up()).expect(
        "left support", "leg PJSIP/trunk cancelled", "ended abandoned"
    )
    play.sent(b.new(), b.hangs_up()).expect(
        "started inbound - > -", "leg PJSIP/1001 failed", "ended failed"
    )
    assert play.over().id == "pbx:100.0~2"


# --- what we did not see --------------------------------------------------------------------------


def test_an_unknown_channel_that_lives_is_adopted(pbx: Pbx) -> None:
    a = pbx.trunk()
    a.exten, a.state = DID, ChannelState.RING
    b = pbx.phone("1001", of=a)
    play = Playbook().sent(b.new()).expect("started inbound - > -")
    play.sent(a.dials(b)).expect(
        "surprise: channel joined late (DialBegin)", f"party inbound 905321112233 > {DID}"
    )
    play.sent(b.rings()).expect("ringing PJSIP/1001")
    call = play.goes_on()
    assert call.partial
    assert call.anomalies == 1
    assert (call.caller.number, call.dialed) == ("905321112233", DID)


def test_an_unknown_channel_that_ends_is_a_surprise_only(pbx: Pbx) -> None:
    a = pbx.trunk()
    play = Playbook().sent(a.asks_to_hang_up(), a.leaves("b1"), a.unhold(), a.hangs_up())
    play.expect(
        "surprise: unknown channel (HangupRequest)",
        "surprise: unknown channel (BridgeLeave)",
        "surprise: unknown channel (Unhold)",
        "surprise: unknown channel (Hangup)",
    )
    play.sent(a.up()).expect("surprise: unknown channel (Newstate)")
    assert not play.tracker.calls()
    Playbook.unfinished.clear()


def test_nothing_revives_a_channel_that_hung_up(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(*over(a, b)).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered"
    )
    play.sent(b.enters("b1"), b.rings(), a.calls(DID))
    play.expect(
        "surprise: unknown channel (BridgeEnter)",
        "surprise: unknown channel (Newstate)",
        "surprise: a channel that hung up is made again (Newchannel)",
    ).over()


def test_memory_of_ended_calls_is_bounded(monkeypatch: pytest.MonkeyPatch, pbx: Pbx) -> None:
    monkeypatch.setattr("cti.tracker.tracker.REMEMBERED", 10)
    tracker = CallTracker("pbx")
    for _ in range(100):
        a = pbx.trunk()
        tracker.handle(a.calls(DID))
        tracker.handle(a.hangs_up())
    assert len(tracker._gone) == len(tracker._ended) == 10
    assert not tracker._channels


# --- gaps: more in test_tracker_resync.py ---------------------------------------------------------


def test_a_call_that_a_gap_hid_a_part_of_is_marked(pbx: Pbx) -> None:
    play, _, _ = connected(pbx)
    play.sent(LinkLost(reason="reset")).silence()
    call = play.goes_on()
    assert call.partial
    assert call.outcome is not CallOutcome.UNKNOWN
