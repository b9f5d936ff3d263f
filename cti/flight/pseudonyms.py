"""Hides who the people in a recording are, and keeps what happened. Pure.

What is replaced, always by the same pseudonym for the same key:

- Phone numbers of six digits or more: the last seven digits change, length and beginning stay, so
  a number is still of the same country and kind, and two ways to write it still look alike.
  Extensions, star codes and words such as `anonymous` stay.
- Names: two made-up words.
- Mail and SIP addresses, IP addresses: others, reserved for examples.
- Digits that somebody pressed: a zero each. They may be a PIN.
- Everything whose meaning we do not know (channel variables, arguments of applications, headers of
  user events): `(hidden)`. Only headers that are known to be harmless are let through.

Names of endpoints, queues, contexts and applications are the PBX's own and stay; uniqueids,
linkedids, times and causes stay too. So the events mean the same calls as before.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

HIDDEN: Final = "(hidden)"

_NOBODY: Final = frozenset(
    {
        "",
        "<unknown>",
        "unknown",
        "<none>",
        "none",
        "anonymous",
        "restricted",
        "private",
        "withheld",
        "unavailable",
        "asterisk",
        "external_replaces",  # the extension to which a REFER to another PBX leads
    }
)
"""What stands in place of a number or a name when there is none, or it may not be shown."""

_LONGEST: Final = 4096
"""Characters. No value of Asterisk's own is longer."""
_SHORT: Final = 6
"""Digits: fewer are an extension or a star code, not somebody's number."""
_TAIL: Final = 7
"""Digits of a number that are replaced."""

_DIGITS: Final = re.compile(r"\d")
_CODE: Final = re.compile(r"[A-Za-z](?:-[A-Z]+)?|[\d*#+]*")
"""Extensions of the dialplan that mean nobody: `s`, `h`, `s-NOANSWER`, `*8`."""
_ESCAPED: Final = re.compile(r"\\+(?=[\\'\"?abfnrtv])|\\+$")


def pseudonymised(messages: Iterable[bytes], key: bytes) -> list[bytes]:
    """Return messages of a recording with every person replaced.

    Args:
        messages: As `Framer` gives them.
        key: Secret bytes. With the same ones the same people get the same pseudonyms.

    """
    kept = list(messages)
    pseudonyms = Pseudonyms(key)
    for message in kept:
        pseudonyms.learn(message)
    return [pseudonyms.message(message) for message in kept]


