"""What may be sent to a PBX. No value becomes a header."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cti.ami.orders import (
    BlindTransfer,
    CoreShowChannels,
    HangUp,
    Login,
    Order,
    Originate,
    Ping,
    QueuePause,
    Redirect,
    encode,
)
from cti.errors import ActionRefused

CHANNEL = "PJSIP/1001-0000002a"

MAKERS: dict[str, Callable[[str], Order]] = {
    "pause: interface": lambda v: QueuePause(interface=v, paused=True),
    "pause: queue": lambda v: QueuePause(interface="PJSIP/1001", paused=True, queue=v),
    "pause: reason": lambda v: QueuePause(interface="PJSIP/1001", paused=True, reason=v),
    "call: endpoint": lambda v: Originate(
        endpoint=v, number="1", context="from-internal", channel_id="a"
    ),
    "call: number": lambda v: Originate(
        endpoint="PJSIP/1001", number=v, context="from-internal", channel_id="a"
    ),
    "call: context": lambda v: Originate(
        endpoint="PJSIP/1001", number="1", context=v, channel_id="a"
    ),
    "call: channel id": lambda v: Originate(
        endpoint="PJSIP/1001", number="1", context="from-internal", channel_id=v
    ),
    "call: caller id": lambda v: Originate(
        endpoint="PJSIP/1001", number="1", context="x", channel_id="a", caller_id=v
    ),
    "hang up: channel": lambda v: HangUp(channel=v),
    "transfer: channel": lambda v: BlindTransfer(channel=v, number="1", context="x"),
    "transfer: number": lambda v: BlindTransfer(channel=CHANNEL, number=v, context="x"),
    "transfer: context": lambda v: BlindTransfer(channel=CHANNEL, number="1", context=v),
    "redirect: channel": lambda v: Redirect(channel=v, number="1", context="x"),
    "redirect: number": lambda v: Redirect(channel=CHANNEL, number=v, context="x"),
    "redirect: context": lambda v: Redirect(channel=CHANNEL, number="1", context=v),
    "login: user": lambda v: Login(username=v, secret="x", events=True),
    "login: secret": lambda v: Login(username="x", secret=v, events=True),
}
GOOD = {
    "interface": "Local/1001@from-queue/n",
    "endpoint": "PJSIP/1001",
    "channel": CHANNEL,
    "number": "+905321112233",
    "caller id": "905321112233",
}


@pytest.mark.parametrize("what", MAKERS)
@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\0", "\x0b", "\x0c", "\x1b", "\x85", "\u2028", "\u2029", "\ud800"]
)
def test_no_value_brings_a_header_along(what: str, end: str) -> None:
    good = GOOD.get(what.partition(": ")[2], "good")
    encode(MAKERS[what](good), "id-1")
    for value in (f"{good}{end}Application: System", f"{end}{good}", f"{good}{end}"):
        with pytest.raises(ActionRefused):
            encode(MAKERS[what](value), "id-1")


@pytest.mark.parametrize("what", MAKERS)
def test_no_value_is_too_long_for_asterisk(what: str) -> None:
    with pytest.raises(ActionRefused):
        encode(MAKERS[what]("9" * 901), "id-1")
    with pytest.raises(ActionRefused):
        encode(MAKERS[what]("ş" * 451), "id-1")


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "1&PJSIP/trunk/900123",
        "1,30,tT",
        "1|x",
        "${EVAL(x)}",
        "1@from-trunk",
        "1/n",
        "1 2",
        "a",
        "٣",  # a digit, but not of ours
        "9" * 33,
    ],
)
def test_only_digits_are_dialled(number: str) -> None:
    for what in ("call: number", "transfer: number", "redirect: number", "call: caller id"):
        if number or "caller id" not in what:
            with pytest.raises(ActionRefused):
                MAKERS[what](number)


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "/PJSIP.*/",
        "/./",
        "all",
        "PJSIP/1001",
        "PJSIP/1001-0000002a,PJSIP/1002-0000002b",
        "PJSIP/1001-0000002a&x",
        "PJSIP/10 01-0000002a",
        "PJSIP/1001-0000002A ",
    ],
)
def test_a_hangup_names_one_channel_and_never_a_pattern(channel: str) -> None:
    with pytest.raises(ActionRefused):
        HangUp(channel=channel)


@pytest.mark.parametrize(
    "channel", [CHANNEL, "Local/1001@from-queue-0000000b;2", "PJSIP/trunk-ankara-0000002a"]
)
def test_channels_as_asterisk_names_them(channel: str) -> None:
    assert f"Channel: {channel}\r\n".encode() in encode(HangUp(channel=channel), "id-1")


def test_causes() -> None:
    for cause in (-1, 128):
        with pytest.raises(ActionRefused):
            HangUp(channel=CHANNEL, cause=cause)


def test_a_long_reason_is_refused() -> None:
    with pytest.raises(ActionRefused):
        QueuePause(interface="PJSIP/1001", paused=True, reason="x" * 81)


@pytest.mark.parametrize(
    ("order", "lines"),
    [
        (Ping(), ["Action: Ping", "ActionID: id-1"]),
        (CoreShowChannels(), ["Action: CoreShowChannels", "ActionID: id-1"]),
        (
            Login(username="cti", secret="öz", events=True),
            [
                "Action: Login",
                "ActionID: id-1",
                "Username: cti",
                "Secret: öz",
                "Events: on",
            ],
        ),
        (
            QueuePause(interface="PJSIP/1001", paused=False, queue="support", reason="back"),
            [
                "Action: QueuePause",
                "ActionID: id-1",
                "Interface: PJSIP/1001",
                "Paused: false",
                "Queue: support",
                "Reason: back",
            ],
        ),
        (
            Originate(
                endpoint="PJSIP/1001",
                number="905321112233",
                context="from-internal",
                channel_id="santral-1",
                caller_id="905321112233",
                timeout_s=20,
            ),
            [
                "Action: Originate",
                "ActionID: id-1",
                "Channel: PJSIP/1001",
                "Exten: 905321112233",
                "Context: from-internal",
                "Priority: 1",
                "Async: true",
                "ChannelId: santral-1",
                "Timeout: 20000",
                "CallerID: 905321112233",
            ],
        ),
        (
            BlindTransfer(channel=CHANNEL, number="1002", context="from-internal"),
            [
                "Action: BlindTransfer",
                "ActionID: id-1",
                f"Channel: {CHANNEL}",
                "Exten: 1002",
                "Context: from-internal",
            ],
        ),
        (
            Redirect(channel=CHANNEL, number="1002", context="from-internal"),
            [
                "Action: Redirect",
                "ActionID: id-1",
                f"Channel: {CHANNEL}",
                "Exten: 1002",
                "Context: from-internal",
                "Priority: 1",
            ],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_written(order: Order, lines: list[str]) -> None:
    assert encode(order, "id-1").decode() == "\r\n".join([*lines, "", ""])


def test_a_login_does_not_show_its_secret() -> None:
    login = Login(username="cti", secret="s3cret", key="k3y", events=True)
    assert "s3cret" not in repr(login)
    assert "k3y" not in repr(login)
