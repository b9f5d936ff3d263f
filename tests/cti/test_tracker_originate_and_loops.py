"""Calls that Asterisk makes for the desk through Local channels, and calls that come back in."""

from __future__ import annotations

import pytest

from cti.ami.events import AmiEvent
from cti.model import CallDirection, CallOutcome, LegResult, LegRole
from tests.cti.pbx import Channel, Pbx
from tests.cti.playbook import Playbook, leg_of
from tests.cti.stories import DID, answered, over, ringing

CUSTOMER = "905559998877"


@pytest.fixture
def pbx() -> Pbx:
    return Pbx()


# --- a call from the desk, through a Local channel ------------------------------------------------


def called_for_nobody(pbx: Pbx, exten: str) -> tuple[Channel, Channel, list[AmiEvent]]:
    """Asterisk rings somebody through a Local channel, as FreePBX does it for a call button."""
    x1 = pbx.channel(f"Local/{exten}@from-internal;1")
    x2 = pbx.channel(f"Local/{exten}@from-internal;2", of=x1)
    begin = [x1.new(exten=exten), x2.calls(exten), x1.tube(x2), x1.dialled_by_nobody()]
    return x1, x2, begin


def test_whom_the_call_button_rings_through_a_local_channel_calls(pbx: Pbx) -> None:
    x1, x2, begin = called_for_nobody(pbx, "1001")
    b, c = pbx.phone("1001", of=x1), pbx.channel("PJSIP/trunk", of=x1)
    play = Playbook().sent(*begin, *ringing(x2, b))
    play.expect("started internal 1001 > -", "ringing PJSIP/1001")
    play.sent(*answered(x2, b), x1.up()).silence()
    x1.exten = CUSTOMER
    play.sent(*ringing(x1, c))
    play.expect(f"party outbound 1001 > {CUSTOMER}", "ringing PJSIP/trunk")
    play.sent(*answered(x1, c, "b2")).expect("answered PJSIP/trunk")
    play.sent(*over(c, x1, "b2"), *over(x2, b))
    play.expect("leg PJSIP/trunk answered", "leg PJSIP/1001 answered", "ended answered")
    call = play.over()
    assert call.direction is CallDirection.OUTBOUND
    assert leg_of(call, "PJSIP/1001").role is LegRole.CALLER


def test_of_two_phones_behind_the_call_button_the_one_picked_up_calls(pbx: Pbx) -> None:
    x1, x2, begin = called_for_nobody(pbx, "1001")
    desk, mobile = pbx.phone("1001", of=x1), pbx.phone("1101", of=x1)
    c = pbx.channel("PJSIP/trunk", of=x1)
    play = Playbook().sent(*begin, *ringing(x2, desk), *ringing(x2, mobile))
    play.expect("started internal 1001 > -", "ringing PJSIP/1001", "ringing PJSIP/1101")
    play.sent(*answered(x2, mobile), desk.hangs_up(26), x1.up())
    play.expect("leg PJSIP/1001 answered_elsewhere")
    x1.exten = CUSTOMER
    play.sent(*ringing(x1, c), x1.dial_ends(c, "BUSY"), c.hangs_up(17), x1.hangs_up(17))
    play.sent(x2.hangs_up(17), mobile.hangs_up())
    play.expect(
        f"party outbound 1001 > {CUSTOMER}",
        "ringing PJSIP/trunk",
        "leg PJSIP/trunk busy",
        "leg PJSIP/1101 busy",
        "ended busy",
    )
    call = play.over()
    assert leg_of(call, "PJSIP/1101").role is LegRole.CALLER
    assert leg_of(call, "PJSIP/1001").role is LegRole.CALLEE


def test_who_declines_the_call_button_has_called_nobody(pbx: Pbx) -> None:
    x1, x2, begin = called_for_nobody(pbx, "1001")
    b = pbx.phone("1001", of=x1)
    play = Playbook().sent(*begin, *ringing(x2, b))
    play.expect("started internal 1001 > -", "ringing PJSIP/1001")
    play.sent(x2.dial_ends(b, "BUSY"), b.hangs_up(17), x1.hangs_up(17), x2.hangs_up(17))
    play.expect("leg PJSIP/1001 busy", "ended busy")
    play.over()


