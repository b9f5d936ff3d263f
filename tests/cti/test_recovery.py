"""What the PBX's records say of calls: rows that an Asterisk 22 wrote of calls in the lab."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.errors import RecordsUnavailable
from cti.model import CallDirection, CallOutcome, LegResult
from cti.recovery.cdr import COLUMNS, parse_cdr
from cti.recovery.cel import parse_cel
from cti.recovery.files import RecordFiles
from cti.recovery.queue_log import parse_queue_log
from cti.recovery.reconstruct import Reconstruction, by_call, reconstruct
from cti.recovery.records import CdrRow, CelRow, QueueRow, Records
from cti.tracker import EndpointRules
from cti.tracker.endpoints import endpoint_of

FILE = Path(__file__).with_name("recovery_files") / "asterisk_22.txt"
CEL = FILE.with_name("asterisk_22_cel.csv")
CEL_COLUMNS = ("eventtype", "eventtime", "channame", "uniqueid", "linkedid", "eventextra")
MASTER = (*COLUMNS, "uniqueid", "userfield", "peeraccount", "linkedid", "sequence")


def stories() -> dict[str, list[str]]:
    """The lines of each call, by its heading."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            lines = found[line.removeprefix("# ")] = []
        elif line:
            lines.append(line)
    return {name: lines for name, lines in found.items() if lines}


STORIES = stories()
ALL = [line for lines in STORIES.values() for line in lines]


def records(lines: list[str], *, queue_log: bool = True, linkedid: bool = True) -> Records:
    cdr = parse_cdr(line for line in lines if line.startswith('"'))
    if not linkedid:
        cdr = [replace(row, linkedid="", sequence=0) for row in cdr]
    queue = parse_queue_log(line for line in lines if not line.startswith('"'))
    return Records(cdr=tuple(cdr), queue=tuple(queue) if queue_log else ())


def told(found: Records) -> list[Reconstruction]:
    made = [reconstruct(of_call, "main", EndpointRules()) for of_call in by_call(found)]
    return [one for one in made if one is not None]


@dataclass(frozen=True)
class Tells:
    """What the records of a story must tell."""

    outcome: str
    talk_s: float | None
    wait_s: float | None
    talks: tuple[str, ...] = ()
    direction: str = "inbound"
    source: str = "cdr"


EXPECTED = {
    # The phone rang for a second only: whether it was answered then, or the dialplan at once and
    # the phone later, one cannot see.
    "answered": Tells("answered", None, None, ("1001",)),
    "cancelled": Tells("no_answer", 0, 1),
    "busy": Tells("busy", 0, 0),
    "not_answered": Tells("no_answer", 0, 4),
    "ring_group": Tells("answered", None, None, ("1002",)),
    "queue": Tells("answered", 2, 2, ("1002",), source="cdr+queue_log"),
    "queue_abandoned": Tells("abandoned", 0, 2, source="cdr+queue_log"),
    "queue_timeout": Tells("no_answer", 0, 6, source="cdr+queue_log"),
    "fpbx": Tells("answered", 2, 0, ("1002",), source="cdr+queue_log"),
    "voicemail": Tells("voicemail", 0, 4),
    "outbound": Tells("answered", None, None, ("trunk",), "outbound"),
    "outbound_busy": Tells("busy", 0, 0, (), "outbound"),
    "blind": Tells("answered", None, None, ("1001", "1002")),
    "attended": Tells("answered", None, None, ("1001", "1002", "1002")),
    "unregistered": Tells("failed", 0, 0),
    "announcement": Tells("no_answer", 0, 1),
}


