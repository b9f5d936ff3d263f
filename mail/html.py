"""HTML of a mail as plain text: enough to read and to search. Pure, linear in its input.

This is not a cleaner: what it returns is text, and is shown as text.
"""

from __future__ import annotations

import html
import re

MAX_HTML = 2 * 1024 * 1024
"""Characters of HTML that are looked at."""

_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,20})")
_BLOCKS = frozenset(
    {
        *("address", "article", "blockquote", "br", "center", "dd", "div", "dl", "dt", "footer"),
        *("form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre"),
        *("section", "table", "tbody", "tfoot", "thead", "tr", "ul"),
    }
)
# What is never shown, with the tag that ends it.
_HIDDEN = {
    name: re.compile(rf"</{name}\b[^>]{{0,100}}>?", re.IGNORECASE)
    for name in ("head", "script", "style", "title", "template", "noscript")
}
# Python refuses to read numbers of more than 4300 digits; no character has more than seven.
_LONG_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}+;?")
_BLANK = re.compile(r"[ \t\r\f\v\xa0]+")


def html_to_text(source: str) -> str:
    """The readable text, with a line for each block."""
    out: list[str] = []
    at = 0
    size = min(len(source), MAX_HTML)
    unclosed: set[str] = set()
    while at < size:
        opened = source.find("<", at, size)
        if opened < 0:
            out.append(_unescaped(source[at:size]))
            break
        out.append(_unescaped(source[at:opened]))
        if source.startswith("<!--", opened):
            closed = source.find("-->", opened + 4, size)
            if closed < 0:
                break  # browsers hide the rest, too
            at = closed + 3
            continue
        found = _NAME.match(source, opened + 1)
        if found is None and source[opened + 1 : opened + 2] not in ("!", "?", "/"):
            # A lone "less than", not a tag.
            out.append("<")
            at = opened + 1
            continue
        closed = source.find(">", opened, size)
        if closed < 0:
            break
        at = closed + 1
        name = found[1].lower() if found else ""
        if name in _HIDDEN and source[opened + 1] != "/" and name not in unclosed:
            end = _HIDDEN[name].search(source, at, size)
            if end is None:
                unclosed.add(name)
            else:
                at = end.end()
        elif name in _BLOCKS:
            out.append("\n")
        elif name in ("td", "th"):
            out.append(" ")
    return _tidy("".join(out))


def _unescaped(text: str) -> str:
    # Line ends of the source mean no more than a space.
    plain = text.replace("\n", " ")
    return html.unescape(_LONG_NUMBER.sub("\ufffd", plain)) if "&" in plain else plain


def _tidy(text: str) -> str:
    lines = (_BLANK.sub(" ", line).strip() for line in text.split("\n"))
    out: list[str] = []
    for line in lines:
        if line or (out and out[-1]):
            out.append(line)
    return "\n".join(out).strip()
