"""Values of the core turned into the bodies of push messages and REST answers. Pure.

Names and addresses are hostile text. They go through as they are, for the page to show as text;
only what no JSON can carry is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from agent_ui.messages import (
    AgentBody,
    CallBody,
    CandidateBody,
    EntryBody,
    LinkBody,
    MatchBody,
    MemberBody,
    ParticipantBody,
    PartyBody,
    PopBody,
    QueueBody,
    TouchBody,
    UserBody,
)
from crm_core.model import Candidate, Match, Medium, Party, PartyKind, Touch, User
from crm_core.notices import LinkChanged, LiveAgent, LiveCall, LiveQueue, ScreenPop
from crm_core.text import storable

Display = Callable[[Party], str]
"""How an address is shown: a number in national or international form."""


def plain_display(party: Party) -> str:
    """The address as it is stored, or as it came if it could not be read."""
    return party.address or party.raw


class Bodies:
    """Makes bodies, with one way to show addresses."""

    def __init__(self, display: Display = plain_display) -> None:
        self._display = display

    def party(self, party: Party) -> PartyBody:
        """The far end."""
        return PartyBody(
            kind=party.kind.value,
            address=storable(party.address),
            display=storable(self._display(party)),
            name=storable(party.name),
            region=party.region,
        )

    def number(self, number: str) -> str:
        """A public number (E.164) in the form people read; all else as it is."""
        if number.startswith("+"):
            number = self._display(Party(kind=PartyKind.PHONE, address=number, raw=number))
        return storable(number)

    def candidate(self, candidate: Candidate) -> CandidateBody:
        """A contact that it may be."""
        return CandidateBody(
            contact=candidate.contact,
            name=storable(candidate.name),
            account=storable(candidate.account),
            external_id=storable(candidate.external_id),
            tier=storable(candidate.tier),
        )

    def match(self, match: Match) -> MatchBody:
        """Who it is, and why."""
        return MatchBody(
            result=match.result.value,
            candidates=tuple(self.candidate(candidate) for candidate in match.candidates),
            reasons=tuple(storable(reason) for reason in match.reasons),
        )

    def touch(self, touch: Touch) -> TouchBody:
        """One touch of the history."""
        contact = touch.match.contact
        return TouchBody(
            id=touch.id,
            medium=touch.medium.value,
            direction=touch.direction.value,
            outcome=touch.outcome.value,
            at=touch.at,
            ended_at=touch.ended_at,
            contact=self.candidate(contact) if contact else None,
            account=storable(contact.account) if contact else "",
            party=self.party(touch.party),
            match=self.match(touch.match),
            agent=touch.agent,
            agent_name=storable(touch.agent_name),
            subject=self.number(touch.subject)
            if touch.medium is Medium.PHONE
            else storable(touch.subject),
            queue=_first_queue(touch),
            ring_s=touch.ring_s,
            wait_s=touch.wait_s,
            talk_s=touch.talk_s,
            hold_s=touch.hold_s,
        )

    def pop(self, pop: ScreenPop) -> PopBody:
        """A card."""
        return PopBody(
            id=pop.id,
            call=pop.call,
            touch=pop.touch,
            state=pop.state.value,
            direction=_direction(pop.direction),
            party=self.party(pop.party),
            match=self.match(pop.match),
            dialed=self.number(pop.dialed),
            queue=storable(pop.queue),
            waited_s=pop.waited_s,
            ringing_at=pop.ringing_at,
            answered_at=pop.answered_at,
            ended_at=pop.ended_at,
            recent=tuple(self.touch(touch) for touch in pop.recent),
            note=storable(pop.note),
        )

    def call(self, call: LiveCall) -> CallBody:
        """A live call."""
        return CallBody.model_validate(
            {
                "id": call.id,
                "pbx": call.pbx,
                "direction": call.direction,
                "state": call.state,
                "party": self.party(call.party),
                "match": self.match(call.match) if call.match else None,
                "dialed": self.number(call.dialed),
                "queue": storable(call.queue),
                "started_at": call.started_at,
                "answered_at": call.answered_at,
                "participants": tuple(
                    ParticipantBody(
                        endpoint=storable(participant.endpoint),
                        agent=participant.agent,
                        name=storable(participant.name),
                        state=participant.state,
                    )
                    for participant in call.participants
                ),
            }
        )

    def queue(self, queue: LiveQueue) -> QueueBody:
        """A queue now."""
        return QueueBody(
            id=storable(f"{queue.pbx}/{queue.name}"),
            pbx=queue.pbx,
            name=storable(queue.name),
            entries=tuple(
                EntryBody(
                    call=entry.call,
                    party=self.party(entry.party),
                    name=storable(entry.name),
                    position=entry.position,
                    since=entry.since,
                )
                for entry in queue.entries
            ),
            members=tuple(
                MemberBody.model_validate(
                    {
                        "interface": storable(member.interface),
                        "name": storable(member.name),
                        "agent": member.agent,
                        "state": member.state,
                        "reason": storable(member.reason),
                        "since": member.since,
                        "calls_taken": member.calls_taken,
                    }
                )
                for member in queue.members
            ),
            answered_today=queue.answered_today,
            abandoned_today=queue.abandoned_today,
            unanswered_today=queue.unanswered_today,
        )

    def agent(self, agent: LiveAgent) -> AgentBody:
        """An agent now."""
        return AgentBody.model_validate(
            {
                "id": agent.agent,
                "name": storable(agent.name),
                "team": storable(agent.team),
                "state": agent.state,
                "since": agent.since,
                "reason": storable(agent.reason),
                "call": agent.call,
                "queues": tuple(storable(queue) for queue in agent.queues),
            }
        )

    def link(self, link: LinkChanged, *, full: bool) -> LinkBody:
        """A connection. Its message may name hosts, so only `full` bodies carry it."""
        return LinkBody(
            name=link.name,
            up=link.up,
            since=link.since,
            message=storable(link.message) if full else "",
        )

    def user(self, user: User) -> UserBody:
        """A signed-in user."""
        return UserBody(
            id=user.id,
            login=user.login,
            name=storable(user.name),
            role=user.role.value,
            team=storable(user.team),
            language=user.language,
            phones=tuple(f"{phone.pbx}/{phone.name}" for phone in user.phones),
        )


def _direction(value: str) -> Literal["inbound", "outbound", "internal"]:
    # pydantic refuses any other word.
    return cast("Literal['inbound', 'outbound', 'internal']", str(value))


def _first_queue(touch: Touch) -> str:
    match touch.details.get("queues"):
        case [str(name), *_]:
            return storable(name)
        case _:
            return ""
