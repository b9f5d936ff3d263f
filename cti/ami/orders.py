"""Orders to a PBX, and how they are written so that no value can become a header.

AMI has no quoting: a line end inside a value starts a new header, and `Application: System` is one
(FreePBX's `callme_page.php` was taken over so). Values are therefore refused, never repaired, and
headers come from an enumeration. What a person typed reaches only `number` fields, which take
digits, `*` and `#`; contexts come from the settings, channels from the PBX's own events.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from cti.errors import ActionRefused

MAX_VALUE: Final = 900
"""Bytes. Asterisk refuses lines of more than 1024 (`manager.c`, `inbuf`)."""


AUDIT: Final = "-audit"
"""The mark of the lists that are asked for now and then, and not after a login."""


class Header(StrEnum):
    """Every header that we ever send."""

    ACTION = "Action"
    ACTION_ID = "ActionID"
    ASYNC = "Async"
    AUTH_TYPE = "AuthType"
    CALLER_ID = "CallerID"
    CAUSE = "Cause"
    CHANNEL = "Channel"
    CHANNEL_ID = "ChannelId"
    CONTEXT = "Context"
    EVENTS = "Events"
    EXTEN = "Exten"
    INTERFACE = "Interface"
    KEY = "Key"
    PAUSED = "Paused"
    PRIORITY = "Priority"
    QUEUE = "Queue"
    REASON = "Reason"
    SECRET = "Secret"  # noqa: S105 - the name of a header
    TIMEOUT = "Timeout"
    USERNAME = "Username"


Headers = Iterable[tuple[Header, str]]


def checked(value: str, what: str) -> str:
    """Return the value if it may be sent.

    Raises:
        ActionRefused: it holds a control character or line end of any kind, is no valid Unicode,
            or is too long.

    """
    if any(unicodedata.category(c) in _UNSENDABLE for c in value):
        raise ActionRefused(f"{what} holds a control character")
    if len(value.encode()) > MAX_VALUE:
        raise ActionRefused(f"{what} is longer than {MAX_VALUE} bytes")
    return value


_UNSENDABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_NUMBER: Final = re.compile(r"\+?[0-9*#]{1,32}")
_CONTEXT: Final = re.compile(r"[A-Za-z0-9_.-]{1,79}")
_CHANNEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*/[^\s,&|]+-[0-9a-f]{8}(?:;[12])?")
_ENDPOINT: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.+-]{1,79}")
_INTERFACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*/[^\s,&|$(){}\[\]]{1,120}")
_CHANNEL_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


def _must_match(pattern: re.Pattern[str], value: str, what: str) -> None:
    if not pattern.fullmatch(checked(value, what)):
        raise ActionRefused(f"{what} is not of the form that may be sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Something the PBX is to do. Its values were checked when it was made.

    Raises:
        ActionRefused: A value must not be sent.

    """

    action: ClassVar[str]
    is_list: ClassVar[bool] = False
    mark: ClassVar[str] = ""
    """The end of its ActionID, by which its answer is known in a recording too."""
    """Whether the answer is a list of events."""

    def headers(self) -> Headers:
        """Return what is sent besides `Action` and `ActionID`."""
        return ()


def encode(order: Order, action_id: str) -> bytes:
    """Write an order as the PBX reads it.

    Raises:
        ActionRefused: A value must not be sent.

    """
    headers = ((Header.ACTION, order.action), (Header.ACTION_ID, action_id), *order.headers())
    lines = [f"{Header(key)}: {checked(value, key)}\r\n" for key, value in headers]
    return "".join([*lines, "\r\n"]).encode()


# --- the session ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Login(Order):
    """Log in with the secret itself, or with a key made of it and a challenge."""

    action: ClassVar[str] = "Login"
    username: str
    secret: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    events: bool

    def headers(self) -> Headers:
        """Return user, proof and whether events are wanted."""
        yield Header.USERNAME, self.username
        if self.key:
            yield Header.AUTH_TYPE, "MD5"
            yield Header.KEY, self.key
        else:
            yield Header.SECRET, self.secret
        yield Header.EVENTS, "on" if self.events else "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Order):
    """Ask for the challenge of an MD5 login."""

    action: ClassVar[str] = "Challenge"

    def headers(self) -> Headers:
        """Return the only kind of challenge there is."""
        yield Header.AUTH_TYPE, "MD5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Order):
    """Ask whether somebody is there."""

    action: ClassVar[str] = "Ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreShowChannels(Order):
    """List the channels that exist."""

    action: ClassVar[str] = "CoreShowChannels"
    is_list: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditChannels(CoreShowChannels):
    """List the channels to compare them with what the events told."""

    mark: ClassVar[str] = AUDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus(Order):
    """List queues, members and waiting callers. Asterisk holds the queue's lock meanwhile."""

    action: ClassVar[str] = "QueueStatus"
    is_list: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStateList(Order):
    """List the devices and their states."""

    action: ClassVar[str] = "DeviceStateList"
    is_list: ClassVar[bool] = True


