"""The structure of a mail: headers and parts, found in one pass over its octets. Pure.

The standard library's parser raises on some mails that people do receive and needs minutes and
gigabytes for others (docs/email-notes.md). This one visits every octet a fixed number of times,
never recurses, and keeps limits; what is beyond them is said in `Structure.flags`.
"""

from __future__ import annotations

import binascii
import re
import urllib.parse
from dataclasses import dataclass, field

from mail.charsets import decode, decode_words, from_base64

MAX_HEADER_BLOCK = 256 * 1024
MAX_HEADERS = 1000
MAX_HEADER = 32 * 1024
MAX_REFERENCES = 64 * 1024
MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_PARAMETERS = 100

_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r")
_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]{1,100})[ \t]*:")
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r|\Z)")
_DASHES = re.compile(rb"^--([^\r\n]*)", re.MULTILINE)
_TOKEN = re.compile(r"[^\s;=]+")
_PARAMETER = re.compile(
    r"\s*([^\s;=\"]{1,100}+)\s*(?:=\s*(?:\"((?:[^\"\\]++|\\.)*+)(?:\"|\Z)|([^;]*+)))?", re.DOTALL
)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?\Z")
_TYPE = re.compile(r"\s*([A-Za-z0-9!#$&^_.+-]{1,100})/([A-Za-z0-9!#$&^_.+-]{1,100})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The header fields of a mail or part, in order, as octets."""

    items: tuple[tuple[str, bytes], ...] = ()
    """Name in lower case and value with its folds."""
    flags: frozenset[str] = frozenset()

    def all(self, name: str) -> list[bytes]:
        """Every value of this field."""
        return [value for known, value in self.items if known == name]

    def first(self, name: str) -> bytes:
        """The first value of this field, or nothing."""
        return next((value for known, value in self.items if known == name), b"")

    def text(self, name: str, fallback: str = "") -> str:
        """The first value as text, without folds."""
        return decode_words(self.first(name), fallback).strip()


@dataclass(slots=True, kw_only=True)
class Entity:
    """A part of a mail, or the mail itself: where it lies in the octets and what it says it is."""

    fields: Fields
    start: int
    """Where the body begins."""
    end: int
    content_type: str
    parameters: dict[str, str]
    disposition: str
    """`inline`, `attachment` or `""`."""
    filename: str
    parent: str
    """The content type of the multipart around it, or `""`."""
    depth: int


@dataclass(slots=True, kw_only=True)
class Structure:
    """A whole mail: the root and the parts that are no multiparts, in order."""

    root: Entity
    leaves: list[Entity] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)


def read_fields(raw: bytes, start: int, end: int, limit: int = MAX_HEADERS) -> Fields:
    """The header fields between two octets. Lines that belong to no field are passed over."""
    flags: set[str] = set()
    items: list[tuple[str, list[bytes]]] = []
    size = 0
    for line in _LINE.finditer(raw, start, end):
        octets = line[0]
        if octets[:1] in (b" ", b"\t") and items:
            size += len(octets)
            name, pieces = items[-1]
            if size > (MAX_REFERENCES if name == "references" else MAX_HEADER):
                flags.add("long_header")
            else:
                pieces.append(octets)
            continue
        found = _FIELD.match(octets)
        if found is None:
            if octets.strip() and not (line.start() == start and octets.startswith(b"From ")):
                flags.add("malformed_header")
            continue
        if len(items) >= limit:
            flags.add("many_headers")
            break
        name = found[1].decode("ascii").lower()
        value = octets[found.end() :]
        if len(value) > (MAX_REFERENCES if name == "references" else MAX_HEADER):
            flags.add("long_header")
            value = value[:MAX_HEADER]
        size = len(value)
        items.append((name, [value]))
    return Fields(
        items=tuple((name, b"".join(pieces).strip()) for name, pieces in items),
        flags=frozenset(flags),
    )


def header_end(raw: bytes, start: int, end: int) -> tuple[int, int, bool]:
    """Where the headers end, where the body begins, and whether that was clear."""
    for blank in (b"\r\n", b"\n"):
        if raw.startswith(blank, start):
            return start, start + len(blank), True
    limit = min(end, start + MAX_HEADER_BLOCK)
    if found := _BLANK_LINE.search(raw, start, limit):
        return found.start() + 1, found.end(), True
    if limit < end:
        return limit, limit, False
    return end, end, True


def structure(raw: bytes) -> Structure:
    """Find the parts of a mail."""
    walk = _Walk(raw)
    walk.open(0, len(raw), parent="", depth=0)
    for dashes in _DASHES.finditer(raw):
        if not walk.inside:
            break
        walk.line(dashes.start(), dashes.end(), dashes[1].rstrip(b" \t"))
    walk.close(len(raw))
    return walk.structure()


@dataclass(slots=True)
class _Frame:
    boundary: bytes
    content_type: str


