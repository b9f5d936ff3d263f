"""Hand-overs: the customer follows the call, and only a talk with somebody new makes a success."""

from __future__ import annotations

import pytest

from cti.ami.events import AmiEvent, ChannelState
from cti.model import LegRole
from tests.cti.pbx import Channel, Pbx
from tests.cti.playbook import Playbook, leg_of
from tests.cti.test_tracker import connected, over, ringing


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


def consult(pbx: Pbx, target: str = "1002") -> tuple[Channel, Channel, list[AmiEvent]]:
    """The agent's second call, up to the ring of the target."""
    b2 = pbx.phone("1001")
    c = pbx.phone(target, of=b2)
    return b2, c, [b2.calls(target), *ringing(b2, c)]


def test_blind_transfer_is_answered(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(b.hands_on(a, "1002"), a.leaves("b1"), b.leaves("b1"), b.hangs_up())
    play.expect("transfer blind to - open", "leg PJSIP/1001 answered")
    c = pbx.phone("1002", of=a)
    play.sent(*ringing(a, c)).expect("ringing PJSIP/1002")
    play.sent(c.up(), a.dial_ends(c, "ANSWER"), c.enters("b2"), a.enters("b2"))
    play.expect("answered PJSIP/1002", "transfer blind to PJSIP/1002 answered")
    play.sent(*over(a, c, "b2")).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1002 answered", "ended answered"
    )
    call = play.over()
    assert call.talks == ((a.name, b.name), (a.name, c.name))
    assert call.caller.number == "905321112233"
    assert call.transfers[0].by == b.name