# --- what an agent's desk asks for ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePause(Order):
    """Pause a member, or let it get calls again."""

    action: ClassVar[str] = "QueuePause"
    interface: str
    """The member's exact interface, `PJSIP/1001` or `Local/1001@from-queue/n`."""
    paused: bool
    queue: str = ""
    """`""` is every queue."""
    reason: str = ""

    def __post_init__(self) -> None:
        _must_match(_INTERFACE, self.interface, "the interface")
        checked(self.queue, "the queue")
        if len(checked(self.reason, "the reason")) > 80:
            raise ActionRefused("the reason is longer than 80 characters")

    def headers(self) -> Headers:
        """Return who, where, and why."""
        yield Header.INTERFACE, self.interface
        yield Header.PAUSED, "true" if self.paused else "false"
        if self.queue:
            yield Header.QUEUE, self.queue
        if self.reason:
            yield Header.REASON, self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Originate(Order):
    """Ring an agent's phone and, when it is taken, dial a number from it.

    The answer says only that it was begun; events with `channel_id` as Uniqueid tell the rest.
    """

    action: ClassVar[str] = "Originate"
    endpoint: str
    """The agent's phone, `PJSIP/1001`."""
    number: str
    context: str
    """From the settings."""
    channel_id: str
    """The Uniqueid that the agent's channel gets: ours, so that the call is known as ours. While
    it lives, a second order with it fails."""
    caller_id: str = ""
    """What the agent's phone shows: the number that is dialled. Digits only."""
    timeout_s: int = 30

    def __post_init__(self) -> None:
        _must_match(_ENDPOINT, self.endpoint, "the endpoint")
        _must_match(_NUMBER, self.number, "the number")
        _must_match(_CONTEXT, self.context, "the context")
        _must_match(_CHANNEL_ID, self.channel_id, "the channel id")
        if self.caller_id:
            _must_match(_NUMBER, self.caller_id, "the caller id")

    def headers(self) -> Headers:
        """Return the phone, and where its call goes."""
        yield Header.CHANNEL, self.endpoint
        yield Header.EXTEN, self.number
        yield Header.CONTEXT, self.context
        yield Header.PRIORITY, "1"
        yield Header.ASYNC, "true"  # else the session is deaf until somebody answers
        yield Header.CHANNEL_ID, self.channel_id
        yield Header.TIMEOUT, str(self.timeout_s * 1000)
        if self.caller_id:
            yield Header.CALLER_ID, self.caller_id


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp(Order):
    """Hang up one channel, named exactly: a name in slashes would be a pattern, and is refused."""

    action: ClassVar[str] = "Hangup"
    channel: str
    cause: int = 16

    def __post_init__(self) -> None:
        _must_match(_CHANNEL, self.channel, "the channel")
        if not 0 <= self.cause <= 127:
            raise ActionRefused("the cause is not between 0 and 127")

    def headers(self) -> Headers:
        """Return which, and why."""
        yield Header.CHANNEL, self.channel
        yield Header.CAUSE, str(self.cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindTransfer(Order):
    """Hand the other side of a channel's call to a number. `channel` is the agent's own."""

    action: ClassVar[str] = "BlindTransfer"
    channel: str
    number: str
    context: str

    def __post_init__(self) -> None:
        _must_match(_CHANNEL, self.channel, "the channel")
        _must_match(_NUMBER, self.number, "the number")
        _must_match(_CONTEXT, self.context, "the context")

    def headers(self) -> Headers:
        """Return which, and where to."""
        yield Header.CHANNEL, self.channel
        yield Header.EXTEN, self.number
        yield Header.CONTEXT, self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(Order):
    """Send a channel to a number. Whoever it talked with is hung up."""

    action: ClassVar[str] = "Redirect"
    channel: str
    number: str
    context: str

    def __post_init__(self) -> None:
        _must_match(_CHANNEL, self.channel, "the channel")
        _must_match(_NUMBER, self.number, "the number")
        _must_match(_CONTEXT, self.context, "the context")

    def headers(self) -> Headers:
        """Return which, and where to."""
        yield Header.CHANNEL, self.channel
        yield Header.EXTEN, self.number
        yield Header.CONTEXT, self.context
        yield Header.PRIORITY, "1"
