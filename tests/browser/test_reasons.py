"""Every reason that the matching can give is one that the page can say in the reader's language."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from crm_core.matching import MAX_CANDIDATES, identify
from crm_core.model import (
    AccountId,
    Candidate,
    ContactId,
    ContactPoint,
    Party,
    PartyKind,
    PointKind,
)
from crm_core.ports import Hit
from tests.browser.conftest import WEB

SOURCE = (WEB / "src" / "reasons.ts").read_text(encoding="utf-8")
SHAPES = {
    key: re.compile(pattern.replace("(?<", "(?P<"), re.DOTALL)
    for pattern, key in re.findall(r'\[\s*/\^(.+?)\$/s,\s*"(reason\.\w+)",?\s*\]', SOURCE)
}
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
CHOSEN = "chosen by Ece Yılmaz"


def shapes_of(reason: str) -> list[str]:
    return [key for key, shape in SHAPES.items() if shape.fullmatch(reason)]


@st.composite
def hits(draw: st.DrawFn) -> list[Hit]:
    accounts = draw(st.lists(st.one_of(st.just(""), NAME), min_size=1, max_size=3, unique=True))
    made = []
    for number in range(draw(st.one_of(st.integers(0, 4), st.just(MAX_CANDIDATES + 1)))):
        which = draw(st.integers(0, len(accounts) - 1))
        made.append(
            Hit(
                candidate=Candidate(
                    contact=ContactId(number),
                    name=draw(NAME),
                    account=accounts[which],
                    account_id=AccountId(which) if accounts[which] else None,
                ),
                point=ContactPoint(
                    kind=PointKind.PHONE,
                    value="x",
                    label=draw(st.one_of(st.just(""), NAME)),
                    shared=draw(st.booleans()),
                ),
            )
        )
    return made


@given(
    kind=st.sampled_from(PartyKind),
    address=st.sampled_from(["", "+905320001122", "olivia@example.com"]),
    found=hits(),
    own=st.sampled_from([frozenset(), frozenset({"+905320001122", "@example.com"})]),
)
def test_there_is_a_text_for_every_reason(
    kind: PartyKind, address: str, found: list[Hit], own: frozenset[str]
) -> None:
    match = identify(Party(kind=kind, address=address), found, own)
    assert match.reasons
    for reason in match.reasons:
        assert shapes_of(reason), reason


def test_every_text_is_for_a_reason_that_exists() -> None:
    assert len(SHAPES) == SOURCE.count('"reason.')
    seen = {"reason.chosen"}
    assert shapes_of(CHOSEN) == ["reason.chosen"]
    for kind, address in [
        (PartyKind.PHONE, "+905320001122"),
        (PartyKind.EMAIL, "olivia@example.com"),
        (PartyKind.INTERNAL, "101"),
        (PartyKind.WITHHELD, ""),
    ]:
        party = Party(kind=kind, address=address)
        for found in (
            [],
            [_hit(1)],
            [_hit(1, label="mobile")],
            [_hit(1, shared=True)],
            [_hit(1, shared=True, account="Acme")],
            [_hit(1), _hit(2)],
            [_hit(1, account="Acme"), _hit(2, account="Acme")],
            [_hit(1, account="Acme"), _hit(2, account="Acme", shared=True)],
            [_hit(1, account="Acme"), _hit(2, account="Umbrella")],
            [_hit(number) for number in range(MAX_CANDIDATES + 1)],
        ):
            for own in (frozenset[str](), frozenset({address})):
                for reason in identify(party, found, own).reasons:
                    seen |= set(shapes_of(reason)[:1])
    assert seen == set(SHAPES)


def _hit(contact: int, *, label: str = "", shared: bool = False, account: str = "") -> Hit:
    return Hit(
        candidate=Candidate(
            contact=ContactId(contact),
            name=f"Contact {contact}",
            account=account,
            account_id=AccountId(len(account)) if account else None,
        ),
        point=ContactPoint(
            kind=PointKind.PHONE,
            value="x",
            label=label,
            shared=shared,
            valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        ),
    )