def test_blind_transfer_to_nobody_fails(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    c = pbx.phone("1002", of=a)
    play.sent(b.hands_on(a, "1002"), a.leaves("b1"), b.leaves("b1"), b.hangs_up())
    play.sent(*ringing(a, c), a.dial_ends(c, "NOANSWER"), c.hangs_up(0))
    play.sent(a.asks_to_hang_up(soft=True), a.hangs_up())
    play.expect(
        "transfer blind to - open",
        "leg PJSIP/1001 answered",
        "ringing PJSIP/1002",
        "leg PJSIP/1002 no_answer",
        "leg PJSIP/trunk answered",
        "transfer blind to PJSIP/1002 failed",
        "ended answered",
    ).over()


def test_the_customer_gives_up_after_a_blind_transfer(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    c = pbx.phone("1002", of=a)
    play.sent(b.hands_on(a, "1002"), a.leaves("b1"), b.leaves("b1"), b.hangs_up())
    play.sent(*ringing(a, c), a.asks_to_hang_up(), a.dial_ends(c, "CANCEL"))
    play.sent(c.hangs_up(0), a.hangs_up())
    play.expect(
        "transfer blind to - open",
        "leg PJSIP/1001 answered",
        "ringing PJSIP/1002",
        "leg PJSIP/1002 cancelled",
        "leg PJSIP/trunk answered",
        "transfer blind to PJSIP/1002 abandoned",
        "ended answered",
    ).over()


def test_a_transfer_that_asterisk_refuses(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(b.hands_on(a, "1002", result="Not Permitted"))
    play.expect("transfer blind to - failed")
    play.sent(b.connects(b, a, None, result="Fail", dest_type="Fail"))
    play.expect("transfer attended to - failed").goes_on()


def test_the_event_of_an_attended_transfer_comes_between_the_bridge_moves(pbx: Pbx) -> None:
    """As Asterisk 22 sends it for REFER: the customer is in the new bridge before."""
    play, a, b = connected(pbx)
    b2, c, events = consult(pbx)
    play.sent(b.hold(), *events).expect(
        "held by PJSIP/1001", "started internal 1001 > 1002", "ringing PJSIP/1002"
    )
    play.sent(c.up(), b2.up(), c.enters("b2"), b2.enters("b2")).expect("answered PJSIP/1002")
    pbx.clock.after(10)
    play.sent(b.unhold(), a.leaves("b1"), b2.leaves("b2"), a.enters("b2"))
    play.expect("resumed by PJSIP/1001", "merged pbx:100.2 into pbx:100.0")
    play.sent(b.connects(b2, a, c)).expect("transfer attended to PJSIP/1002 answered")
    play.sent(b.leaves("b1"), b.hangs_up(), b2.hangs_up())
    play.expect("leg PJSIP/1001 answered", "leg PJSIP/1001 answered")
    pbx.clock.after(10)
    play.sent(*over(a, c, "b2")).expect(
        "leg PJSIP/trunk answered", "leg PJSIP/1002 answered", "ended answered"
    )
    call = play.over()
    assert call.talks == ((a.name, b.name), (b2.name, c.name), (a.name, c.name))
    assert [leg.role for leg in call.legs] == [
        LegRole.CALLER,
        LegRole.CALLEE,
        LegRole.CONSULT,
        LegRole.CALLEE,
    ]
    assert call.merged == ("pbx:100.2",)
    # two talks at once count once
    assert (call.talk_s, call.hold_s) == (20.0, 10.0)


def test_the_event_of_an_attended_transfer_comes_first(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    b2, c, events = consult(pbx)
    play.sent(*events, c.up(), b2.up(), c.enters("b2"), b2.enters("b2"))
    play.expect("started internal 1001 > 1002", "ringing PJSIP/1002", "answered PJSIP/1002")
    play.sent(b.connects(b2, a, c)).expect(
        "merged pbx:100.2 into pbx:100.0", "transfer attended to PJSIP/1002 open"
    )
    play.sent(a.leaves("b1"), b2.leaves("b2"), a.enters("b2"))
    play.expect("transfer attended to PJSIP/1002 answered").goes_on()


def test_blonde_transfer_is_answered(pbx: Pbx) -> None:
    """The transferer leaves while the target rings: nothing but the event links the two."""
    play, a, b = connected(pbx)
    b2, c, events = consult(pbx)
    play.sent(*events).expect("started internal 1001 > 1002", "ringing PJSIP/1002")
    play.sent(b.connects(b2, a, None, dest_type="App")).expect(
        "merged pbx:100.2 into pbx:100.0", "transfer blonde to PJSIP/1002 open"
    )
    play.sent(b.leaves("b1"), a.leaves("b1"), b.hangs_up(), b2.hangs_up())
    play.expect("leg PJSIP/1001 answered", "leg PJSIP/1001 cancelled")
    play.sent(c.up(), a.dial_ends(c, "ANSWER"), c.enters("b2"), a.enters("b2"))
    play.expect("answered PJSIP/1002", "transfer blonde to PJSIP/1002 answered")
    assert play.goes_on().talks == ((a.name, b.name), (a.name, c.name))


def test_blonde_transfer_is_not_answered(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    b2, c, events = consult(pbx)
    play.sent(*events, b.connects(b2, a, None, dest_type="App"))
    play.sent(b.leaves("b1"), a.leaves("b1"), b.hangs_up(), b2.hangs_up())
    play.sent(a.dial_ends(c, "NOANSWER"), c.hangs_up(0), a.hangs_up())
    play.expect(
        "started internal 1001 > 1002",
        "ringing PJSIP/1002",
        "merged pbx:100.2 into pbx:100.0",
        "transfer blonde to PJSIP/1002 open",
        "leg PJSIP/1001 answered",
        "leg PJSIP/1001 cancelled",
        "leg PJSIP/1002 no_answer",
        "leg PJSIP/trunk answered",
        "transfer blonde to PJSIP/1002 failed",
        "ended answered",
    ).over()


def test_blonde_transfer_into_a_queue(pbx: Pbx) -> None:
    """The customer takes the transferer's place: the queue never says that they joined."""
    play, a, b = connected(pbx)
    b2 = pbx.phone("1001")
    play.sent(b2.calls("6001"), b2.up(), b2.joins("support"))
    play.expect("started internal 1001 > 6001", "queued support 1")
    play.sent(b.connects(b2, a, None, dest_type="App"), b.leaves("b1"), a.leaves("b1"))
    play.expect("merged pbx:100.2 into pbx:100.0", "transfer blonde to - open")
    play.sent(b.hangs_up(), b2.hangs_up())
    play.expect("leg PJSIP/1001 answered", "leg PJSIP/1001 cancelled")
    pbx.clock.after(8)
    c = pbx.phone("1002", of=a)
    play.sent(*ringing(a, c)).expect("ringing PJSIP/1002 of support")
    play.sent(c.up(), a.leaves_queue("support"), a.gets(c, "support")).expect("left support")
    play.sent(c.enters("b2"), a.enters("b2"))
    play.expect("answered PJSIP/1002", "transfer blonde to PJSIP/1002 answered")
    call = play.goes_on()
    assert (call.queues, call.wait_s) == (("support",), 8.0)


def test_attended_transfer_by_keys_keeps_one_linkedid(pbx: Pbx) -> None:
    """Asterisk makes a Local pair for the transferer; no second call is ever seen."""
    play, a, b = connected(pbx)
    x1 = pbx.channel("Local/1002@from-internal;1", of=a)
    x2 = pbx.channel("Local/1002@from-internal;2", of=a)
    c = pbx.phone("1002", of=a)
    play.sent(x1.new(), x2.calls("1002"), x1.tube(x2), x1.enters("b2"))
    play.sent(b.leaves("b1"), b.enters("b2"), *ringing(x2, c)).expect("ringing PJSIP/1002")
    play.sent(c.up(), x2.up(), x1.up(), c.enters("b3"), x2.enters("b3"))
    play.expect("answered PJSIP/1002")
    play.sent(b.asks_to_hang_up(), b.connects(b, a, x1), b.leaves("b2"), a.leaves("b1"))
    play.expect("transfer attended to PJSIP/1002 open")
    play.sent(a.enters("b2")).expect("transfer attended to PJSIP/1002 answered")
    play.sent(b.hangs_up()).expect("leg PJSIP/1001 answered")
    call = play.goes_on()
    assert call.talks == ((a.name, b.name), (b.name, c.name), (a.name, c.name))


def test_nobody_answers_and_the_transferer_is_rung_again(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    b2, c, events = consult(pbx)
    play.sent(*events, b.connects(b2, a, None, dest_type="App"))
    play.sent(b.leaves("b1"), a.leaves("b1"), b.hangs_up(), b2.hangs_up())
    play.sent(a.dial_ends(c, "NOANSWER"), c.hangs_up(0))
    again = pbx.phone("1001", of=a)
    play.sent(again.new(), again.dialled_by_nobody(), again.rings(), again.up())
    play.sent(again.enters("b3"), a.enters("b3"))
    play.expect(
        "started internal 1001 > 1002",
        "ringing PJSIP/1002",
        "merged pbx:100.2 into pbx:100.0",
        "transfer blonde to PJSIP/1002 open",
        "leg PJSIP/1001 answered",
        "leg PJSIP/1001 cancelled",
        "leg PJSIP/1002 no_answer",
        "ringing PJSIP/1001",
        "answered PJSIP/1001",
        "transfer blonde to PJSIP/1002 failed",
    ).goes_on()


def test_a_consultation_without_transfer_stays_a_call_of_its_own(pbx: Pbx) -> None:
    play, _a, b = connected(pbx)
    b2, c, events = consult(pbx)
    play.sent(b.hold(), *events, c.up(), b2.up(), c.enters("b2"), b2.enters("b2"))
    play.sent(*over(b2, c, "b2"), b.unhold())
    play.expect(
        "held by PJSIP/1001",
        "started internal 1001 > 1002",
        "ringing PJSIP/1002",
        "answered PJSIP/1002",
        "leg PJSIP/1001 answered",
        "leg PJSIP/1002 answered",
        "ended answered",
        "resumed by PJSIP/1001",
    )
    assert len(play.goes_on().legs) == 2


def test_a_colleague_picks_up_the_call(pbx: Pbx) -> None:
    a = pbx.trunk()
    b, p = pbx.phone("1001", of=a), pbx.phone("1002")
    play = Playbook().sent(a.calls("902125550101"), *ringing(a, b), p.calls("*8"), p.up())
    play.expect(
        "started inbound 905321112233 > 902125550101",
        "ringing PJSIP/1001",
        "started internal 1002 > *8",
    )
    play.sent(p.picks_up(b)).expect("merged pbx:100.2 into pbx:100.0", "transfer pickup to - open")
    play.sent(a.dial_ends(p, "ANSWER"), a.up(), b.hangs_up(16))
    play.expect("leg PJSIP/1001 answered_elsewhere by PJSIP/1002")
    play.sent(p.enters("b1"), a.enters("b1"))
    play.expect("answered PJSIP/1002", "transfer pickup to PJSIP/1002 answered")
    call = play.goes_on()
    assert leg_of(call, "PJSIP/1002").role is LegRole.CALLEE
    assert call.dialed == "902125550101"


def test_a_phone_forwards_the_call(pbx: Pbx) -> None:
    """302: the card belongs to the phone that rings now."""
    a = pbx.trunk()
    b = pbx.phone("1001", of=a)
    x1 = pbx.channel("Local/1002@from-internal;1", of=a)
    x2 = pbx.channel("Local/1002@from-internal;2", of=a)
    c = pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls("902125550101"), b.new(), a.dials(b))
    play.sent(x1.new(), x2.calls("1002"), x1.tube(x2), a.dial_ends(b, "CANCEL", forward="1002"))
    play.sent(a.dials(x1), b.hangs_up(0), *ringing(x2, c))
    play.expect(
        "started inbound 905321112233 > 902125550101",
        "transfer forward to - open",
        "leg PJSIP/1001 cancelled",
        "ringing PJSIP/1002",
    )
    play.sent(c.up(), x2.up(), x1.up(), a.up())
    play.sent(c.enters("b1"), x2.enters("b1"), x1.enters("b2"), a.enters("b2"))
    play.expect("answered PJSIP/1002", "transfer forward to PJSIP/1002 answered").goes_on()


def test_a_parked_customer_is_retrieved(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(b.hands_on(a, "700"), a.leaves("b1"), a.parked(by="PJSIP/1001"))
    play.sent(a.enters("lot", "holding"))
    play.expect("transfer blind to - open", "transfer park to - open")
    play.sent(b.leaves("b1"), b.hangs_up()).expect("leg PJSIP/1001 answered")
    r = pbx.phone("1002")
    play.sent(r.calls("701"), r.up(), a.leaves("lot")).expect("started internal 1002 > 701")
    play.sent(a.parked("UnParkedCall", by="PJSIP/1001", retriever=r))
    play.expect("merged pbx:100.2 into pbx:100.0")
    play.sent(a.enters("b2"), r.enters("b2"))
    play.expect("answered PJSIP/1002", "transfer park to PJSIP/1002 answered")
    call = play.goes_on()
    assert len(call.transfers) == 1
    assert call.talks == ((a.name, b.name), (a.name, r.name))


def test_a_parked_customer_gives_up(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(a.leaves("b1"), a.parked(by="PJSIP/1001"), b.leaves("b1"), b.hangs_up())
    play.sent(a.asks_to_hang_up(), a.parked("ParkedCallGiveUp"), a.hangs_up())
    play.expect(
        "transfer park to - open",
        "leg PJSIP/1001 answered",
        "leg PJSIP/trunk answered",
        "transfer park to - abandoned",
        "ended answered",
    )
    assert play.over().transfers[0].by == b.name


def test_a_transfer_to_another_pbx_looks_blind(pbx: Pbx) -> None:
    play, a, b = connected(pbx)
    play.sent(b.hands_on(a, "external_replaces")).expect("transfer attended to - open").goes_on()


def test_a_transfer_of_nobody_known(pbx: Pbx) -> None:
    play, _a, _b = connected(pbx)
    x, y = pbx.phone("1005"), pbx.phone("1006")
    y.state = ChannelState.UP
    play.sent(x.hands_on(None, "1002")).expect("surprise: unknown channel (BlindTransfer)")
    play.goes_on()
