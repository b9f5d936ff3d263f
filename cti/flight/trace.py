"""Finds the messages of one call in a recording.

The index says which ids belong together, generously: a queue, a pickup or a consultation may have
brought several calls near each other. The tracker, fed with the messages of all these, says which
channels were one call in the end, through transfers, Local pairs and changes of the linkedid; only
their messages are handed out. The callers in a conference stay calls of their own, but one cannot
be understood without the others: they are handed out together.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cti.ami.traces import events_of
from cti.flight.ids import LANDMARK, Ids, ids_of, is_landmark
from cti.flight.pseudonyms import pseudonymised
from cti.flight.shelf import END, Member, Segment, segments_in
from cti.model import Anomaly, Call, CallId, CallsMerged
from cti.tracker import CallTracker, EndpointRules

_KEY: Final = "pseudonyms.key"
_LISTED: Final = b"Event: CoreShowChannelsComplete"
_LIST_ITEM: Final = b"Event: CoreShowChannel\r\n"
_SESSION: Final = b"\r\nMark: session"


def messages_of_call(
    directory: Path, call: str, *, pbx: str, rules: EndpointRules | None = None
) -> list[bytes]:
    """Return the messages of a call as the PBX sent them, in order; none if it is not recorded.

    Args:
        directory: Where the recorder of the PBX writes.
        call: The id of the call, or the uniqueid or a linkedid of one of its channels.
        pbx: The name of the PBX, with which ids of calls begin.
        rules: Which of its endpoints are phones.

    Raises:
        OSError: A file cannot be read.

    """
    wanted = call.removeprefix(f"{pbx}:").partition("~")[0]
    near, members = _near(segments_in(directory), wanted)
    needles = [one.encode("utf-8", "replace") for one in near]
    found: list[_Found] = []
    for member in members:
        for message in member.messages():
            if is_landmark(message):
                found.append((message, _EVERY_CALL))
            elif any(needle in message for needle in needles):  # quicker than to read all
                ids = ids_of(message)
                if ids is not None and not near.isdisjoint(ids.together):
                    found.append((message, ids))
    found = _without_other_lists(found)
    channels, end = _channels_of(found, wanted, CallTracker(pbx, rules))
    return _chosen(found, channels or near, end)


_Found = tuple[bytes, Ids]
_EVERY_CALL: Final = Ids(channels=(), bridges=())
"""What a landmark speaks of."""


def _without_other_lists(found: list[_Found]) -> list[_Found]:
    """Leave out ends of lists that are not the first of their session: somebody else asked."""
    kept = []
    listing = False
    for message, ids in found:
        if message.startswith(_LISTED):
            if listing:
                kept.append((message, ids))
            listing = False
        else:
            listing = listing or (ids is _EVERY_CALL and _SESSION in message)
            kept.append((message, ids))
    return kept


def _chosen(found: list[_Found], channels: set[str], end: int) -> list[bytes]:
    """Return the messages about these channels, and the landmarks that matter to them.

    Args:
        found: What may be.
        channels: What is wanted.
        end: Before which message the call is over: it may have ended while we were away, which
            only the next list of all channels tells.

    """
    about = [any(not channels.isdisjoint(pair) for pair in ids.channels) for _, ids in found]
    if True not in about:
        return []
    bridges = {
        bridge
        for (_, ids), ours in zip(found, about, strict=True)
        if ours
        for bridge in ids.bridges
    }
    first = about.index(True)
    end = max(end, len(about) - about[::-1].index(True))
    before = [at for at in range(first) if found[at][1] is _EVERY_CALL]
    if before and found[first][0].startswith(_LIST_ITEM):
        first = before[-1]  # the call was there before the connection
    return [
        message
        for at, (message, ids) in enumerate(found)
        if about[at]
        or (not ids.channels and not bridges.isdisjoint(ids.bridges))
        or (ids is _EVERY_CALL and first <= at < end)
    ]


def written(messages: Iterable[bytes], *, key: bytes | None) -> bytes:
    """Return a recording of these messages that `santral replay` reads.

    Args:
        messages: As `messages_of_call` gives them.
        key: With it people are replaced (`cti.flight.pseudonyms`). None: the recording is as it
            was, with numbers and names.

    """
    head = b"Event: SantralTrace\r\nPseudonyms: " + (b"no" if key is None else b"yes")
    kept = messages if key is None else pseudonymised(messages, key)
    return b"".join(message + END for message in (head, *kept))


def key_of(directory: Path) -> bytes:
    """Return the key of the pseudonyms of a recording: the same people get the same ones each time.

    It is made when it is first needed. Where it cannot be kept, each trace has pseudonyms of its
    own.
    """
    path = directory / _KEY
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        pass
    else:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    try:
        key = path.read_bytes().strip()
    except OSError:
        key = b""
    return key or secrets.token_bytes(32)


def _near(segments: list[Segment], wanted: str) -> tuple[set[str], list[Member]]:
    """Return all ids that may belong to the same call, and where they occur."""
    known = {wanted}
    fresh = known
    members: dict[tuple[Path, int], Member] = {}
    landmarks: dict[tuple[Path, int], Member] = {}
    while fresh:
        quoted = [json.dumps(one) for one in (*fresh, LANDMARK)]
        found: set[str] = set()
        for segment in segments:
            for member, groups in segment.members(
                lambda line, quoted=quoted: any(one in line for one in quoted)  # type: ignore[misc]
            ):
                for group in groups:
                    if not known.isdisjoint(group):
                        members[member.path, member.start] = member
                        found |= group
                    elif LANDMARK in group:
                        landmarks[member.path, member.start] = member
        fresh = found - known
        known = known | found
    if not members:
        return set(), []
    first = min(members)
    members |= {place: member for place, member in landmarks.items() if place > first}
    return known, [members[place] for place in sorted(members)]


def _channels_of(found: list[_Found], wanted: str, tracker: CallTracker) -> tuple[set[str], int]:
    """Return the uniqueids and linkedids of the call that `wanted` was a part of in the end.

    And before which message it is over.

    The calls with which it was in a conference are included: who they are is a part of it.
    """
    calls: dict[CallId, Call] = {}
    ends: dict[CallId, int] = {}
    linkedids: dict[str, set[str]] = {}
    for _, ids in found:
        for uniqueid, linkedid in ids.channels:
            if uniqueid and linkedid:
                linkedids.setdefault(uniqueid, set()).add(linkedid)
    for event in events_of(message for message, _ in found):
        for change in tracker.handle(event):
            if isinstance(change, Anomaly):
                continue
            if isinstance(change, CallsMerged):
                calls.pop(change.merged, None)
            calls[change.call.id] = change.call
            ends[change.call.id] = event.seq if change.call.ended else len(found)
    calls |= {call.id: call for call in tracker.calls()}
    of_wanted = linkedids.get(wanted, set()) | {wanted}
    chosen = [call for call in calls.values() if not of_wanted.isdisjoint(call.linkedids)]
    heard = {channel for call in chosen for talk in call.talks for channel in talk}
    links = {
        linkedid
        for call in calls.values()
        if call in chosen or any(leg.channel in heard for leg in call.legs)
        for linkedid in call.linkedids
    }
    channels = links | {one for one, shown in linkedids.items() if not links.isdisjoint(shown)}
    return channels, max((ends.get(call.id, len(found)) for call in chosen), default=0)
