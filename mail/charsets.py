"""Octets of a mail become text, whatever the mail claims about them. Pure.

The name of a charset comes from outside and Python takes it as the name of code to run, so only
names known here are looked up.
"""

from __future__ import annotations

import binascii
import codecs
import re

from crm_core.text import storable

# A label, squeezed to letters and digits, and Python's codec for it. As browsers do, the small
# ISO sets are read as the Windows sets that mails labelled so really use (WHATWG Encoding, 4.2).
_CODECS: dict[str, str] = {
    **dict.fromkeys(("usascii", "ascii", "ansix341968", "646", "us", "7bit", "8bit"), "cp1252"),
    **dict.fromkeys(("utf8", "unicode11utf8", "utf8mb4", "xutf8", "utf8n", "cp65001"), "utf-8"),
    **dict.fromkeys(("utf16", "unicode", "ucs2", "iso10646ucs2"), "utf-16"),
    "utf16le": "utf-16-le",
    "utf16be": "utf-16-be",
    "utf32": "utf-32",
    **dict.fromkeys(("iso88591", "latin1", "l1", "iso8859", "ansi", "cp819"), "cp1252"),
    **dict.fromkeys(("iso88599", "latin5", "l5"), "cp1254"),
    **dict.fromkeys(("iso885915", "latin9", "latin0"), "iso8859-15"),
    **{f"iso8859{n}": f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 16)},
    **{f"iso8859{n}i": f"iso8859-{n}" for n in (6, 8)},
    **dict.fromkeys(("latin2", "l2"), "iso8859-2"),
    "iso885911": "cp874",
    **{f"windows{n}": f"cp{n}" for n in (874, *range(1250, 1259))},
    **{f"cp{n}": f"cp{n}" for n in (437, 850, 852, 855, 857, 858, 862, 864, 866, 874)},
    **{f"cp{n}": f"cp{n}" for n in (932, 936, 949, 950, *range(1250, 1259))},
    **{f"ibm{n}": f"cp{n}" for n in (437, 850, 852, 855, 857, 858, 862, 864, 866)},
    **dict.fromkeys(("koi8r", "koi8", "cskoi8r"), "koi8-r"),
    **dict.fromkeys(("koi8u", "koi8ru"), "koi8-u"),
    **dict.fromkeys(("macintosh", "macroman", "xmacroman"), "mac-roman"),
    **dict.fromkeys(("xmaccyrillic", "maccyrillic", "xmacukrainian"), "mac-cyrillic"),
    **dict.fromkeys(("xmacturkish", "macturkish"), "mac-turkish"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "xgbk", "euccn", "gb231280", "cp936"), "gb18030"),
    **dict.fromkeys(("hzgb2312",), "hz"),
    **dict.fromkeys(("big5", "big5hkscs", "xxbig5", "cnbig5"), "big5hkscs"),
    **dict.fromkeys(("shiftjis", "sjis", "xsjis", "mskanji", "windows31j"), "cp932"),
    **dict.fromkeys(("iso2022jp", "csiso2022jp"), "iso2022_jp_ext"),
    **dict.fromkeys(("eucjp", "xeucjp"), "euc_jp"),
    **dict.fromkeys(("euckr", "ksc56011987", "ksc5601", "windows949", "uhc"), "cp949"),
    **dict.fromkeys(("iso2022kr",), "iso2022_kr"),
    **dict.fromkeys(("tis620",), "cp874"),
}
_SQUEEZE = re.compile("[^a-z0-9]")
_WORD = re.compile(r"=\?([^?\s]{1,75})\?([bBqQ])\?([^?]*)\?=")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


def codec(label: str) -> str | None:
    """Python's name for a charset, or None if we do not know it."""
    # RFC 2231 allows a language behind a star.
    return _CODECS.get(_SQUEEZE.sub("", label[:80].partition("*")[0].lower()))


def decode(octets: bytes, label: str = "", *, cut: bool = False) -> tuple[str, bool]:
    """The text, and whether the charset it claims fits.

    Tried in this order: the charset it claims, UTF-8, and Windows-1252, which takes anything. The
    text can be stored: no NUL, no lone surrogate. `cut` says that the last letter may be half.
    """
    name = codec(label) if label else None
    if name == "cp1252" or name is None:
        # ASCII and Latin-1 are claimed by programs that do not know; valid UTF-8 is no accident.
        try:
            return storable(_strict(octets, "utf-8", cut=cut)), not label or name is not None
        except UnicodeDecodeError:
            pass
    for attempt in (name, "utf-8"):
        if attempt is not None:
            try:
                return storable(_strict(octets, attempt, cut=cut)), attempt == name
            except (UnicodeError, ValueError):
                continue
    return storable(octets.decode("cp1252", "replace")), False


def _strict(octets: bytes, name: str, *, cut: bool) -> str:
    return codecs.getincrementaldecoder(name)().decode(octets, final=not cut)


def decode_words(raw: bytes, fallback: str = "") -> str:
    """A header's octets as text: encoded words (RFC 2047), and raw 8-bit text as it comes.

    Args:
        raw: The value; line folds may still be in it.
        fallback: The charset that the mail claims for its text, for raw 8-bit that is not UTF-8.
    """
    text, _ = decode(raw, fallback)
    text = text.replace("\r", "").replace("\n", "")
    if "=?" not in text:
        return text
    out: list[str] = []
    # Neighbours in one charset are joined before decoding: a letter may be split between them.
    waiting: list[bytes] = []
    charset = ""
    end = 0

    def flush() -> None:
        if waiting:
            out.append(decode(b"".join(waiting), charset)[0])
            waiting.clear()

    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        end = word.end()
        if between.strip(" \t") or not (waiting or not between):
            flush()
            out.append(between)
        if word[1].lower() != charset:
            flush()
            charset = word[1].lower()
        waiting.append(_word_octets(word[2], word[3]))
    flush()
    out.append(text[end:])
    return "".join(out)


def _word_octets(encoding: str, text: str) -> bytes:
    octets = text.encode("utf-8", "replace")
    if encoding in "bB":
        return from_base64(octets)
    return _HEX.sub(lambda found: bytes([int(found[1], 16)]), octets.replace(b"_", b" "))


def from_base64(octets: bytes) -> bytes:
    """The decoded octets; what is not base64 in them is passed over."""
    try:
        return binascii.a2b_base64(octets)
    except binascii.Error:
        clean = _NOT_BASE64.sub(b"", octets)
        clean = clean[: -1 if len(clean) % 4 == 1 else None]
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