class Pseudonyms:
    """Who is called what. `learn` every message before the first is rewritten by `message`."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._names: dict[str, str] = {}
        self._spellings: set[str] = set()
        self._pattern = _NAMELESS
        self._stale = False

    def learn(self, message: bytes) -> None:
        """Note the names in a message, to find them also where no name is expected."""
        for line in _lines(message):
            key, colon, value = line.partition(": ")
            if colon and _rule(key) is Pseudonyms.name and _worth_finding(value):
                self._spellings.add(value)
                self._spellings.add(_plain(value))
                self._stale = True

    def message(self, message: bytes) -> bytes:
        """Return the message with every person replaced."""
        lines = _lines(message)
        fields: dict[str, str] = {}
        for line in lines:
            key, _, value = line.partition(":")
            fields.setdefault(key.lower(), value.strip())
        out = []
        for line in lines:
            key, colon, value = line.partition(":")
            if not colon:
                out.append(
                    line if line.startswith("Asterisk Call Manager/") else HIDDEN * bool(line)
                )
                continue
            space = " " if value.startswith(" ") else ""
            new = self._value(key, value.removeprefix(" "), fields)
            out.append(f"{key}:{space}{new}")
        return "\r\n".join(out).encode("utf-8", "surrogateescape")

    def _value(self, key: str, value: str, fields: dict[str, str]) -> str:
        if not value:
            return value
        if len(value) > _LONGEST:
            return HIDDEN
        lower = key.lower()
        if lower == "value" and "variable" in fields:
            if _SOUND.fullmatch(fields["variable"]):
                return value
            return self.text(value) if _VARIABLE.fullmatch(fields["variable"]) else HIDDEN
        if (application := _APPLICATION_OF.get(lower)) is not None:
            known = fields.get(application, "").lower() in _APPLICATIONS
            return self.text(value) if known else HIDDEN
        rule = _rule(key)
        return HIDDEN if rule is None else rule(self, value)

    # --- one kind of value each -------------------------------------------------------------------

    def same(self, value: str) -> str:
        """Keep what says nothing about a person."""
        return value

    def identity(self, value: str) -> str:
        """Keep an id of Asterisk's own; one that somebody else chose may hold anything."""
        return value if _OWN_ID.fullmatch(value) else self.text(value)

    def pressed(self, value: str) -> str:
        """Hide which keys were pressed."""
        return _DIGITS.sub("0", value)

    def number(self, value: str) -> str:
        """Replace a phone number. Spaces and signs within it stay where they are."""
        digits = _count(value)
        if value.strip().lower() in _NOBODY or (digits < _SHORT and _CODE.fullmatch(value)):
            return value
        if _is_address(value) or any(one.isalpha() or one in "@;<:" for one in value):
            # An address, a dial string, or the name of an account.
            replaced = self.text(value)
            if replaced != value or _ADDRESS.search(value):
                return replaced
            if digits < _SHORT and any(map(str.isalpha, value)):
                return self._words(value, 1)
        return self._digits(value) if digits >= _SHORT else value

    def name(self, value: str) -> str:
        """Replace a person's name. Some PBXs put the number there."""
        plain = _plain(value)
        if plain.lower() in _NOBODY:
            return value
        if not any(character.isalpha() for character in plain):
            return self._digits(value) if _count(value) >= _SHORT else value
        return self._words(plain, 2)

    def place(self, value: str) -> str:
        """Replace numbers and addresses in the name of a channel, an endpoint or the like.

        Not names: a caller who calls himself `PJSIP` would change every channel.
        """
        return _NAMELESS.sub(self._found, value)

    def text(self, value: str) -> str:
        """Replace each number, name and address in a text of which the rest may stay."""
        if self._stale:
            self._pattern = _pattern(self._spellings)
            self._stale = False
        return self._pattern.sub(self._found, value)

    def _found(self, found: re.Match[str]) -> str:
        text, kind = found[0], found.lastgroup
        if kind == "name":
            return self.name(text)
        if kind == "address":
            return self._address(text)
        if kind == "user":
            user, _, host = text.rpartition("@")
            return f"{self._user(user)}@{self._host(host)}"
        if kind == "number":
            return self._digits(text)
        return text  # the counter at the end of a channel's name

    def _user(self, user: str) -> str:
        scheme, colon, rest = user.rpartition(":")
        rest = self.number(rest) if _CODE.fullmatch(rest) else self._words(rest, 1).lower()
        return f"{scheme}{colon}{rest}"

    def _host(self, host: str) -> str:
        address = self._address(host)
        if address != host or _is_address(host):
            return address
        return f"{self._words(host, 1).lower()}.example"

    # --- pseudonyms -------------------------------------------------------------------------------

    def _digits(self, value: str) -> str:
        places = [found.start() for found in _DIGITS.finditer(value)][-_TAIL:]
        tail = "".join(str(int(value[place])) for place in places)
        new = self._permuted(tail)
        characters = list(value)
        for place, digit in zip(places, new, strict=True):
            characters[place] = digit
        return "".join(characters)

    def _permuted(self, tail: str) -> str:
        """Another number of as many digits; two numbers stay two (a Feistel network)."""
        size = 10 ** len(tail)
        half = (size.bit_length() + 1) // 2
        mask = (1 << half) - 1
        new = int(tail)
        while True:
            for turn in range(6):
                left, right = new >> half, new & mask
                mixed = self._mac(b"number", f"{len(tail)}:{turn}:{right}")
                new = right << half | (left ^ (mixed & mask))
            if new < size:
                break
        if new == int(tail):  # one in ten millions
            new = (new + 1) % size
        return f"{new:0{len(tail)}}"

    def _words(self, value: str, count: int) -> str:
        plain = " ".join(unicodedata.normalize("NFKC", _plain(value)).casefold().split())
        found = self._names.get(plain)
        if found is None:
            drawn = self._mac(b"name", plain)
            words = []
            for _ in range(2):
                word = ""
                for _ in range(3):
                    drawn, at = divmod(drawn, len(_SYLLABLES))
                    word += _SYLLABLES[at]
                words.append(word.capitalize())
            found = self._names[plain] = " ".join(words)
        return found if count > 1 else found.replace(" ", "")

    def _address(self, text: str) -> str:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return text
        if address.is_loopback or address.is_unspecified:
            return text
        drawn = self._mac(b"address", address.compressed)
        if address.version == 4:
            # Reserved for benchmarks (RFC 2544): twice 65,536 addresses that nobody has.
            return f"198.{18 + drawn % 2}.{drawn >> 8 & 255}.{drawn >> 16 & 255}"
        return f"2001:db8::{drawn & 0xFFFF:x}:{drawn >> 16 & 0xFFFF:x}"

    def _mac(self, kind: bytes, text: str) -> int:
        raw = text.encode("utf-8", "surrogatepass")
        return int.from_bytes(hmac.digest(self._key, kind + b"\0" + raw, hashlib.sha256)[:8])