@pytest.mark.parametrize("story", EXPECTED)
@pytest.mark.parametrize("linkedid", [True, False], ids=["linkedid", "uniqueid only"])
def test_each_call_is_one_and_went_as_it_went(story: str, linkedid: bool) -> None:
    expected = EXPECTED[story]
    [found] = told(records(STORIES[story], linkedid=linkedid))
    call = found.call
    assert found.source == expected.source
    assert call.outcome == expected.outcome
    assert (call.talk_s, call.wait_s) == (expected.talk_s, expected.wait_s)
    called = [endpoint_of(other).removeprefix("PJSIP/") for _one, other in call.talks]
    assert sorted(called) == sorted(expected.talks)
    assert call.direction == expected.direction
    assert call.ended
    assert call.partial
    customer = call.dialed if call.direction is CallDirection.OUTBOUND else call.caller.number
    assert customer == ("905339998877" if expected.direction == "outbound" else "905321112233")
    caller = call.legs[0]
    assert call.id == f"main:{caller.uniqueid}"
    assert caller.endpoint == ("PJSIP/1001" if expected.direction == "outbound" else "PJSIP/trunk")
    assert {leg.result for leg in call.legs if leg.answered} <= {LegResult.ANSWERED}


@pytest.mark.parametrize("linkedid", [True, False], ids=["linkedid", "uniqueid only"])
def test_all_calls_of_a_file_stay_apart(linkedid: bool) -> None:
    found = told(records(ALL, linkedid=linkedid))
    assert sorted(one.call.outcome or "" for one in found) == sorted(
        one.outcome for one in EXPECTED.values()
    )


def test_without_a_queue_log_a_wait_that_ended_in_a_talk_is_not_known() -> None:
    [found] = told(records(STORIES["queue"], queue_log=False))
    assert found.call.outcome is CallOutcome.ANSWERED
    assert (found.call.talk_s, found.call.wait_s) == (None, None)


def test_without_a_queue_log_the_row_after_the_queue_tells_a_timeout_from_an_abandoned_call() -> (
    None
):
    for story, outcome in (("queue_timeout", "no_answer"), ("queue_abandoned", "abandoned")):
        [found] = told(records(STORIES[story], queue_log=False))
        assert found.call.outcome == outcome


@pytest.mark.parametrize(
    ("story", "outcome", "talk_s", "wait_s"),
    [
        ("queue", "answered", 2, 2),
        ("fpbx", "answered", 2, 0),
        ("queue_abandoned", "abandoned", 0, 2),
    ],
)
def test_the_queue_log_alone_tells_of_calls_that_ended_in_the_queue(
    story: str, outcome: str, talk_s: float, wait_s: float
) -> None:
    [found] = told(replace(records(STORIES[story]), cdr=()))
    assert found.source == "queue_log"
    assert found.call.outcome == outcome
    assert (found.call.talk_s, found.call.wait_s) == (talk_s, wait_s)
    assert found.call.caller.number == "905321112233"


def test_the_queue_log_alone_does_not_tell_how_a_call_went_on_after_the_queue() -> None:
    assert told(replace(records(STORIES["queue_timeout"]), cdr=())) == []


def row(uniqueid: str = "1795559849.1", **fields: object) -> CdrRow:
    made = {"channel": "PJSIP/trunk-1", "start": 100.0, "end": 130.0, "disposition": "ANSWERED"}
    return CdrRow(**{"uniqueid": uniqueid, **made, **fields})  # type: ignore[arg-type]


def test_who_rang_before_the_phone_answered_is_known_to_have_waited() -> None:
    [found] = told(Records(cdr=(row(dstchannel="PJSIP/1001-2", lastapp="Dial", answer=104.0),)))
    assert (found.call.wait_s, found.call.talk_s, found.call.answered_at) == (4.0, 26.0, 104.0)


def test_a_talk_that_went_from_hand_to_hand_is_counted_once() -> None:
    """The colleague was consulted from 115 on, and had the customer from 120 on."""
    first = row(dstchannel="PJSIP/1001-2", lastapp="Dial", answer=104.0, end=120.0)
    consult = row(
        "1795559849.3",
        channel="PJSIP/1001-3",
        dstchannel="PJSIP/1002-4",
        lastapp="Dial",
        start=110.0,
        answer=115.0,
        end=120.0,
    )
    then = row(dstchannel="PJSIP/1002-4", lastapp="Dial", start=120.0, answer=120.0, end=140.0)
    [found] = told(Records(cdr=(first, consult, then)))
    assert found.call.talk_s == 36.0


