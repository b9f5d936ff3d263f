"""What one signed-in person may see. Pure.

The same rules are asked when a change is pushed, when a snapshot is made and when the REST API
answers. Agents see their own cards, the calls they take part in, their queues and their team;
supervisors and administrators see everything but other people's cards.

Whoever has no team is in one with all others who have none, and with what belongs to no team: an
installation without teams is one team.
"""

from __future__ import annotations

from collections.abc import Callable

from crm_core.model import Endpoint, Role, Touch, User, UserId
from crm_core.notices import LiveAgent, LiveCall, LiveQueue, Noticed

TeamOf = Callable[[UserId], str | None]
"""The team of an agent, None when unknown."""

OVERSEERS = frozenset({Role.SUPERVISOR, Role.ADMIN})


def oversees(user: User) -> bool:
    """Whether the user sees the work of all."""
    return user.role in OVERSEERS


def sees_pop(user: User, agent: UserId) -> bool:
    """A card is for the agent whose phone rings, and for nobody else, whatever the role."""
    return user.id == agent


def sees_call(user: User, call: LiveCall) -> bool:
    """An agent sees a call while one of the agent's phones is on it."""
    return oversees(user) or any(
        participant.agent == user.id
        or Endpoint(pbx=call.pbx, name=participant.endpoint) in user.phones
        for participant in call.participants
    )


def sees_queue(user: User, queue: LiveQueue, team_of: TeamOf) -> bool:
    """An agent sees a queue that rings the agent's own phone or that of a team-mate."""
    if oversees(user):
        return True
    return any(
        member.agent == user.id
        or Endpoint(pbx=queue.pbx, name=member.interface) in user.phones
        or (member.agent is not None and _same_team(user, team_of(member.agent)))
        for member in queue.members
    )


def sees_agent(user: User, agent: LiveAgent) -> bool:
    """An agent sees the own state and that of team-mates."""
    return oversees(user) or agent.agent == user.id or _same_team(user, agent.team)


def sees_touch(user: User, touch: Touch, *, owner: UserId | None = None) -> bool:
    """An agent sees own touches, those of own customers and those of the team.

    The same rule lists the history and tells of what is new in it, so that the page shows the same
    rows live and after a reload.

    `owner` is the present owner of the touch's contact, where it is known better than the match
    says.
    """
    contact = touch.match.contact
    if owner is None and contact is not None:
        owner = contact.owner
    return oversees(user) or user.id in {touch.agent, owner} or _same_team(user, touch.team)


def hears(user: User, notice: Noticed) -> bool:
    """A sentence goes to the named agents, else to the team, else to everybody.

    Overseers hear what is said to a team, but not what is said to one agent.
    """
    if notice.agents:
        return user.id in notice.agents
    return not notice.team or oversees(user) or _same_team(user, notice.team)


def _same_team(user: User, team: str | None) -> bool:
    return user.team == team
