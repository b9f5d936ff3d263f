"""Who a party is, and the reasons that are shown beside the name."""

from __future__ import annotations

from crm_core.matching import MAX_CANDIDATES, identify
from crm_core.model import (
    AccountId,
    Candidate,
    ContactId,
    ContactPoint,
    MatchResult,
    Party,
    PartyKind,
    PointKind,
)
from crm_core.ports import Hit

NUMBER = "+905321234567"
CALLER = Party(kind=PartyKind.PHONE, address=NUMBER)
SENDER = Party(kind=PartyKind.EMAIL, address="ayse@example.com")


def hit(
    contact: int,
    name: str,
    account: str = "",
    *,
    account_id: int | None = None,
    shared: bool = False,
    label: str = "",
) -> Hit:
    return Hit(
        candidate=Candidate(
            contact=ContactId(contact),
            name=name,
            account=account,
            account_id=None if account_id is None else AccountId(account_id),
        ),
        point=ContactPoint(kind=PointKind.PHONE, value=NUMBER, shared=shared, label=label),
    )


def test_one_contact_with_the_number_is_known() -> None:
    match = identify(CALLER, [hit(1, "Ayşe")])
    assert match.result is MatchResult.KNOWN
    assert match.contact is not None
    assert match.contact.name == "Ayşe"
    assert match.reasons == ("exact number, direct line",)
    assert identify(CALLER, [hit(1, "Ayşe", label="mobile")]).reasons == ("exact number, mobile",)
    assert identify(SENDER, [hit(1, "Ayşe")]).reasons == ("exact address",)


def test_the_only_contact_of_a_shared_number_is_known_with_a_warning() -> None:
    match = identify(CALLER, [hit(1, "Ayşe", "Acme", account_id=1, shared=True)])
    assert match.result is MatchResult.KNOWN
    assert match.reasons == ("shared number of Acme; only contact with it",)
    alone = identify(CALLER, [hit(1, "Ayşe", shared=True)])
    assert alone.reasons == ("shared number; only contact with it",)


def test_a_switchboard_of_one_account_is_ambiguous_and_names_it() -> None:
    people = [hit(i, f"Person {i}", "Acme", account_id=1, shared=True) for i in (1, 2, 3)]
    match = identify(CALLER, people)
    assert match.result is MatchResult.AMBIGUOUS
    assert match.contact is None
    assert [c.name for c in match.candidates] == ["Person 1", "Person 2", "Person 3"]
    assert match.reasons == ("shared number of Acme, 3 contacts",)


def test_a_direct_line_comes_first_and_still_decides_nothing() -> None:
    match = identify(
        CALLER,
        [
            hit(1, "Ali", "Acme", account_id=1, shared=True),
            hit(2, "Ayşe", "Acme", account_id=1),
            hit(3, "Can", "Acme", account_id=1, shared=True),
        ],
    )
    assert match.result is MatchResult.AMBIGUOUS
    assert [c.name for c in match.candidates] == ["Ayşe", "Ali", "Can"]
    assert match.reasons == (
        "shared number of Acme, 3 contacts",
        "it is the direct line of Ayşe",
    )


def test_contacts_of_several_accounts_are_all_named() -> None:
    match = identify(
        CALLER, [hit(1, "Ali", "Acme", account_id=1), hit(2, "Ayşe", "Beta", account_id=2)]
    )
    assert match.result is MatchResult.AMBIGUOUS
    assert match.reasons == ("2 contacts have this number at 2 accounts: Acme, Beta",)
    family = identify(CALLER, [hit(1, "Ali"), hit(2, "Ayşe")])
    assert family.reasons == ("2 contacts have this number",)


def test_one_contact_with_two_points_is_one_contact() -> None:
    match = identify(CALLER, [hit(1, "Ayşe", shared=True), hit(1, "Ayşe")])
    assert match.result is MatchResult.KNOWN
    assert match.reasons == ("exact number, direct line",)


def test_nobody_has_the_number() -> None:
    match = identify(CALLER, [])
    assert (match.result, match.party) == (MatchResult.UNKNOWN, NUMBER)
    assert match.reasons == ("no contact has this number",)
    assert identify(SENDER, []).reasons == ("no contact has this address",)


def test_no_number_matches_nobody() -> None:
    match = identify(Party(kind=PartyKind.WITHHELD, address=""), [hit(1, "Ayşe")])
    assert (match.result, match.party, match.candidates) == (MatchResult.WITHHELD, "", ())


def test_an_extension_is_internal() -> None:
    match = identify(Party(kind=PartyKind.INTERNAL, address="1001"), [])
    assert (match.result, match.party) == (MatchResult.INTERNAL, "1001")


def test_our_own_numbers_and_addresses_are_never_customers() -> None:
    mine = identify(CALLER, [hit(1, "Ayşe")], own={NUMBER})
    assert (mine.result, mine.candidates) == (MatchResult.OWN, ())
    assert identify(SENDER, [], own={"ayse@example.com"}).result is MatchResult.OWN
    assert identify(SENDER, [], own={"@example.com"}).result is MatchResult.OWN
    assert identify(SENDER, [], own={"@ample.com"}).result is MatchResult.UNKNOWN


def test_a_crowd_is_cut_and_says_so() -> None:
    match = identify(CALLER, [hit(i, f"Person {i}") for i in range(1, 201)])
    assert len(match.candidates) == MAX_CANDIDATES
    assert match.reasons[0].startswith("200 contacts")
    assert match.reasons[-1] == "only the first 50 are listed"
