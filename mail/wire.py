"""The grammar of IMAP answers: bytes become responses, responses become values. Pure.

Everything here is iterative and bounded, because the server is not trusted: a line, a literal, a
nesting and an answer have a largest size, and what goes beyond it is a `ProtocolSurprise`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from mail.errors import ProtocolSurprise

MAX_LINE = 4 * 1024 * 1024
"""Octets of a line. A search result of 500,000 mails is one line of less than this."""
MAX_LITERAL = 8 * 1024 * 1024
"""Octets of a literal. Bodies are fetched in parts of 1 MiB."""
MAX_RESPONSE = 16 * 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 100_000

Response = tuple[bytes, ...]
"""One response: text, literal, text, literal, …, text. The `{n}` before a literal is gone."""
Value = bytes | None | list["Value"]
"""An atom, string or literal; NIL; or a parenthesised list."""

_LITERAL_END = re.compile(rb"~?\{(\d{1,19})\+?\}\Z")
# Status lines end in free text, in which `{5}` is just text (RFC 3501, section 7.1).
_STATUS = re.compile(rb"(?:\*|[A-Za-z0-9]{1,32}) (?:OK|NO|BAD|BYE|PREAUTH)\b|\+", re.IGNORECASE)
# An atom may hold a section in brackets, `BODY[HEADER.FIELDS (DATE)]<0>`, with spaces in it.
_ATOM = re.compile(rb"(?:[^\s()\[\]\"]++|\[[^\]]*+\])++")
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class ResponseFramer:
    """Cuts the byte stream of a server into responses, however the network cut it.

    Args:
        max_line: Octets of one line.
        max_literal: Octets of one literal.
        max_response: Octets of one response with all its literals.
    """

    def __init__(
        self,
        *,
        max_line: int = MAX_LINE,
        max_literal: int = MAX_LITERAL,
        max_response: int = MAX_RESPONSE,
    ) -> None:
        self._max_line = max_line
        self._max_literal = max_literal
        self._max_response = max_response
        self._buffer = bytearray()
        self._searched = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._literal = -1

    def feed(self, chunk: bytes) -> Iterator[Response]:
        """The responses that are complete now.

        Raises:
            ProtocolSurprise: something is larger than it may be; the stream cannot be followed
                any further.
        """
        self._buffer += chunk
        while True:
            if self._literal >= 0:
                if len(self._buffer) < self._literal:
                    return
                self._take(self._literal)
                self._literal = -1
            end = self._buffer.find(b"\r\n", self._searched)
            if end < 0:
                if len(self._buffer) > self._max_line:
                    raise ProtocolSurprise("the server sent an endless line")
                # A CR at the very end may be the first half of a line end.
                self._searched = max(0, len(self._buffer) - 1)
                return
            if end > self._max_line:
                raise ProtocolSurprise("the server sent an endless line")
            self._searched = 0
            found = _LITERAL_END.search(self._buffer, max(0, end - 24), end)
            if found and (self._parts or not _STATUS.match(self._buffer)):
                size = int(found[1])
                if size > self._max_literal or self._size + size > self._max_response:
                    raise ProtocolSurprise(f"the server announced {size} octets at once")
                self._take(found.start())
                del self._buffer[: end - found.start() + 2]
                self._literal = size
                continue
            self._take(end)
            del self._buffer[:2]
            response = tuple(self._parts)
            self._parts = []
            self._size = 0
            yield response

    def _take(self, length: int) -> None:
        self._size += length
        if self._size > self._max_response:
            raise ProtocolSurprise("the server sent an endless response")
        with memoryview(self._buffer) as view:
            self._parts.append(bytes(view[:length]))
        del self._buffer[:length]


def values(response: Response, start: int = 0) -> list[Value]:
    """The values of a response, from octet `start` of its first line.

    Raises:
        ProtocolSurprise: it is not built as IMAP answers are.
    """
    top: list[Value] = []
    open_lists = [top]
    count = 0
    for index, part in enumerate(response):
        if index % 2:  # the odd parts are literals
            open_lists[-1].append(part)
            continue
        at = start if index == 0 else 0
        while at < len(part):
            count += 1
            if count > MAX_VALUES:
                raise ProtocolSurprise("the server sent an answer with too many values")
            octet = part[at : at + 1]
            if octet.isspace():
                at += 1
            elif octet == b"(":
                if len(open_lists) > MAX_DEPTH:
                    raise ProtocolSurprise("the server sent lists nested too deeply")
                inner: list[Value] = []
                open_lists[-1].append(inner)
                open_lists.append(inner)
                at += 1
            elif octet == b")":
                open_lists.pop()
                if not open_lists:
                    raise ProtocolSurprise("the server closed a list that was never open")
                at += 1
            elif octet == b'"':
                quoted = _QUOTED.match(part, at)
                if quoted is None:
                    raise ProtocolSurprise("the server sent a string without an end")
                open_lists[-1].append(_ESCAPED.sub(rb"\1", quoted[1]))
                at = quoted.end()
            else:
                atom = _ATOM.match(part, at)
                if atom is None:
                    raise ProtocolSurprise("the server sent an answer that cannot be read")
                open_lists[-1].append(None if atom[0].upper() == b"NIL" else atom[0])
                at = atom.end()
    if len(open_lists) > 1:
        raise ProtocolSurprise("the server left a list open")
    return top


def number(value: Value) -> int:
    """The value as a whole number of at most 63 bits.

    Raises:
        ProtocolSurprise: it is none.
    """
    if not isinstance(value, bytes) or not value.isdigit() or len(value) > 19:
        raise ProtocolSurprise("the server sent something else where a number belongs")
    if (found := int(value)) >= 2**63:
        raise ProtocolSurprise("the server sent a number out of range")
    return found


def quote(text: str) -> str:
    """The text as a quoted string (RFC 3501, section 4.3)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def encode_folder(name: str) -> bytes:
    """A folder's name as the server writes it: modified UTF-7 (RFC 3501, section 5.1.3)."""
    out = bytearray()
    for run in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", name):
        if run.isascii() and run.isprintable():
            out += run.replace("&", "&-").encode()
            continue
        packed = base64.b64encode(run.encode("utf-16-be", "surrogatepass"))
        out += b"&" + packed.rstrip(b"=").replace(b"/", b",") + b"-"
    return bytes(out)


def decode_folder(raw: bytes) -> str:
    """The name of a folder for people. A name that is not well formed is shown as it is."""
    shown = raw.decode("utf-8", "replace")
    if b"&" not in raw:
        return shown
    out: list[str] = []
    for piece in re.findall(r"&[^-]*-|&[^-]*|[^&]+", shown):
        if not piece.startswith("&"):
            out.append(piece)
        elif piece == "&-":
            out.append("&")
        else:
            packed = piece[1:].removesuffix("-").replace(",", "/")
            padded = packed + "=" * (-len(packed) % 4)
            try:
                out.append(base64.b64decode(padded, validate=True).decode("utf-16-be"))
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return shown
    return "".join(out)