# --- with CEL -------------------------------------------------------------------------------------

BRIDGED = {
    # talk and wait in seconds, to 0.05 s of what the phones in the lab did
    "answered": (2.0, 1.1),
    "ring_group": (2.0, 0.05),
    "queue": (2.0, 2),
    "fpbx": (2.0, 0),
    "outbound": (1.0, 0.05),
    "blind": (2.0, 0.05),
    "attended": (3.05, 0.05),
}


@pytest.mark.parametrize("hours", [0, 3])
def test_the_bridges_tell_when_people_talked(hours: float) -> None:
    lines = CEL.read_text(encoding="utf-8").splitlines()
    cel = parse_cel((shifted(line, hours) for line in lines), CEL_COLUMNS)
    found = {one.call.id: one for one in told(replace(records(ALL), cel=tuple(cel)))}
    assert len(found) == len(EXPECTED)
    for story, expected in EXPECTED.items():
        [alone] = told(records(STORIES[story]))
        one = found[alone.call.id]
        assert one.call.outcome == expected.outcome
        assert len(one.call.talks) == len(expected.talks)
        assert ("cel" in one.source) == (expected.outcome == "answered")
        if story in BRIDGED:
            talk_s, wait_s = BRIDGED[story]
            assert one.call.talk_s == pytest.approx(talk_s, abs=0.05)
            assert one.call.wait_s == pytest.approx(wait_s, abs=0.1)


def test_a_bridge_in_which_channels_only_wait_is_no_talk() -> None:
    waits = {"linkedid": "1795559849.1", "bridge": "b", "holding": True}
    cel = [
        CelRow(event="BRIDGE_ENTER", at=101.0, channel=name, uniqueid=name, **waits)  # type: ignore[arg-type]
        for name in ("PJSIP/trunk-1", "PJSIP/1001-2")
    ]
    found = told(Records(cdr=(row(dstchannel="PJSIP/1001-2"),), cel=tuple(cel)))
    assert found[0].call.talks == ()


def test_a_confirmed_member_that_nobody_is_behind_talked_to_nobody() -> None:
    """The Local half answered, and played something; no phone did."""
    half = row(dstchannel="Local/1001@q-00000000;1", lastapp="Queue", answer=100.0)
    other = row("1795559849.3", channel="Local/1001@q-00000000;2", lastapp="Playback", answer=103.0)
    [found] = told(Records(cdr=(half, other)))
    assert found.call.outcome is not CallOutcome.ANSWERED


def test_channels_are_named_alike_after_a_restart_and_are_not_the_same() -> None:
    before = row(dstchannel="PJSIP/1001-2")
    after = row("1795569849.1", dstchannel="PJSIP/1001-2", start=200.0, end=210.0)
    assert len(by_call(Records(cdr=(before, after)))) == 2


# --- reading the files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns",
    [
        (*COLUMNS, "uniqueid"),
        (*COLUMNS, "uniqueid", "userfield"),
        (*COLUMNS, "uniqueid", "peeraccount", "linkedid", "sequence"),
        MASTER,
    ],
)
def test_the_columns_of_master_csv_are_told_by_their_number(columns: tuple[str, ...]) -> None:
    line = '"' + '","'.join(VALUES[name] for name in columns) + '"'
    [found] = parse_cdr([line])
    assert found.uniqueid == "1795559849.0"
    assert found.linkedid == ("1795559848.9" if "linkedid" in columns else "")
    assert found.sequence == (7 if "linkedid" in columns else 0)
    assert (found.start, found.answer, found.end) == (1795559849.0, 1795559850.0, 1795559852.0)


VALUES = dict.fromkeys(MASTER, "") | {
    "src": "905321112233",
    "clid": '""Zoë Ergin"" <905321112233>',
    "channel": "PJSIP/trunk-00000000",
    "start": "2026-11-24 22:37:29",
    "answer": "2026-11-24 22:37:30",
    "end": "2026-11-24 22:37:32",
    "disposition": "ANSWERED",
    "uniqueid": "1795559849.0",
    "linkedid": "1795559848.9",
    "sequence": "7",
}