class _Walk:
    """The state of the one pass: which multiparts are open, and which part is being read."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._frames: list[_Frame] = []
        self._levels: dict[bytes, int] = {}
        self._leaf: Entity | None = None
        self._root: Entity | None = None
        self._leaves: list[Entity] = []
        self._flags: set[str] = set()
        self._opened = 0

    @property
    def inside(self) -> bool:
        """Whether a multipart is open."""
        return bool(self._frames)

    def open(self, start: int, end: int, *, parent: str, depth: int) -> None:
        """A part begins here."""
        self._opened += 1
        if self._opened > MAX_PARTS:
            self._flags.add("many_parts")
            return
        stop, body, clear = header_end(self._raw, start, end)
        if not clear:
            self._flags.add("long_header_block")
        if self._levels:
            # Headers without a blank line end where the next part begins.
            for dashes in _DASHES.finditer(self._raw, start, stop):
                if self._level(dashes[1].rstrip(b" \t")) is not None:
                    stop = body = dashes.start()
                    break
        fields = read_fields(self._raw, start, stop, MAX_HEADERS if depth == 0 else 200)
        self._flags |= fields.flags
        default = "message/rfc822" if parent == "multipart/digest" else "text/plain"
        kind, parameters = content_type(fields, default)
        shown, names = disposition(fields)
        entity = Entity(
            fields=fields,
            start=body,
            end=end,
            content_type=kind,
            parameters=parameters,
            disposition=shown,
            filename=names.get("filename") or parameters.get("name", ""),
            parent=parent,
            depth=depth,
        )
        if self._root is None:
            self._root = entity
        boundary = parameters.get("boundary", "").rstrip().encode("utf-8", "surrogateescape")
        if kind.startswith("multipart/") and boundary:
            if depth < MAX_DEPTH:
                self._levels[boundary] = len(self._frames)
                self._frames.append(_Frame(boundary, kind))
                return
            self._flags.add("nested_deeply")
        elif kind.startswith("multipart/"):
            self._flags.add("no_boundary")
        self._leaf = entity

    def line(self, start: int, end: int, rest: bytes) -> None:
        """A line that begins with two dashes and may be a boundary."""
        level = self._level(rest)
        if level is None:
            return
        self.close(start)
        frame = self._frames[level]
        closing = rest != frame.boundary  # with two dashes behind it
        del self._frames[level if closing else level + 1 :]
        # Some programs give an inner multipart the boundary of the outer one.
        self._levels = {known.boundary: at for at, known in enumerate(self._frames)}
        if closing:
            return
        after = self._raw.find(b"\n", end, end + 64)
        begin = after + 1 if after >= 0 else len(self._raw)
        self.open(begin, len(self._raw), parent=frame.content_type, depth=level + 1)

    def close(self, end: int) -> None:
        """The part being read ends before this line."""
        if self._leaf is None:
            return
        if end < len(self._raw):
            if self._raw[end - 1 : end] == b"\n":
                end -= 1
            if self._raw[end - 1 : end] == b"\r":
                end -= 1
        self._leaf.end = max(self._leaf.start, end)
        self._leaves.append(self._leaf)
        self._leaf = None

    def structure(self) -> Structure:
        """What was found."""
        if self._root is None:
            raise AssertionError("a walk begins by opening the mail")
        if self._frames:
            self._flags.add("unclosed")
        return Structure(root=self._root, leaves=self._leaves, flags=self._flags)

    def _level(self, rest: bytes) -> int | None:
        level = self._levels.get(rest)
        if level is None and rest.endswith(b"--"):
            level = self._levels.get(rest[:-2])
        return level


def content_type(fields: Fields, default: str = "text/plain") -> tuple[str, dict[str, str]]:
    """The content type in lower case, and its parameters."""
    value, _ = decode(fields.first("content-type")[:MAX_HEADER])
    found = _TYPE.match(value)
    if found is None:
        return default, {}
    kind = f"{found[1]}/{found[2]}".lower()
    return kind, parameters(value[found.end() :])


def disposition(fields: Fields) -> tuple[str, dict[str, str]]:
    """`attachment`, `inline` or `""`, and the parameters beside it."""
    value, _ = decode(fields.first("content-disposition")[:MAX_HEADER])
    word = _TOKEN.match(value.lstrip())
    if word is None:
        return "", {}
    kind = word[0].lower()
    # An unknown kind is treated as an attachment (RFC 2183, section 2.8).
    return (kind if kind == "inline" else "attachment"), parameters(value.partition(";")[2])


def parameters(value: str) -> dict[str, str]:
    """The parameters behind a content type: plain, in pieces, or with a charset (RFC 2231).

    Programs get this wrong in every way there is, so pieces may be missing, doubled or unordered,
    and encoded words in quotes are decoded too. The first of two equal names wins.
    """
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    at = count = 0
    while at < len(value) and count < MAX_PARAMETERS:
        if value[at] in "; \t\r\n":
            at += 1
            continue
        count += 1
        found = _PARAMETER.match(value, at)
        if found is None:
            at = value.find(";", at)
            if at < 0:
                break
            continue
        at = found.end()
        name, quoted, bare = found[1].lower(), found[2], found[3]
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else (bare or "").strip()
        section = _SECTION.match(name)
        if section is None or (section[2] is None and section[3] is None):
            plain.setdefault(name, decode_words(text.encode("utf-8", "replace")).strip())
        else:
            order = int(section[2] or 0)
            pieces.setdefault(section[1], {}).setdefault(order, (text, section[3] is not None))
    for name, sections in pieces.items():
        plain[name] = _joined(sections)
    return plain


def _joined(sections: dict[int, tuple[str, bool]]) -> str:
    charset = ""
    octets = bytearray()
    for index, (_, (text, encoded)) in enumerate(sorted(sections.items())):
        piece = text
        if encoded and index == 0 and piece.count("'") >= 2:
            charset, _, piece = piece.split("'", 2)
        octets += (
            urllib.parse.unquote_to_bytes(piece) if encoded else piece.encode("utf-8", "replace")
        )
    return decode(bytes(octets), charset)[0]


def body(raw: bytes, entity: Entity) -> bytes:
    """The octets of a part, out of their transfer encoding."""
    octets = raw[entity.start : entity.end]
    encoding, _ = decode(entity.fields.first("content-transfer-encoding")[:100])
    match encoding.strip().lower():
        case "base64":
            return from_base64(octets)
        case "quoted-printable":
            return binascii.a2b_qp(octets)
        case _:
            return octets
