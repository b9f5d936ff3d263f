"""Text from outside, made safe to store and possible to compare.

Databases refuse some text that Python carries without complaint: PostgreSQL knows no NUL, and no
UTF-8 exists for a lone surrogate. Such characters are taken out where text is stored, so that one
hostile mail or caller name cannot stop the work behind it.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256

_LONGEST_KEY = 500
_LONGEST_SEARCH = 200

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Controls, and the marks that turn the direction of the text behind them (U+202E and its kind).
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Letters that no decomposition turns into their base letter.
_LETTERS = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d"})


def storable(text: str) -> str:
    """The text as every database takes it: without NUL, lone surrogates as U+FFFD."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub(lambda found: "" if found[0] == "\x00" else "\ufffd", text)


def storable_json(value: object) -> object:
    """The JSON value with every text in it made storable, keys too."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable(str(key)): storable_json(item) for key, item in value.items()}
        case list() | tuple():
            return [storable_json(item) for item in value]
        case _:
            return value


def storable_key(text: str) -> str:
    """Storable text that fits into every index.

    PostgreSQL refuses rows with more than 2,700 bytes in one; a longer text keeps its beginning
    and gets a hash of all of it for an end, so that it stays unique.
    """
    text = storable(text)
    if len(text) <= _LONGEST_KEY:
        return text
    return text[: _LONGEST_KEY - 65] + "~" + sha256(text.encode()).hexdigest()


def one_line(text: str, limit: int) -> str:
    """The text as one visible line of at most `limit` characters."""
    if text.isascii() and text.isprintable():
        return text.strip()[:limit]
    # Nothing longer than this is looked at; names and numbers are short.
    visible = _INVISIBLE.sub(" ", storable(text[: 4 * limit]))
    return " ".join(visible.split())[:limit].rstrip()


def name_key(name: str) -> str:
    """What two spellings of one name share: letter case and the width of spaces do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def folded(text: str) -> str:
    """The text as a search sees it, without case and accents: `Şükrü Ёлкин` is `sukru елкин`."""
    if text.isascii():
        return " ".join(text.lower().split())
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in apart if not unicodedata.combining(char))
    return " ".join(bare.translate(_LETTERS).split())


def search_key(text: str) -> str:
    """The beginning of the folded text: what lists of names are sorted by and searched in."""
    return folded(text)[:_LONGEST_SEARCH]


def searched_value(text: str) -> str:
    """What to look for in numbers and mail addresses when somebody searches for `text`.

    `0532 123` looks for `532123`, which is in `+90532123…`; other text for itself in lower case.
    """
    digits = re.sub(r"[\s().\-/+]", "", text)
    if digits.isascii() and digits.isdigit():
        return digits.lstrip("0")
    return " ".join(text.lower().split())
