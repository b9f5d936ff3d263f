"""Who sees what."""

from __future__ import annotations

from dataclasses import replace

from agent_ui.session import (
    hears,
    sees_agent,
    sees_call,
    sees_pop,
    sees_queue,
    sees_touch,
)
from crm_core.model import UserId
from crm_core.notices import Noticed

from .scene import AYSE, BORIS, CARLA, DENIZ, KNOWN, SVETLANA, agent, call, queue, touch

TEAMS = {user.id: user.team for user in (AYSE, BORIS, CARLA)}


def team_of(user: UserId) -> str:
    return TEAMS.get(user, "")


def test_a_card_is_for_its_agent_alone() -> None:
    assert sees_pop(AYSE, AYSE.id)
    assert not sees_pop(BORIS, AYSE.id)
    assert not sees_pop(SVETLANA, AYSE.id)


def test_an_agent_sees_the_calls_of_the_own_phone() -> None:
    assert sees_call(AYSE, call(AYSE))
    assert not sees_call(BORIS, call(AYSE))
    assert sees_call(SVETLANA, call(AYSE))


def test_a_phone_counts_also_when_the_person_behind_it_is_not_told() -> None:
    nameless = call(AYSE)
    nameless = replace(nameless, participants=(replace(nameless.participants[0], agent=None),))
    assert sees_call(AYSE, nameless)
    assert not sees_call(AYSE, replace(nameless, pbx="branch"))  # the same name, another PBX


def test_an_agent_sees_the_queues_of_the_own_team() -> None:
    assert sees_queue(AYSE, queue(AYSE), team_of)
    assert sees_queue(AYSE, queue(CARLA), team_of)
    assert not sees_queue(AYSE, queue(BORIS), team_of)
    assert not sees_queue(AYSE, queue(), team_of)
    assert sees_queue(SVETLANA, queue(), team_of)


def test_an_agent_sees_team_mates() -> None:
    assert sees_agent(AYSE, agent(CARLA))
    assert not sees_agent(AYSE, agent(BORIS))
    assert sees_agent(SVETLANA, agent(BORIS))


def test_people_without_a_team_are_one_team() -> None:
    """An installation without teams is one team; a team is still closed to them."""
    alone, other = replace(AYSE, team=""), replace(BORIS, team="")
    assert sees_agent(alone, agent(other))
    assert sees_touch(alone, touch(agent=other, team=""))
    assert not sees_touch(AYSE, touch(agent=other, team=""))
    assert not sees_touch(alone, touch(agent=BORIS, team="sales"))
    assert not hears(alone, Noticed(code="x", team="sales"))


def test_an_agent_sees_own_touches_own_customers_and_the_team() -> None:
    elsewhere = touch(agent=BORIS, team="sales")
    assert not sees_touch(AYSE, elsewhere)
    assert sees_touch(AYSE, replace(elsewhere, agent=AYSE.id))
    assert sees_touch(AYSE, replace(elsewhere, team="support"))
    assert sees_touch(AYSE, replace(elsewhere, match=replace(KNOWN, candidates=(DENIZ,))))
    assert sees_touch(AYSE, elsewhere, owner=AYSE.id)
    assert sees_touch(SVETLANA, elsewhere)


def test_nobody_owns_a_touch_of_nobody() -> None:
    assert not sees_touch(BORIS, touch(agent=None))


def test_a_sentence_to_agents_is_not_heard_by_others() -> None:
    assert hears(AYSE, Noticed(code="x", agents=(AYSE.id,), team="support"))
    assert not hears(CARLA, Noticed(code="x", agents=(AYSE.id,), team="support"))
    assert not hears(SVETLANA, Noticed(code="x", agents=(AYSE.id,)))
    assert hears(CARLA, Noticed(code="x", team="support"))
    assert hears(SVETLANA, Noticed(code="x", team="support"))
    assert hears(BORIS, Noticed(code="x"))