def test_columns_of_ones_own_are_read_by_name_and_with_fractions_of_seconds() -> None:
    columns = ("linkedid", "uniqueid", "channel", "clid", "start", "answer", "end", "disposition")
    values = VALUES | {"start": "1795559849.120000", "answer": "0.000000", "end": "1795559852.5"}
    [found] = parse_cdr(['"' + '","'.join(values[name] for name in columns) + '"'], columns)
    assert (found.start, found.answer, found.end) == (1795559849.12, None, 1795559852.5)
    assert (found.linkedid, found.name) == ("1795559848.9", "Zoë Ergin")


@pytest.mark.parametrize("hours", [-9.5, -3, 0, 3, 5.75, 14])
def test_the_zone_of_the_times_is_seen_from_the_uniqueids(hours: float) -> None:
    utc = parse_cdr(line for line in ALL if line.startswith('"'))
    assert parse_cdr(shifted(line, hours) for line in ALL if line.startswith('"')) == utc


def shifted(line: str, hours: float) -> str:
    """The line as a PBX writes it whose clock on the wall is so many hours ahead."""
    words = line.split('"')
    for index, word in enumerate(words):
        if word.startswith("2026-11-24 "):
            at = datetime.fromisoformat(word) + timedelta(hours=hours)
            words[index] = at.isoformat(sep=" ")
    return '"'.join(words)


@given(st.lists(st.one_of(st.text(), st.sampled_from(ALL), st.binary().map(repr))))
def test_whatever_is_in_the_files_what_is_a_record_is_read(lines: list[str]) -> None:
    good = [line for line in lines if line in ALL]
    found = records(lines)
    assert set(parse_queue_log(good)) <= set(parse_queue_log(lines))
    assert {row.uniqueid for row in parse_cdr(good)} <= {row.uniqueid for row in parse_cdr(lines)}
    told(found)


@given(st.lists(st.sampled_from(ALL)), st.randoms())
def test_any_selection_of_records_in_any_order_tells_something_or_nothing(
    lines: list[str], random: object
) -> None:
    random.shuffle(lines)  # type: ignore[attr-defined]
    found = records(lines)
    for one in told(found):
        assert one.call.outcome not in (None, CallOutcome.UNKNOWN)
        assert one.call.talk_s is None or one.call.talk_s >= 0
    shuffled = list(found.cdr)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert told(replace(found, cdr=tuple(shuffled))) == told(found)


async def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    """100,000 queue lines, a minute apart: those of the last hour are wanted."""
    file = tmp_path / "queue_log"
    file.write_text(
        "".join(f"{1700000000 + 60 * n}|1.{n}|support|NONE|ABANDON|1|1|5\n" for n in range(100_000))
    )
    last = 1700000000 + 60 * 99_999
    found = await RecordFiles(queue_log=file).since(last - 3600)
    assert 60 <= len(found.queue) < 50_000
    assert found.queue[-1].at == last


async def test_a_file_that_was_rotated_is_read_on(tmp_path: Path) -> None:
    line = "{}|1.{}|support|NONE|ABANDON|1|1|5\n"
    (tmp_path / "queue_log.1").write_text(line.format(1700000000, 1))
    (tmp_path / "queue_log").write_text(line.format(1700000060, 2))
    found = await RecordFiles(queue_log=tmp_path / "queue_log").since(1700000000)
    assert [row.callid for row in found.queue] == ["1.1", "1.2"]


async def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordsUnavailable, match="No such file"):
        await RecordFiles(cdr_csv=tmp_path / "Master.csv").since(0)


def test_a_line_of_the_queue_log_gives_its_seconds() -> None:
    line = QueueRow(at=1, callid="1.1", queue="q", agent="", event="CONNECT", args=("2", "x", "-1"))
    assert [line.seconds(index) for index in range(4)] == [2.0, None, None, None]