Rule = Callable[[Pseudonyms, str], str]


def _lines(message: bytes) -> list[str]:
    return message.decode("utf-8", "surrogateescape").split("\r\n")


def _count(value: str) -> int:
    return len(_DIGITS.findall(value))


def _plain(value: str) -> str:
    """A name without the backslashes that SIP and the manager interface put into it."""
    return _ESCAPED.sub("", value).strip(" \"'")


def _worth_finding(value: str) -> bool:
    plain = _plain(value)
    return len(plain) > 2 and plain.lower() not in _NOBODY and not plain.isdecimal()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    spelled = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if name)
    name = rf"(?P<name>(?<!\w)(?:{spelled})(?!\w))|" if spelled else ""
    return re.compile(
        name + r"(?P<user>(?:sips?:|mailto:|tel:)[^\s@;>]+@[^\s;>:,\"]+"
        r"|[\w.+%-]+@(?:[\w-]+\.)+[\w-]+)"
        r"|(?P<address>(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"
        r"|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]))"
        r"|(?P<counter>-[0-9a-f]{8}(?=[;,&/\s]|$))"
        r"|(?P<number>\+?\d{6,}|\+\d[\d ()./-]{6,}\d)",
        re.IGNORECASE,
    )


_NAMELESS: Final = _pattern(())
_ADDRESS: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_OWN_ID: Final = re.compile(
    r"(?:[A-Za-z][\w-]{0,40}-)?\d{9,10}\.\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\[C-[0-9a-f]{8}\]",
    re.IGNORECASE,
)

_SYLLABLES: Final = (
    *("ba", "be", "bo", "da", "de", "do", "fa", "fe", "fi", "ga", "go", "ha", "he", "ka", "ke"),
    *("ko", "la", "le", "li", "lo", "ma", "me", "mi", "mo", "na", "ne", "ni", "no", "pa", "pe"),
    *("ra", "re", "ri", "ro", "sa", "se", "si", "so", "ta", "te", "ti", "to", "va", "ve", "vi"),
)

_APPLICATION_OF: Final = {
    "appdata": "application",
    "applicationdata": "application",
    "lastdata": "lastapplication",
}
"""Arguments, and the header that says of which application they are."""

_APPLICATIONS: Final = frozenset(
    {
        *("answer", "appdial", "appdial2", "appqueue", "busy", "confbridge", "congestion", "dial"),
        *("goto", "hangup", "musiconhold", "park", "parkedcall", "pickup", "playback", "progress"),
        *("queue", "ringing", "voicemail", "voicemailmain", "wait", "waitexten"),
    }
)
"""Applications whose arguments are dial strings, queues and options."""

