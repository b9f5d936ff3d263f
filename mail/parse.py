"""Raw octets become a mail. Pure; never raises, whatever the octets are.

Where the whole cannot be read, the headers are; where they cannot be, the raw bytes stand for
themselves: `parse_state` says how far it came. `mail.limited` runs this in a process with limits.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from crm_core.address import mail_address
from crm_core.text import one_line, storable
from mail.charsets import decode, decode_words
from mail.classify import classify
from mail.html import html_to_text
from mail.mime import Entity, Fields, Structure, body, header_end, read_fields, structure
from mail.model import Classification, Mailbox, MailPart, ParsedMail, ParseState

MAX_ADDRESSES = 1000
MAX_TEXT = 256 * 1024
"""Characters of text that are kept."""
_READ = 2 * 1024 * 1024
"""Octets of a part that are decoded for the text."""
MAX_REFERENCES = 100
MAX_ID = 998
_UNCLASSIFIED = Classification()
_KEPT_HEADER = 2000
"""Characters of one header that are kept."""

_ID = re.compile(r"<([^<>\s]{1,998})>")
_BLANKS = re.compile(rb"(?<![ \t])[ \t]*+\r?\n")
_META = re.compile(rb"charset\s?=\s?[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_PARTIAL = frozenset(
    {
        *("unclosed", "no_boundary", "nested_deeply", "many_parts"),
        *("many_headers", "long_header", "long_header_block"),
    }
)
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069/\\\\:*?"<>|]')
_WINDOWS = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)")


def parse(raw: bytes, *, complete: bool = True) -> ParsedMail:
    """Read a mail as far as it can be read.

    Args:
        raw: Its octets.
        complete: False if they are only the beginning of a mail that is too large.
    """
    if not complete:
        return headers_only(raw, state=ParseState.TOO_LARGE)
    try:
        return _parse(raw)
    except Exception:  # noqa: BLE001 - hostile input may find what no limit of ours foresees
        return headers_only(raw)


def headers_only(raw: bytes, *, state: ParseState = ParseState.HEADERS_ONLY) -> ParsedMail:
    """Read only the headers."""
    try:
        stop, begin, _ = header_end(raw, 0, len(raw))
        fields = read_fields(raw, 0, stop)
        rest = hashlib.sha256(raw[begin:]).hexdigest()
        return _mail(raw, fields, state, contents=[("", rest)], flags=set(fields.flags))
    except Exception:  # noqa: BLE001 - the same, one step further down
        return raw_only(raw)


def raw_only(raw: bytes) -> ParsedMail:
    """Read nothing: the bytes stand for themselves."""
    key = f"raw:{hashlib.sha256(raw).hexdigest()}"
    return ParsedMail(parse_state=ParseState.RAW_ONLY, content_key=key)


def describe(raw: bytes) -> dict[str, object]:
    """What the parser makes of a mail, as JSON: the contract of `santral mail parse`."""
    return as_json(raw, parse(raw))


def as_json(raw: bytes, mail: ParsedMail) -> dict[str, object]:
    """A parsed mail as JSON, beside the raw bytes it came from."""
    return {
        "raw_sha256": hashlib.sha256(raw).hexdigest(),
        "raw_size": len(raw),
        "parse_state": mail.parse_state.value,
        "flags": list(mail.flags),
        "content_key": mail.content_key,
        "message_id": mail.message_id,
        "in_reply_to": mail.in_reply_to,
        "references": list(mail.references),
        "subject": mail.subject,
        "from": _mailbox_json(mail.sender),
        "reply_to": [_mailbox_json(box) for box in mail.reply_to],
        "to": [_mailbox_json(box) for box in mail.to],
        "cc": [_mailbox_json(box) for box in mail.cc],
        "date": mail.sent_at.isoformat() if mail.sent_at else None,
        "headers": [[name, value] for name, value in mail.headers],
        "text": mail.text,
        "text_from": mail.text_from,
        "parts": [
            {
                "content_type": part.content_type,
                "filename": part.filename,
                "disposition": part.disposition,
                "content_id": part.content_id,
                "size": part.size,
                "sha256": part.sha256,
            }
            for part in mail.parts
        ],
        "classification": {
            "kind": mail.classification.kind.value,
            "reasons": list(mail.classification.reasons),
        },
    }


def _mailbox_json(box: Mailbox | None) -> dict[str, str] | None:
    return None if box is None else {"address": box.address, "name": box.name}


def _parse(raw: bytes) -> ParsedMail:
    found = structure(raw)
    flags = set(found.flags)
    parts: list[MailPart] = []
    contents: list[tuple[str, str]] = []
    texts: list[tuple[Entity, bytes]] = []
    for number, leaf in enumerate(found.leaves, 1):
        octets = body(raw, leaf)
        readable = leaf.content_type.startswith(("text/", "multipart/"))
        parts.append(
            MailPart(
                content_type=leaf.content_type,
                size=len(octets),
                sha256=hashlib.sha256(octets).hexdigest(),
                filename=_filename(leaf, number),
                disposition=leaf.disposition,
                content_id=one_line(leaf.fields.text("content-id").strip("<> "), 200),
            )
        )
        # Servers rewrite line ends and trailing blanks of text on the way.
        plain = _BLANKS.sub(b"\n", octets).strip() if readable else octets
        contents.append((leaf.content_type, hashlib.sha256(plain).hexdigest()))
        if leaf.disposition != "attachment" and not leaf.filename:
            texts.append((leaf, octets))
    text, text_from = _text(found, texts, flags)
    sender = _first(addresses(found.root.fields, "from"))
    kind = classify(
        found.root.fields,
        found.root.content_type,
        found.root.parameters.get("report-type", ""),
        sender.address if sender else "",
    )
    if any(leaf.content_type in _ENCRYPTED for leaf in [found.root, *found.leaves]):
        flags.add("encrypted_or_signed")
    state = ParseState.PARTIAL if flags & _PARTIAL else ParseState.OK
    return _mail(
        raw,
        found.root.fields,
        state,
        contents=contents,
        flags=flags,
        kind=kind,
        charset=_charset(found),
        text=text,
        text_from=text_from,
        parts=tuple(parts),
    )


_ENCRYPTED = frozenset(
    (
        "multipart/encrypted",
        "multipart/signed",
        "application/pkcs7-mime",
        "application/x-pkcs7-mime",
        "application/pgp-encrypted",
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
    )
)


def _mail(
    raw: bytes,
    fields: Fields,
    state: ParseState,
    *,
    contents: list[tuple[str, str]],
    flags: set[str],
    kind: Classification = _UNCLASSIFIED,
    charset: str = "",
    text: str = "",
    text_from: str = "",
    parts: tuple[MailPart, ...] = (),
) -> ParsedMail:
    senders = addresses(fields, "from", charset)
    if len(senders) > 1 or len(fields.all("from")) > 1:
        flags.add("several_from")
    sender = _first(senders)
    if sender is None:
        flags.add("no_from")
        sender = _first(addresses(fields, "sender", charset))
    elif "@" in sender.name and mail_address(sender.name) not in (None, sender.address):
        flags.add("name_is_another_address")
    subject = one_line(fields.text("subject", charset), 1000)
    message_id = _message_id(fields.first("message-id"))
    date = _date(fields.text("date"))
    if not message_id and not (sender and date):
        # Nothing says which mail this is: only the same octets are the same mail.
        contents = [*contents, ("raw", hashlib.sha256(raw).hexdigest())]
    references = [found[1] for found in _ID.finditer(_ids(fields, "references"))]
    if len(references) > MAX_REFERENCES:
        # The first is the thread's root, the last are the nearest.
        references = [references[0], *references[1 - MAX_REFERENCES :]]
    return ParsedMail(
        parse_state=state,
        content_key=_content_key(message_id, sender, date, subject, contents),
        headers=tuple(
            (name, one_line(decode_words(value[:_KEPT_HEADER], charset), _KEPT_HEADER))
            for name, value in fields.items
        ),
        subject=subject,
        sender=sender,
        reply_to=tuple(addresses(fields, "reply-to", charset)),
        to=tuple(addresses(fields, "to", charset)),
        cc=tuple(addresses(fields, "cc", charset)),
        sent_at=date,
        message_id=message_id,
        in_reply_to=_message_id(fields.first("in-reply-to")),
        references=tuple(dict.fromkeys(references)),
        text=text,
        text_from=text_from,
        parts=parts,
        classification=kind,
        flags=tuple(sorted(flags)),
    )


def _content_key(
    message_id: str,
    sender: Mailbox | None,
    date: datetime | None,
    subject: str,
    contents: list[tuple[str, str]],
) -> str:
    """What copies of one mail share, however servers rewrote the headers on their way."""
    lines = [
        message_id,
        sender.address if sender else "",
        date.isoformat() if date else "",
        subject,
        *(f"{kind} {digest}" for kind, digest in contents),
    ]
    return "1:" + hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()


def _text(found: Structure, texts: list[tuple[Entity, bytes]], flags: set[str]) -> tuple[str, str]:
    plain: list[str] = []
    markup: list[str] = []
    for leaf, octets in texts:
        if leaf.content_type not in ("text/plain", "text/html") and leaf is not found.root:
            continue
        label = leaf.parameters.get("charset", "")
        if leaf.content_type == "text/html" and not label and (meta := _META.search(octets[:4096])):
            label = meta[1].decode("ascii")
        text, fits = decode(octets[:_READ], label, cut=len(octets) > _READ)
        if not fits:
            flags.add("charset_guessed")
        if leaf.content_type == "text/html":
            markup.append(text)
        elif leaf.content_type.startswith(("text/", "multipart/")):
            plain.append(text.replace("\r\n", "\n").strip())
    text, source = "\n\n".join(filter(None, plain)), "text/plain"
    if not text and markup:
        text, source = "\n\n".join(html_to_text(one) for one in markup), "text/html"
    if len(text) > MAX_TEXT:
        flags.add("long_text")
    return (text[:MAX_TEXT], source) if text else ("", "")


def _charset(found: Structure) -> str:
    for leaf in found.leaves:
        if label := leaf.parameters.get("charset", ""):
            return label
    return ""


def _filename(leaf: Entity, number: int) -> str:
    """A name that is safe to show and to save under, or `""` for a part without a name."""
    name = _UNSAFE.sub("_", storable(leaf.filename)[:500]).strip(" ._")
    if _WINDOWS.match(name):
        name = f"_{name}"
    while len(name.encode("utf-8", "replace")) > 200:
        name = name[: len(name) // 2] + name[len(name) // 2 + 1 :]
    if not name and (leaf.filename or leaf.disposition == "attachment"):
        extension = leaf.content_type.rpartition("/")[2][:20]
        name = f"attachment-{number}.{_UNSAFE.sub('_', extension)}"
    return name


def addresses(fields: Fields, name: str, fallback: str = "") -> list[Mailbox]:
    """The addresses of all header fields of this name."""
    out: list[Mailbox] = []
    for value in fields.all(name):
        text, _ = decode(value, fallback)
        for piece in split_addresses(text):
            shown, address = piece
            name_text = one_line(decode_words(shown.encode("utf-8", "replace")), 200)
            known = mail_address(address)
            out.append(
                Mailbox(
                    address=known or one_line(address, 254).strip("<> ").lower(), name=name_text
                )
            )
            if len(out) >= MAX_ADDRESSES:
                return out
    return out


_ADDRESS_TOKEN = re.compile(r'"((?:[^"\\]++|\\.)*+)"|[^"\\(),:;<>]++|\\.|.', re.DOTALL)


def split_addresses(text: str) -> list[tuple[str, str]]:
    """Names and addresses of a header, as they are written. Comments are names of the old kind.

    Linear, without recursion: comments nested a thousand deep are counted, not descended into.
    """
    found: list[tuple[str, str]] = []
    words: list[str] = []
    angle: list[str] | None = None
    address = ""
    comment: list[str] = []
    depth = 0

    def end() -> None:
        nonlocal address, angle
        plain = "".join(words).strip()
        if angle is not None:
            address = address or "".join(angle)
        if address:
            found.append((plain or "".join(comment).strip(), address.strip()))
        elif plain:
            found.append(("".join(comment).strip(), plain))
        words.clear()
        comment.clear()
        address, angle = "", None

    for token in _ADDRESS_TOKEN.finditer(text):
        piece = token[0]
        if depth:
            depth += {"(": 1, ")": -1}.get(piece, 0)
            if depth:
                comment.append(piece)
        elif piece == "(":
            depth = 1
        elif piece == "<":
            angle = []
        elif piece == ">":
            if angle is not None:
                address = address or "".join(angle) or "<>"
                angle = None
        elif angle is not None:
            angle.append(piece)
        elif piece in (",", ";"):
            end()
            if len(found) >= MAX_ADDRESSES:
                return found
        elif piece == ":":
            words.clear()  # the name of a group
        elif token[1] is not None:
            quoted = re.sub(r"\\(.)", r"\1", token[1])
            # In a bare address the quotes belong to it: "a b"@example.com.
            words.append(piece if text[token.end() : token.end() + 1] == "@" else quoted)
        else:
            words.append(piece)
    end()
    return found


def _first(boxes: list[Mailbox]) -> Mailbox | None:
    return boxes[0] if boxes else None


def _message_id(value: bytes) -> str:
    text, _ = decode(value)
    text = text.replace("\r", "").replace("\n", "")
    if found := _ID.search(text):
        return found[1]
    return one_line(text, MAX_ID).strip("<> ")


def _ids(fields: Fields, name: str) -> str:
    return decode(fields.first(name))[0]


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text[:100])
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return found.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
