"""The values of mail: what a parser makes of raw octets, and what kind of mail it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ParseState(StrEnum):
    """How far the parser came with a mail."""

    OK = "ok"
    PARTIAL = "partial"
    """Something is broken or beyond a limit; `flags` says what."""
    HEADERS_ONLY = "headers_only"
    RAW_ONLY = "raw_only"
    TOO_LARGE = "too_large"
    """Only the beginning was fetched; headers are read, the body is not."""
    QUARANTINED = "quarantined"
    """It could not be logged again and again; the raw bytes are kept."""


class MailKind(StrEnum):
    """What kind of mail this is, by its headers."""

    PERSONAL = "personal"
    AUTOMATIC = "automatic"
    LIST = "list"
    BOUNCE = "bounce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The kind of a mail and the headers that say so."""

    kind: MailKind = MailKind.PERSONAL
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An address in a header, with the name it claims. Hostile text, like all of a mail."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPart:
    """A part of a mail that is no multipart."""

    content_type: str
    size: int
    """Octets after decoding."""
    sha256: str
    filename: str = ""
    disposition: str = ""
    content_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMail:
    """What the parser made of a mail."""

    parse_state: ParseState
    content_key: str
    """Equal for copies of one mail, different for different mails of one Message-ID."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case and decoded values, in order."""
    subject: str = ""
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    sent_at: datetime | None = None
    """The Date header in UTC, as the sender's clock claims."""
    message_id: str = ""
    """Without angle brackets. A hint, never a key."""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    text: str = ""
    text_from: str = ""
    """The content type the text was taken from, `""` if there is none."""
    parts: tuple[MailPart, ...] = ()
    classification: Classification = Classification()
    flags: tuple[str, ...] = ()
    """What is odd about it, such as `several_from` or `unclosed`."""
