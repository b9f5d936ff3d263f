"""Who calls, through proxies and lies."""

from __future__ import annotations

import pytest

from agent_ui.caller import caller
from agent_ui.settings import UiSettings

BEHIND = UiSettings.model_validate({"trusted_proxies": ["10.0.0.0/8", "::1"]})


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),  # not our proxy
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # what comes before is made up
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4, 10.0.0.7"], "1.2.3.4"),  # two proxies
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::1", ["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),  # a dual-stack socket
        (None, ["1.2.3.4"], ""),
    ],
)
def test_the_address_is_the_last_that_nobody_vouches_for(
    peer: str | None, forwarded: list[str], expected: str
) -> None:
    headers = [("X-Forwarded-For", line) for line in forwarded]
    assert caller(headers, peer=peer, settings=BEHIND).address == expected


def test_a_doubled_origin_is_a_wrong_one() -> None:
    who = caller(
        [("Host", "desk"), ("Origin", "http://desk"), ("Origin", "http://desk")],
        peer="1.1.1.1",
        settings=UiSettings(),
    )
    assert not who.may_open_socket
    assert not who.from_own_page


def test_the_cookie_is_found_among_others() -> None:
    who = caller(
        [("Cookie", 'a=b; xsantral_session=no; santral_session="yes"; c')],
        peer=None,
        settings=UiSettings(),
    )
    assert who.token == "yes"


def test_by_https_only_the_bound_cookie_counts() -> None:
    settings = UiSettings(public_url="https://desk.example")
    plain = caller([("Cookie", "santral_session=x")], peer=None, settings=settings)
    bound = caller([("Cookie", "__Host-santral_session=x")], peer=None, settings=settings)
    assert (plain.token, bound.token) == ("", "x")


@pytest.mark.parametrize("url", ["desk.example", "ftp://desk", "https://", "https://u:p@desk"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        UiSettings(public_url=url)
