"""Who a party is, and why we think so. Pure.

Only an equal number or address makes a customer known; nothing is guessed from its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from crm_core.model import Candidate, Match, MatchResult, Party, PartyKind
from crm_core.ports import Hit

MAX_CANDIDATES = 50
"""More people than this behind one number help nobody who has a phone ringing."""


def identify(party: Party, hits: Sequence[Hit], own: AbstractSet[str] = frozenset()) -> Match:
    """Say who the party is.

    Args:
        party: The far end.
        hits: Every contact point that equals its address.
        own: Our own numbers (as `phone.own_numbers` gives them), our own mail addresses, and
            `@example.com` for every address of a domain of ours.
    """
    mail = party.kind is PartyKind.EMAIL
    if party.kind is PartyKind.WITHHELD or not party.address:
        return Match(result=MatchResult.WITHHELD, party="", reasons=("number withheld",))
    if party.address in own or (mail and f"@{party.address.rpartition('@')[2]}" in own):
        reason = "our own address" if mail else "our own number"
        return Match(result=MatchResult.OWN, party=party.address, reasons=(reason,))
    if party.kind is PartyKind.INTERNAL:
        return Match(
            result=MatchResult.INTERNAL, party=party.address, reasons=("internal extension",)
        )
    people = _people(hits)
    what = "address" if mail else "number"
    match people:
        case []:
            return Match(
                result=MatchResult.UNKNOWN, party=party.address, reasons=(_no_match(party),)
            )
        case [hit]:
            return Match(
                result=MatchResult.KNOWN,
                party=party.address,
                candidates=(hit.candidate,),
                reasons=(_why_known(hit, what),),
            )
        case _:
            return Match(
                result=MatchResult.AMBIGUOUS,
                party=party.address,
                candidates=tuple(hit.candidate for hit in people[:MAX_CANDIDATES]),
                reasons=_why_ambiguous(people, what),
            )


def _people(hits: Sequence[Hit]) -> list[Hit]:
    """One hit for each contact, the most personal first."""
    best: dict[int, Hit] = {}
    for hit in sorted(hits, key=lambda hit: (hit.point.shared, hit.candidate.contact)):
        best.setdefault(hit.candidate.contact, hit)
    return list(best.values())


def _no_match(party: Party) -> str:
    if party.kind is PartyKind.EMAIL:
        return "no contact has this address"
    return "no contact has this number"


def _why_known(hit: Hit, what: str) -> str:
    if hit.point.shared:
        return f"shared {what}{_of(hit.candidate)}; only contact with it"
    if hit.point.label:
        return f"exact {what}, {hit.point.label}"
    return f"exact {what}, direct line" if what == "number" else f"exact {what}"


def _why_ambiguous(people: list[Hit], what: str) -> tuple[str, ...]:
    accounts = {hit.candidate.account_id: hit.candidate for hit in people}
    first = people[0].candidate
    one_account = len(accounts) == 1 and first.account_id is not None
    if one_account and any(hit.point.shared for hit in people):
        reasons = [f"shared {what} of {first.account}, {len(people)} contacts"]
    elif one_account:
        reasons = [f"{len(people)} contacts of {first.account} have this {what}"]
    else:
        names = sorted({c.account for c in accounts.values() if c.account})
        among = f" at {len(names)} accounts: {', '.join(names[:5])}" if len(names) > 1 else ""
        reasons = [f"{len(people)} contacts have this {what}{among}"]
    direct = [hit for hit in people if not hit.point.shared]
    if len(direct) == 1:
        reasons.append(f"it is the direct {_line(what)} of {direct[0].candidate.name}")
    if len(people) > MAX_CANDIDATES:
        reasons.append(f"only the first {MAX_CANDIDATES} are listed")
    return tuple(reasons)


def _line(what: str) -> str:
    return "line" if what == "number" else "address"


def _of(candidate: Candidate) -> str:
    return f" of {candidate.account}" if candidate.account else ""
