"""Bytes of the manager interface become whole messages.

A message is a block of `Key: value` lines that ends with an empty line. `Framer` finds the ends,
however TCP cut the stream; `Message` gives the fields of one block. Bytes are cut before they are
decoded, so a letter that TCP split in two stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Self

MAX_MESSAGE: Final = 256 * 1024
"""Bytes. Asterisk's longest are `Status` items with all variables, tens of kilobytes."""

BANNER: Final = b"Asterisk Call Manager/"

_END: Final = b"\r\n\r\n"
_ANY_END: Final = re.compile(rb"\r?\n\r?\n")
_PARTIAL_END: Final = 3
"""How much of an end may wait at the end of a chunk."""
_EVENT_LINE: Final = re.compile(rb"(?i)(?:\A|\r\n)event[ \t]*:[ \t]*([^\r\n]*)")


class Framer:
    r"""Cuts one stream of bytes into messages.

    A message longer than `max_message` is skipped up to its end and counted in `oversized`; the
    stream goes on behind it.

    Args:
        lenient: Also accept bare `\n` line ends, mixed with `\r\n`, and several recordings one
            after the other. For files only: on the wire Asterisk always sends `\r\n`, and a bare
            `\n` there is part of a value that a caller may have made up.
        max_message: Bytes.

    """

    def __init__(self, *, lenient: bool = False, max_message: int = MAX_MESSAGE) -> None:
        self.banner = ""
        """The greeting, for example `Asterisk Call Manager/11.0.0`, once a message followed it."""
        self.oversized = 0
        """How many messages were too long."""
        self._lenient = lenient
        self._max_message = max_message
        self._tail = bytearray()
        self._skipping = False
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes, without their empty line.

        Empty messages (a peer that sends one line end too many) are left to the reader.
        """
        tail = self._tail
        if tail:
            searched = max(0, len(tail) - _PARTIAL_END)
            tail += data
            if not self._ends_after(searched):
                self._limit_tail()
                return []
            data = bytes(tail)
            tail.clear()
        messages = _ANY_END.split(data) if self._lenient else data.split(_END)
        tail += messages.pop()
        if messages and self._skipping:
            self._skipping = False
            del messages[0]
        self._limit_tail()
        if len(data) > self._max_message:
            messages = self._without_oversized(messages)
        if self._lenient:
            return [message for raw in messages if (message := self._as_on_the_wire(raw))]
        if messages and not self._begun:
            self._begun = True
            messages[0] = self._without_banner(messages[0])
        return messages

    def rest(self) -> bytes:
        """Return the last message of a file that ends without an empty line, else nothing.

        A message whose last line is not whole is dropped: half a value is a wrong value.
        """
        rest = b"" if self._skipping else bytes(self._tail)
        self._tail.clear()
        return self._as_on_the_wire(rest) if rest.endswith(b"\n") else b""

    @property
    def pending(self) -> int:
        """How many bytes wait for the end of their message."""
        return len(self._tail)

    def _ends_after(self, start: int) -> bool:
        if self._lenient:
            return _ANY_END.search(self._tail, start) is not None
        return self._tail.find(_END, start) >= 0

    def _limit_tail(self) -> None:
        if len(self._tail) <= self._max_message:
            return
        if not self._skipping:
            self._skipping = True
            self.oversized += 1
        del self._tail[:-_PARTIAL_END]

    def _without_oversized(self, messages: list[bytes]) -> list[bytes]:
        kept = [message for message in messages if len(message) <= self._max_message]
        self.oversized += len(messages) - len(kept)
        return kept

    def _without_banner(self, raw: bytes) -> bytes:
        if not raw.startswith(BANNER):
            return raw
        line, _, rest = raw.partition(b"\n")
        self.banner = line.strip().decode("ascii", "replace")
        return rest

    def _as_on_the_wire(self, raw: bytes) -> bytes:
        greeting = raw.rfind(BANNER)
        if greeting >= 0:  # what stands before it was cut off when the recording before it ended
            raw = self._without_banner(raw[greeting:])
        return raw.strip(b"\r\n").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def event_name(raw: bytes) -> bytes:
    """Return the name of the event in a message, `b""` for a response or anything else."""
    if raw.startswith(b"Event: "):  # how Asterisk writes it
        end = raw.find(b"\r\n", 7)
        return raw[7:end] if end >= 0 else raw[7:]
    raw = raw.lstrip(b"\r\n")
    if raw[:9].lower() == b"response:":
        return b""
    found = _EVENT_LINE.search(raw)
    return found[1].strip() if found else b""


class Message:
    """The fields of one message. Keys are looked up in any case; the first value wins."""

    __slots__ = ("_first", "fields")

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self.fields = tuple(fields)
        """Every key and value, in order."""
        self._first: dict[str, str] = {}
        for key, value in self.fields:
            self._first.setdefault(key.lower(), value)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a message as `Framer` gives it. Lines without a colon are dropped.

        Bytes that are not UTF-8 become U+FFFD.
        """
        fields = []
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            key, colon, value = line.partition(":")
            if colon:
                fields.append((key.strip(), value.removeprefix(" ")))
        return cls(fields)

    @classmethod
    def from_headers(cls, headers: Mapping[str, object]) -> Self:
        """Read a JSON object of headers. A list is a repeated header."""
        fields: list[tuple[str, str]] = []
        for key, value in headers.items():
            values = value if isinstance(value, list) else [value]
            fields += [(key, "" if item is None else str(item)) for item in values]
        return cls(fields)

    @property
    def name(self) -> str:
        """The event's name, `""` for a response."""
        return self._first.get("event", "")

    @property
    def response(self) -> str:
        """`Success`, `Error`, `Goodbye`, … for a response, `""` for an event."""
        return self._first.get("response", "")

    def get(self, key: str, default: str = "") -> str:
        """Return the first value of `key`."""
        return self._first.get(key.lower(), default)

    def all(self, key: str) -> list[str]:
        """Return every value of `key`, in order."""
        wanted = key.lower()
        return [value for name, value in self.fields if name.lower() == wanted]

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._first

    def __repr__(self) -> str:
        return f"<Message {self.name or self.response or '?'}: {len(self.fields)} fields>"
