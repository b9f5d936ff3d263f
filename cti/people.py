"""Who is who on a call: which user is at a leg, who talked, whose phone rang, who is the far end.

Pure. Answers come from the call as the tracker has it and from the users of now, so the same call
may have other people after a user got another phone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from crm_core.directory import Directory
from crm_core.model import Party, PartyKind, Touch, User, UserId
from crm_core.phone import PhoneRules, normalise
from cti.model import Call, CallDirection, Leg, LegRole


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The users and numbers of one PBX, asked about a call."""

    pbx: str
    directory: Directory
    rules: PhoneRules

    # --- agents -----------------------------------------------------------------------------------

    def at(self, leg: Leg) -> User | None:
        """The user whose phone the leg is, or None."""
        return self.directory.at(self.pbx, leg.endpoint) if leg.is_phone else None

    def own_caller(self, call: Call) -> User | None:
        """The agent who dialled out, or None."""
        leg = own_caller_leg(call)
        return self.at(leg) if leg else None

    def talker(self, call: Call) -> User | None:
        """The agent who talked last with the far end; for an internal call, who was called."""
        legs = {leg.channel: leg for leg in call.legs}
        internal = call.direction is CallDirection.INTERNAL
        for pair in reversed(call.talks):
            people = [legs[channel] for channel in pair if channel in legs]
            if not internal and all(leg.is_phone for leg in people):
                continue  # an agent asks a colleague
            for leg in people:
                if internal and leg.role is LegRole.CALLER:
                    continue
                if user := self.at(leg):
                    return user
        return None

    def rung(self, call: Call) -> list[User]:
        """The agents whose phones rang, once each, in order."""
        rung = (leg for leg in call.legs if leg.rang and leg.role is not LegRole.CALLER)
        users = (self.at(leg) for leg in rung)
        return list({user.id: user for user in users if user}.values())

    def concerned(self, call: Call, touch: Touch) -> tuple[UserId, ...]:
        """Whom the touch is for: who took part, whose phone rang, who owns the customer."""
        found: dict[UserId, None] = {user.id: None for user in self.rung(call)}
        for leg in call.legs:
            if (leg.answered or leg.role is LegRole.CALLER) and (user := self.at(leg)):
                found[user.id] = None
        if touch.agent is not None:
            found[touch.agent] = None
        if touch.match.contact and touch.match.contact.owner is not None:
            found[touch.match.contact.owner] = None
        return tuple(found)

    # --- the far end ------------------------------------------------------------------------------

    def party(self, call: Call) -> Party:
        """The far end of the call: the customer, or for an internal call the colleague."""
        if call.direction is CallDirection.OUTBOUND:
            return normalise(call.dialed, self.rules)
        if hides_number(call):
            return Party(kind=PartyKind.WITHHELD, address="")
        party = normalise(call.caller.number, self.rules, name=call.caller.name)
        if call.direction is CallDirection.INTERNAL:
            return replace(party, kind=PartyKind.INTERNAL, address=call.caller.number)
        return party

    def dialed(self, call: Call) -> str:
        """What was dialled: E.164 when it is a public number, else as the PBX has it."""
        party = normalise(call.dialed, self.rules)
        return party.address if party.kind is PartyKind.PHONE else call.dialed


def own_caller_leg(call: Call) -> Leg | None:
    """The phone that dialled out, or None when the call came to us."""
    if call.direction is not CallDirection.OUTBOUND:
        return None
    return next((leg for leg in call.legs if leg.is_phone and leg.role is LegRole.CALLER), None)


def hides_number(call: Call) -> bool:
    """Whether the caller does not want to be known (`CID-CallingPres`, RFC 3323)."""
    return call.presentation.startswith("prohib")