_VARIABLE: Final = re.compile(
    r"_{0,2}(?:DIALSTATUS|QUEUESTATUS|ABANDONED|HANGUPCAUSE|BRIDGEPEER|DIALEDPEERNAME"
    r"|DIALEDPEERNUMBER|(?:DIALED|ANSWERED|RING|PROGRESS)TIME(?:_MS)?|QUEUEPOSITION|QUEUENAME"
    r"|QUEUEWAIT(?:_MS)?|QUEUEORIGINALPOSITION|MEMBERINTERFACE|BLINDTRANSFER|ATTENDEDTRANSFER"
    r"|TRANSFERERNAME|FORWARDERNAME|CHANLOCALSTATUS|PLAYBACKSTATUS|VMSTATUS|PARKEDAT"
    r"|PARKINGSLOT|PARKING_SPACE|PARKEDLOT|PARKER|PICKUPRESULT|SIPTRANSFER)"
)
"""Variables that Asterisk itself sets. Any other may hold anything."""

_RULES: Final[tuple[tuple[Rule, str], ...]] = (
    (Pseudonyms.identity, "*uniqueid *linkedid bridgeid callid priorcallid"),
    (Pseudonyms.name, "*calleridname *connectedlinename membername agentname name"),
    (
        Pseudonyms.number,
        """
        *calleridnum *connectedlinenum *exten *accountcode extension source destination dialled
        calleridani callerid-ani calleriddnid calleridrdnis
        """,
    ),
    (
        Pseudonyms.place,
        """
        *channel *dialstring newname oldname interface location stateinterface device endpoint
        endpointname peer member hint forward aor
        """,
    ),
    (Pseudonyms.text, "*bridgename callerid message actionid parkername uri contact from to"),
    (Pseudonyms.pressed, "digit"),
    (
        Pseudonyms.same,
        """
        *channelstate *channelstatedesc *language *context *priority *bridgetype
        *bridgetechnology *bridgecreator *bridgenumchannels *bridgevideosourcemode
        event privilege timestamp response sequencenumber queue application lastapplication
        destapp desttype dialstatus status statustext state result reason cause cause-txt
        techcause variable cid-callingpres presentation position originalposition count wait
        holdtime ringtime talktime isexternal localoptimization feature class musicclass direction
        parkinglot parkingspace parkingduration parkingtimeout membership penalty callstaken
        lastcall lastpause logintime incall paused pausedreason ringinuse wrapuptime eventlist
        listitems disposition amaflags duration billableseconds durationms starttime answertime
        endtime calls completed abandoned servicelevel servicelevelperf servicelevelperf2 strategy
        max weight callers loggedin available longestholdtime uptime lastreload soft success type
        appfile appfunction appline meaning contactstatus roundtripusec peerstatus channeltype port
        reportcount ssrc sentntp sentrtp sentpackets sentoctets rtt pt mes attempt mark dropped
        pseudonyms
        """,
    ),
)
"""Headers by their names in lower case, `*` for any beginning. All others are hidden."""

_SOUND: Final = re.compile(r"RTP(?:AUDIO|VIDEO)QOS[A-Z]*")
_EXACT: Final = {word: rule for rule, words in _RULES for word in words.split() if word[0] != "*"}
_ENDINGS: Final = {
    word[1:]: rule for rule, words in _RULES for word in words.split() if word[0] == "*"
}
_REPORT: Final = re.compile(r"report\d+(?:[a-z]+)")
"""What RTCP says of each source of sound."""
_KNOWN: dict[str, Rule | None] = {}


def _rule(key: str) -> Rule | None:
    """What is done with the values of a header; None for one that we do not know."""
    if key not in _KNOWN:
        if len(_KNOWN) > 2000:  # user events may bring any number of headers
            _KNOWN.clear()
        _KNOWN[key] = _look_up(key.strip().lower())
    return _KNOWN[key]


def _look_up(key: str) -> Rule | None:
    if key in _EXACT:
        return _EXACT[key]
    for ending, rule in _ENDINGS.items():
        if key.endswith(ending):
            return rule
    return Pseudonyms.same if _REPORT.fullmatch(key) else None