def test_a_local_channel_may_call_the_customer_first(pbx: Pbx) -> None:
    x1, x2, begin = called_for_nobody(pbx, CUSTOMER)
    c = pbx.channel("PJSIP/trunk", number=CUSTOMER, of=x1)
    play = Playbook().sent(*begin, *ringing(x2, c), x2.dial_ends(c, "BUSY"))
    play.sent(c.hangs_up(17), x1.hangs_up(17), x2.hangs_up(17))
    play.expect(
        f"started inbound {CUSTOMER} > -",
        f"party outbound - > {CUSTOMER}",
        "ringing PJSIP/trunk",
        "leg PJSIP/trunk busy",
        "ended busy",
    )
    assert leg_of(play.over(), "PJSIP/trunk").role is LegRole.CALLEE


def test_a_phone_that_only_sends_the_caller_on_was_not_rung_in_vain(pbx: Pbx) -> None:
    a = pbx.trunk()
    b, c = pbx.phone("1001", of=a), pbx.phone("1002", of=a)
    play = Playbook().sent(a.calls(DID), b.new(), a.dials(b))
    play.sent(a.dial_ends(b, "CANCEL", forward="1002"), b.hangs_up(0))
    play.sent(*ringing(a, c), a.dial_ends(c, "BUSY"), c.hangs_up(17), a.hangs_up(17))
    play.expect(
        f"started inbound 905321112233 > {DID}",
        "transfer forward to - open",
        "leg PJSIP/1001 cancelled",
        "ringing PJSIP/1002",
        "leg PJSIP/1002 busy",
        "leg PJSIP/trunk busy",
        "transfer forward to PJSIP/1002 failed",
        "ended busy",
    )
    assert play.over().outcome is CallOutcome.BUSY


# --- out by one trunk and in again ----------------------------------------------------------------


def sent_to_the_other_pbx(pbx: Pbx) -> tuple[Channel, Channel, Playbook]:
    """A customer's call is sent on to the other PBX."""
    a = pbx.trunk()
    out = pbx.channel("PJSIP/peer", of=a)
    play = Playbook().sent(a.calls(DID), out.new(), a.dials(out))
    return a, out, play.expect(f"started inbound 905321112233 > {DID}")


def test_a_call_that_comes_back_from_the_other_pbx_is_one_call(pbx: Pbx) -> None:
    a, out, play = sent_to_the_other_pbx(pbx)
    back = pbx.channel("PJSIP/peer", number=a.number, name=a.caller_name)
    b = pbx.phone("1002", of=back)
    play.sent(back.calls("1002"), *ringing(back, b)).expect("ringing PJSIP/1002")
    play.sent(out.rings(), *answered(back, b, "b2"), *answered(a, out))
    play.expect("ringing PJSIP/peer", "answered PJSIP/1002", "answered PJSIP/peer")
    play.sent(*over(a, out), *over(back, b, "b2"))
    play.expect(
        "leg PJSIP/trunk answered",
        "leg PJSIP/peer answered",
        "leg PJSIP/peer answered",
        "leg PJSIP/1002 answered",
        "ended answered",
    )
    call = play.over()
    assert call.dialed == DID
    assert [leg.role for leg in call.legs if leg.endpoint == "PJSIP/peer"] == [
        LegRole.CALLEE,
        LegRole.CALLER,
    ]
    assert {leg.result for leg in call.legs} == {LegResult.ANSWERED}


@pytest.mark.parametrize("other", ["number", "name", "trunk", "later", "ringing", "no number"])
def test_another_call_at_the_same_time_is_another_call(pbx: Pbx, other: str) -> None:
    a, out, play = sent_to_the_other_pbx(pbx)
    number = {"number": "905330000000", "no number": ""}.get(other, a.number)
    new = pbx.channel(
        "PJSIP/trunk" if other == "trunk" else "PJSIP/peer",
        number=number,
        name="Ada" if other == "name" else a.caller_name,
    )
    if other == "ringing":
        play.sent(out.rings()).expect("ringing PJSIP/peer")
    pbx.clock.after(1.5 if other == "later" else 0.1)
    play.sent(new.calls("1002")).expect(f"started inbound {number or '-'} > 1002")
    play.sent(new.hangs_up()).expect(
        "leg PJSIP/%s failed" % ("trunk" if other == "trunk" else "peer"), "ended failed"
    )
    play.sent(out.hangs_up(), a.hangs_up())
    result = "no_answer" if other == "ringing" else "failed"
    play.expect(f"leg PJSIP/peer {result}", f"leg PJSIP/trunk {result}", f"ended {result}")
    play.over()
