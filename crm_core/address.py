"""Mail addresses as people and servers write them, turned into one form. Pure."""

from __future__ import annotations

import re

from crm_core.model import Party, PartyKind
from crm_core.text import one_line

_LONGEST = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_ANGLE = re.compile(r"<([^<>]*)>\s*$")
_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{1,64}")
_QUOTED = re.compile(r'"[^"\\\x00-\x1f\x7f]{1,62}"')
_LABEL = re.compile(r"(?!-)[^\W_](?:[\w-]{0,61}[^\W_])?", re.ASCII)


def mail_address(raw: str) -> str | None:
    """The lower-cased address (`ayse@example.com`), or None if this is no mail address.

    Takes `Ayşe <ayse@example.com>` and `mailto:` too. A domain in national letters is turned into
    its `xn--` form, so that both spellings are one address. Tags (`+news`) and dots of the local
    part stay: what they mean is the receiving server's affair.
    """
    text = raw[: 4 * _LONGEST].strip()
    if text.endswith(">") and (angle := _ANGLE.search(text)):
        text = angle[1].strip()
    if text[:7].lower() == "mailto:":
        text = text[7:].partition("?")[0]
    if len(text) > _LONGEST:
        return None
    local, at, domain = text.lower().rpartition("@")
    if not at or not (_LOCAL.fullmatch(local) or _QUOTED.fullmatch(local)):
        return None
    domain = domain.removesuffix(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    labels = domain.split(".")
    if len(labels) == 1 and domain != "localhost":
        return None
    if not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return f"{local}@{domain}"


def mail_party(raw: str, *, name: str = "") -> Party:
    """The far end of a mail. No sender at all (`<>`, as in a bounce) counts as withheld.

    A sender that is no proper address keeps its text, so that the history shows what came; it
    equals no stored contact point.
    """
    address = mail_address(raw)
    shown = one_line(raw, _LONGEST)
    if address is None:
        address = shown.strip("<> \"'").lower()
    return Party(
        kind=PartyKind.EMAIL if address else PartyKind.WITHHELD,
        address=address,
        raw=shown,
        name=one_line(name, 200),
    )
